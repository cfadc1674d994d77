"""LSTM."""
from .. import functional as F
from ._recurrent import Recurrent

__all__ = ["LSTM"]


class LSTM(Recurrent):
    """Long short-term memory over a sequence (formula: fastnn.functional.lstm), in layers, in one or both directions.

    Args: input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0 (between layers, in training),
    bidirectional=False; return_sequences=True: what a Sequential passes on, the output of every step or (False) the final h
    of each direction, side by side.
    Called: `output, (h, c) = lstm(x)` or `lstm(x, (h0, c0))`. x (N, steps, input_size), without batch_first (steps, N,
    input_size); output likewise, hidden_size * directions features; h0, c0, h, c (num_layers * directions, N, hidden_size),
    zeros where left out.
    Sequences of different lengths: a call with lengths=, shape (N,); what lies behind a sequence's end is not looked
    at, output there is 0, and h is that of its last step (PyTorch's packed sequences).
    Parameters, for layers l0, l1 ... (and ..._reverse): weight_ih_l0 (4 hidden_size, features), weight_hh_l0 (4 hidden_size,
    hidden_size), bias_ih_l0, bias_hh_l0 (4 hidden_size,), rows i, f, g, o, uniform in +-1/sqrt(hidden_size) (PyTorch's)."""
    gates, states = 4, ("h0", "c0")

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, *,
                 return_sequences=True):
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, return_sequences)

    def step(self, x, parameters, states, **options):
        """One direction of one layer: the output, h, c."""
        return F.lstm(x, *parameters, *states, **options)
