"""softplus(x) = log(1 + e^x)."""
import numpy as np

from ..graph import functions
from . import _arguments as arguments
from ._loss import positive
from .elementwise import apply, define

__all__ = ["softplus", "softplus_backward"]

_softplus = define("softplus", lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
                    lambda dy, x, out: (dy * functions["sigmoid"](x),))


def softplus(x, beta=1.0, threshold=20.0):
    """log(1 + e^(beta x)) / beta, any shape. threshold: accepted for PyTorch's sake; the formula used,
    max(x, 0) + log1p(e^-|x|), overflows nowhere and needs none."""
    x, beta = arguments.check_float("softplus", "x", x), positive("softplus", "beta", beta)
    if beta == 1.0:
        return apply(_softplus, x=x)
    return functions["mul"](apply(_softplus, x=functions["mul"](x, beta)), 1.0 / beta)


def softplus_backward(grad_output, x, beta=1.0, threshold=20.0):
    """The gradient of softplus: grad_output sigmoid(beta x)."""
    grad_output, x = arguments.floats("softplus_backward", grad_output=grad_output, x=x)
    arguments.check_shape("softplus_backward", "grad_output", grad_output, x.shape, ", as x")
    return functions["mul"](grad_output, functions["sigmoid"](functions["mul"](x, positive("softplus_backward", "beta", beta))))
