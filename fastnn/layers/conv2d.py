"""Conv2d."""
from .. import functional as F
from ..backend import checked_algorithm
from ..module import Module
from ..parameter import Parameter
from ._check import integer, kaiming_uniform, pair

__all__ = ["Conv2d"]


class Conv2d(Module):
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
        super().__init__()
        self.in_channels = integer("Conv2d", "in_channels", in_channels)
        self.out_channels = integer("Conv2d", "out_channels", out_channels)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride = pair("Conv2d", "stride", stride)
        self.dilation = pair("Conv2d", "dilation", dilation)
        self.groups = integer("Conv2d", "groups", groups)
        for name, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                raise ValueError(f"Conv2d: groups={self.groups} does not divide {name}={channels}")
        if padding_mode != "zeros":
            raise ValueError(f"Conv2d: padding_mode must be 'zeros', got {padding_mode!r}")
        self.padding = self._padding(padding)
        checked_algorithm("Conv2d", algorithm)
        self.algorithm = algorithm
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        fan_in = shape[1] * shape[2] * shape[3]
        self.weight = Parameter(kaiming_uniform(shape, fan_in))
        self.bias = Parameter(kaiming_uniform(shape[:1], fan_in)) if bias else None

    def _padding(self, padding):
        if not isinstance(padding, str):
            return pair("Conv2d", "padding", padding, 0)
        if padding not in ("same", "valid"):
            raise ValueError(f"Conv2d: padding must be an integer, two, 'same' or 'valid', got {padding!r}")
        if padding == "same" and self.stride != (1, 1):
            raise ValueError(f"Conv2d: padding='same' needs stride=1, got stride={self.stride}")
        return padding

    def forward(self, x):
        """x: (N, in_channels, H, W)."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups,
                        self.algorithm)

    def extra_repr(self):
        """The arguments that are not defaults, as PyTorch prints them."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        for name, default in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1), ("algorithm", None)):
            value = getattr(self, name)
            text += "" if value == default else f", {name}={value!r}"
        return text + ("" if self.bias is not None else ", bias=False")
