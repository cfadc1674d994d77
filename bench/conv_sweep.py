"""conv2d over random geometries beside PyTorch: all three passes, the geometric mean and the ten worst.

    python bench/conv_sweep.py [--count 200] [--seed 0] [--json FILE] [--turns 3]
    python bench/conv_sweep.py --first 100 --count 100 --before FILE [--json FILE]

Channels 1 to 512, images 4 to 112, kernels 1 to 7, strides, dilation, groups, batch 1 to 128, as drawn from the seed, left out
where a pass is more than a GFLOP or an array more than 64 MB. What is timed is that of conv_table.py. A sweep can be made in
pieces: --first skips geometries, --before adds the results of a file."""
import itertools
import json

import numpy as np

from alternate import arguments, finish, geometric_mean, use_torch
from conv_table import measure
from convolutions import PASSES, Convolution

LARGEST_FLOPS, LARGEST_ARRAY = 1e9, 16e6


def geometries(seed):
    """Endless (name, geometry): sizes evenly spread over their logarithms."""
    rng = np.random.default_rng(seed)

    def between(low, high):
        return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))
    while True:
        n, size, kernel, stride, dilation = between(1, 128), between(4, 112), int(rng.integers(1, 8)), 1, 1
        groups = int(rng.choice([1, 1, 1, 1, 2, 4, 8, 0]))          # 0: depthwise
        channels, filters = between(1, 512), between(1, 512)
        stride, dilation = int(rng.choice([1, 1, 1, 2, 3])), int(rng.choice([1, 1, 1, 2]))
        padding = int(rng.integers(0, dilation * (kernel - 1) // 2 + 1))
        if groups == 0:
            groups, filters = channels, channels
        channels, filters = -(-channels // groups) * groups, -(-filters // groups) * groups
        out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        if out < 1 or max(channels, filters) > 512:
            continue
        largest = max(n * channels * size ** 2, n * filters * out ** 2)
        flops = 2 * n * out ** 2 * filters * kernel ** 2 * (channels // groups)
        if flops > LARGEST_FLOPS or largest > LARGEST_ARRAY or flops < 1e5:
            continue
        settings = {k: v for k, v in (("stride", stride), ("dilation", dilation), ("groups", groups)) if v > 1}
        more = "".join(f" {k} {v}" for k, v in settings.items())
        yield f"{n}x{channels}x{size}x{size} to {filters} by {kernel} pad {padding}{more}", \
            (n, size, channels, filters, kernel, padding, settings)


def main():
    options, rows = arguments(__doc__, count=200, seed=0, first=0, turns=3, before=""), []
    use_torch()
    if options.before:
        with open(options.before) as file:
            rows += json.load(file)["results"]
    for name, geometry in itertools.islice(geometries(options.seed), options.first, options.first + options.count):
        if options.only not in name:
            continue
        convolution = Convolution(*geometry)
        for part in PASSES:
            rows.append({"shape": name, **measure(convolution, part, ("auto",), options.turns, 0.002)})
    finish(options, rows, report(rows))


def report(rows, worst=10):
    """Prints the means and the worst -> the means"""
    means = {}
    for part in (*PASSES, ""):
        chosen = [r["auto ratio"] for r in rows if part in r["part"]]
        means[part or "all passes"] = geometric_mean(chosen)
        print(f"{part or 'all passes':16s} {len(chosen)} cases: geometric mean {geometric_mean(chosen):.2f}, least "
              f"{min(chosen):.2f}, under 0.7: {sum(c < 0.7 for c in chosen)}")
    print(f"the worst: {'pass':16s} {'ratio':>6s} {'ours us':>9s} {'theirs':>9s} {'GFLOP/s':>8s}  geometry, kernels")
    for r in sorted(rows, key=lambda r: r["auto ratio"])[:worst]:
        print(f"           {r['part']:16s} {r['auto ratio']:6.2f} {r['auto'] * 1e6:9.1f} {r[r['peer']] * 1e6:9.1f} "
              f"{r['flops'] / r['auto'] / 1e9:8.1f}  {r['shape']}  ({', '.join(r['kernels'])})")
    return means


if __name__ == "__main__":
    main()
