"""Convolution of sequences: conv2d of images of height 1, which costs a reshape and no work.

    y[n, o, p] = bias[o] + sum over (i, u) of x[n, group(o) + i, p s + u d - pad] weight[o, i, u]"""
from . import _arguments as arguments
from ._window import as_image, sequence_shape
from .conv2d import _attributes, _conv2d, _conv2d_backward_input, _conv2d_backward_weight, channel_sum

__all__ = ["conv1d", "conv1d_backward", "conv1d_backward_input", "conv1d_backward_weight"]


def _described(name, x, weight, stride, padding, dilation, groups, algorithm=None):
    """x and weight as those of images, conv2d's attributes."""
    arguments.check_ndim(name, "weight", weight, (3,), "(out_channels, in_channels / groups, length)")
    if not isinstance(padding, str):
        padding = (0, *arguments.integers(name, "padding", padding, 1, 0))
    stride, dilation = ((1, *arguments.integers(name, what, value, 1, 1))
                        for what, value in (("stride", stride), ("dilation", dilation)))
    images, filters = as_image(name, x), weight.reshape((*weight.shape[:2], 1, weight.shape[2]))
    return images, filters, _attributes(name, images, filters, stride, padding, dilation, groups, algorithm)


def conv1d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, algorithm=None):
    """Convolution (cross-correlation) of sequences.

    x (N, C, L), or one sequence (C, L); weight (out_channels, C / groups, length); bias (out_channels,) or None. stride,
    dilation: an integer. padding: an integer, 'valid', or 'same' (stride 1; an odd total pads one more at the end).
    algorithm: as conv2d's.
    Returns (N, out_channels, L'), L' = floor((L + 2 padding - dilation (length - 1) - 1) / stride) + 1.
    Raises ValueError where shapes do not fit."""
    x, weight, bias = arguments.floats("conv1d", x=x, weight=weight, bias=bias)
    images, filters, attrs = _described("conv1d", x, weight, stride, padding, dilation, groups, algorithm)
    arguments.check_shape("conv1d", "bias", bias, weight.shape[:1], ", one number a filter")
    y = _conv2d(images, filters, bias, **attrs)
    return y.reshape(sequence_shape(y.shape, x.ndim))


def _backward_arguments(name, grad_output, x, weight, *settings):
    """-> x; grad_output, x and weight as those of images, conv2d's attributes."""
    grad_output, x, weight = arguments.floats(name, grad_output=grad_output, x=x, weight=weight)
    images, filters, attrs = _described(name, x, weight, *settings)
    shape = _conv2d.specs((images, filters, None), attrs)[0].shape
    arguments.check_shape(name, "grad_output", grad_output, sequence_shape(shape, x.ndim), ", as conv1d's result")
    return x, grad_output.reshape(shape), images, filters, attrs


def conv1d_backward_input(grad_output, x, weight, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv1d with respect to x, of x's shape. Arguments as conv1d's; grad_output has its result's shape."""
    x, dy, images, filters, attrs = _backward_arguments("conv1d_backward_input", grad_output, x, weight, stride, padding,
                                                        dilation, groups)
    dx = _conv2d_backward_input(dy, filters, size=tuple(images.shape[2:]), **attrs)
    return dx.reshape(sequence_shape(dx.shape, x.ndim))


def conv1d_backward_weight(grad_output, x, weight, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv1d with respect to weight, of its shape. Arguments as conv1d's; of weight only the shape counts."""
    _, dy, images, filters, attrs = _backward_arguments("conv1d_backward_weight", grad_output, x, weight, stride, padding,
                                                        dilation, groups)
    dweight = _conv2d_backward_weight(dy, images, kernel=tuple(filters.shape[2:]), **attrs)
    return dweight.reshape((*dweight.shape[:2], dweight.shape[3]))


def conv1d_backward(grad_output, x, weight, stride=1, padding=0, dilation=1, groups=1):
    """The gradients of conv1d: (grad_x, grad_weight, grad_bias), always three. Arguments as conv1d's."""
    given = (grad_output, x, weight, stride, padding, dilation, groups)
    dy = _backward_arguments("conv1d_backward", *given)[1]
    return conv1d_backward_input(*given), conv1d_backward_weight(*given), channel_sum(dy)
