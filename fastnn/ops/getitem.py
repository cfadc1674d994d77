"""Constant slices: x[1:, ::-1, 0, None, ...]. One op takes start, step and length of every axis; integers and None are
reshapes."""
import numpy as np

from ..graph import Spec, is_symbolic, op
from . import _arguments as arguments
from ._lowering import strided_copy

__all__ = ["getitem"]


def _whole_rows(node):
    """Axis 0 untouched: every row for itself."""
    whole = node.inputs[0].shape[0] if node.op is _slice else node.attrs["shape"][0]
    return "row" if node.attrs["start"][0] == 0 and node.attrs["step"][0] == 1 and node.outputs[0].shape[0] == whole or \
        node.op is _slice_backward and node.inputs[0].shape[0] == whole and node.attrs["step"][0] == 1 else "flat"


def _index(start, step, size):
    """The same as NumPy slices (a negative step that runs to the front ends at None)."""
    return tuple(slice(a, None if a + s * n < 0 else a + s * n, s) for a, s, n in zip(start, step, size))


@op("slice", shape=lambda x, *, start, step, size: Spec(size, x.dtype), mode=_whole_rows)
def _slice(x, *, start, step, size):
    return x[_index(start, step, size)].copy()


@_slice.gradient
def _(dy, x, out, *, start, step, size):
    return _slice_backward(dy, shape=x.shape, start=start, step=step)


def _places(shape, start, step):
    """Strides and offset of a slice inside an array of this shape."""
    strides = arguments.strides_of(shape)
    offset = 0
    for a, stride in zip(start, strides):
        offset = arguments.plus(offset, stride * a if a else 0)
    return [stride if s == 1 else stride * s for s, stride in zip(step, strides)], offset


@_slice.lower
def _(emit, x, out, *, start, step, size):
    strides, offset = _places(emit.shape(x), start, step)
    strided_copy(emit, out, x, emit.shape(out), arguments.strides_of(emit.shape(out)), strides, x_offset=offset)


@op("slice_backward", shape=lambda dy, *, shape, start, step: Spec(shape, dy.dtype), mode=_whole_rows)
def _slice_backward(dy, *, shape, start, step):
    """Zeros of `shape`, with dy where the slice was taken."""
    dx = np.zeros(shape, dy.dtype)
    dx[_index(start, step, dy.shape)] = dy
    return dx


@_slice_backward.gradient
def _(ddx, dy, out, *, shape, start, step):
    return _slice(ddx, start=start, step=step, size=dy.shape)


@_slice_backward.lower
def _(emit, dy, out, *, shape, start, step):
    strides, offset = _places(emit.shape(out), start, step)
    emit("fill", y=out, count=emit.prod(emit.shape(out)), value=0.0)
    strided_copy(emit, out, dy, emit.shape(dy), strides, arguments.strides_of(emit.shape(dy)), y_offset=offset)


def _resolve(x, items):
    """start, step, size of every axis, and the shape that remains."""
    start, step, size, shape, axis = [], [], [], [], 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        length = x.shape[axis]
        if isinstance(item, slice):
            first, last, jump = item.indices(length)
            count = len(range(first, last, jump))
            start, step, size = [*start, first if count else 0], [*step, jump], [*size, count]
            shape.append(count)
        else:
            if not -length <= item < length:
                raise IndexError(f"index {item} is out of range for axis {axis} of shape {arguments.shown(x.shape)}")
            start, step, size = [*start, item % length], [*step, 1], [*size, 1]
        axis += 1
    return dict(start=tuple(start), step=tuple(step), size=tuple(size)), tuple(shape)


def _items(x, index):
    """The index as a full tuple: the ellipsis filled, integers plain."""
    items = list(index) if isinstance(index, tuple) else [index]
    for i, item in enumerate(items):
        if item is not None and item is not Ellipsis and not isinstance(item, slice):
            if is_symbolic(item) or isinstance(item, (bool, np.bool_)) or not hasattr(item, "__index__"):
                raise TypeError(f"index: only integers, slices, None and ... are constant; {item!r} is not (axis {i} of shape "
                                f"{arguments.shown(x.shape)}). Use F.where for a choice that depends on data.")
            items[i] = item.__index__()
    if sum(item is Ellipsis for item in items) > 1:
        raise IndexError("index: only one ... is possible")
    given = sum(item is not None and item is not Ellipsis for item in items)
    if given > x.ndim:
        raise IndexError(f"index: {given} axes indexed, shape {arguments.shown(x.shape)} has {x.ndim}")
    fill = [slice(None)] * (x.ndim - given)
    place = next((i for i, item in enumerate(items) if item is Ellipsis), None)
    return items + fill if place is None else items[:place] + fill + items[place + 1:]


def getitem(x, index):
    """x[index] with integers, slices (any step), None and ... : NumPy's basic indexing, copied.

    Raises IndexError out of range, TypeError for anything that depends on data."""
    x = arguments.check_float("index", "x", x)
    attrs, shape = _resolve(x, _items(x, index))
    out = x
    # rows first: what depends on the batch size stays apart from what does not
    for part in (attrs,) if attrs["start"][:1] in ((), (0,)) else _rows_then_rest(attrs, tuple(x.shape)):
        if part["size"] != tuple(out.shape) or any(s != 1 for s in part["step"]):
            out = _slice(out, **part)
    return out if shape == tuple(out.shape) else out.reshape(shape)


def _rows_then_rest(attrs, shape):
    """The slice of axis 0, and that of the other axes of what it leaves."""
    (start, *starts), (step, *steps), (size, *sizes) = attrs["start"], attrs["step"], attrs["size"]
    zeros, ones = (0,) * len(starts), (1,) * len(starts)
    return (dict(start=(start, *zeros), step=(step, *ones), size=(size, *shape[1:])),
            dict(start=(0, *starts), step=(1, *steps), size=(size, *sizes)))
