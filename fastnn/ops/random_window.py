"""A window of an image at a random place, mirrored and turned at random: what augments images. Each image's four random numbers
follow from counters alone (_random.py)."""
import math

import numpy as np

from ..graph import Spec, op
from . import _arguments as arguments
from ._lowering import each_image
from ._random import draw, uniforms

__all__ = ["random_window"]


def _spec(x, seed, step, *, size, **attrs):
    return Spec((*x.shape[:2], *size), x.dtype)


def _series(x, first):
    """sin(x) / x (first 16) or cos(x) (first 17), as the kernel sums it."""
    y = 1.0
    for k in range(first, 0, -2):
        y = 1.0 - y * (x * x) / (k * (k + 1))
    return y


def _sources(shape, u, size, padding, flip, degrees):
    """Row and column of the source of every output pixel, (images, height, width) each; u (images, 4) in [0, 1)."""
    (height, width), (rows, columns) = shape[2:], size
    whole = (u * 2.0 ** 24).astype(np.int64)
    top, left = ((whole[:, 1 + i] * (full + 2 * p - cut + 1) >> 24) - p for i, (full, p, cut) in
                 enumerate(((height, padding[0], rows), (width, padding[1], columns))))
    mirrored = u[:, 0] < flip
    left, step = np.where(mirrored, left + columns - 1, left), np.where(mirrored, -1, 1)
    half = (2 * u[:, 3] - 1) * math.radians(degrees / 2)
    s, c = half * _series(half, 16), _series(half, 17)
    cosine, sine = 1 - 2 * s * s, 2 * s * c
    per_image = (slice(None), None, None)
    down = (top[per_image] + np.arange(rows)[:, None]) - (height - 1) / 2
    across = (left[per_image] + step[per_image] * np.arange(columns)) - (width - 1) / 2
    return ((height - 1) / 2 + (cosine[per_image] * down - sine[per_image] * across),
            (width - 1) / 2 + (sine[per_image] * down + cosine[per_image] * across))


@op("random_window", shape=_spec, rows=1)
def _random_window(x, seed, step, *, size, padding, flip, degrees, stream, images):
    images = x.shape[0] if images is None else images
    each = x.shape[0] // images if images else 1
    u = np.repeat(uniforms(np.empty((images, 4)), seed, step, stream, None), each, axis=0)
    row, column = _sources(x.shape, u, size, padding, flip, degrees)
    i, k = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    total = np.zeros((*x.shape[:2], *size))
    image = np.arange(x.shape[0])[:, None, None]
    for t in range(4):
        r, c = i + (t >> 1), k + (t & 1)
        share = np.abs(1 - (t >> 1) - (row - i)) * np.abs(1 - (t & 1) - (column - k))
        share = np.where((r >= 0) & (r < x.shape[2]) & (c >= 0) & (c < x.shape[3]), share, 0)[:, None]
        pixel = x[image, :, r.clip(0, x.shape[2] - 1), c.clip(0, x.shape[3] - 1)].transpose(0, 3, 1, 2)
        with np.errstate(all="ignore"):
            total += np.where(share == 0, 0, share * pixel)
    return total.astype(x.dtype)


@_random_window.gradient
def _(dy, x, seed, step, out, **attrs):
    return None, None, None


@_random_window.lower
def _(emit, x, seed, step, out, *, size, padding, flip, degrees, stream, images):
    _, channels, height, width = emit.shape(x)
    for (x,), (y,) in each_image(emit, (x,), (out,)):
        emit("random_window", y=y, x=x, channels=channels, height=height, width=width, out_height=size[0], out_width=size[1],
             padding=padding, flip=flip, half_angle=math.radians(degrees / 2), seed=seed, step=step, stream=stream)


def random_window(x, size=None, padding=0, flip=0.0, degrees=0.0, *, seed=None, step=None):
    """A window of every image at a random place: (N, C, H, W) -> (N, C, *size).

    size: an integer or (height, width); None: x's. padding: zeros around the image among which the window may lie, an integer
    or (rows, columns). flip: the probability of mirroring left and right. degrees: the window is turned about the image's
    middle by an angle from -degrees to degrees (at most 180), bilinear, zeros outside. No gradient flows to x. seed, step:
    integers that, with the number of the image, decide; by default a new draw from the generator that manual_seed sets (on
    values: read at every run). Raises ValueError where the window is larger than the padded image."""
    x = arguments.check_float("random_window", "x", x)
    arguments.check_ndim("random_window", "x", x, (4,), "(N, channels, height, width)")
    size = tuple(x.shape[2:]) if size is None else arguments.integers("random_window", "size", size, 2, 1)
    padding = arguments.integers("random_window", "padding", padding, 2, 0)
    if any(s > d + 2 * p for s, d, p in zip(size, x.shape[2:], padding)):
        raise ValueError(f"random_window: size {arguments.shown(size)} is larger than the image {arguments.shown(x.shape[2:])} "
                         f"with padding {padding}")
    if not 0 <= flip <= 1:
        raise ValueError(f"random_window: flip must be between 0 and 1, it is {flip!r}")
    if not 0 <= degrees <= 180:
        raise ValueError(f"random_window: degrees must be between 0 and 180, it is {degrees!r}")
    return draw(_random_window, x, seed, step, size=size, padding=padding, flip=float(flip), degrees=float(degrees))
