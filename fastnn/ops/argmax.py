"""The place of the largest element, made of other ops."""
import numpy as np

from ..graph import functions, is_symbolic
from . import _arguments as arguments

__all__ = ["argmax"]


def argmax(x, dim=None, keepdim=False):
    """The index of the largest element along `dim` (None: of x flattened): the first of ties, a NaN wins. No gradient.

    On arrays int64; on values a float value, exact up to 2^24 elements."""
    x = arguments.check_float("argmax", "x", x)
    if dim is None:
        x, dim = functions["flatten"](x), 0
    dim = arguments.axis("argmax", dim, x.ndim)
    count = x.shape[dim]
    numbers = np.arange(count, dtype=np.float32).reshape(count, *[1] * (x.ndim - dim - 1))
    largest = functions["max"](x, dim, keepdim=True)
    wins = functions["where"](functions["ne"](x, x), 1.0, functions["eq"](x, largest))
    place = functions["min"](functions["where"](wins, numbers, float(count)), dim, keepdim=keepdim)
    return place if is_symbolic(place) else place.astype(np.int64)
