"""Conv1d."""
from .. import functional as F
from ._convolution import Convolution

__all__ = ["Conv1d"]


class Conv1d(Convolution):
    """1-D convolution (cross-correlation): y[n,o] = bias[o] + sum over c of weight[o,c] * x[n,c].

    Args: in_channels, out_channels; kernel_size, stride=1, dilation=1: an int; padding=0: an int, 'valid' (none) or 'same'
    (output as long as the input, stride 1 only); groups=1: channels and filters are cut into so many independent parts;
    bias=True; padding_mode: 'zeros' alone; algorithm: as Conv2d's.
    Shapes: (N, in_channels, L) -> (N, out_channels, L'), L' = (L + 2 padding - dilation (kernel - 1) - 1) // stride + 1.
    Parameters: weight (out_channels, in_channels // groups, kernel), bias (out_channels,), both uniform in
    +-1/sqrt(in_channels // groups * kernel) (PyTorch's default).
    Raises ValueError for arguments that do not fit together; the input's shape is checked when the layer is called."""
    axes = 1

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros", algorithm=None):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
                         algorithm)

    def forward(self, x):
        """x: (N, in_channels, L)."""
        return F.conv1d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups, self.algorithm)
