"""Matrix products: (m, k) @ (k, n), the same of every batch, with either operand transposed for the gradients."""
import numpy as np

from ..graph import Batch, Spec, op
from . import _arguments as arguments
from ._lowering import is_batch, strided_copy

__all__ = ["matmul"]


def _turned(shape, transposed):
    return (shape[-1], shape[-2]) if transposed else (shape[-2], shape[-1])


def _spec(a, b, *, transpose_a, transpose_b):
    batch = a.shape[:-2] if len(a.shape) > 2 else b.shape[:-2]
    return Spec((*batch, _turned(a.shape, transpose_a)[0], _turned(b.shape, transpose_b)[1]), a.dtype)


def _mode(node):
    """Rows @ weights and products of each image: row by row; rows^T @ rows sums over the images."""
    a, b = node.inputs
    rows = is_batch(a), is_batch(b)
    if len(a.shape) == 2 and len(b.shape) == 2:
        if rows == (True, True):
            return "reduce" if node.attrs["transpose_a"] and not node.attrs["transpose_b"] else "flat"
        return "row" if rows == (True, False) and not node.attrs["transpose_a"] else "flat"
    return "row"


@op("matmul", shape=_spec, mode=_mode)
def _matmul(a, b, *, transpose_a, transpose_b):
    return (a.swapaxes(-1, -2) if transpose_a else a) @ (b.swapaxes(-1, -2) if transpose_b else b)


def _product(a, b, transpose_a=False, transpose_b=False):
    return _matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)


@_matmul.gradient
def _(dy, a, b, out, *, transpose_a, transpose_b):
    da = _product(b, dy, transpose_b, True) if transpose_a else _product(dy, b, False, not transpose_b)
    db = _product(dy, a, True, transpose_a) if transpose_b else _product(a, dy, not transpose_a, False)
    return (da if da.ndim == a.ndim else da.sum(0)), (db if db.ndim == b.ndim else db.sum(0))


@_matmul.lower
def _(emit, a, b, out, *, transpose_a, transpose_b):
    shape_a, shape_b = emit.shape(a), emit.shape(b)
    (m, k), n = _turned(shape_a, transpose_a), _turned(shape_b, transpose_b)[1]
    sizes = dict(m=m, k=k, n=n, a_strides=_strides(shape_a, transpose_a), b_strides=_strides(shape_b, transpose_b))
    if emit.mode == "reduce":
        return emit("matmul_sum", y=out, a=a, b=b, **sizes)
    matrices = emit.shape(out)[0] if len(out.shape) == 3 else 1
    if isinstance(matrices, Batch):
        raise NotImplementedError("matmul: a batch of matrices whose axis 0 is not the batch")
    for i in range(matrices):
        part_a, part_b = (_part(emit, v, i, matrices) for v in (a, b))
        y = out if matrices == 1 else emit.temp((1, m, n))
        emit("matmul", y=y, **_operand("a", part_a, emit), **_operand("b", part_b, emit), **sizes)
        if matrices > 1:
            strided_copy(emit, out, y, (m * n,), (1,), (1,), y_offset=i * m * n)


def _strides(shape, transposed):
    return (1, shape[-1]) if transposed else (shape[-1], 1)


def _part(emit, value, i, matrices):
    """Matrix i of a row that holds several, copied out; the value itself where it is one matrix."""
    if matrices == 1 or len(value.shape) == 2:
        return value
    shape = emit.shape(value)
    part = emit.temp((1, *shape[1:]))
    strided_copy(emit, part, value, (shape[1] * shape[2],), (1,), (1,), x_offset=i * shape[1] * shape[2])
    return part


def _operand(name, value, emit):
    """As rows, or as the constant that all rows share."""
    constant = emit.mode == "row" and not is_batch(value)
    return {name: None if constant else value, f"{name}_const": value if constant else None}


def matmul(a, b):
    """a @ b as NumPy's and PyTorch's: (m, k) @ (k, n); vectors lose their axis again; leading axes are batches and broadcast.

    Raises ValueError where the inner lengths differ."""
    a, b = arguments.floats("matmul", a=a, b=b)
    if not a.ndim or not b.ndim:
        raise ValueError("matmul: both operands need axes; use * with numbers")
    rows = a.reshape((1, *a.shape)) if a.ndim == 1 else a
    columns = b.reshape((*b.shape, 1)) if b.ndim == 1 else b
    if rows.shape[-1] != columns.shape[-2]:
        raise ValueError(f"matmul: the inner lengths differ: a has shape {arguments.shown(a.shape)}, b "
                         f"{arguments.shown(b.shape)}")
    y = _batched(rows, columns)
    shape = tuple(y.shape)
    shape = shape[:-2] + shape[-1:] if a.ndim == 1 else shape
    shape = shape[:-1] if b.ndim == 1 else shape
    return y if shape == tuple(y.shape) else y.reshape(shape)


def _batched(a, b):
    """Leading axes brought to none, or to one of both."""
    from .expand import expand
    if b.ndim == 2:
        if a.ndim == 2:
            return _product(a, b)
        return _product(a.reshape((arguments.prod(a.shape[:-1]), a.shape[-1])), b).reshape((*a.shape[:-1], b.shape[-1]))
    if a.ndim == 2 and b.ndim == 3:
        return _product(a, b)
    try:
        batch = np.broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2]))
    except ValueError:
        raise ValueError(f"matmul: the leading axes of {arguments.shown(a.shape)} and {arguments.shown(b.shape)} do not "
                         "broadcast") from None
    a, b = (expand(v, (*batch, *v.shape[-2:])).reshape((arguments.prod(batch), *v.shape[-2:])) for v in (a, b))
    return _product(a, b).reshape((*batch, a.shape[-2], b.shape[-1]))
