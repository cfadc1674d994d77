"""Max pooling: y[p, q] is the largest of its window; the first of equal ones wins, the last NaN over all (as PyTorch's)."""
import numpy as np

from ..graph import Spec, op
from . import _arguments as arguments
from ._lowering import each_image
from ._window import batched, padded, pool_attributes, taps, unbatched

__all__ = ["max_pool2d", "max_pool2d_backward"]


def _winners(x, kernel, stride, padding, dilation, out_size):
    """The window's maximum, and which tap (u * width + v) it came from."""
    reach = [(out_size[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    frame = (padding[0], padding[0], padding[1], padding[1])
    inside = padded(np.ones(x.shape[-2:], bool), frame, False, reach)
    x = padded(x, frame, -np.inf, reach)
    best = np.full((*x.shape[:-2], *out_size), -np.inf, x.dtype)
    winner = np.full(best.shape, -1)
    for u, v, under in taps(x, kernel, stride, dilation, out_size):
        tap = x[under]
        better = inside[under] & ((winner < 0) | (tap > best) | np.isnan(tap))
        best[better], winner[better] = tap[better], u * kernel[1] + v
    return best, winner


@op("max_pool2d", shape=lambda x, *, out_size, **window: Spec((*x.shape[:2], *out_size), x.dtype), rows=1)
def _max_pool2d(x, *, kernel, stride, padding, dilation, out_size):
    return _winners(x, kernel, stride, padding, dilation, out_size)[0]


@_max_pool2d.gradient
def _(dy, x, out, **window):
    return _max_pool2d_backward(dy, x, **window)


def _sizes(emit, x, out_size):
    (_, channels, height, width), (out_height, out_width) = emit.shape(x), out_size
    return dict(channels=channels, height=height, width=width, out_height=out_height, out_width=out_width)


@_max_pool2d.costs
def _(x, out, **window):                            # measured, as below
    size = arguments.prod(out.shape[1:])
    return 1.8 * size, 6 * size


@_max_pool2d.lower
def _(emit, x, out, *, out_size, **window):
    sizes = _sizes(emit, x, out_size)
    for (x,), (y,) in each_image(emit, (x,), (out,)):
        emit("max_pool2d_forward", y=y, x=x, **sizes, **window)


@op("max_pool2d_backward", shape=lambda dy, x, **window: x, rows=2)
def _max_pool2d_backward(dy, x, *, kernel, stride, padding, dilation, out_size):
    winner = _winners(x, kernel, stride, padding, dilation, out_size)[1]
    reach = [(out_size[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    dx = padded(np.zeros(x.shape, dy.dtype), (padding[0], padding[0], padding[1], padding[1]), 0, reach)
    for u, v, under in taps(dx, kernel, stride, dilation, out_size):
        dx[under] += np.where(winner == u * kernel[1] + v, dy, 0)
    return dx[..., padding[0]:padding[0] + x.shape[-2], padding[1]:padding[1] + x.shape[-1]].copy()


@_max_pool2d_backward.costs
def _(dy, x, out, **window):
    size = arguments.prod(x.shape[1:])
    return 2.4 * size, 3.3 * size


@_max_pool2d_backward.lower
def _(emit, dy, x, out, *, out_size, mask=None, **window):
    sizes = _sizes(emit, x, out_size)
    for (dy, x, low), (dx,) in each_image(emit, (dy, x, mask), (out,)):
        emit("max_pool2d_backward", dx=dx, dy=dy, x=x, mask=low, **sizes, **window)


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The largest value of each window.

    x (N, C, H, W) or (C, H, W); kernel_size, stride (default: kernel_size), padding (at most half of the window, never
    chosen), dilation: an integer or (rows, columns). ceil_mode: windows that begin inside the image or its front padding
    count even where they reach beyond. Returns (N, C, H', W'). The first of equal values wins, the last NaN over all.
    Raises ValueError where the window does not fit."""
    x = arguments.check_float("max_pool2d", "x", x)
    images = batched("max_pool2d", x)
    window = pool_attributes("max_pool2d", images, kernel_size, stride, padding, dilation, ceil_mode)
    return unbatched(_max_pool2d(images, **window), x)


def max_pool2d_backward(grad_output, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The gradient of max_pool2d with respect to x: each window's gradient goes to its winner. Arguments as max_pool2d's."""
    grad_output, x = arguments.floats("max_pool2d_backward", grad_output=grad_output, x=x)
    images = batched("max_pool2d_backward", x)
    window = pool_attributes("max_pool2d_backward", images, kernel_size, stride, padding, dilation, ceil_mode)
    expected = (*images.shape[:2], *window["out_size"])
    arguments.check_shape("max_pool2d_backward", "grad_output", grad_output, expected[4 - x.ndim:], ", as max_pool2d's result")
    return unbatched(_max_pool2d_backward(grad_output.reshape(expected), images, **window), x)
