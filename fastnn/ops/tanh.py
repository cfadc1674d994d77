"""The hyperbolic tangent."""
import numpy as np

from ..graph import op
from . import _arguments as arguments

__all__ = ["tanh", "tanh_backward"]


@op("tanh")
def _tanh(x):
    return np.tanh(x)


@_tanh.gradient
def _(dy, x, out):
    return _tanh_backward(dy, out)


@_tanh.lower
def _(emit, x, out):
    emit.elementwise("tanh", out, x)


@op("tanh_backward")
def _tanh_backward(dy, y):
    return dy * (1 - y * y)


@_tanh_backward.gradient
def _(ddx, dy, y, out):
    return _tanh_backward(ddx, y), -(ddx * dy * y * 2.0)


@_tanh_backward.lower
def _(emit, dy, y, out):
    emit.elementwise("tanh_backward", out, dy, y)


def tanh(x):
    """tanh(x), any shape."""
    return _tanh(arguments.check_float("tanh", "x", x))


def tanh_backward(grad_output, x):
    """The gradient of tanh: grad_output (1 - y^2), y = tanh(x)."""
    grad_output, x = arguments.floats("tanh_backward", grad_output=grad_output, x=x)
    arguments.check_shape("tanh_backward", "grad_output", grad_output, x.shape, ", as x")
    return _tanh_backward(grad_output, _tanh(x))
