"""Windows over images: the arguments that convolution and pooling share, and their NumPy views."""
import numpy as np

from . import _arguments as arguments


def batched(op, x):
    """(C, H, W) as (1, C, H, W); anything but three or four axes is refused. The result is cut back by `unbatched`."""
    arguments.check_ndim(op, "x", x, (3, 4), "(N, C, H, W) or (C, H, W)")
    return x if x.ndim == 4 else x.reshape((1, *x.shape))


def unbatched(y, x):
    """y without axis 0 where x came as one image."""
    return y if x.ndim == 4 else y.reshape(tuple(y.shape[1:]))


def as_image(name, x):
    """(N, C, L), or one sequence (C, L), as images (N, C, 1, L)."""
    arguments.check_ndim(name, "x", x, (2, 3), "(N, C, L) or (C, L)")
    return x.reshape((*(1,) * (3 - x.ndim), *x.shape[:-1], 1, x.shape[-1]))


def sequence_shape(shape, axes):
    """The shape (N, C, 1, L) of a result, as that of sequences (three axes) or of one (two)."""
    return (*shape[3 - axes:2], shape[3])


def taps(x, kernel, stride, dilation, out):
    """For each tap (u, v) of the window: (u, v, slices of the padded x under that tap, one element an output pixel)."""
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            rows, columns = u * dilation[0], v * dilation[1]
            yield u, v, (..., slice(rows, rows + (out[0] - 1) * stride[0] + 1, stride[0]),
                         slice(columns, columns + (out[1] - 1) * stride[1] + 1, stride[1]))


def padded(x, padding, value, size=None):
    """x with (top, bottom, left, right) of `value` around it; `size` (height, width): at least this large."""
    top, bottom, left, right = padding
    if size:
        bottom, right = max(bottom, size[0] - x.shape[-2] - top), max(right, size[1] - x.shape[-1] - left)
    if not (top or bottom or left or right):
        return x
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)], constant_values=value)


def pool_attributes(op, x, kernel_size, stride, padding, dilation, ceil_mode):
    """kernel, stride, padding, dilation as pairs, and the output's (height, width) by PyTorch's rule."""
    kernel = arguments.integers(op, "kernel_size", kernel_size, 2, 1)
    stride = kernel if stride is None else arguments.integers(op, "stride", stride, 2, 1)
    padding = arguments.integers(op, "padding", padding, 2, 0)
    dilation = arguments.integers(op, "dilation", dilation, 2, 1)
    out = []
    for size, k, s, p, d, name in zip(x.shape[-2:], kernel, stride, padding, dilation, ("height", "width")):
        if p > k // 2:
            raise ValueError(f"{op}: padding {padding} must be at most half of kernel_size {kernel}")
        span = size + 2 * p - d * (k - 1) - 1
        length = (span + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (length - 1) * s >= size + p:          # a window must start inside the image or its front padding
            length -= 1
        if length < 1:
            raise ValueError(f"{op}: the window of {d * (k - 1) + 1} is larger than the {name} of {size} with padding {p}")
        out.append(length)
    return dict(kernel=kernel, stride=stride, padding=padding, dilation=dilation, out_size=tuple(out))


def pool1d_attributes(op, x, kernel_size, stride, padding, dilation, ceil_mode):
    """pool_attributes of windows over sequences, x their images of height 1."""
    kernel, padding, dilation = ((first, *arguments.integers(op, name, value, 1, least)) for first, name, value, least in (
        (1, "kernel_size", kernel_size, 1), (0, "padding", padding, 0), (1, "dilation", dilation, 1)))
    stride = kernel if stride is None else (1, *arguments.integers(op, "stride", stride, 1, 1))
    return pool_attributes(op, x, kernel, stride, padding, dilation, ceil_mode)
