"""Reshape."""
from .. import functional as F
from ..module import Module
from ._check import integer

__all__ = ["Reshape"]


class Reshape(Module):
    """Gives each row of the batch another shape: Reshape(28, 28) takes (N, 784) to (N, 28, 28).

    Args: *shape: the row's new shape, one of its lengths may be -1 (what is left); a single tuple too."""

    def __init__(self, *shape):
        super().__init__()
        if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
            shape = tuple(shape[0])
        self.shape = tuple(-1 if s == -1 else integer("Reshape", "shape", s) for s in shape)
        if self.shape.count(-1) > 1:
            raise ValueError(f"Reshape: only one length may be -1, got {self.shape}")

    def forward(self, x):
        """x: (N, ...)."""
        return F.reshape(x, (x.shape[0], *self.shape))

    def extra_repr(self):
        """The row's shape."""
        return ", ".join(map(str, self.shape))
