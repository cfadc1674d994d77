"""Dropout: elements are zeroed with probability p, the others divided by 1 - p. Which ones follows from counters alone
(_random.py), so that the gradient computes the mask again."""
import numpy as np

from ..graph import op
from . import _arguments as arguments
from ._random import draw, uniforms

__all__ = ["dropout", "dropout_backward"]


@op("dropout", shape=lambda x, seed, step, **attrs: x, rows=1)
def _dropout(x, seed, step, *, p, stream, images):
    keep = uniforms(x, seed, step, stream, images) >= p
    return np.where(keep, x / x.dtype.type(1 - p) if p < 1 else x, x.dtype.type(0))


@_dropout.gradient
def _(dy, x, seed, step, out, **attrs):
    return _dropout(dy, seed, step, **attrs), None, None


@_dropout.lower
def _(emit, x, seed, step, out, *, p, stream, images):
    emit("dropout", y=out, x=x, count=emit.prod(emit.shape(x)), seed=seed, step=step, stream=stream, p=p)


def _check_p(name, p):
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p must be between 0 and 1, it is {p}")
    return float(p)


def dropout(x, p=0.5, training=True, inplace=False, *, seed=None, step=None):
    """x with every element zeroed with probability p and the others divided by 1 - p; x itself where not training or p is 0.

    seed, step: integers that, with the place of the element, decide the mask; by default a new draw from the generator that
    manual_seed sets (on values: read at every run). inplace: accepted for PyTorch's sake, no effect. Raises ValueError unless 0 <= p <= 1.
    Source: Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, JMLR 15, 2014."""
    x, p = arguments.check_float("dropout", "x", x), _check_p("dropout", p)
    if not training or p == 0:
        return x
    if x.ndim == 0:
        return dropout(x.reshape((1,)), p, seed=seed, step=step).reshape(())
    return draw(_dropout, x, seed, step, p=p)


def dropout_backward(grad_output, x, p=0.5, training=True, *, seed, step=0):
    """The gradient of dropout with respect to x, for the seed and step that the forward was given."""
    grad_output, x = arguments.floats("dropout_backward", grad_output=grad_output, x=x)
    arguments.check_shape("dropout_backward", "grad_output", grad_output, x.shape, ", as x")
    return dropout(grad_output, p, training, seed=seed, step=step)
