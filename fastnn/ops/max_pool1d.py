"""Max pooling of sequences: max_pool2d of images of height 1."""
from . import _arguments as arguments
from ._window import as_image, pool1d_attributes, sequence_shape
from .max_pool2d import _max_pool2d, _max_pool2d_backward

__all__ = ["max_pool1d", "max_pool1d_backward"]


def max_pool1d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The largest value of each window. x (N, C, L) or (C, L); arguments are integers, their meanings max_pool2d's."""
    x = arguments.check_float("max_pool1d", "x", x)
    images = as_image("max_pool1d", x)
    y = _max_pool2d(images, **pool1d_attributes("max_pool1d", images, kernel_size, stride, padding, dilation, ceil_mode))
    return y.reshape(sequence_shape(y.shape, x.ndim))


def max_pool1d_backward(grad_output, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The gradient of max_pool1d with respect to x. Arguments as max_pool1d's."""
    grad_output, x = arguments.floats("max_pool1d_backward", grad_output=grad_output, x=x)
    images = as_image("max_pool1d_backward", x)
    window = pool1d_attributes("max_pool1d_backward", images, kernel_size, stride, padding, dilation, ceil_mode)
    expected = (*images.shape[:2], *window["out_size"])
    arguments.check_shape("max_pool1d_backward", "grad_output", grad_output, sequence_shape(expected, x.ndim),
                          ", as max_pool1d's result")
    return _max_pool2d_backward(grad_output.reshape(expected), images, **window).reshape(tuple(x.shape))
