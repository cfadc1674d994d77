"""SiLU."""
from .. import functional as F
from ..module import Module

__all__ = ["SiLU"]


class SiLU(Module):
    """x * sigmoid(x), also called swish (Elfwing et al. 2018).

    Args: inplace: accepted for PyTorch's sake, no effect. Shapes: any, the output as the input."""

    def __init__(self, inplace=False):
        super().__init__()

    def forward(self, x):
        """x: any shape."""
        return F.silu(x)
