"""Joining along an axis, and along a new one."""
import numpy as np

from ..graph import Spec, functions, op
from . import _arguments as arguments
from ._lowering import strided_copy

__all__ = ["cat", "concat", "stack"]


def _spec(*parts, dim):
    shape = list(parts[0].shape)
    shape[dim] = sum(p.shape[dim] for p in parts)
    return Spec(shape, parts[0].dtype)


@op("cat", shape=_spec, mode=lambda node: "flat" if node.attrs["dim"] == 0 else "row")
def _cat(*parts, dim):
    return np.concatenate(parts, axis=dim)


@_cat.gradient
def _(dy, *parts_and_out, dim):
    gradients, place = [], 0
    for part in parts_and_out[:-1]:
        index = [slice(None)] * dy.ndim
        index[dim] = slice(place, place + part.shape[dim])
        gradients.append(functions["getitem"](dy, tuple(index)))
        place += part.shape[dim]
    return tuple(gradients)


@_cat.lower
def _(emit, *parts, out, dim):
    strides, offset = arguments.strides_of(emit.shape(out)), 0
    for part in parts:
        shape = emit.shape(part)
        strided_copy(emit, out, part, shape, strides, arguments.strides_of(shape), y_offset=offset)
        offset = arguments.plus(offset, strides[dim] * shape[dim])


def cat(values, dim=0):
    """The arrays or values of a sequence one after the other along `dim`; the other axes must be equal (ValueError)."""
    values = list(values)
    if not values:
        raise ValueError("cat: an empty sequence was given")
    parts = arguments.floats("cat", **{f"values[{i}]": v for i, v in enumerate(values)})
    dim = arguments.axis("cat", dim, parts[0].ndim)
    for i, part in enumerate(parts):
        if part.ndim != parts[0].ndim or any(a != b for d, (a, b) in enumerate(zip(part.shape, parts[0].shape)) if d != dim):
            raise ValueError(f"cat: values[{i}] has shape {arguments.shown(part.shape)}, values[0] "
                             f"{arguments.shown(parts[0].shape)}; all axes but dim {dim} must be equal")
    return parts[0] if len(parts) == 1 else _cat(*parts, dim=dim)


concat = cat


def stack(values, dim=0):
    """The arrays or values of a sequence, all of one shape, along a new axis `dim`."""
    values = list(values)
    if not values:
        raise ValueError("stack: an empty sequence was given")
    parts = arguments.floats("stack", **{f"values[{i}]": v for i, v in enumerate(values)})
    for i, part in enumerate(parts):
        arguments.check_shape("stack", f"values[{i}]", part, parts[0].shape, ", as values[0]")
    return cat([functions["unsqueeze"](part, dim) for part in parts], arguments.axis("stack", dim, parts[0].ndim + 1))
