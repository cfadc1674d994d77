"""RandomShift."""
from .. import functional as F
from ..module import Module
from ._check import pair

__all__ = ["RandomShift"]


class RandomShift(Module):
    """In training, shifts each image by a whole number of pixels from -pixels to pixels, down and across, zeros coming in; in
    evaluation the identity. Random numbers as RandomHorizontalFlip's.

    Args: pixels: an integer or (rows, columns). Shapes: (N, C, H, W), the output as the input. No gradient flows to the input."""

    def __init__(self, pixels):
        super().__init__()
        self.pixels = pair("RandomShift", "pixels", pixels, 0)

    def forward(self, x):
        """x: (N, C, H, W)."""
        return F.random_window(x, padding=self.pixels) if self.training else x

    def extra_repr(self):
        """The bounds."""
        return f"pixels={self.pixels}"
