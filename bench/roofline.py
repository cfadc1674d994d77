"""How near each op comes to what the machine can do: percent of the measured peak of multiply-adds, or of a copy's bandwidth.

    python bench/roofline.py [--json FILE] [--only lstm] [--turns 7]

The bound of an op is the longer of its operations at the peak and of its bytes, each read or written once, at the bandwidth of
a copy that moves as many (peak.py); its share is that bound over the time of its kernels in a plan. Winograd does fewer
operations than are counted, the direct way's: it may pass 100 %."""
import statistics

import numpy as np

import fastnn as nn
import fastnn.functional as F
import peak
from alternate import alternate, arguments, finish
from convolutions import PASSES, SHAPES, Convolution
from fastnn.backend import native
from memory_bound import IMAGES, OPS, op_arrays
from prepared import prepared

LINEAR = [(64, 784, 256), (64, 9216, 128), (256, 1024, 1024), (1, 784, 256), (1, 9216, 128)]
LSTM = [(64, 28, 28, 128), (1, 28, 28, 128)]                # rows, steps, inputs, hidden


def cases():
    """(name, call of fastnn's function, float operations, bytes)"""
    rng = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        convolution = Convolution(*shape)
        moved = convolution.x.nbytes + convolution.weight.nbytes + convolution.dy.nbytes
        for part in PASSES:
            for algorithm in ("direct", "auto"):
                yield f"conv2d {part} {name}, {algorithm}", convolution.ours(part, algorithm), convolution.flops, moved
    for n, inside, outside in LINEAR:
        x, weight, dy = (rng.standard_normal(s, np.float32) for s in ((n, inside), (outside, inside), (n, outside)))
        calls = {"forward": lambda: F.linear(x, weight), "backward_input": lambda: F.linear_backward_input(dy, x, weight),
                 "backward_weight": lambda: F.linear_backward_weight(dy, x, weight)}
        for part, call in calls.items():
            moved = x.nbytes + weight.nbytes + dy.nbytes
            yield f"linear {part} {n}x{inside} to {outside}", call, 2 * n * inside * outside, moved
    for n, steps, inside, hidden in LSTM:
        shapes = (n, steps, inside), (4 * hidden, inside), (4 * hidden, hidden)
        x, ih, hh = (rng.standard_normal(s, np.float32) for s in shapes)
        work, moved = 8 * n * steps * hidden * (inside + hidden), x.nbytes + ih.nbytes + hh.nbytes + 4 * n * steps * hidden
        yield f"lstm forward {n}x{steps}x{inside} to {hidden}", lambda: F.lstm(x, ih, hh), work, moved
    for name, (ours, _, traffic, halved) in OPS.items():
        for size in IMAGES:
            x, dy = op_arrays(size, halved)
            yield f"{name} {size}", lambda: ours(x, dy), 0, 4 * traffic * x.size


def measure(call, flops, moved, options, before):
    function, _ = prepared(call)
    if function.kernels == before:                          # "auto" is "direct" here
        return None
    seconds = statistics.median(alternate({"ours": function}, options.turns)["ours"])
    by_peak = flops / 1e9 / (peak.gflops(native.get_target(), options.threads) or float("nan"))
    by_memory = moved / 1e9 / (peak.gbytes(options.threads, int(moved)) or float("nan"))
    return {"kernels": function.kernels, "seconds": seconds, "GFLOP/s": flops / seconds / 1e9, "GB/s": moved / seconds / 1e9,
            "bound": "multiply-adds" if by_peak >= by_memory else "memory", "share": max(by_peak, by_memory) / seconds}


def main():
    options, rows = arguments(__doc__, turns=7), []
    nn.manual_seed(0)
    flops, copy = peak.gflops(native.get_target(), options.threads), peak.gbytes(options.threads)
    print(f"peak {flops or float('nan'):.0f} GFLOP/s, copy {copy or float('nan'):.1f} GB/s")
    print(f"{'op':62s} {'us':>9s} {'GFLOP/s':>8s} {'GB/s':>7s} {'share':>6s}  bound")
    for name, call, flops, moved in cases():
        if options.only not in name:
            continue
        row = measure(call, flops, moved, options, rows[-1]["kernels"] if rows and name.endswith(", auto") else None)
        if row is not None:
            rows.append({"op": name, **row})
            print(f"{name:62s} {row['seconds'] * 1e6:9.1f} {row['GFLOP/s']:8.1f} {row['GB/s']:7.1f} {row['share']:6.0%}  "
                  f"{row['bound']}", flush=True)
    finish(options, rows)


if __name__ == "__main__":
    main()
