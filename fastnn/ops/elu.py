"""elu(x) = x where x > 0, else alpha (e^x - 1). Source: Clevert, Unterthiner and Hochreiter, arXiv:1511.07289."""
import numpy as np

from ..graph import functions
from . import _arguments as arguments
from .elementwise import apply, define

__all__ = ["elu", "elu_backward"]

_elu = define("elu", lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
               lambda dy, x, alpha, out: (_elu_backward(dy, x, alpha), None))
_elu_backward = define(
    "elu_backward", lambda dy, x, alpha: np.where(x > 0, dy, dy * alpha * np.exp(np.minimum(x, 0))),
    lambda ddx, dy, x, alpha, out: (_elu_backward(ddx, x, alpha),
                                    ddx * dy * functions["where"](x > 0.0, 0.0, alpha * functions["exp"](x)), None))


def elu(x, alpha=1.0, inplace=False):
    """x where x > 0, else alpha (e^x - 1); any shape. inplace: accepted for PyTorch's sake, no effect."""
    return apply(_elu, x=arguments.check_float("elu", "x", x), alpha=alpha)


def elu_backward(grad_output, x, alpha=1.0):
    """The gradient of elu: grad_output where x > 0, else grad_output alpha e^x."""
    grad_output, x = arguments.floats("elu_backward", grad_output=grad_output, x=x)
    arguments.check_shape("elu_backward", "grad_output", grad_output, x.shape, ", as x")
    return apply(_elu_backward, grad_output=grad_output, x=x, alpha=float(alpha))
