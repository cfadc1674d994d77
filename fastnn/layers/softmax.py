"""Softmax."""
from .. import functional as F
from ..module import Module
from ._check import integer

__all__ = ["Softmax"]


def check_dim(layer, dim):
    """`dim` as given to a softmax: an int or None."""
    return None if dim is None else integer(layer, "dim", dim, -8)


def implicit_dim(layer, dim, x):
    """The axis meant by dim=None: the classes' axis, which is 1 for (N, C) and (N, C, H, W) and unclear for three axes."""
    if dim is None and len(x.shape) == 3:
        raise ValueError(f"{layer}: say which axis by dim=..., the input has three (shape {tuple(x.shape)})")
    return min(1, len(x.shape) - 1) if dim is None else dim


class Softmax(Module):
    """exp(x) / sum(exp(x)) along dim, computed without overflow.

    Args: dim=None: the axis; None means 1, the classes of (N, C) and (N, C, H, W). Shapes: any, the output as the input."""

    def __init__(self, dim=None):
        super().__init__()
        self.dim = check_dim("Softmax", dim)

    def forward(self, x):
        """x: any shape."""
        return F.softmax(x, implicit_dim("Softmax", self.dim, x))

    def extra_repr(self):
        """The axis."""
        return f"dim={self.dim}"
