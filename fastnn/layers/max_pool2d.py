"""MaxPool2d."""
from .. import functional as F
from ..module import Module
from ._check import pair, window

__all__ = ["MaxPool2d"]


class MaxPool2d(Module):
    """The largest element of each window; NaN wins, and of equal elements the first gets the gradient.

    Args: kernel_size; stride=None (kernel_size), padding=0 (with -inf, half the window at most), dilation=1: an int or (height,
    width); ceil_mode=False: True keeps the last window where it begins inside the padded input.
    Shapes: (N, C, H, W) -> (N, C, H', W'), H' = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1."""

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        super().__init__()
        self.kernel_size, self.padding = window("MaxPool2d", kernel_size, padding)
        self.stride = self.kernel_size if stride is None else pair("MaxPool2d", "stride", stride)
        self.dilation = pair("MaxPool2d", "dilation", dilation)
        self.ceil_mode = bool(ceil_mode)

    def forward(self, x):
        """x: (N, C, H, W)."""
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self):
        """The arguments, as PyTorch prints them."""
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
                f"ceil_mode={self.ceil_mode}")
