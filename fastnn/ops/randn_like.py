"""Standard normal noise: each element is the normal quantile of its uniform number (_random.py)."""
import numpy as np

from ..graph import Spec, op
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


def _spec(x, seed, step, *, shape, **attrs):
    return x if shape is None else Spec((x.shape[0], *shape), x.dtype)


@op("randn_like", shape=_spec, rows=1)
def _randn_like(x, seed, step, *, shape, stream, images):
    made = x if shape is None else np.empty((x.shape[0], *shape), x.dtype)
    return quantile(uniforms(made, seed, step, stream, images) + 2.0 ** -25).astype(x.dtype)


@_randn_like.gradient
def _(dy, x, seed, step, out, **attrs):
    return None, None, None


@_randn_like.lower
def _(emit, x, seed, step, out, *, shape, stream, images):
    emit("randn_like", y=out, count=emit.prod(emit.shape(out)), seed=seed, step=step, stream=stream)


def randn_like(x, shape=None, *, seed=None, step=None):
    """Independent standard normal numbers: of x's shape, or with `shape`, a tuple, so many for each row of x, (N, *shape). They
    do not depend on x's elements: the gradient for x is none.

    seed, step: integers that, with the place of an element, decide its number; by default a new draw from the generator that
    manual_seed sets (on values: read at every run, so that each step of a training has noise of its own). ValueError: a shape
    with x a single number, or with lengths below 1."""
    x = arguments.check_float("randn_like", "x", x)
    if shape is not None:
        shape = tuple(arguments.integer("randn_like", "shape", d, 1) for d in shape)
        if x.ndim == 0:
            raise ValueError("randn_like: shape is that of a row, but x has no rows, it is a single number")
    elif x.ndim == 0:
        return randn_like(x.reshape((1,)), seed=seed, step=step).reshape(())
    return draw(_randn_like, x, seed, step, shape=shape)
