"""relu(x) = 0 where x <= 0, else x (NaN stays)."""
import numpy as np

from ..graph import op
from . import _arguments as arguments

__all__ = ["relu", "relu_backward"]


@op("relu")
def _relu(x):
    return np.where(x <= 0, x.dtype.type(0), x)


@_relu.gradient
def _(dy, x, out):
    return _relu_backward(dy, out)


@_relu.lower
def _(emit, x, out):
    emit.elementwise("relu", out, x)


@op("relu_backward")
def _relu_backward(dy, x):
    return np.where(x <= 0, dy.dtype.type(0), dy)


@_relu_backward.gradient
def _(ddx, dy, x, out):
    return _relu_backward(ddx, x), None


@_relu_backward.lower
def _(emit, dy, x, out):
    emit.elementwise("relu_backward", out, dy, x)


def relu(x, inplace=False):
    """max(x, 0), any shape; NaN stays NaN. inplace: accepted for PyTorch's sake, no effect."""
    return _relu(arguments.check_float("relu", "x", x))


def relu_backward(grad_output, x):
    """The gradient of relu: grad_output where not x <= 0, else 0. relu's output serves for x just as well."""
    grad_output, x = arguments.floats("relu_backward", grad_output=grad_output, x=x)
    arguments.check_shape("relu_backward", "grad_output", grad_output, x.shape, ", as x")
    return _relu_backward(grad_output, x)
