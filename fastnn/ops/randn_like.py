"""Standard normal noise: each element is the normal quantile of its uniform number (_random.py)."""
import numpy as np

from ..graph import op
from . import _arguments as arguments
from ._random import draw, uniforms

__all__ = ["randn_like"]
MIDDLE = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
          0.246640727, 1.50140941)
TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406,
        2.83297682)


def quantile(u):
    """The standard normal quantile of u in (0, 1), sqrt(2) erfinv(2 u - 1), to 3e-7 of its size where 1 - |2 u - 1| >= 1e-7.
    Source: Giles, Approximating the erfinv function, GPU Computing Gems, 2010."""
    q = np.minimum(2 * u, 2 - 2 * u)
    w = -np.log(q * (2 - q))
    root = np.where(w < 5, np.polyval(MIDDLE, w - 2.5), np.polyval(TAIL, np.sqrt(w) - 3))
    return np.sqrt(2.0) * root * (2 * u - 1)


@op("randn_like", shape=lambda x, seed, step, **attrs: x, rows=1)
def _randn_like(x, seed, step, *, stream, images):
    return quantile(uniforms(x, seed, step, stream, images) + 2.0 ** -25).astype(x.dtype)


@_randn_like.gradient
def _(dy, x, seed, step, out, **attrs):
    return None, None, None


@_randn_like.lower
def _(emit, x, seed, step, out, *, stream, images):
    emit("randn_like", y=out, count=emit.prod(emit.shape(out)), seed=seed, step=step, stream=stream)


def randn_like(x, *, seed=None, step=None):
    """Independent standard normal numbers of x's shape. They do not depend on x's elements: the gradient for x is none.

    seed, step: integers that, with the place of an element, decide its number; by default a new draw from the generator that
    manual_seed sets (on values: read at every run, so that each step of a training has noise of its own)."""
    x = arguments.check_float("randn_like", "x", x)
    return draw(_randn_like, x, seed, step) if x.ndim else randn_like(x.reshape((1,)), seed=seed, step=step).reshape(())
