"""Average pooling to a given size: output row p is the mean of the rows floor(p H / H') to ceil((p + 1) H / H')."""
import numpy as np

from ..graph import Spec, op
from . import _arguments as arguments
from ._lowering import each_image
from ._window import batched, unbatched

__all__ = ["adaptive_avg_pool2d", "adaptive_avg_pool2d_backward"]


def _shares(size, out, dtype):
    """(out, size): row p holds 1 / length inside window p, else 0."""
    p = np.arange(out)
    start, end = p * size // out, -(-(p + 1) * size // out)
    inside = (np.arange(size) >= start[:, None]) & (np.arange(size) < end[:, None])
    return (inside / (end - start)[:, None]).astype(dtype)


@op("adaptive_avg_pool2d", shape=lambda x, *, out_size: Spec((*x.shape[:2], *out_size), x.dtype), rows=1)
def _adaptive_avg_pool2d(x, *, out_size):
    rows, columns = (_shares(s, o, x.dtype) for s, o in zip(x.shape[2:], out_size))
    return np.einsum("ph,nchw,qw->ncpq", rows, x, columns, optimize=True)


@_adaptive_avg_pool2d.gradient
def _(dy, x, out, *, out_size):
    return _adaptive_avg_pool2d_backward(dy, size=tuple(x.shape[2:]))


def _sizes(emit, x, y):
    return dict(zip(("channels", "height", "width", "out_height", "out_width"), (*emit.shape(x)[1:], *emit.shape(y)[2:])))


@_adaptive_avg_pool2d.lower
def _(emit, x, out, *, out_size):
    sizes = _sizes(emit, x, out)
    for (x,), (y,) in each_image(emit, (x,), (out,)):
        emit("adaptive_avg_pool2d_forward", y=y, x=x, **sizes)


@op("adaptive_avg_pool2d_backward", shape=lambda dy, *, size: Spec((*dy.shape[:2], *size), dy.dtype), rows=1)
def _adaptive_avg_pool2d_backward(dy, *, size):
    rows, columns = (_shares(s, o, dy.dtype) for s, o in zip(size, dy.shape[2:]))
    return np.einsum("ph,ncpq,qw->nchw", rows, dy, columns, optimize=True)


@_adaptive_avg_pool2d_backward.gradient
def _(ddx, dy, out, *, size):
    return _adaptive_avg_pool2d(ddx, out_size=tuple(dy.shape[2:]))


@_adaptive_avg_pool2d_backward.lower
def _(emit, dy, out, *, size):
    sizes = _sizes(emit, out, dy)
    for (dy,), (dx,) in each_image(emit, (dy,), (out,)):
        emit("adaptive_avg_pool2d_backward", dx=dx, dy=dy, **sizes)


def _out_size(name, output_size, x):
    """An integer, or (rows, columns) with None for as many as x has."""
    pair = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    given = [s if o is None else o for o, s in zip(pair, x.shape[-2:])] if len(pair) == 2 else pair
    return arguments.integers(name, "output_size", tuple(given), 2, 1)


def adaptive_avg_pool2d(x, output_size):
    """The means of windows that cut an image into output_size. x (N, C, H, W) or (C, H, W); output_size: an integer or
    (rows, columns), None for the input's. Returns (N, C, rows, columns)."""
    x = arguments.check_float("adaptive_avg_pool2d", "x", x)
    images = batched("adaptive_avg_pool2d", x)
    return unbatched(_adaptive_avg_pool2d(images, out_size=_out_size("adaptive_avg_pool2d", output_size, images)), x)


def adaptive_avg_pool2d_backward(grad_output, x, output_size):
    """The gradient of adaptive_avg_pool2d with respect to x, of which only the shape counts."""
    grad_output, x = arguments.floats("adaptive_avg_pool2d_backward", grad_output=grad_output, x=x)
    images = batched("adaptive_avg_pool2d_backward", x)
    expected = (*images.shape[:2], *_out_size("adaptive_avg_pool2d_backward", output_size, images))
    arguments.check_shape("adaptive_avg_pool2d_backward", "grad_output", grad_output, expected[4 - x.ndim:],
                          ", as adaptive_avg_pool2d's result")
    return unbatched(_adaptive_avg_pool2d_backward(grad_output.reshape(expected), size=tuple(images.shape[2:])), x)
