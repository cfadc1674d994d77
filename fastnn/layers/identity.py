"""Identity."""
from ..module import Module

__all__ = ["Identity"]


class Identity(Module):
    """Returns its input. Takes and ignores any arguments, so that it can stand in for another layer."""

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, x):
        """x: anything."""
        return x
