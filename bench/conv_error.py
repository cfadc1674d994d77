"""The error of each pass of a convolution against float64: Winograd's beside direct's and PyTorch's.

    python bench/conv_error.py [--json FILE] [--only 8x8] [--seeds 3]

Standard normal numbers, at most 16 images; errors in units of 1e-7 of the largest result: the largest, and the root of the
mean square. Layers of conv_table.py that run by Winograd, the float64 results by PyTorch."""
import numpy as np

from alternate import arguments, finish, use_torch
from convolutions import NAMED, PASSES, Convolution
from prepared import captured


def errors(result, exact):
    """(largest, root mean square), of the largest exact result."""
    off = (np.asarray(result, np.float64) - exact) / np.abs(exact).max()
    return float(np.abs(off).max()), float(np.sqrt((off * off).mean()))


def runs_winograd(call, n):
    with captured() as calls:
        call()
    plan, _ = calls[0][0].bound(n)
    return any(step.kernel.startswith("winograd_") for step in plan.steps)


def measure(shape, part, seeds, torch):
    """-> the row of one pass, None where it does not run by Winograd; the worst of the seeds"""
    row = {"part": part}
    for seed in range(seeds):
        convolution = Convolution(*shape, seed=seed)
        calls = {"winograd": convolution.ours(part), "direct": convolution.ours(part, "direct"),
                 "torch": convolution.theirs(part)}
        if not runs_winograd(calls["winograd"], len(convolution.x)):
            return None
        exact = convolution.theirs(part, dtype=torch.float64)().numpy()
        for name, call in calls.items():
            row[name] = np.maximum(row.get(name, 0), errors(call(), exact)).tolist()
    return row


def main():
    options, rows = arguments(__doc__, seeds=1), []
    torch = use_torch()
    print(f"{'':43s} {'largest: winograd':>18s} {'direct':>7s} {'torch':>7s} {'rms: winograd':>15s} {'direct':>7s} "
          f"{'torch':>7s}  (1e-7)")
    for name, shape in NAMED.items():
        if options.only not in name:
            continue
        for part in PASSES:
            row = measure((min(shape[0], 16), *shape[1:]), part, options.seeds, torch)
            if row is None:
                continue
            rows.append({"shape": name, **row})
            (w, rw), (d, rd), (t, rt) = ([1e7 * e for e in row[k]] for k in ("winograd", "direct", "torch"))
            print(f"{name:26s} {part:16s} {w:18.1f} {d:7.1f} {t:7.1f} {rw:15.2f} {rd:7.2f} {rt:7.2f}", flush=True)
    engines, largest = ("winograd", "direct", "torch"), {}
    for part in PASSES:
        largest |= {f"{part} {k}": max((r[k][0] for r in rows if r["part"] == part), default=0) for k in engines}
        print(f"{part:16s} largest error: " + ", ".join(f"{k} {largest[f'{part} {k}']:.1e}" for k in engines))
    finish(options, rows, largest)


if __name__ == "__main__":
    main()
