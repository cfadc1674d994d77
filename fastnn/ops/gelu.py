"""gelu(x) = x Phi(x), Phi the normal distribution function; or by tanh, x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
Source: Hendrycks and Gimpel, arXiv:1606.08415."""
import math

import numpy as np

from ..graph import functions
from . import _arguments as arguments
from .elementwise import apply, define

__all__ = ["gelu", "gelu_backward"]
ROOT, CUBE = math.sqrt(2 / math.pi), 0.044715
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _phi(x):
    return (0.5 + 0.5 * _erf(x * math.sqrt(0.5))).astype(np.asarray(x).dtype)


def _slope(x):
    """Phi(x) + x Phi'(x), which does not change beyond 40 (so that infinities have a slope)."""
    x = np.clip(x, -40, 40)
    return _phi(x) + x * np.exp(x * x * -0.5) * (ROOT / 2)


def _tanh_slope(x):
    x = np.clip(x, -10, 10)
    t = np.tanh(ROOT * (x + CUBE * x ** 3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ROOT * (1 + 3 * CUBE * x * x)


def _bend(x):
    """The second derivative."""
    return functions["exp"](x * x * -0.5) * (2.0 - x * x) * (ROOT / 2)


def _tanh_bend(x):
    t = functions["tanh"]((x * x * x * CUBE + x) * ROOT)
    inner = (x * x * (3 * CUBE) + 1.0) * ROOT
    return (1.0 - t * t) * (inner + x * (x * (3 * ROOT * CUBE) - t * inner * inner))


_gelu = define("gelu", lambda x: x * _phi(x), lambda dy, x, out: (_gelu_backward(dy, x),))
_gelu_backward = define("gelu_backward", lambda dy, x: dy * _slope(x),
                         lambda ddx, dy, x, out: (_gelu_backward(ddx, x), ddx * dy * _bend(x)))
_gelu_tanh = define("gelu_tanh", lambda x: 0.5 * x * (1 + np.tanh(ROOT * (x + CUBE * x ** 3))),
                     lambda dy, x, out: (_gelu_tanh_backward(dy, x),))
_gelu_tanh_backward = define("gelu_tanh_backward", lambda dy, x: dy * _tanh_slope(x),
                              lambda ddx, dy, x, out: (_gelu_tanh_backward(ddx, x), ddx * dy * _tanh_bend(x)))


def _check(name, approximate):
    if approximate not in ("none", "tanh"):
        raise ValueError(f"{name}: approximate must be 'none' or 'tanh', it is {approximate!r}")
    return approximate == "tanh"


def gelu(x, approximate="none"):
    """x Phi(x), any shape; approximate="tanh": the formula by tanh."""
    return apply(_gelu_tanh if _check("gelu", approximate) else _gelu, x=arguments.check_float("gelu", "x", x))


def gelu_backward(grad_output, x, approximate="none"):
    """The gradient of gelu: grad_output (Phi(x) + x Phi'(x)), or that of the formula by tanh."""
    made = _gelu_tanh_backward if _check("gelu_backward", approximate) else _gelu_backward
    grad_output, x = arguments.floats("gelu_backward", grad_output=grad_output, x=x)
    arguments.check_shape("gelu_backward", "grad_output", grad_output, x.shape, ", as x")
    return apply(made, grad_output=grad_output, x=x)
