"""Flatten."""
from .. import functional as F
from ..module import Module

__all__ = ["Flatten"]


class Flatten(Module):
    """Joins the axes start_dim=1 to end_dim=-1 into one. Shapes: (N, C, H, W) -> (N, C*H*W) by default."""

    def __init__(self, start_dim=1, end_dim=-1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x):
        """x: (N, ...)."""
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self):
        """The arguments, as PyTorch prints them."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
