"""Average pooling of sequences: avg_pool2d of images of height 1."""
from . import _arguments as arguments
from ._window import as_image, pool1d_attributes, sequence_shape
from .avg_pool2d import _avg_pool2d, _avg_pool2d_backward

__all__ = ["avg_pool1d", "avg_pool1d_backward"]


def _attributes(name, images, kernel_size, stride, padding, ceil_mode, count_include_pad):
    window = pool1d_attributes(name, images, kernel_size, stride, padding, 1, ceil_mode)
    del window["dilation"]
    return dict(window, count_include_pad=bool(count_include_pad))


def avg_pool1d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window. x (N, C, L) or (C, L); arguments are integers, their meanings avg_pool2d's."""
    x = arguments.check_float("avg_pool1d", "x", x)
    images = as_image("avg_pool1d", x)
    y = _avg_pool2d(images, **_attributes("avg_pool1d", images, kernel_size, stride, padding, ceil_mode, count_include_pad))
    return y.reshape(sequence_shape(y.shape, x.ndim))


def avg_pool1d_backward(grad_output, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The gradient of avg_pool1d with respect to x, of which only the shape counts. Arguments as avg_pool1d's."""
    grad_output, x = arguments.floats("avg_pool1d_backward", grad_output=grad_output, x=x)
    images = as_image("avg_pool1d_backward", x)
    window = _attributes("avg_pool1d_backward", images, kernel_size, stride, padding, ceil_mode, count_include_pad)
    expected = (*images.shape[:2], *window["out_size"])
    arguments.check_shape("avg_pool1d_backward", "grad_output", grad_output, sequence_shape(expected, x.ndim),
                          ", as avg_pool1d's result")
    return _avg_pool2d_backward(grad_output.reshape(expected), size=tuple(images.shape[2:]), **window).reshape(tuple(x.shape))
