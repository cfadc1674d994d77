"""Average pooling to a given size: output row p is the mean of the rows floor(p H / H') to ceil((p + 1) H / H')."""
import numpy as np

from ..graph import Spec, op
from . import _arguments as arguments
from ._lowering import each_image
from ._window import batched, unbatched

__all__ = ["adaptive_avg_pool2d", "adaptive_avg_pool2d_backward"]


def _windows(size, out):
    """Every output pixel (p, q) with the slices of the image under it."""
    def spans(n, m):
        return [slice(p * n // m, -(-(p + 1) * n // m)) for p in range(m)]
    for p, rows in enumerate(spans(size[0], out[0])):
        for q, columns in enumerate(spans(size[1], out[1])):
            yield (..., p, q), (..., rows, columns)


@op("adaptive_avg_pool2d", shape=lambda x, *, out_size: Spec((*x.shape[:2], *out_size), x.dtype), rows=1)
def _adaptive_avg_pool2d(x, *, out_size):
    y = np.zeros((*x.shape[:2], *out_size), x.dtype)
    for pixel, window in _windows(x.shape[2:], out_size):
        y[pixel] = x[window].mean(axis=(2, 3))
    return y


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
    dx = np.zeros((*dy.shape[:2], *size), dy.dtype)
    for pixel, window in _windows(size, dy.shape[2:]):
        under = dx[window]
        under += (dy[pixel] / dy.dtype.type(under.shape[2] * under.shape[3]))[..., None, None]
    return dx


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
