"""Images of another size: the nearest pixel, or a weighted sum of the four around (bilinear), by PyTorch's rules of where an
output pixel lies."""
import numpy as np

from ..graph import Spec, op
from . import _arguments as arguments
from ._lowering import each_image

__all__ = ["interpolate", "interpolate_backward"]


def _scales(size, out_size, factors, mode, align_corners):
    """Pixels of the input from one pixel of the output to the next, for rows and columns."""
    if align_corners:
        return tuple((n - 1) / (o - 1) if o > 1 else 0.0 for n, o in zip(size, out_size))
    scales = [1 / f for f in factors] if factors else [n / o for n, o in zip(size, out_size)]
    return tuple(float(np.float32(s)) if mode == "nearest" else s for s in scales)


def _between(out, scale, size, mode, align_corners):
    """For each of `out` outputs along one axis: two pixels, and the second one's share."""
    place = np.arange(out)
    if mode == "nearest":
        first = np.minimum((place.astype(np.float32) * np.float32(scale)).astype(np.int64), size - 1)
        return first, first, np.zeros(out)
    at = np.maximum(place * scale if align_corners else (place + 0.5) * scale - 0.5, 0)
    first = np.minimum(at.astype(np.int64), size - 1)
    return first, np.minimum(first + 1, size - 1), at - first


def _taps(size, dtype, *, out_size, factors, mode, align_corners):
    """The pixels that make an output image: [(rows, columns, shares)], each (rows, columns) a part of an image."""
    scales = _scales(size, out_size, factors, mode, align_corners)
    (top, bottom, down), (left, right, across) = (_between(o, s, n, mode, align_corners)
                                                  for o, s, n in zip(out_size, scales, size))
    if mode == "nearest":
        return [(top[:, None], left[None], None)]
    return [(rows[:, None], columns[None], (share[:, None] * part[None]).astype(dtype))
            for rows, share in ((top, 1 - down), (bottom, down)) for columns, part in ((left, 1 - across), (right, across))]


@op("interpolate", shape=lambda x, *, out_size, **attrs: Spec((*x.shape[:2], *out_size), x.dtype), rows=1)
def _interpolate(x, **attrs):
    parts = [x[:, :, rows, columns] if share is None else x[:, :, rows, columns] * share
             for rows, columns, share in _taps(x.shape[2:], x.dtype, **attrs)]
    return sum(parts[1:], parts[0])


@_interpolate.gradient
def _(dy, x, out, **attrs):
    return _interpolate_backward(dy, size=tuple(x.shape[2:]), **attrs)


def _fields(emit, x, y, *, out_size, factors, mode, align_corners):
    sizes = dict(zip(("channels", "height", "width", "out_height", "out_width"), (*emit.shape(x)[1:], *out_size)))
    return dict(sizes, bilinear=int(mode == "bilinear"), align_corners=int(align_corners),
                scale=_scales(x.shape[2:], out_size, factors, mode, align_corners))


@_interpolate.lower
def _(emit, x, out, **attrs):
    fields = _fields(emit, x, out, **attrs)
    for (x,), (y,) in each_image(emit, (x,), (out,)):
        emit("interpolate_forward", y=y, x=x, **fields)


@op("interpolate_backward", shape=lambda dy, *, size, **attrs: Spec((*dy.shape[:2], *size), dy.dtype), rows=1)
def _interpolate_backward(dy, *, size, **attrs):
    dx = np.zeros((*dy.shape[:2], *size), dy.dtype)
    for rows, columns, share in _taps(size, dy.dtype, **attrs):
        np.add.at(dx, (slice(None), slice(None), rows, columns), dy if share is None else dy * share)
    return dx


@_interpolate_backward.gradient
def _(ddx, dy, out, *, size, **attrs):
    return _interpolate(ddx, **attrs)


@_interpolate_backward.lower
def _(emit, dy, out, *, size, **attrs):
    fields = _fields(emit, out, dy, **attrs)
    for (dy,), (dx,) in each_image(emit, (dy,), (out,)):
        emit("interpolate_backward", dx=dx, dy=dy, **fields)


def check(name, size, scale_factor, mode, align_corners):
    """(size or None, factors or None, mode, align_corners), each of the first two for rows and columns."""
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"{name}: mode must be 'nearest' or 'bilinear', it is {mode!r}")
    if align_corners and mode == "nearest":
        raise ValueError(f"{name}: align_corners is for mode='bilinear'")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{name}: give either size or scale_factor, it has {'both' if size is not None else 'neither'}")
    if size is not None:
        return arguments.integers(name, "size", size, 2, 1), None, mode, bool(align_corners)
    pair = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * 2
    try:
        factors = tuple(float(f) for f in pair)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: scale_factor must be a number or two, it is {scale_factor!r}") from None
    if len(factors) != 2 or not all(0 < f < float("inf") for f in factors):
        raise ValueError(f"{name}: scale_factor must be a number above 0 or two, it is {scale_factor!r}")
    return None, factors, mode, bool(align_corners)


def _attributes(name, x, *given):
    """Checks x (N, C, H, W) -> the op's attributes."""
    arguments.check_ndim(name, "x", x, (4,), "(N, C, H, W)")
    size, factors, mode, align_corners = check(name, *given)
    out_size = size or tuple(int(n * f) for n, f in zip(x.shape[2:], factors))
    if min(out_size) < 1:
        raise ValueError(f"{name}: scale_factor {factors} leaves nothing of an image of {tuple(x.shape[2:])}")
    return dict(out_size=out_size, factors=factors, mode=mode, align_corners=align_corners)


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """Images of another size. x (N, C, H, W).

    size: an integer or (rows, columns); or scale_factor: a number or two, the output's size is floor(input's * factor). mode:
    "nearest" (the pixel at floor(place / factor)) or "bilinear" (the four pixels around, the outermost repeated beyond them).
    align_corners=False: pixels are squares, and images cover each other; True: the corner pixels' centers lie on each other.
    Returns (N, C, rows, columns). Raises ValueError for arguments that do not fit.
    Source: as torch.nn.functional.interpolate."""
    x = arguments.check_float("interpolate", "x", x)
    return _interpolate(x, **_attributes("interpolate", x, size, scale_factor, mode, align_corners))


def interpolate_backward(grad_output, x, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """The gradient of interpolate with respect to x, of which only the shape counts."""
    grad_output, x = arguments.floats("interpolate_backward", grad_output=grad_output, x=x)
    attrs = _attributes("interpolate_backward", x, size, scale_factor, mode, align_corners)
    arguments.check_shape("interpolate_backward", "grad_output", grad_output, (*x.shape[:2], *attrs["out_size"]),
                          ", as interpolate's result")
    return _interpolate_backward(grad_output, size=tuple(x.shape[2:]), **attrs)
