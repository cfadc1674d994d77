"""Tanh."""
from .. import functional as F
from ..module import Module

__all__ = ["Tanh"]


class Tanh(Module):
    """The hyperbolic tangent. Shapes: any, the output as the input."""

    def forward(self, x):
        """x: any shape."""
        return F.tanh(x)
