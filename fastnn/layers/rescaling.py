"""Rescaling."""
from ..module import Module
from ._check import number

__all__ = ["Rescaling"]


class Rescaling(Module):
    """x * scale + offset, in float32: for images as bytes. Part of the graph: it is saved with the network, and the plan does
    it while it reads the mini-batch.

    Args: scale (1/255 takes bytes to [0, 1]), offset=0.0. Shapes: any, the output as the input; uint8 input too."""

    def __init__(self, scale, offset=0.0):
        super().__init__()
        self.scale, self.offset = number("Rescaling", "scale", scale), number("Rescaling", "offset", offset)

    def forward(self, x):
        """x: any shape, float or integer."""
        y = x * self.scale
        return y + self.offset if self.offset else y

    def extra_repr(self):
        """The arguments."""
        return f"scale={self.scale}, offset={self.offset}"
