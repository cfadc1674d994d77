"""Convolution of images, its two gradients, and the sum over images and pixels that is the gradient of a bias.

    y[n, o, p, q] = bias[o] + sum over (i, u, v) of x[n, group(o) + i, p s + u d - pad, q s + v d - pad] weight[o, i, u, v]"""
import numpy as np

from .. import backend
from ..graph import Spec, op
from . import _arguments as arguments
from . import _regime
from ._lowering import batch_norm_coefficients, classes_first, each_image, in_mode
from ._window import batched, padded, taps, unbatched

__all__ = ["conv2d", "conv2d_backward", "conv2d_backward_input", "conv2d_backward_weight"]


def _out_size(size, kernel, stride, padding, dilation):
    """The output's (height, width)."""
    framed = size[0] + padding[0] + padding[1], size[1] + padding[2] + padding[3]
    return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(framed, kernel, stride, dilation))


def _spec(x, weight, bias, *, stride, padding, dilation, groups, algorithm="auto"):
    size = _out_size(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    return Spec((x.shape[0], weight.shape[0], *size), x.dtype)


def _grouped(array, groups):
    """(N, C, h, w) -> (N, groups, C / groups, h w)."""
    n, c, h, w = array.shape
    return np.ascontiguousarray(array).reshape(n, groups, c // groups, h * w)


@op("conv2d", shape=_spec, rows=1)
def _conv2d(x, weight, bias, *, stride, padding, dilation, groups, algorithm="auto"):
    n, filters, kernel = x.shape[0], weight.shape[0], weight.shape[2:]
    out = _out_size(x.shape[2:], kernel, stride, padding, dilation)
    x = padded(x, padding, 0)
    y = np.zeros((n, groups, filters // groups, out[0] * out[1]), x.dtype)
    by_group = weight.reshape(groups, filters // groups, *weight.shape[1:])
    for u, v, under in taps(x, kernel, stride, dilation, out):
        y += by_group[..., u, v] @ _grouped(x[under], groups)
    y = y.reshape(n, filters, *out)
    return y if bias is None else y + bias[:, None, None]


@_conv2d.gradient
def _(dy, x, weight, bias, out, **attrs):
    return (_conv2d_backward_input(dy, weight, size=tuple(x.shape[2:]), **attrs),
            _conv2d_backward_weight(dy, x, kernel=tuple(weight.shape[2:]), **attrs), None if bias is None else channel_sum(dy))


@_conv2d.lower
def _(emit, x, weight, bias, out, *, stride, padding, dilation, groups, algorithm="auto", relu=0,
      residual=None, norm=None, pool=0):
    size = _out_size(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    sizes = _sizes(emit, x, (emit.shape(out)[1], *size), weight.shape[2:], stride, padding, dilation, groups)
    scale, shift = batch_norm_coefficients(emit, *norm) if norm else (None, None)
    ends = dict(bias=bias, scale=scale, shift=shift, relu=relu)
    winograd = algorithm == "auto" and _is_winograd(sizes, *size)
    fused = pool if residual is None and (winograd or _is_one_block(sizes)) else 0        # else a step of its own pools
    packed = _transformed(emit, weight, 0) if winograd else _packed(emit, weight, sizes, 0)
    for (x, residual_part), (y,) in each_image(emit, (x, residual), (out,)):
        made = emit.temp((1, sizes["filters"], *size)) if pool != fused else y
        if winograd:
            _emit_winograd(emit, made, x, packed, padding, residual=residual_part, pool=fused, size=size, **ends)
        else:
            emit("conv2d_forward", y=made, x=x, weight=weight, packed=packed, residual=residual_part, pool=fused, **ends,
                 **sizes)
        if made is not y:
            emit("max_pool2d_forward", y=y, x=made, channels=sizes["filters"], height=size[0], width=size[1],
                 out_height=size[0] // 2, out_width=size[1] // 2, **POOL)


@_conv2d.costs
def _(x, weight, bias, out, *, stride, padding, dilation, groups, algorithm="auto"):
    sizes = _sizes(None, x.shape, out.shape, weight.shape[2:], stride, padding, dilation, groups)
    return _regime.forward_costs(sizes, algorithm == "auto" and _is_winograd(sizes, *out.shape[2:]))


POOL = dict(kernel=(2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1))       # the pooling that fusion brings here


def _sizes(emit, x, y, kernel, stride, padding, dilation, groups):
    """The fields that the three kernels share; x is the image side, y the output side: a value, or (channels, height, width)."""
    (channels, height, width), (filters, out_height, out_width) = ((v if isinstance(v, tuple) else emit.shape(v))[-3:]
                                                                   for v in (x, y))
    return dict(channels=channels, height=height, width=width, filters=filters, out_height=out_height, out_width=out_width,
                kernel=tuple(kernel), stride=stride, padding=padding, dilation=dilation, groups=groups)


def _is_winograd(sizes, height, width, least=1.25, channels=8):
    """Does Winograd's algorithm pay for a pass over height x width pixels of the output side? By the layer's shape alone, since
    bits depend on it. Its time is that of the products, counted in multiplications, and of the transforms; it must be `least`
    times below direct's, where both were measured, and the transformed weights must not be too many for the tiles."""
    if (sizes["kernel"], sizes["stride"], sizes["dilation"], sizes["groups"]) != ((3, 3), (1, 1), (1, 1), 1):
        return False
    c, o, tiles = sizes["channels"], sizes["filters"], -(-height // 4) * -(-width // 4)
    if max(c, o, sizes["width"], sizes["out_width"]) > 1024:                    # fastnn.h: a limit of the kernel
        return False
    if min(c, o) < channels or c * o > 128 ** 2 and tiles < 4 or c * o > 256 ** 2 and tiles < 16:
        return False
    return least * tiles * (36 * c * -(-o // 16) * 16 + 250 * (c + o)) < 9 * height * width * c * o


def _is_one_block(sizes):
    """Is a sum over all channels one chain in registers, so that what it makes can be pooled there?"""
    area, channels = arguments.prod(sizes["kernel"]), sizes["channels"] // sizes["groups"]
    block = 256 if area == 1 else 32 if area <= 9 else 16 if area <= 25 else 8
    return (sizes["stride"], sizes["dilation"]) == ((1, 1), (1, 1)) and channels <= block


def _turned(sizes):
    return dict(sizes, channels=sizes["filters"], filters=sizes["channels"])


def _is_pointwise(sizes):
    """Is it a linear layer at each pixel, with channels enough to fill vectors?"""
    return (sizes["kernel"], sizes["stride"], sizes["padding"], sizes["groups"]) == ((1, 1), (1, 1), (0, 0, 0, 0), 1) and \
        sizes["channels"] >= 16


def _transformed(emit, weight, flip):
    """The weight as winograd_forward wants it; flip: for the gradient by the input."""
    filters, channels = weight.shape[:2][::-1] if flip else weight.shape[:2]
    return emit.prepared("winograd_pack", weight, 36 * -(-filters // 16) * 16 * channels, channels=channels,
                         filters=filters, flip=flip)


def _emit_winograd(emit, y, x, packed, padding, relu=0, pool=0, size=None, **ends):
    """size: of the output's image, where y is pooled."""
    (_, channels, height, width), (_, filters, *made) = emit.shape(x), emit.shape(y)
    out_height, out_width = size or made
    emit("winograd_forward", y=y, x=x, packed=packed, relu=relu, pool=pool, channels=channels, height=height, width=width,
         filters=filters, out_height=out_height, out_width=out_width, padding=padding, **ends)


def _packed(emit, weight, sizes, turned):
    """The weight as conv2d_forward, or (turned) conv2d_backward_input, wants it where lanes are filters; else None."""
    if emit.lanes != 1 or not _regime.lanes_are_filters(sizes, turned):
        return None
    groups, of = sizes["groups"], _turned(sizes) if turned else sizes
    floats = -(-(of["filters"] // groups) // 16) * 16 * of["channels"] * arguments.prod(sizes["kernel"])
    return emit.packed("conv2d_pack", weight, floats, channels=sizes["channels"], filters=sizes["filters"],
                       kernel=sizes["kernel"], groups=groups, turned=turned)


def _input_spec(dy, weight, *, size, stride, padding, dilation, groups, algorithm="auto"):
    return Spec((dy.shape[0], weight.shape[1] * groups, *size), dy.dtype)


@op("conv2d_backward_input", shape=_input_spec, rows=1)
def _conv2d_backward_input(dy, weight, *, size, stride, padding, dilation, groups, algorithm="auto"):
    n, filters, *out = dy.shape
    top, bottom, left, right = padding
    channels, kernel = weight.shape[1] * groups, weight.shape[2:]
    dx = np.zeros((n, channels, size[0] + top + bottom, size[1] + left + right), dy.dtype)
    by_group = weight.reshape(groups, filters // groups, *weight.shape[1:])
    dy = _grouped(dy, groups)
    for u, v, under in taps(dx, kernel, stride, dilation, out):
        dx[under] += (by_group[..., u, v].swapaxes(1, 2) @ dy).reshape(n, channels, *out)
    return dx[:, :, top:top + size[0], left:left + size[1]].copy()


@_conv2d_backward_input.gradient
def _(ddx, dy, weight, out, *, size, **attrs):
    return _conv2d(ddx, weight, None, **attrs), _conv2d_backward_weight(dy, ddx, kernel=tuple(weight.shape[2:]), **attrs)


@_conv2d_backward_input.costs
def _(dy, weight, out, *, size, stride, padding, dilation, groups, algorithm="auto"):
    sizes = _sizes(None, out.shape, dy.shape, weight.shape[2:], stride, padding, dilation, groups)
    return _regime.backward_input_costs(sizes, algorithm == "auto" and _is_winograd(_turned(sizes), *size))


@_conv2d_backward_input.lower
def _(emit, dy, weight, out, *, size, stride, padding, dilation, groups, algorithm="auto", residual=None, mask=None):
    emit_transposed(emit, out, dy, weight, stride, padding, dilation, groups, algorithm, residual=residual, mask=mask)


def emit_transposed(emit, dx, dy, weight, stride, padding, dilation, groups, algorithm, bias=None, relu=0, residual=None, mask=None,
                    norm=None):
    """The steps of a transposed convolution: of this op, and of the layer of that name (conv_transpose2d)."""
    sizes = _sizes(emit, dx, dy, weight.shape[2:], stride, padding, dilation, groups)
    scale, shift = batch_norm_coefficients(emit, *norm) if norm else (None, None)
    ends = dict(bias=bias, scale=scale, shift=shift, relu=relu)
    if algorithm == "auto" and _is_winograd(_turned(sizes), sizes["height"], sizes["width"]):
        packed = _transformed(emit, weight, 1)
        for (dy, other, low), (dx,) in each_image(emit, (dy, residual, mask), (dx,)):
            _emit_winograd(emit, dx, dy, packed, tuple(2 - p for p in padding), residual=other, mask=low, **ends)
        return
    packed = _packed(emit, weight, sizes, 1)
    for (dy, other, low), (dx,) in each_image(emit, (dy, residual, mask), (dx,)):
        emit("conv2d_backward_input", dx=dx, dy=dy, weight=weight, packed=packed, residual=other, mask=low, **ends, **sizes)


def _weight_spec(dy, x, *, kernel, stride, padding, dilation, groups, algorithm="auto"):
    return Spec((dy.shape[1], x.shape[1] // groups, *kernel), dy.dtype)


@op("conv2d_backward_weight", shape=_weight_spec, mode="reduce", rows=2, few=True)
def _conv2d_backward_weight(dy, x, *, kernel, stride, padding, dilation, groups, algorithm="auto"):
    n, filters, *out = dy.shape
    dweight = np.zeros((groups, filters // groups, x.shape[1] // groups, *kernel), dy.dtype)
    x, dy = padded(x, padding, 0), _grouped(dy, groups)
    for u, v, under in taps(x, kernel, stride, dilation, out):
        dweight[..., u, v] = (dy @ _grouped(x[under], groups).swapaxes(2, 3)).sum(0)
    return dweight.reshape(filters, -1, *kernel)


@_conv2d_backward_weight.gradient
def _(ddweight, dy, x, out, *, kernel, **attrs):
    return _conv2d(x, ddweight, None, **attrs), _conv2d_backward_input(dy, ddweight, size=tuple(x.shape[2:]), **attrs)


@_conv2d_backward_weight.costs
def _(dy, x, out, *, kernel, stride, padding, dilation, groups, algorithm="auto"):
    sizes = _sizes(None, x.shape, dy.shape, kernel, stride, padding, dilation, groups)
    winograd = algorithm == "auto" and _is_winograd(sizes, *dy.shape[2:], 1.12, 3)
    return _regime.backward_weight_costs(sizes, winograd or _is_pointwise(sizes))


@_conv2d_backward_weight.lower
def _(emit, dy, x, out, *, kernel, stride, padding, dilation, groups, algorithm="auto"):
    sizes, images = _sizes(emit, x, dy, kernel, stride, padding, dilation, groups), emit.shape(x)[0]
    alone = images == 1 and emit.lanes == 16              # few rows have the direct kernel alone
    if algorithm == "auto" and alone and _is_winograd(sizes, sizes["out_height"], sizes["out_width"], 1.12, 3):
        for name in ("kernel", "stride", "dilation", "groups"):
            sizes.pop(name)
        return emit("winograd_backward_weight", dweight=out, dy=dy, x=x, **sizes)
    if alone and _is_pointwise(sizes):
        pixels = sizes["height"] * sizes["width"]
        return emit("linear_backward_weight", dweight=out, dy=dy, x=x, positions=pixels, in_features=sizes["channels"],
                    out_features=sizes["filters"], dy_steps=(1, pixels), x_steps=(1, pixels))
    if images == 1:
        return emit("conv2d_backward_weight", dweight=out, dy=dy, x=x, **sizes)
    # several images a row: as groups of channels, whose weights are then added up
    weights = emit.plain((images, *out.shape))
    sizes.update(channels=images * sizes["channels"], filters=images * sizes["filters"], groups=images * groups)
    emit("conv2d_backward_weight", dweight=weights, dy=dy, x=x, **sizes)
    in_mode(emit, "flat")("reduce", y=out, x=weights, kind=0, outer=1, count=images, inner=emit.prod(out.shape))


@op("channel_sum", shape=lambda x: Spec(x.shape[1:2], x.dtype), mode="reduce", rows=1, few=True)
def channel_sum(x):
    """(N, C, ...) -> (C,): the gradient of a bias."""
    return x.sum(axis=(0, *range(2, x.ndim)), dtype=np.float64).astype(x.dtype)


@channel_sum.gradient
def _(dy, x, out):
    return dy.reshape((1, -1) + (1,) * (x.ndim - 2)).expand(x.shape)


@channel_sum.lower
def _(emit, x, out):
    shape = emit.shape(x)
    emit("channel_sum", y=out, x=classes_first(in_mode(emit, "row"), x), channels=shape[1],
         pixels=shape[0] * emit.prod(shape[2:]))


def _attributes(name, x, weight, stride, padding, dilation, groups, algorithm=None):
    """Checks x (N, C, H, W) against the weight; -> the op's attributes, every one a tuple of plain ints."""
    arguments.check_ndim(name, "weight", weight, (4,), "(out_channels, in_channels / groups, height, width)")
    groups = arguments.integer(name, "groups", groups, 1)
    stride = arguments.integers(name, "stride", stride, 2, 1)
    dilation = arguments.integers(name, "dilation", dilation, 2, 1)
    if weight.shape[1] * groups != x.shape[1]:
        raise ValueError(f"{name}: weight has {weight.shape[1]} input channels per group (shape "
                         f"{arguments.shown(weight.shape)}), the input has {x.shape[1]} channels (shape "
                         f"{arguments.shown(x.shape)}) and groups={groups}" +
                         (arguments.CHANNELS_LAST if x.shape[3] == weight.shape[1] * groups else ""))
    if weight.shape[0] % groups:
        raise ValueError(f"{name}: weight has {weight.shape[0]} filters, they cannot be divided among groups={groups}")
    kernel = tuple(weight.shape[2:])
    padding = _padding(name, padding, kernel, stride, dilation)
    out = _out_size(x.shape[2:], kernel, stride, padding, dilation)
    if min(out) < 1:
        raise ValueError(f"{name}: kernel {kernel} with dilation {dilation} is larger than the input {tuple(x.shape[2:])} "
                         f"with padding (top, bottom, left, right) = {padding}")
    return dict(stride=stride, padding=padding, dilation=dilation, groups=groups,
                algorithm=backend.checked_algorithm(name, algorithm))


def _padding(name, padding, kernel, stride, dilation):
    """-> (top, bottom, left, right)."""
    if isinstance(padding, str):
        if padding == "valid":
            return (0, 0, 0, 0)
        if padding != "same":
            raise ValueError(f"{name}: padding must be integers, 'same' or 'valid', it is {padding!r}")
        if stride != (1, 1):
            raise ValueError(f"{name}: padding='same' needs stride 1, the stride is {stride}")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel)]
        return (totals[0] // 2, totals[0] - totals[0] // 2, totals[1] // 2, totals[1] - totals[1] // 2)
    return sides(name, padding)


def sides(name, padding):
    """padding, an integer, two or four of them -> (top, bottom, left, right)."""
    if isinstance(padding, (tuple, list)) and len(padding) == 4:
        return arguments.integers(name, "padding", padding, 4, 0)
    rows, columns = arguments.integers(name, "padding", padding, 2, 0)
    return (rows, rows, columns, columns)


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, algorithm=None):
    """Convolution (cross-correlation, as everywhere in deep learning) of images.

    x (N, C, H, W), or one image (C, H, W); weight (out_channels, C / groups, height, width); bias (out_channels,) or None.
    stride, dilation: an integer or (rows, columns). padding: an integer, (rows, columns), (top, bottom, left, right), 'valid',
    or 'same' (stride 1; an odd total pads one more at the bottom and right). Zeros are padded. algorithm: 'auto', 'direct', or
    None for what nn.set_conv_algorithm says (see there).
    Returns (N, out_channels, H', W'), H' = floor((H + top + bottom - dilation (height - 1) - 1) / stride) + 1.
    Raises ValueError where shapes do not fit.
    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, arXiv:1603.07285."""
    x, weight, bias = arguments.floats("conv2d", x=x, weight=weight, bias=bias)
    images = batched("conv2d", x)
    attrs = _attributes("conv2d", images, weight, stride, padding, dilation, groups, algorithm)
    arguments.check_shape("conv2d", "bias", bias, weight.shape[:1], ", one number a filter")
    return unbatched(_conv2d(images, weight, bias, **attrs), x)


def _backward_arguments(name, grad_output, x, weight, stride, padding, dilation, groups):
    """-> grad_output with four axes, x, x with four axes, weight, the op's attributes."""
    grad_output, x, weight = arguments.floats(name, grad_output=grad_output, x=x, weight=weight)
    images = batched(name, x)
    attrs = _attributes(name, images, weight, stride, padding, dilation, groups)
    size = _out_size(images.shape[2:], weight.shape[2:], attrs["stride"], attrs["padding"], attrs["dilation"])
    expected = (images.shape[0], weight.shape[0], *size)
    arguments.check_shape(name, "grad_output", grad_output, expected[4 - x.ndim:], ", as conv2d's result")
    return grad_output.reshape(expected), x, images, weight, attrs


def conv2d_backward_input(grad_output, x, weight, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv2d with respect to x, of x's shape. Arguments as conv2d's; grad_output has its result's shape."""
    dy, x, images, weight, attrs = _backward_arguments("conv2d_backward_input", grad_output, x, weight, stride, padding,
                                                       dilation, groups)
    return unbatched(_conv2d_backward_input(dy, weight, size=tuple(images.shape[2:]), **attrs), x)


def conv2d_backward_weight(grad_output, x, weight, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv2d with respect to weight, of its shape. Arguments as conv2d's; of weight only the shape counts."""
    dy, _, images, weight, attrs = _backward_arguments("conv2d_backward_weight", grad_output, x, weight, stride, padding,
                                                       dilation, groups)
    return _conv2d_backward_weight(dy, images, kernel=tuple(weight.shape[2:]), **attrs)


def conv2d_backward(grad_output, x, weight, stride=1, padding=0, dilation=1, groups=1):
    """The gradients of conv2d: (grad_x, grad_weight, grad_bias), always three. Arguments as conv2d's."""
    dy, *_ = _backward_arguments("conv2d_backward", grad_output, x, weight, stride, padding, dilation, groups)
    given = (grad_output, x, weight, stride, padding, dilation, groups)
    return conv2d_backward_input(*given), conv2d_backward_weight(*given), channel_sum(dy)
