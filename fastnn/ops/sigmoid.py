"""sigmoid(x) = 1 / (1 + e^-x)."""
import numpy as np

from ..graph import functions, op
from . import _arguments as arguments

__all__ = ["sigmoid", "sigmoid_backward"]


@op("sigmoid")
def _sigmoid(x):
    e = np.exp(-np.abs(x))                          # at most 1: nothing overflows
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _from_output(dy, y):
    return functions["mul"](dy, functions["mul"](y, functions["sub"](1.0, y)))


@_sigmoid.gradient
def _(dy, x, out):
    return _from_output(dy, out)


@_sigmoid.lower
def _(emit, x, out):
    emit.elementwise("sigmoid", out, x)


def sigmoid(x):
    """1 / (1 + e^-x), any shape; no overflow."""
    return _sigmoid(arguments.check_float("sigmoid", "x", x))


def sigmoid_backward(grad_output, x):
    """The gradient of sigmoid: grad_output y (1 - y), y = sigmoid(x)."""
    grad_output, x = arguments.floats("sigmoid_backward", grad_output=grad_output, x=x)
    arguments.check_shape("sigmoid_backward", "grad_output", grad_output, x.shape, ", as x")
    return _from_output(grad_output, _sigmoid(x))
