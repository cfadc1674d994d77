"""AvgPool1d."""
from .. import functional as F
from ..module import Module
from ._check import several, window

__all__ = ["AvgPool1d"]


class AvgPool1d(Module):
    """The mean of each window of a sequence. Args: integers, their meanings AvgPool2d's.

    Shapes: (N, C, L) -> (N, C, L'), L' = floor((L + 2 padding - kernel) / stride) + 1."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__()
        self.kernel_size, self.padding = window("AvgPool1d", kernel_size, padding, 1)
        self.stride = self.kernel_size if stride is None else several("AvgPool1d", "stride", stride, 1)
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)

    def forward(self, x):
        """x: (N, C, L)."""
        return F.avg_pool1d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self):
        """The arguments, as PyTorch prints them."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
