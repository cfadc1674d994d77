"""silu(x) = x sigmoid(x), also called swish. Source: Elfwing, Uchibe and Doya, arXiv:1702.03118."""
import numpy as np

from ..graph import functions
from . import _arguments as arguments
from .elementwise import apply, define

__all__ = ["silu", "silu_backward"]


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _slope(x):
    """s (1 + x (1 - s)), which does not change beyond 800 (so that infinities have a slope)."""
    x = np.clip(x, -800, 800)
    s = _sigmoid(x)
    return s * (1 + x * (1 - s))


def _bend(x):
    """The second derivative."""
    s = functions["sigmoid"](x)
    return s * (1.0 - s) * (2.0 + x * (1.0 - 2.0 * s))


_silu = define("silu", lambda x: x * _sigmoid(x), lambda dy, x, out: (_silu_backward(dy, x),))
_silu_backward = define("silu_backward", lambda dy, x: dy * _slope(x),
                         lambda ddx, dy, x, out: (_silu_backward(ddx, x), ddx * dy * _bend(x)))


def silu(x, inplace=False):
    """x sigmoid(x), any shape. inplace: accepted for PyTorch's sake, no effect."""
    return apply(_silu, x=arguments.check_float("silu", "x", x))


def silu_backward(grad_output, x):
    """The gradient of silu: grad_output s (1 + x (1 - s)), s = sigmoid(x)."""
    grad_output, x = arguments.floats("silu_backward", grad_output=grad_output, x=x)
    arguments.check_shape("silu_backward", "grad_output", grad_output, x.shape, ", as x")
    return apply(_silu_backward, grad_output=grad_output, x=x)
