"""Sigmoid."""
from .. import functional as F
from ..module import Module

__all__ = ["Sigmoid"]


class Sigmoid(Module):
    """1 / (1 + exp(-x)). Shapes: any, the output as the input."""

    def forward(self, x):
        """x: any shape."""
        return F.sigmoid(x)
