"""AdaptiveAvgPool2d."""
from .. import functional as F
from ..module import Module
from ._check import integer

__all__ = ["AdaptiveAvgPool2d"]


class AdaptiveAvgPool2d(Module):
    """Averages to a fixed output size: output i is the mean of rows floor(i H / H') to ceil((i + 1) H / H') - 1, and columns
    likewise.

    Args: output_size: an int or (height, width); None for an axis keeps its length.
    Shapes: (N, C, H, W) -> (N, C, H', W')."""

    def __init__(self, output_size):
        super().__init__()
        sizes = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * 2
        if len(sizes) != 2:
            raise ValueError(f"AdaptiveAvgPool2d: output_size must be an integer or two (height, width), got {output_size!r}")
        self.output_size = tuple(None if s is None else integer("AdaptiveAvgPool2d", "output_size", s) for s in sizes)

    def forward(self, x):
        """x: (N, C, H, W)."""
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self):
        """The output size."""
        return f"output_size={self.output_size}"
