"""ReLU."""
from .. import functional as F
from ..module import Module

__all__ = ["ReLU"]


class ReLU(Module):
    """max(x, 0); NaN stays NaN.

    Args: inplace: accepted for PyTorch's sake, no effect. Shapes: any, the output as the input."""

    def __init__(self, inplace=False):
        super().__init__()

    def forward(self, x):
        """x: any shape."""
        return F.relu(x)
