"""What generative networks share: checks of shapes, whose errors name the network, what was expected and what came."""
import numpy as np

from ..layers._check import integer


def row_shape(where, shape):
    """A row's shape as a tuple of ints of at least 1: from a tuple, or from a number."""
    lengths = shape if isinstance(shape, (tuple, list)) else (shape,)
    return tuple(integer(where, f"shape[{i}]", d) for i, d in enumerate(lengths))


def scaled(where, x, shape, scale):
    """x as a float32 array (N, *shape); uint8 numbers are multiplied by scale, rows of the same size are reshaped. ValueError:
    rows of another size; TypeError: no real numbers."""
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{where}: expected an array of real numbers, got dtype {x.dtype}")
    if x.ndim == 0 or x.shape[1:] != shape and (x.ndim != 2 or x[:1].size != np.prod(shape) * len(x[:1])):
        raise ValueError(f"{where}: expected an array (N, {', '.join(map(str, shape))}), got shape {x.shape}")
    rows = x.astype(np.float32, copy=False).reshape(len(x), *shape)
    return rows * np.float32(scale) if x.dtype == np.uint8 else rows


def halved(where, shape, channels):
    """([channels of the image and of every layer], shape behind the last), where every layer halves the image."""
    if len(shape) != 3:
        raise ValueError(f"{where}: shape must be (channels, height, width), got {shape}")
    widths = [shape[0], *(integer(where, f"channels[{i}]", size) for i, size in enumerate(channels))]
    factor = 2 ** (len(widths) - 1)
    if factor < 2 or shape[1] % factor or shape[2] % factor:
        raise ValueError(f"{where}: {len(widths) - 1} layers that halve the image need height and width divisible by {factor}, "
                         f"and at least one layer; got {shape[1]} x {shape[2]}")
    return widths, (widths[-1], shape[1] // factor, shape[2] // factor)
