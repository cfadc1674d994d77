"""Sum, mean, max and min over axes: one op. In a plan what lies inside a row is reduced first, then the images."""
import numpy as np

from ..graph import Spec, op
from . import _arguments as arguments
from ._lowering import in_mode, is_batch

__all__ = ["sum", "mean", "max", "min"]
KINDS = ("sum", "mean", "max", "min")               # in the order of fastnn.h's REDUCE_...


def _mode(node):
    """Over the batch: sums and means by adding up images; max and min over the array as it lies."""
    if 0 not in node.attrs["axes"]:
        return "row"
    return "reduce" if node.attrs["kind"] in ("sum", "mean") and is_batch(node.inputs[0]) else "flat"


def _spec(x, *, kind, axes):
    return Spec([d for i, d in enumerate(x.shape) if i not in axes], x.dtype)


@op("reduce", shape=_spec, mode=_mode, few=True)
def _reduce(x, *, kind, axes):
    with np.errstate(all="ignore"):
        if kind in ("max", "min"):
            return np.asarray(getattr(x, kind)(axis=axes))
        total = x.sum(axis=axes, dtype=np.float64)
        count = arguments.prod(x.shape[a] for a in axes)
        return np.asarray(total if kind == "sum" else np.true_divide(total, count)).astype(x.dtype)


@_reduce.gradient
def _(dy, x, out, *, kind, axes):
    kept = tuple(1 if i in axes else d for i, d in enumerate(x.shape))

    def spread(value):
        return (value.reshape(kept) if value.ndim else value).expand(x.shape)

    if kind == "sum":
        return spread(dy)
    if kind == "mean":
        return spread(dy / arguments.prod(x.shape[a] for a in axes))
    winners = x == spread(out)                      # equal ones share, as PyTorch's amax
    return winners * spread(dy / _reduce(winners, kind="sum", axes=axes))


@_reduce.lower
def _(emit, x, out, *, kind, axes):
    shape, leading = tuple(emit.shape(x)), 0
    runs = _runs(axes)
    if emit.mode == "reduce" and runs[0][0] == 0:   # leading axes are summed with the images
        leading, runs = runs[0][1], runs[1:]
    rows = in_mode(emit, "row") if leading else emit
    for i, (first, end) in enumerate(reversed(runs)):
        last = i == len(runs) - 1 and not leading
        rest = shape[:first] + shape[end:]
        y = out if last else rows.temp(rest)
        rows("reduce", y=y, x=x, kind=KINDS.index(kind), outer=emit.prod(shape[:first]), count=emit.prod(shape[first:end]),
             inner=emit.prod(shape[end:]))
        x, shape = y, rest
    if leading:
        emit("batch_sum", y=out, x=x, outer=emit.prod(shape[:leading]), features=emit.prod(shape[leading:]),
             mean=int(kind == "mean"))


def _runs(axes):
    """Ascending axes as runs of neighbours: (0, 2, 3) -> [(0, 1), (2, 4)]."""
    runs = []
    for a in axes:
        if runs and runs[-1][1] == a:
            runs[-1] = (runs[-1][0], a + 1)
        else:
            runs.append((a, a + 1))
    return runs


def _apply(kind, x, dim, keepdim, axis, keepdims):
    """PyTorch's names dim, keepdim and NumPy's axis, keepdims mean the same."""
    if dim is not None and axis is not None:
        raise TypeError(f"{kind}: give dim or axis, not both")
    x = arguments.check_float(kind, "x", x)
    axes = arguments.axes(kind, axis if dim is None else dim, x.ndim)
    if kind in ("max", "min") and any(x.shape[a] == 0 for a in axes):
        raise ValueError(f"{kind}: no elements along dim {axes} of shape {arguments.shown(x.shape)}")
    out = _reduce(x, kind=kind, axes=axes) if axes else x
    if keepdim or keepdims:
        out = out.reshape(tuple(1 if i in axes else d for i, d in enumerate(x.shape)))
    return out


def sum(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
    """The sum over `dim` (None: all axes; an integer or a tuple). keepdim leaves axes of length 1."""
    return _apply("sum", x, dim, keepdim, axis, keepdims)


def mean(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
    """The mean over `dim` (None: all axes; an integer or a tuple); NaN over no elements."""
    return _apply("mean", x, dim, keepdim, axis, keepdims)


def max(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
    """The largest over `dim` (None: all axes; an integer or a tuple), values only; NaN wins. Equal maxima share the gradient
    evenly (PyTorch's amax)."""
    return _apply("max", x, dim, keepdim, axis, keepdims)


def min(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
    """The smallest over `dim` (None: all axes; an integer or a tuple), values only; NaN wins. Equal minima share the gradient
    evenly (PyTorch's amin)."""
    return _apply("min", x, dim, keepdim, axis, keepdims)
