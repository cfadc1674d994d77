"""Broadcasting: `expand` is the one op that repeats elements; its gradient sums them again."""
import numpy as np

from ..graph import Spec, as_value, functions, is_number, is_symbolic, op
from . import _arguments as arguments
from ._lowering import is_batch, strided_copy

__all__ = ["expand", "sum_to"]


@op("expand", shape=lambda x, *, shape: Spec(shape, x.dtype))
def _expand(x, *, shape):
    return np.broadcast_to(x, shape).copy()


@_expand.gradient
def _(dy, x, out, *, shape):
    return (None if is_number(x) else sum_to(dy, x.shape),)


@_expand.lower
def _(emit, x, out, *, shape):
    row = emit.shape(out)
    if is_number(x):
        return emit("fill", y=out, count=emit.prod(row), value=x)
    source = (1,) * (len(row) - len(x.shape)) + tuple(emit.shape(x))
    strides = tuple(0 if s == 1 and r != 1 else stride for s, r, stride in zip(source, row, arguments.strides_of(source)))
    if emit.mode == "row" and not is_batch(x):
        emit("broadcast", y=out, x=x, x_strides=emit.pad6(strides, 0), shape=emit.pad6(row))
    else:
        strided_copy(emit, out, x, row, arguments.strides_of(row), strides)


def expand(x, *shape):
    """x with axes of length 1 (and missing leading axes) repeated to `shape`; -1 keeps an axis. PyTorch's `expand`."""
    shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    x = arguments.check_float("expand", "x", x)
    own = (1,) * (len(shape) - x.ndim) + tuple(x.shape)
    shape = tuple(o if s == -1 else s for s, o in zip(shape, own))
    if len(own) != len(shape) or any(o not in (1, s) for o, s in zip(own, shape)):
        raise ValueError(f"expand: shape {arguments.shown(x.shape)} does not broadcast to {arguments.shown(shape)}")
    return x if shape == tuple(x.shape) else _expand(x, shape=shape)


def sum_to(x, shape):
    """x summed over what `expand` repeated, so that it has `shape` again."""
    extra = x.ndim - len(shape)
    summed = tuple(i for i in range(x.ndim) if i < extra or shape[i - extra] == 1 and x.shape[i] != 1)
    total = functions["sum"](x, dim=summed) if summed else x
    return total if tuple(total.shape) == tuple(shape) else total.reshape(shape)


def broadcast(op, *operands):
    """The operands with equal shapes: arrays as views, values by `expand`; numbers and None stay as they are."""
    symbolic = any(is_symbolic(x) for x in operands)
    operands = [as_value(x) if symbolic and x is not None else x for x in operands]
    full = [x for x in operands if hasattr(x, "shape") and not (symbolic and is_number(x))]
    try:
        shape = np.broadcast_shapes(*(x.shape for x in full))
    except ValueError:
        shapes = " and ".join(arguments.shown(x.shape) for x in full)
        raise ValueError(f"{op}: shapes {shapes} do not broadcast") from None
    if symbolic:
        return [x if x is None or is_number(x) or x.shape == shape else _expand(x, shape=shape) for x in operands]
    return [np.broadcast_to(x, shape) if isinstance(x, np.ndarray) and x.shape != shape else x for x in operands]
