"""Bernoulli sampling: ones with the given probabilities, each by its uniform number (_random.py)."""
import numpy as np

from ..graph import op
from . import _arguments as arguments
from ._random import draw, uniforms

__all__ = ["bernoulli"]


@op("bernoulli", shape=lambda x, seed, step, **attrs: x, rows=1)
def _bernoulli(x, seed, step, *, stream, images):
    return np.where(np.isnan(x), x, uniforms(x, seed, step, stream, images) < x).astype(x.dtype)


@_bernoulli.gradient
def _(dy, x, seed, step, out, **attrs):
    return None, None, None


@_bernoulli.lower
def _(emit, x, seed, step, out, *, stream, images):
    emit("bernoulli", y=out, x=x, count=emit.prod(emit.shape(x)), seed=seed, step=step, stream=stream)


def bernoulli(x, *, seed=None, step=None):
    """1.0 with probability x, else 0.0, for every element; NaN stays, below 0 counts as 0 and above 1 as 1. A sample is a
    constant to a gradient: none flows to x.

    seed, step: integers that, with the place of an element, decide its number; by default a new draw from the generator that
    manual_seed sets (on values: read at every run, so that each step of a training has samples of its own)."""
    x = arguments.check_float("bernoulli", "x", x)
    return draw(_bernoulli, x, seed, step) if x.ndim else bernoulli(x.reshape((1,)), seed=seed, step=step).reshape(())
