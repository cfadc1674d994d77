"""What a convolution costs one image by itself and a group of 16 in the lanes, in nanoseconds of one core, as fitted to measured
times: by it plan.lanes_from chooses the layout for a few images. Bits do not depend on it, except in sums over the batch."""
from ._arguments import prod


def _forward_axis(out, kernel, stride, dilation):
    """[(pixels, taps, phases of the copy, lines it holds besides)]: the grids of an axis (conv2d_map.h), here one."""
    reach = dilation * (kernel - 1)
    return [(out, kernel, min(stride, reach + 1) if dilation % stride else 1, reach // stride)]


def _backward_axis(size, kernel, stride, dilation):
    """The same of the gradient by the input: a grid for each pixel mod stride."""
    taps = [sum(t * dilation % stride == phase for t in range(kernel)) for phase in range(stride)]
    return [(-(-size // stride), t, 1, max(0, t - 1) * dilation) for t in taps]


def _grids(rows, columns):
    return [tuple(zip(r, c)) for r in rows for c in columns]


def _pixels_or_filters(channels, filters, pixels, taps, phases, more, groups, packed):
    """(vectors copied, vectors of products where lanes are pixels, where they are filters) of one image, as conv2d_image.h."""
    terms, width = channels * prod(taps), pixels[1] + more[1]
    copied = channels * prod(phases) * (pixels[0] + more[0]) * -(-width // 16)
    by_pixel = filters * -(-((pixels[0] - 1) * width + pixels[1]) // 16) * (terms + 4)
    by_filter = prod(pixels) * -(-filters // 16) * (terms + 8) if packed and (groups == 1 or filters % 16 == 0) else by_pixel
    return copied, by_pixel, by_filter


def _map_costs(grids, channels, filters, groups, packed, memory):
    one, group = 0, memory
    for pixels, taps, phases, more in grids:
        copied, *products = _pixels_or_filters(channels, filters, pixels, taps, phases, more, groups, packed)
        rows = filters * pixels[0] * -(-pixels[1] // 16)
        one += groups * (3.4 * copied + 0.18 * min(products) + 2.5 * rows + 100)
        group += groups * (0.12 * prod(pixels) * filters * channels * prod(taps)
                           + 1.4 * channels * (pixels[0] + more[0]) * (pixels[1] + more[1]) + 1.5 * prod(pixels) * filters + 20)
    return one, group


def _memory(sizes):
    """What 16 images that do not fit a cache cost besides."""
    floats = sizes["channels"] * sizes["height"] * sizes["width"] + sizes["filters"] * sizes["out_height"] * sizes["out_width"]
    return max(0, 64 * floats - 2 ** 20) / 20


def _winograd_costs(sizes):
    one = 0.035 * sizes["height"] * sizes["width"] * sizes["channels"] * sizes["filters"]
    return one, 15 * one


def _direct_costs(sizes, axis, size, channels, filters, packed):
    groups = sizes["groups"]
    axes = [axis(*of) for of in zip(size, sizes["kernel"], sizes["stride"], sizes["dilation"])]
    return _map_costs(_grids(*axes), channels // groups, filters // groups, groups, packed, _memory(sizes))


def forward_costs(sizes, winograd):
    """sizes: the fields that the kernels share (conv2d._sizes)."""
    if winograd:
        return _winograd_costs(sizes)
    out = sizes["out_height"], sizes["out_width"]
    return _direct_costs(sizes, _forward_axis, out, sizes["channels"], sizes["filters"], True)


def backward_input_costs(sizes, winograd):
    if winograd:
        return _winograd_costs(sizes)
    size = sizes["height"], sizes["width"]
    return _direct_costs(sizes, _backward_axis, size, sizes["filters"], sizes["channels"], False)


def backward_weight_costs(sizes, winograd):
    groups, out = sizes["groups"], (sizes["out_height"], sizes["out_width"])
    axes = [_forward_axis(*of) for of in zip(out, sizes["kernel"], sizes["stride"], sizes["dilation"])]
    channels, filters = sizes["channels"] // groups, sizes["filters"] // groups
    (pixels, taps, phases, more), = _grids(*axes)
    copied, by_pixel, by_filter = _pixels_or_filters(channels, filters, pixels, taps, phases, more, 1, True)
    one = groups * (2.4 * copied + 0.2 * min(by_pixel, by_filter) + 270)
    group = groups * (0.2 * prod(pixels) * filters * channels * prod(taps)
                      + 2 * channels * (pixels[0] + more[0]) * (pixels[1] + more[1]) + 300)
    return one, (group / 2 if winograd else group) + _memory(sizes)
