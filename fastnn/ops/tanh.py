"""The hyperbolic tangent."""
import numpy as np

from ..graph import functions, op
from . import _arguments as arguments

__all__ = ["tanh", "tanh_backward"]


@op("tanh")
def _tanh(x):
    return np.tanh(x)


def _from_output(dy, y):
    return functions["mul"](dy, functions["sub"](1.0, functions["square"](y)))


@_tanh.gradient
def _(dy, x, out):
    return _from_output(dy, out)


@_tanh.lower
def _(emit, x, out):
    emit.elementwise("tanh", out, x)


def tanh(x):
    """tanh(x), any shape."""
    return _tanh(arguments.check_float("tanh", "x", x))


def tanh_backward(grad_output, x):
    """The gradient of tanh: grad_output (1 - y^2), y = tanh(x)."""
    grad_output, x = arguments.floats("tanh_backward", grad_output=grad_output, x=x)
    arguments.check_shape("tanh_backward", "grad_output", grad_output, x.shape, ", as x")
    return _from_output(grad_output, _tanh(x))
