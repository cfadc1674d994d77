"""LogSoftmax."""
from .. import functional as F
from ..module import Module
from .softmax import check_dim, implicit_dim

__all__ = ["LogSoftmax"]


class LogSoftmax(Module):
    """log(softmax(x)) along dim, computed without overflow.

    Args: dim=None: the axis; None means 1, the classes of (N, C) and (N, C, H, W). Shapes: any, the output as the input."""

    def __init__(self, dim=None):
        super().__init__()
        self.dim = check_dim("LogSoftmax", dim)

    def forward(self, x):
        """x: any shape."""
        return F.log_softmax(x, implicit_dim("LogSoftmax", self.dim, x))

    def extra_repr(self):
        """The axis."""
        return f"dim={self.dim}"
