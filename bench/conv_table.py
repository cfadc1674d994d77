"""conv2d beside PyTorch: sixteen layers of known networks, three passes, direct and as chosen ("auto": Winograd where it pays).

    python bench/conv_table.py [--json FILE] [--only "32x32"] [--turns 7]

The time is that of the kernels in a plan, weights packed or transformed inside, images already in the plan's layout; PyTorch's
is one call on tensors in its layout (NCHW or channels-last, the better of the two), its own reordering inside. GFLOP/s count
the direct way's operations, so that Winograd may pass the peak, which is measured beside (peak.py)."""
import statistics

import numpy as np

import peak
from alternate import alternate, arguments, better, finish, geometric_mean, ratio, use_torch
from convolutions import NAMED, PASSES, Convolution
from fastnn.backend import native
from prepared import prepared


def measure(convolution, part, algorithms=("direct", "auto"), turns=7, seconds=0.004):
    """-> the row of one pass: median seconds, ratios, GFLOP/s"""
    functions, kernels = {}, {}
    for algorithm in algorithms:
        functions[algorithm], result = prepared(convolution.ours(part, algorithm))
        kernels[algorithm] = functions[algorithm].kernels
    if kernels[algorithms[-1]] == kernels[algorithms[0]] and len(algorithms) > 1:
        functions.pop("auto")                       # the same: not measured twice
    functions |= {"torch": convolution.theirs(part), "torch_last": convolution.theirs(part, last=True)}
    expected = functions["torch"]().numpy()
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4 * float(np.abs(expected).max()))
    times = alternate(functions, turns, seconds)
    times.setdefault("auto", times.get("direct"))   # the same kernels
    peer = better(times, ("torch", "torch_last"))
    row = {"part": part, "kernels": kernels[algorithms[-1]], "peer": peer, "flops": convolution.flops,
           "winograd": any(k.startswith("winograd_") for k in kernels[algorithms[-1]])}
    for name, taken in times.items():
        row[name] = statistics.median(taken)
    for name in algorithms:
        row[f"{name} ratio"] = ratio(times[peer], times[name])
    return row


def main():
    options = arguments(__doc__, turns=7)
    use_torch()
    limit, rows = peak.gflops(native.get_target(), options.threads) or float("nan"), []
    print(f"peak {limit:.0f} GFLOP/s; times in us; x: the better of PyTorch's two over ours")
    print(f"{'shape':26s} {'pass':16s} {'direct':>8s} {'auto':>8s}   {'torch':>8s} {'last':>8s} {'direct':>7s} {'of peak':>7s} "
          f"{'auto':>7s}")
    for name, shape in NAMED.items():
        if options.only not in name:
            continue
        convolution = Convolution(*shape)
        for part in PASSES:
            row = {"shape": name, **measure(convolution, part, turns=options.turns)}
            row["share of peak"] = row["flops"] / row["direct"] / 1e9 / limit
            rows.append(row)
            direct, auto, torch, last = (row[engine] * 1e6 for engine in ("direct", "auto", "torch", "torch_last"))
            print(f"{name:26s} {part:16s} {direct:8.0f} {auto:8.0f} {'w' if row['winograd'] else ' '} {torch:8.0f} {last:8.0f} "
                  f"{row['direct ratio']:6.2f}x {row['share of peak']:7.0%} {row['auto ratio']:6.2f}x", flush=True)
    summary = {"peak GFLOP/s": limit}
    for algorithm in ("direct", "auto"):
        for part in (*PASSES, ""):
            chosen = [r[f"{algorithm} ratio"] for r in rows if part in r["part"]]
            summary[f"{algorithm} {part or 'all'}"] = geometric_mean(chosen)
            least = min(chosen, default=float("nan"))
            print(f"{algorithm:7s} {part or 'all passes':16s} geometric mean {geometric_mean(chosen):.2f}, least {least:.2f}")
    chosen = [r["auto ratio"] for r in rows if r["winograd"]]
    summary["winograd"] = geometric_mean(chosen)
    print(f"where Winograd runs: geometric mean {geometric_mean(chosen):.2f}")
    finish(options, rows, summary)


if __name__ == "__main__":
    main()
