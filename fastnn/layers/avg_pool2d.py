"""AvgPool2d."""
from .. import functional as F
from ..module import Module
from ._check import pair, window

__all__ = ["AvgPool2d"]


class AvgPool2d(Module):
    """The mean of each window.

    Args: kernel_size; stride=None (kernel_size), padding=0 (half the window at most): an int or (height, width);
    ceil_mode=False: True keeps the last window where it begins inside the padded input; count_include_pad=True: padded zeros
    count in the divisor.
    Shapes: (N, C, H, W) -> (N, C, H', W'), H' = floor((H + 2 padding - kernel) / stride) + 1."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__()
        self.kernel_size, self.padding = window("AvgPool2d", kernel_size, padding)
        self.stride = self.kernel_size if stride is None else pair("AvgPool2d", "stride", stride)
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)

    def forward(self, x):
        """x: (N, C, H, W)."""
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self):
        """The arguments, as PyTorch prints them."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
