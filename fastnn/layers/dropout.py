"""Dropout."""
from .. import functional as F
from ..module import Module
from ._check import number

__all__ = ["Dropout"]


class Dropout(Module):
    """In training, zeroes each element with probability p and multiplies the others by 1 / (1 - p); in evaluation the identity
    (Srivastava et al. 2014). The random numbers depend on the seed, the step, the layer and the element alone: not on threads,
    layout or backend.

    Args: p=0.5; inplace: accepted for PyTorch's sake, no effect. Shapes: any, the output as the input."""

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        self.p = number("Dropout", "p", p, 0.0, 1.0)

    def forward(self, x):
        """x: any shape."""
        return F.dropout(x, self.p, self.training)

    def extra_repr(self):
        """The probability."""
        return f"p={self.p}"
