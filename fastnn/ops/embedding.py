"""Embedding: rows of a table picked by index. y[..., d] = weight[x[...], d].

Indices flow as floats, like every input of a network (so they can be cut, turned and reshaped): exact up to 2^24."""
import numpy as np

from ..graph import Spec, functions, is_symbolic, op
from . import _arguments as arguments

__all__ = ["embedding", "embedding_backward"]
MOST = 1 << 24                                      # rows of a table: float32 counts so far


@op("embedding", shape=lambda x, weight, *, padding_idx: Spec((*x.shape, weight.shape[1]), weight.dtype), check=True, rows=1)
def _embedding(x, weight, *, padding_idx):
    wrong = ~((x >= 0) & (x < weight.shape[0]) & (x == np.floor(x)))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        given = x[place].item()
        given = int(given) if given == given // 1 else given
        raise IndexError(f"embedding: x[{', '.join(map(str, place))}] is {given}, indices must be whole numbers from 0 "
                         f"to {weight.shape[0] - 1} (the table has {weight.shape[0]} rows)")
    return weight[x.astype(np.int64)]


@_embedding.gradient
def _(dy, x, weight, out, *, padding_idx):
    return None, _embedding_backward(dy, x, embeddings=weight.shape[0], padding_idx=padding_idx)


@_embedding.lower
def _(emit, x, weight, out, *, padding_idx):
    emit("embedding_forward", y=out, x=x, weight=weight, positions=emit.prod(emit.shape(x)), embeddings=weight.shape[0],
         dim=weight.shape[1])


@op("embedding_backward", shape=lambda dy, x, *, embeddings, **attrs: Spec((embeddings, dy.shape[-1]), dy.dtype),
    mode="flat", rows=2)
def _embedding_backward(dy, x, *, embeddings, padding_idx):
    dweight = np.zeros((embeddings, dy.shape[-1]), dy.dtype)
    np.add.at(dweight, x.astype(np.int64).reshape(-1), dy.reshape(-1, dy.shape[-1]))
    if padding_idx is not None:
        dweight[padding_idx] = 0
    return dweight


@_embedding_backward.gradient
def _(ddweight, dy, x, out, *, embeddings, padding_idx):
    ddy = _embedding(x, ddweight, padding_idx=None)
    if padding_idx is not None:
        ddy = functions["where"](functions["eq"](x, float(padding_idx)).unsqueeze(-1).expand(ddy.shape), 0.0, ddy)
    return ddy, None


@_embedding_backward.lower
def _(emit, dy, x, out, *, embeddings, padding_idx):
    emit("embedding_backward", dweight=out, dy=dy, x=x, count=emit.prod(x.shape), embeddings=embeddings, dim=dy.shape[-1],
         padding_idx=-1 if padding_idx is None else padding_idx)


def row_of(name, padding_idx, embeddings):
    """padding_idx counted from the front; None stays."""
    if padding_idx is None:
        return None
    row = arguments.integer(name, "padding_idx", padding_idx, -embeddings)
    if row >= embeddings:
        raise ValueError(f"{name}: padding_idx {row} is no row of a table of {embeddings}")
    return row % embeddings


def _check(name, x, weight, padding_idx):
    """x and weight as floats, padding_idx >= 0 or None."""
    weight = arguments.check_float(name, "weight", weight)
    arguments.check_ndim(name, "weight", weight, (2,), "(num_embeddings, embedding_dim)")
    if not 1 <= weight.shape[0] <= MOST:
        raise ValueError(f"{name}: weight has {weight.shape[0]} rows, expected 1 to {MOST}")
    if not is_symbolic(x):
        x = np.asarray(x)
        if x.size and x.dtype.kind in "fiub" and not (x.min() >= 0 and x.max() < weight.shape[0]):     # before they become floats
            _embedding.reference(x, np.empty((weight.shape[0], 0)), padding_idx=None)
        x = arguments.check_float(name, "x", x)
        if isinstance(weight, np.ndarray):
            x = x.astype(weight.dtype, copy=False)
    return arguments.check_float(name, "x", x), weight, row_of(name, padding_idx, weight.shape[0])


def embedding(x, weight, padding_idx=None):
    """The rows of `weight` that x names.

    x: whole numbers from 0 to num_embeddings - 1 of any shape (N, ...), integers or floats; weight (num_embeddings,
    embedding_dim), at most 2^24 rows. padding_idx: a row (negative: from the end) that gets no gradient.
    Returns (N, ..., embedding_dim).
    Raises IndexError that names the first index out of range, in a plan before anything is changed; ValueError where weight or
    padding_idx do not fit."""
    x, weight, padding_idx = _check("embedding", x, weight, padding_idx)
    if x.ndim == 0:
        return _embedding(x.reshape((1,)), weight, padding_idx=padding_idx).reshape((weight.shape[1],))
    return _embedding(x, weight, padding_idx=padding_idx)


def embedding_backward(grad_output, x, weight, padding_idx=None):
    """The gradient of embedding with respect to weight, of which only the shape counts: each row is the sum of the gradients of
    its uses, in their order. grad_output (N, ..., embedding_dim)."""
    x, weight, padding_idx = _check("embedding_backward", x, weight, padding_idx)
    grad_output, x, weight = arguments.floats("embedding_backward", grad_output=grad_output, x=x, weight=weight)
    arguments.check_shape("embedding_backward", "grad_output", grad_output, (*x.shape, weight.shape[1]),
                          ", as embedding's result")
    if x.ndim == 0:
        x, grad_output = x.reshape((1,)), grad_output.reshape((1, weight.shape[1]))
    return _embedding_backward(grad_output, x, embeddings=weight.shape[0], padding_idx=padding_idx)
