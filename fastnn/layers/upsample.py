"""Upsample."""
from .. import functional as F
from ..module import Module
from ..ops.interpolate import check

__all__ = ["Upsample"]


class Upsample(Module):
    """Images of another size: F.interpolate as a layer.

    Args: size=None: an int or (height, width); or scale_factor=None: a number or two; mode="nearest" or "bilinear";
    align_corners=None (False): bilinear's corner pixels lie on each other.
    Shapes: (N, C, H, W) -> (N, C, H', W'), size or floor(H * scale_factor)."""

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=None):
        super().__init__()
        check("Upsample", size, scale_factor, mode, align_corners)
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners

    def forward(self, x):
        """x: (N, C, H, W)."""
        return F.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self):
        """The arguments, as PyTorch prints them."""
        return (f"size={self.size}" if self.size is not None else f"scale_factor={self.scale_factor}") + f", mode={self.mode!r}"
