"""sigmoid(x) = 1 / (1 + e^-x)."""
import numpy as np

from ..graph import op
from . import _arguments as arguments

__all__ = ["sigmoid", "sigmoid_backward"]


@op("sigmoid")
def _sigmoid(x):
    e = np.exp(-np.abs(x))                          # at most 1: nothing overflows
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


@_sigmoid.gradient
def _(dy, x, out):
    return _sigmoid_backward(dy, out)


@_sigmoid.lower
def _(emit, x, out):
    emit.elementwise("sigmoid", out, x)


@op("sigmoid_backward")
def _sigmoid_backward(dy, y):
    return dy * (1 - y) * y


@_sigmoid_backward.gradient
def _(ddx, dy, y, out):
    return _sigmoid_backward(ddx, y), ddx * dy * (1.0 - y * 2.0)


@_sigmoid_backward.lower
def _(emit, dy, y, out):
    emit.elementwise("sigmoid_backward", out, dy, y)


def sigmoid(x):
    """1 / (1 + e^-x), any shape; no overflow."""
    return _sigmoid(arguments.check_float("sigmoid", "x", x))


def sigmoid_backward(grad_output, x):
    """The gradient of sigmoid: grad_output y (1 - y), y = sigmoid(x)."""
    grad_output, x = arguments.floats("sigmoid_backward", grad_output=grad_output, x=x)
    arguments.check_shape("sigmoid_backward", "grad_output", grad_output, x.shape, ", as x")
    return _sigmoid_backward(grad_output, _sigmoid(x))
