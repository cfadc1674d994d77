"""Average pooling: the sum over a window's pixels, divided by how many they are."""
import numpy as np

from ..graph import Spec, op
from . import _arguments as arguments
from ._lowering import each_image
from ._window import batched, padded, pool_attributes, taps, unbatched

__all__ = ["avg_pool2d", "avg_pool2d_backward"]


def _divisor(size, kernel, stride, padding, out_size, count_include_pad):
    """(H', W'): the window's area inside the padded image where padding counts, else inside the image."""
    lengths = []
    for n, k, s, p, out in zip(size, kernel, stride, padding, out_size):
        start = np.arange(out) * s - p
        end = np.minimum(start + k, n + p)
        lengths.append(end - start if count_include_pad else np.minimum(end, n) - np.maximum(start, 0))
    return np.outer(*lengths)


def _framed(x, kernel, stride, padding, out_size):
    reach = [(out_size[i] - 1) * stride[i] + kernel[i] for i in (0, 1)]
    return padded(x, (padding[0], padding[0], padding[1], padding[1]), 0, reach)


@op("avg_pool2d", shape=lambda x, *, out_size, **window: Spec((*x.shape[:2], *out_size), x.dtype), rows=1)
def _avg_pool2d(x, *, kernel, stride, padding, out_size, count_include_pad):
    framed, y = _framed(x, kernel, stride, padding, out_size), np.zeros((*x.shape[:2], *out_size), x.dtype)
    for _, _, under in taps(framed, kernel, stride, (1, 1), out_size):
        y += framed[under]
    return y / _divisor(x.shape[2:], kernel, stride, padding, out_size, count_include_pad).astype(x.dtype)


@_avg_pool2d.gradient
def _(dy, x, out, **window):
    return _avg_pool2d_backward(dy, size=tuple(x.shape[2:]), **window)


def _sizes(emit, x, out_size):
    (_, channels, height, width), (out_height, out_width) = emit.shape(x), out_size
    return dict(channels=channels, height=height, width=width, out_height=out_height, out_width=out_width)


@_avg_pool2d.lower
def _(emit, x, out, *, out_size, **window):
    sizes = _sizes(emit, x, out_size)
    for (x,), (y,) in each_image(emit, (x,), (out,)):
        emit("avg_pool2d_forward", y=y, x=x, **sizes, **_fields(window))


def _fields(window):
    return dict(window, count_include_pad=int(window["count_include_pad"]))


@op("avg_pool2d_backward", shape=lambda dy, *, size, **window: Spec((*dy.shape[:2], *size), dy.dtype), rows=1)
def _avg_pool2d_backward(dy, *, size, kernel, stride, padding, out_size, count_include_pad):
    dx = _framed(np.zeros((*dy.shape[:2], *size), dy.dtype), kernel, stride, padding, out_size)
    share = dy / _divisor(size, kernel, stride, padding, out_size, count_include_pad).astype(dy.dtype)
    for _, _, under in taps(dx, kernel, stride, (1, 1), out_size):
        dx[under] += share
    return dx[..., padding[0]:padding[0] + size[0], padding[1]:padding[1] + size[1]].copy()


@_avg_pool2d_backward.gradient
def _(ddx, dy, out, *, size, **window):
    return _avg_pool2d(ddx, **window)


@_avg_pool2d_backward.lower
def _(emit, dy, out, *, size, out_size, **window):
    sizes = _sizes(emit, out, out_size)
    for (dy,), (dx,) in each_image(emit, (dy,), (out,)):
        emit("avg_pool2d_backward", dx=dx, dy=dy, **sizes, **_fields(window))


def _attributes(name, images, kernel_size, stride, padding, ceil_mode, count_include_pad):
    window = pool_attributes(name, images, kernel_size, stride, padding, 1, ceil_mode)
    del window["dilation"]
    return dict(window, count_include_pad=bool(count_include_pad))


def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window.

    x (N, C, H, W) or (C, H, W); kernel_size, stride (default: kernel_size), padding (zeros, at most half of the window): an
    integer or (rows, columns). ceil_mode: windows that begin inside the image or its front padding count even where they reach
    beyond. count_include_pad: zeros of the padding count as pixels. Returns (N, C, H', W').
    Raises ValueError where the window does not fit."""
    x = arguments.check_float("avg_pool2d", "x", x)
    images = batched("avg_pool2d", x)
    return unbatched(_avg_pool2d(images, **_attributes("avg_pool2d", images, kernel_size, stride, padding, ceil_mode,
                                                       count_include_pad)), x)


def avg_pool2d_backward(grad_output, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The gradient of avg_pool2d with respect to x, of which only the shape counts. Arguments as avg_pool2d's."""
    grad_output, x = arguments.floats("avg_pool2d_backward", grad_output=grad_output, x=x)
    images = batched("avg_pool2d_backward", x)
    window = _attributes("avg_pool2d_backward", images, kernel_size, stride, padding, ceil_mode, count_include_pad)
    expected = (*images.shape[:2], *window["out_size"])
    arguments.check_shape("avg_pool2d_backward", "grad_output", grad_output, expected[4 - x.ndim:], ", as avg_pool2d's result")
    return unbatched(_avg_pool2d_backward(grad_output.reshape(expected), size=tuple(images.shape[2:]), **window), x)
