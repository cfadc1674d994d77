"""Other shapes for the same elements in the same order: reshape, view, flatten, squeeze, unsqueeze are all one op."""
from ..graph import Spec, as_value, is_symbolic, op
from . import _arguments as arguments

import numpy as np

__all__ = ["reshape", "view", "flatten", "squeeze", "unsqueeze"]


@op("reshape", shape=lambda x, *, shape: Spec(shape, x.dtype))
def _reshape(x, *, shape):
    return x.reshape(shape).copy()


@_reshape.gradient
def _(dy, x, out, *, shape):
    return _reshape(dy, shape=x.shape)


@_reshape.lower
def _(emit, x, out, *, shape):
    emit.alias(out, x)


def _given(op, x):
    """x as a value (any dtype) or an array."""
    return as_value(x) if is_symbolic(x) else np.asarray(x) if np.asarray(x).dtype.kind in "iu" else \
        arguments.check_float(op, "x", x)


def reshape(x, *shape):
    """x with another shape; one length may be -1. `shape` may be one tuple or several integers.

    Raises ValueError where the number of elements differs."""
    x = _given("reshape", x)
    shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    shape = tuple(arguments.integer("reshape", "shape", s, -1) for s in shape)
    count, known = arguments.prod(x.shape), arguments.prod(s for s in shape if s != -1)
    if shape.count(-1) > 1:
        raise ValueError(f"reshape: only one length can be -1, the shape is {shape}")
    if -1 in shape and known and count % known == 0:
        shape = tuple(count // known if s == -1 else s for s in shape)
    if -1 in shape or arguments.prod(shape) != count:
        raise ValueError(f"reshape: shape {arguments.shown(x.shape)} has {count} elements, they do not fit "
                         f"{arguments.shown(shape)}")
    return x if is_symbolic(x) and shape == x.shape else _reshape(x, shape=shape)


view = reshape


def flatten(x, start_dim=0, end_dim=-1):
    """x with the axes start_dim to end_dim (inclusive) made one, as PyTorch's."""
    x = _given("flatten", x)
    if x.ndim == 0:
        return reshape(x, 1)
    start, end = arguments.axis("flatten", start_dim, x.ndim), arguments.axis("flatten", end_dim, x.ndim)
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(x, (*x.shape[:start], arguments.prod(x.shape[start:end + 1]), *x.shape[end + 1:]))


def squeeze(x, dim=None):
    """x without its axes of length 1, or without those of `dim` (an integer or a tuple) that have length 1."""
    x = _given("squeeze", x)
    dropped = arguments.axes("squeeze", dim, x.ndim)
    return reshape(x, tuple(s for i, s in enumerate(x.shape) if s != 1 or i not in dropped))


def unsqueeze(x, dim):
    """x with a new axis of length 1 at `dim`."""
    x = _given("unsqueeze", x)
    dim = arguments.axis("unsqueeze", dim, x.ndim + 1)
    return reshape(x, (*x.shape[:dim], 1, *x.shape[dim:]))
