"""Conv2d."""
from .. import functional as F
from ._convolution import Convolution

__all__ = ["Conv2d"]


class Conv2d(Convolution):
    """2-D convolution (cross-correlation): y[n,o] = bias[o] + sum over c of weight[o,c] * x[n,c].

    Args: in_channels, out_channels; kernel_size, stride=1, dilation=1: an int or (height, width); padding=0: an int, (height,
    width), 'valid' (none) or 'same' (output as large as the input, stride 1 only); groups=1: channels and filters are cut into
    so many independent parts (groups=in_channels: depthwise); bias=True; padding_mode: 'zeros' alone; algorithm: 'auto',
    'direct', or None for what nn.set_conv_algorithm says when the network is traced.
    Shapes: (N, in_channels, H, W) -> (N, out_channels, H', W'), H' = (H + 2 padding - dilation (kernel - 1) - 1) // stride + 1.
    Parameters: weight (out_channels, in_channels // groups, kh, kw), bias (out_channels,), both uniform in
    +-1/sqrt(in_channels // groups * kh * kw) (He et al. 2015 with a=sqrt(5), PyTorch's default).
    Raises ValueError for arguments that do not fit together; the input's shape is checked when the layer is called."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros", algorithm=None):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
                         algorithm)

    def forward(self, x):
        """x: (N, in_channels, H, W)."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups, self.algorithm)
