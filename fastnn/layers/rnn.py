"""RNN."""
from .. import functional as F
from ._recurrent import Recurrent

__all__ = ["RNN"]


class RNN(Recurrent):
    """The plain recurrent network over a sequence (formula: fastnn.functional.rnn), in layers, in one or both directions.

    Args: input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0 (between layers, in training),
    bidirectional=False; nonlinearity="tanh" or "relu"; return_sequences=True: what a Sequential passes on, the output of every
    step or (False) the final h of each direction, side by side.
    Called: `output, h = rnn(x)` or `rnn(x, h0)`. x (N, steps, input_size), without batch_first (steps, N, input_size); output
    likewise, hidden_size * directions features; h0, h (num_layers * directions, N, hidden_size), zeros where left out.
    Sequences of different lengths: a call with lengths=, shape (N,); what lies behind a sequence's end is not looked
    at, output there is 0, and h is that of its last step (PyTorch's packed sequences).
    Parameters, for layers l0, l1 ... (and ..._reverse): weight_ih_l0 (hidden_size, features), weight_hh_l0 (hidden_size,
    hidden_size), bias_ih_l0, bias_hh_l0 (hidden_size,), uniform in +-1/sqrt(hidden_size) (PyTorch's)."""

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, *,
                 nonlinearity="tanh", return_sequences=True):
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, return_sequences)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity

    def step(self, x, parameters, states, **options):
        """One direction of one layer: the output, h."""
        return F.rnn(x, *parameters, *states, **options, nonlinearity=self.nonlinearity)
