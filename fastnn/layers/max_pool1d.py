"""MaxPool1d."""
from .. import functional as F
from ..module import Module
from ._check import several, window

__all__ = ["MaxPool1d"]


class MaxPool1d(Module):
    """The largest element of each window of a sequence. Args: integers, their meanings MaxPool2d's.

    Shapes: (N, C, L) -> (N, C, L'), L' = floor((L + 2 padding - dilation (kernel - 1) - 1) / stride) + 1."""

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        super().__init__()
        self.kernel_size, self.padding = window("MaxPool1d", kernel_size, padding, 1)
        self.stride = self.kernel_size if stride is None else several("MaxPool1d", "stride", stride, 1)
        self.dilation, self.ceil_mode = several("MaxPool1d", "dilation", dilation, 1), bool(ceil_mode)

    def forward(self, x):
        """x: (N, C, L)."""
        return F.max_pool1d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self):
        """The arguments, as PyTorch prints them."""
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
                f"ceil_mode={self.ceil_mode}")
