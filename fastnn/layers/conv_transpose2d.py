"""ConvTranspose2d."""
from .. import functional as F
from ._convolution import Convolution

__all__ = ["ConvTranspose2d"]


class ConvTranspose2d(Convolution):
    """Transposed 2-D convolution ("deconvolution"): each pixel of x times weight, laid out `stride` apart and added up.

    Args: in_channels, out_channels; kernel_size, stride=1, dilation=1: an int or (height, width); padding=0: so many rows and
    columns fewer on each side; output_padding=0: so many more at the bottom and right, fewer than stride or dilation; groups=1;
    bias=True; padding_mode: 'zeros' alone; algorithm: as Conv2d's.
    Shapes: (N, in_channels, H, W) -> (N, out_channels, H', W'), H' = (H - 1) stride - 2 padding + dilation (kernel - 1) +
    output_padding + 1.
    Parameters: weight (in_channels, out_channels // groups, kh, kw), bias (out_channels,), both uniform in
    +-1/sqrt(out_channels // groups * kh * kw) (PyTorch's default).
    Raises ValueError for arguments that do not fit together; the input's shape is checked when the layer is called."""
    transposed = True

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True,
                 dilation=1, padding_mode="zeros", algorithm=None):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
                         algorithm)
        self.output_padding = self._each("output_padding", output_padding, 0)
        if any(o >= max(s, d) for o, s, d in zip(self.output_padding, self.stride, self.dilation)):
            raise ValueError(f"ConvTranspose2d: output_padding={self.output_padding} must be smaller than stride={self.stride} "
                             f"or dilation={self.dilation}")

    def forward(self, x):
        """x: (N, in_channels, H, W)."""
        return F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups,
                                  self.dilation, self.algorithm)
