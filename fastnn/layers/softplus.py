"""Softplus."""
from .. import functional as F
from ..module import Module
from ._check import number

__all__ = ["Softplus"]


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta.

    Args: beta=1.0; threshold: accepted for PyTorch's sake, no effect: nothing overflows. Shapes: any, the output as the
    input."""

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta = number("Softplus", "beta", beta)
        if not self.beta > 0:
            raise ValueError(f"Softplus: beta must be above 0, got {beta!r}")

    def forward(self, x):
        """x: any shape."""
        return F.softplus(x, self.beta)

    def extra_repr(self):
        """The factor."""
        return f"beta={self.beta}"
