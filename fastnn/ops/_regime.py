"""What a convolution costs one image by itself and a group of 16 in the lanes, in nanoseconds of one core, as fitted to measured
times: by it plan.lanes_of chooses the layout for a few images. Bits do not depend on it, except in sums over the batch."""
from ._arguments import prod


def _axes(sizes):
    """((size, out, kernel, stride, dilation, padding before) of rows, of columns)."""
    before = sizes["padding"][0], sizes["padding"][2]
    size, out = (sizes["height"], sizes["width"]), (sizes["out_height"], sizes["out_width"])
    return tuple(zip(size, out, sizes["kernel"], sizes["stride"], sizes["dilation"], before))


def _pairs(tap, size, out, kernel, stride, dilation, before):
    """How many of the output's pixels along an axis have this tap inside the image."""
    first = tap * dilation - before
    return max(0, min(out, (size - 1 - first) // stride + 1) - max(0, -(first // stride)))


def _forward_axis(size, out, kernel, stride, dilation, before):
    """[(pixels, taps, phases of the copy, lines it holds besides, pairs of pixels and taps inside the image, lines from
    one that is copied to the next)]: the grids of an axis (conv2d_map.h), here one."""
    reach = dilation * (kernel - 1)
    inside = sum(_pairs(t, size, out, kernel, stride, dilation, before) for t in range(kernel))
    return [(out, kernel, min(stride, reach + 1) if dilation % stride else 1, reach // stride, inside, stride)]


def _backward_axis(size, out, kernel, stride, dilation, before):
    """The same of the gradient by the input: a grid for each pixel mod stride."""
    grids = []
    for phase in range(stride):
        taps = [t for t in range(kernel) if t * dilation % stride == phase]
        grids.append((-(-size // stride), len(taps), 1, max(0, len(taps) - 1) * dilation,
                      sum(_pairs(t, size, out, kernel, stride, dilation, before) for t in taps), 1))
    return grids


def _grids(rows, columns):
    return [tuple(zip(r, c)) for r in rows for c in columns]


def _products(grid):
    """Pairs of pixels and taps that a tile works on: those in the padding are left out, but for columns where not all of a
    tile's pixels have them there."""
    pixels, taps, _, _, inside, _ = grid
    return inside[0] * (inside[1] + pixels[1] * taps[1]) / 2


def _pixels_or_filters(channels, filters, grid):
    """(vectors copied, vectors of products where lanes are pixels, where they are filters) of one image, as conv2d_image.h."""
    pixels, taps, phases, more, _, steps = grid
    terms, width = channels * prod(taps), pixels[1] + more[1]
    vector = 1 if steps[1] <= 2 else 5                                # float by float
    copied = channels * prod(phases) * (pixels[0] + more[0]) * -(-width // 16) * vector
    by_pixel = filters * -(-((pixels[0] - 1) * width + pixels[1]) // 16) * (terms + 4)
    by_filter = -(-filters // 16) * (channels * _products(grid) + 8 * prod(pixels))
    return copied, by_pixel, by_filter


def lanes_are_filters(sizes, backward):
    """Had lanes of one image better be filters than pixels? Packing the weights counts once, as if for an image."""
    channels, filters = (sizes[name] // sizes["groups"] for name in ("channels", "filters"))
    if backward:
        channels, filters = filters, channels
    axes = [(_backward_axis if backward else _forward_axis)(*axis) for axis in _axes(sizes)]
    vectors = [_pixels_or_filters(channels, filters, grid)[1:] for grid in _grids(*axes)]
    by_pixel, by_filter = map(sum, zip(*vectors))
    return by_filter + -(-filters // 16) * 16 * channels * prod(sizes["kernel"]) < by_pixel


def _map_costs(grids, channels, filters, groups, by_filter, memory):
    one, group = 0, memory
    many = 4 * groups >= 3 * 16 * -(-groups // 16) and max(channels, filters) <= 4          # lanes are groups: conv2d_groups.h
    for grid in grids:
        pixels, taps, phases, more, *_ = grid
        copied, *products = _pixels_or_filters(channels, filters, grid)
        rows = filters * pixels[0] * -(-pixels[1] // 16)
        if many:
            area = prod(step * n + d for step, n, d in zip(grid[5], pixels, more))
            one += -(-groups // 16) * (filters * prod(pixels) * (0.45 * channels * prod(taps) + 5) + 3 * channels * area + 150)
        else:
            one += groups * (3.4 * copied + (0.25 if by_filter else 0.18) * products[by_filter] + 2.5 * rows + 100)
        group += groups * (0.12 * filters * channels * _products(grid)
                           + 1.4 * channels * (pixels[0] + more[0]) * (pixels[1] + more[1]) + 1.5 * prod(pixels) * filters + 20)
    return one, group


def _memory(sizes):
    """What 16 images that do not fit a cache cost besides."""
    floats = sizes["channels"] * sizes["height"] * sizes["width"] + sizes["filters"] * sizes["out_height"] * sizes["out_width"]
    return max(0, 64 * floats - 2 ** 20) / 20


def _winograd_costs(sizes):
    one = 0.035 * sizes["height"] * sizes["width"] * sizes["channels"] * sizes["filters"]
    return one, 15 * one


def _direct_costs(sizes, axis, channels, filters, by_filter):
    groups = sizes["groups"]
    grids = _grids(*(axis(*of) for of in _axes(sizes)))
    return _map_costs(grids, channels // groups, filters // groups, groups, by_filter, _memory(sizes))


def forward_costs(sizes, winograd):
    """sizes: the fields that the kernels share (conv2d._sizes)."""
    if winograd:
        return _winograd_costs(sizes)
    return _direct_costs(sizes, _forward_axis, sizes["channels"], sizes["filters"], lanes_are_filters(sizes, 0))


def backward_input_costs(sizes, winograd):
    if winograd:
        return _winograd_costs(sizes)
    return _direct_costs(sizes, _backward_axis, sizes["filters"], sizes["channels"], lanes_are_filters(sizes, 1))


def backward_weight_costs(sizes, indirect):
    """indirect: groups have Winograd's algorithm, or a linear layer's."""
    groups = sizes["groups"]
    grid, = _grids(*(_forward_axis(*of) for of in _axes(sizes)))
    channels, filters = sizes["channels"] // groups, sizes["filters"] // groups
    pixels, taps, phases, more, *_ = grid
    copied, by_pixel, _ = _pixels_or_filters(channels, filters, grid)
    by_filter = prod(pixels) * -(-filters // 16) * (channels * prod(taps) + 8)
    one = groups * (4 * copied + 0.32 * min(by_pixel, by_filter) + 430)
    group = groups * ((0.2 * prod(pixels) + 0.8) * filters * channels * prod(taps)
                      + 2 * channels * (pixels[0] + more[0]) * (pixels[1] + more[1]) + 300)
    return one, (group / 2 if indirect else group) + _memory(sizes)
