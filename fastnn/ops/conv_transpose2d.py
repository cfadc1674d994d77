"""Transposed convolution of images: what convolution's gradient by its input computes, with a bias.

    y[n, o, p s + u d - pad, q s + v d - pad] = bias[o] + sum over (i, u, v) of x[n, i, p, q] weight[i, o, u, v]

So its steps are conv2d's in other roles: forward conv2d_backward_input, by x conv2d, by the weight conv2d_backward_weight."""
from .. import backend
from ..graph import Spec, op
from . import _arguments as arguments
from ._window import batched, unbatched
from .conv2d import _conv2d, _conv2d_backward_input, _conv2d_backward_weight, channel_sum, emit_transposed, sides

__all__ = ["conv_transpose2d", "conv_transpose2d_backward", "conv_transpose2d_backward_input",
           "conv_transpose2d_backward_weight"]


def _out_size(x, weight, *, stride, padding, output_padding, dilation, groups, algorithm="auto"):
    """The output's (height, width)."""
    ends = padding[0] + padding[1], padding[2] + padding[3]
    return tuple((n - 1) * s - e + d * (k - 1) + o + 1 for n, k, s, e, d, o in
                 zip(x.shape[2:], weight.shape[2:], stride, ends, dilation, output_padding))


def _spec(x, weight, bias, *, groups, **attrs):
    return Spec((x.shape[0], weight.shape[1] * groups, *_out_size(x, weight, groups=groups, **attrs)), x.dtype)


@op("conv_transpose2d", shape=_spec, rows=1)
def _conv_transpose2d(x, weight, bias, *, output_padding, **attrs):
    size = _out_size(x, weight, output_padding=output_padding, **attrs)
    y = _conv2d_backward_input.reference(x, weight, size=size, **attrs)
    return y if bias is None else y + bias[:, None, None]


@_conv_transpose2d.gradient
def _(dy, x, weight, bias, out, *, output_padding, **attrs):
    return (_by_input(dy, x, weight, attrs), _conv2d_backward_weight(x, dy, kernel=tuple(weight.shape[2:]), **attrs),
            None if bias is None else channel_sum(dy))


def _by_input(dy, x, weight, attrs):
    """An output_padding of a whole stride (which a dilation allows) makes room for more outputs than x has pixels."""
    dx = _conv2d(dy, weight, None, **attrs)
    return dx if tuple(dx.shape) == tuple(x.shape) else dx[:, :, :x.shape[2], :x.shape[3]]


@_conv_transpose2d.lower
def _(emit, x, weight, bias, out, *, output_padding, relu=0, residual=None, norm=None, **attrs):
    emit_transposed(emit, out, x, weight, bias=bias, relu=relu, residual=residual, norm=norm, **attrs)


def _attributes(name, x, weight, stride, padding, output_padding, groups, dilation, algorithm=None):
    """Checks x (N, C, H, W) against the weight; -> the op's attributes, every one a tuple of plain ints."""
    arguments.check_ndim(name, "weight", weight, (4,), "(in_channels, out_channels / groups, height, width)")
    groups = arguments.integer(name, "groups", groups, 1)
    if weight.shape[0] != x.shape[1]:
        raise ValueError(f"{name}: weight has {weight.shape[0]} input channels (shape {arguments.shown(weight.shape)}), the "
                         f"input has {x.shape[1]} channels (shape {arguments.shown(x.shape)})" +
                         (arguments.CHANNELS_LAST if x.shape[3] == weight.shape[0] else ""))
    if weight.shape[0] % groups:
        raise ValueError(f"{name}: weight has {weight.shape[0]} input channels, they cannot be divided among groups={groups}")
    attrs = dict(stride=arguments.integers(name, "stride", stride, 2, 1), padding=sides(name, padding),
                 output_padding=arguments.integers(name, "output_padding", output_padding, 2, 0),
                 dilation=arguments.integers(name, "dilation", dilation, 2, 1), groups=groups,
                 algorithm=backend.checked_algorithm(name, algorithm))
    for more, s, d in zip(attrs["output_padding"], attrs["stride"], attrs["dilation"]):
        if more >= max(s, d):
            raise ValueError(f"{name}: output_padding {attrs['output_padding']} must be smaller than stride {attrs['stride']} "
                             f"or dilation {attrs['dilation']}")
    size = _out_size(x, weight, **attrs)
    if min(size) < 1:
        raise ValueError(f"{name}: an input {tuple(x.shape[2:])} with kernel {tuple(weight.shape[2:])} and padding (top, "
                         f"bottom, left, right) = {attrs['padding']} gives an output {size}")
    return attrs


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, algorithm=None):
    """Transposed convolution of images ("deconvolution"): the gradient of conv2d by its input, as a way to larger images.

    x (N, C, H, W), or one image (C, H, W); weight (C, out_channels / groups, height, width); bias (out_channels,) or None.
    stride, dilation: an integer or (rows, columns). padding: an integer, (rows, columns) or (top, bottom, left, right): so many
    rows and columns fewer there are on each side. output_padding: an integer or (rows, columns): so many more at the bottom and
    right, fewer than the stride or the dilation. algorithm: as conv2d's.
    Returns (N, out_channels, H', W'), H' = (H - 1) stride - top - bottom + dilation (height - 1) + output_padding + 1.
    Raises ValueError where shapes do not fit.
    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, arXiv:1603.07285."""
    x, weight, bias = arguments.floats("conv_transpose2d", x=x, weight=weight, bias=bias)
    images = batched("conv_transpose2d", x)
    attrs = _attributes("conv_transpose2d", images, weight, stride, padding, output_padding, groups, dilation, algorithm)
    filters = weight.shape[1] * attrs["groups"]
    arguments.check_shape("conv_transpose2d", "bias", bias, (filters,), ", one number an output channel")
    return unbatched(_conv_transpose2d(images, weight, bias, **attrs), x)


def _backward_arguments(name, grad_output, x, weight, stride, padding, output_padding, groups, dilation):
    """-> grad_output with four axes, x, x with four axes, weight, conv2d's attributes."""
    grad_output, x, weight = arguments.floats(name, grad_output=grad_output, x=x, weight=weight)
    images = batched(name, x)
    attrs = _attributes(name, images, weight, stride, padding, output_padding, groups, dilation)
    expected = _spec(images, weight, None, **attrs).shape
    arguments.check_shape(name, "grad_output", grad_output, expected[4 - x.ndim:], ", as conv_transpose2d's result")
    attrs.pop("output_padding")
    return grad_output.reshape(expected), x, images, weight, attrs


def conv_transpose2d_backward_input(grad_output, x, weight, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of conv_transpose2d with respect to x, of x's shape. Arguments as conv_transpose2d's; grad_output has its
    result's shape."""
    dy, x, images, weight, attrs = _backward_arguments("conv_transpose2d_backward_input", grad_output, x, weight, stride,
                                                       padding, output_padding, groups, dilation)
    return unbatched(_by_input(dy, images, weight, attrs), x)


def conv_transpose2d_backward_weight(grad_output, x, weight, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of conv_transpose2d with respect to weight, of its shape. Arguments as conv_transpose2d's; of weight
    only the shape counts."""
    dy, _, images, weight, attrs = _backward_arguments("conv_transpose2d_backward_weight", grad_output, x, weight, stride,
                                                       padding, output_padding, groups, dilation)
    return _conv2d_backward_weight(images, dy, kernel=tuple(weight.shape[2:]), **attrs)


def conv_transpose2d_backward(grad_output, x, weight, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradients of conv_transpose2d: (grad_x, grad_weight, grad_bias), always three. Arguments as conv_transpose2d's."""
    given = (grad_output, x, weight, stride, padding, output_padding, groups, dilation)
    dy, *_ = _backward_arguments("conv_transpose2d_backward", *given)
    return conv_transpose2d_backward_input(*given), conv_transpose2d_backward_weight(*given), channel_sum(dy)
