"""A class for a whole sequence."""
from .. import functional as F
from ..layers import Dropout, Linear
from ..layers._check import integer
from ..module import Module
from ..optimizers import Adam
from ._cell import make_cell

__all__ = ["SequenceClassifier"]


class SequenceClassifier(Module):
    """Reads a sequence step by step and classifies what it remembers at the end (Elman 1990, doi:10.1207/s15516709cog1402_1;
    the LSTM: Hochreiter, Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735).

    Args: cell, "lstm", "gru" or "rnn"; input_size, the features of a step; hidden_size; classes; num_layers=1;
    bidirectional=False: a second network reads from the end; dropout=0.0: between layers, and before the last one.
    Layers: `cell`, `dropout`, `linear`. Shapes: x (N, steps, input_size), and where the sequences differ in length
    lengths (N,) as a second input -> logits (N, classes). fit, evaluate and predict take x, or [x, lengths].
    It is compiled (Adam, lr=0.001, cross-entropy, accuracy); compile it again for another loss or optimizer.
    ValueError: an unknown cell, a size below 1."""

    def __init__(self, cell, input_size, hidden_size, classes, num_layers=1, bidirectional=False, dropout=0.0):
        super().__init__()
        self.cell = make_cell("SequenceClassifier", cell, input_size, hidden_size, num_layers, bidirectional=bidirectional,
                              dropout=dropout)
        self.dropout = Dropout(dropout)
        self.linear = Linear(hidden_size * self.cell.directions, integer("SequenceClassifier", "classes", classes))
        self.compile(loss="cross_entropy", optimizer=Adam(lr=0.001), metrics=["accuracy"])

    def forward(self, x, lengths=None):
        """x: (N, steps, input_size), lengths: (N,) or None."""
        _, state = self.cell(x, lengths=lengths)
        h = state[0] if isinstance(state, tuple) else state
        last = F.cat([h[i] for i in range(-self.cell.directions, 0)], 1)
        return self.linear(self.dropout(last))
