"""Axes in another order."""
import numpy as np

from ..graph import Spec, op
from . import _arguments as arguments
from ._lowering import strided_copy

__all__ = ["permute", "transpose"]


@op("permute", shape=lambda x, *, dims: Spec([x.shape[d] for d in dims], x.dtype),
    mode=lambda node: "row" if node.attrs["dims"][0] == 0 else "flat")
def _permute(x, *, dims):
    return np.ascontiguousarray(x.transpose(dims))


@_permute.gradient
def _(dy, x, out, *, dims):
    return _permute(dy, dims=tuple(dims.index(i) for i in range(len(dims))))


@_permute.lower
def _(emit, x, out, *, dims):
    strides = arguments.strides_of(emit.shape(x))
    shape = emit.shape(out)
    strided_copy(emit, out, x, shape, arguments.strides_of(shape), [strides[d] for d in dims])


def permute(x, *dims):
    """x with its axes in the order `dims` (integers or one tuple): result axis i is x's axis dims[i]."""
    dims = tuple(dims[0]) if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    x = arguments.check_float("permute", "x", x)
    found = tuple(arguments.axis("permute", d, x.ndim) for d in dims)
    if sorted(found) != list(range(x.ndim)):
        raise ValueError(f"permute: dims {dims} must name each of the {x.ndim} axes once")
    return x if found == tuple(range(x.ndim)) else _permute(x, dims=found)


def transpose(x, dim0, dim1):
    """x with two axes swapped."""
    x = arguments.check_float("transpose", "x", x)
    dims = list(range(x.ndim))
    a, b = arguments.axis("transpose", dim0, x.ndim), arguments.axis("transpose", dim1, x.ndim)
    dims[a], dims[b] = b, a
    return permute(x, tuple(dims))
