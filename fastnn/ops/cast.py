"""Between int64 and float: labels used in arithmetic, class numbers given back."""
import numpy as np

from ..graph import Spec, as_value, current, is_symbolic, op
from . import _arguments as arguments

__all__ = ["float"]
INT64 = 8                                           # DTYPE_INT64 of fastnn.h


@op("cast", shape=lambda x, *, dtype: Spec(x.shape, dtype))
def cast(x, *, dtype):
    with np.errstate(invalid="ignore"):
        return x.astype(dtype)


@cast.gradient
def _(dy, x, out, *, dtype):
    return (None if x.dtype == "int64" or dtype == "int64" else cast(dy, dtype=x.dtype),)


@cast.lower
def _(emit, x, out, *, dtype):
    if x.dtype == out.dtype:
        return emit.alias(out, x)
    row = emit.shape(out)                           # int64 lies in C order, 8 bytes each
    strides = emit.pad6([8 * s for s in arguments.strides_of(row)], 0)
    plain = dict(dtype=INT64, row_stride=8 * arguments.prod(row), strides=strides, shape=emit.pad6(row))
    if x.dtype == "int64":
        emit("gather", y=out, x=x, index=None, scale=1.0, offset=0.0, **plain)
    else:
        emit("export", x=x, y=out, **plain)


def float(x):
    """x as floats: integers and bools become float32 (float64 in a double model), floats stay as they are."""
    if not is_symbolic(x):
        return arguments.check_float("float", "x", x)
    x = as_value(x)
    session = current()
    return cast(x, dtype=session.dtype if session else "float32") if x.dtype == "int64" else x
