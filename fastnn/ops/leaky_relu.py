"""leaky_relu(x) = x where x > 0, else slope x."""
import numpy as np

from ..graph import op
from . import _arguments as arguments

__all__ = ["leaky_relu", "leaky_relu_backward"]


@op("leaky_relu")
def _leaky_relu(x, *, negative_slope):
    return np.where(x > 0, x, x * x.dtype.type(negative_slope))


@_leaky_relu.gradient
def _(dy, x, out, *, negative_slope):
    return _leaky_relu_backward(dy, x, negative_slope=negative_slope)


@_leaky_relu.lower
def _(emit, x, out, *, negative_slope):
    emit.elementwise("leaky_relu", out, x, negative_slope)


@op("leaky_relu_backward")
def _leaky_relu_backward(dy, x, *, negative_slope):
    return np.where(x > 0, dy, dy * dy.dtype.type(negative_slope))


@_leaky_relu_backward.gradient
def _(ddx, dy, x, out, *, negative_slope):
    return _leaky_relu_backward(ddx, x, negative_slope=negative_slope), None


@_leaky_relu_backward.lower
def _(emit, dy, x, out, *, negative_slope):
    emit.elementwise("leaky_relu_backward", out, dy, x, negative_slope)


def leaky_relu(x, negative_slope=0.01, inplace=False):
    """x where x > 0, else negative_slope x; any shape. inplace: accepted for PyTorch's sake, no effect."""
    return _leaky_relu(arguments.check_float("leaky_relu", "x", x), negative_slope=float(negative_slope))


def leaky_relu_backward(grad_output, x, negative_slope=0.01):
    """The gradient of leaky_relu: grad_output where x > 0, else negative_slope grad_output."""
    grad_output, x = arguments.floats("leaky_relu_backward", grad_output=grad_output, x=x)
    arguments.check_shape("leaky_relu_backward", "grad_output", grad_output, x.shape, ", as x")
    return _leaky_relu_backward(grad_output, x, negative_slope=float(negative_slope))
