"""What memory bounds, beside PyTorch: pooling, ReLU, softmax, batch norm in training, SGD, Adam; in cache and out of it.

    python bench/memory_bound.py [--json FILE] [--only relu] [--turns 7]

The time is that of the kernels in a plan, images already in its layout (batch norm's backward computes the statistics again,
which PyTorch is given); of optimizers that of `optimizer.step()`. PyTorch's is the
better of NCHW and channels-last. GB/s count what must be read and written once; of a copy's (peak.py) that of one that moves as
many bytes."""
import statistics
import time

import numpy as np

import fastnn as nn
import fastnn.functional as F
import peak
from alternate import alternate, arguments, better, finish, geometric_mean, ratio, use_torch
from prepared import prepared

IMAGES = {"in cache": (64, 16, 14, 14), "out of cache": (64, 64, 56, 56)}
PARAMETERS = {"in cache": 60_000, "out of cache": 10_000_000}
OPTIMIZERS = {"SGD": (dict(lr=1e-4), 3), "SGD momentum": (dict(lr=1e-4, momentum=0.9), 5), "Adam": (dict(lr=1e-4), 7)}


def backward(name, *given):
    import torch
    return getattr(torch.ops.aten, name)(*given)


def torch_norm_backward(t, x, dy):
    given = t.native_batch_norm(x, None, None, None, None, True, 0.1, 1e-5)[1:]
    return lambda: backward("native_batch_norm_backward", dy, x, None, None, None, *given, True, 1e-5, [True, True, True])[0]


def torch_max_backward(t, x, dy):
    index = t.nn.functional.max_pool2d(x, 2, return_indices=True)[1]
    return lambda: backward("max_pool2d_with_indices_backward", dy, x, [2, 2], [2, 2], [0, 0], [1, 1], False, index)


# name: (ours on (x, dy), PyTorch's, made of (torch, x, dy), floats read and written an element of x, is dy half as large?)
OPS = {
    "max_pool2d forward": (lambda x, dy: F.max_pool2d(x, 2),
                           lambda t, x, dy: lambda: t.nn.functional.max_pool2d(x, 2), 1.25, False),
    "max_pool2d backward": (lambda x, dy: F.max_pool2d_backward(dy, x, 2), torch_max_backward, 2.25, True),
    "avg_pool2d forward": (lambda x, dy: F.avg_pool2d(x, 2),
                           lambda t, x, dy: lambda: t.nn.functional.avg_pool2d(x, 2), 1.25, False),
    "avg_pool2d backward": (lambda x, dy: F.avg_pool2d_backward(dy, x, 2), lambda t, x, dy: lambda: backward(
        "avg_pool2d_backward", dy, x, [2, 2], [2, 2], [0, 0], False, True, None), 1.25, True),
    "relu forward": (lambda x, dy: F.relu(x), lambda t, x, dy: lambda: t.relu(x), 2, False),
    "relu backward": (lambda x, dy: F.relu_backward(dy, x),
                      lambda t, x, dy: lambda: backward("threshold_backward", dy, x, 0), 3, False),
    "softmax forward": (lambda x, dy: F.softmax(x, 1), lambda t, x, dy: lambda: t.softmax(x, 1), 2, False),
    "softmax backward": (lambda x, dy: F.softmax_backward(dy, x, 1), lambda t, x, dy: lambda: backward(
        "_softmax_backward_data", dy, x, 1, t.float32), 3, False),
    "batch_norm forward": (lambda x, dy: F.batch_norm(x, training=True),
                           lambda t, x, dy: lambda: t.nn.functional.batch_norm(x, None, None, training=True), 3, False),
    "batch_norm backward": (lambda x, dy: F.batch_norm_backward(dy, x, training=True), torch_norm_backward, 5, False),
}


def op_arrays(size, halved):
    """x and dy"""
    rng, (n, c, h, w) = np.random.default_rng(0), IMAGES[size]
    x = rng.standard_normal((n, c, h, w), np.float32)
    return x, rng.standard_normal((n, c, h // 2, w // 2) if halved else x.shape, np.float32)


def op_functions(name, size, torch):
    """-> {engine: function}, bytes"""
    ours, theirs, traffic, halved = OPS[name]
    (x, dy), functions = op_arrays(size, halved), {}
    functions["ours"], result = prepared(lambda: ours(x, dy))
    for engine, memory in (("torch", torch.contiguous_format), ("torch_last", torch.channels_last)):
        functions[engine] = theirs(torch, *(torch.from_numpy(a).contiguous(memory_format=memory) for a in (x, dy)))
    expected = functions["torch"]().numpy()
    result = result[0] if isinstance(result, tuple) else result
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))
    return functions, 4 * traffic * x.size


def optimizer_functions(name, size, torch):
    settings, traffic = OPTIMIZERS[name]
    count = PARAMETERS[size] // 10
    ours = [nn.Parameter(np.full(count, 0.5, np.float32), name=f"p{i}") for i in range(10)]
    theirs = [torch.nn.Parameter(torch.full((count,), 0.5)) for _ in range(10)]
    for p, q in zip(ours, theirs):
        p.grad, q.grad = np.full(count, 1e-3, np.float32), torch.full((count,), 1e-3)
    kind = name.split()[0]
    return {"ours": getattr(nn, kind)(ours, **settings).step,
            "torch": getattr(torch.optim, kind)(theirs, fused=True, **settings).step}, 40 * traffic * count


def main():
    options, rows = arguments(__doc__, turns=7), []
    torch = use_torch()
    print(f"{'op':22s} {'size':13s} {'ours us':>9s} {'torch':>9s} {'last':>9s} {'ratio':>7s} {'GB/s':>7s} {'of copy':>8s}")
    for name in (*OPS, *OPTIMIZERS):
        for size in IMAGES:
            if options.only not in f"{name} {size}":
                continue
            functions, moved = (op_functions if name in OPS else optimizer_functions)(name, size, torch)
            time.sleep(0.1)                         # PyTorch's threads spin for a while
            limit = peak.gbytes(options.threads, int(moved)) or float("nan")
            times = alternate(functions, options.turns)
            peer = better(times, [e for e in functions if e != "ours"])
            row = {"op": name, "size": size, "ratio": ratio(times[peer], times["ours"]), "peer": peer, "bytes": moved}
            row |= {engine: statistics.median(taken) for engine, taken in times.items()}
            row["GB/s"] = moved / row["ours"] / 1e9
            row["share of copy"] = row["GB/s"] / limit
            rows.append(row)
            print(f"{name:22s} {size:13s} {row['ours'] * 1e6:9.1f} {row['torch'] * 1e6:9.1f} "
                  f"{row.get('torch_last', float('nan')) * 1e6:9.1f} {row['ratio']:6.2f}x {row['GB/s']:7.1f} "
                  f"{row['share of copy']:8.0%}", flush=True)
    summary = {"geometric mean": geometric_mean(r["ratio"] for r in rows), "least": min(r["ratio"] for r in rows)}
    print(f"geometric mean {summary['geometric mean']:.2f}, least {summary['least']:.2f}")
    finish(options, rows, summary)


if __name__ == "__main__":
    main()
