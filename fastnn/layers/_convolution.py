"""What Conv1d, Conv2d and ConvTranspose2d share: arguments, parameters, printing."""
from ..backend import checked_algorithm
from ..module import Module
from ..parameter import Parameter
from ._check import integer, kaiming_uniform, several


class Convolution(Module):
    """`axes` of an image; `transposed`: weight (in, out / groups, ...) and not (out, in / groups, ...)."""
    axes, transposed = 2, False

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
                 algorithm):
        super().__init__()
        name = type(self).__name__
        self.in_channels = integer(name, "in_channels", in_channels)
        self.out_channels = integer(name, "out_channels", out_channels)
        self.kernel_size = self._each("kernel_size", kernel_size)
        self.stride = self._each("stride", stride)
        self.dilation = self._each("dilation", dilation)
        self.groups = integer(name, "groups", groups)
        for what, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                raise ValueError(f"{name}: groups={self.groups} does not divide {what}={channels}")
        if padding_mode != "zeros":
            raise ValueError(f"{name}: padding_mode must be 'zeros', got {padding_mode!r}")
        self.padding = self._padding(padding)
        checked_algorithm(name, algorithm)
        self.algorithm = algorithm
        first, second = (self.in_channels, self.out_channels) if self.transposed else (self.out_channels, self.in_channels)
        shape, fan_in = (first, second // self.groups, *self.kernel_size), second // self.groups
        for length in self.kernel_size:
            fan_in *= length
        self.weight = Parameter(kaiming_uniform(shape, fan_in))
        self.bias = Parameter(kaiming_uniform((self.out_channels,), fan_in)) if bias else None

    def _each(self, name, value, minimum=1):
        return several(type(self).__name__, name, value, self.axes, minimum)

    def _padding(self, padding):
        if not isinstance(padding, str) or self.transposed:
            return self._each("padding", padding, 0)
        if padding not in ("same", "valid"):
            counts = "an integer, two," if self.axes == 2 else "an integer,"
            raise ValueError(f"{type(self).__name__}: padding must be {counts} 'same' or 'valid', got {padding!r}")
        if padding == "same" and max(self.stride) > 1:
            raise ValueError(f"{type(self).__name__}: padding='same' needs stride=1, got stride={self.stride}")
        return padding

    def extra_repr(self):
        """The arguments that are not defaults, as PyTorch prints them."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        none, one = (0,) * self.axes, (1,) * self.axes
        for name, default in (("padding", none), ("output_padding", none), ("dilation", one), ("groups", 1),
                              ("algorithm", None)):
            value = getattr(self, name, default)
            text += "" if value == default else f", {name}={value!r}"
        return text + ("" if self.bias is not None else ", bias=False")
