"""Time per image of each workload over batch sizes, predicting and training: it must never rise with the batch.

    python bench/batch_sizes.py [--largest 512] [--json FILE] [--only lstm] [--turns 5]

All batch sizes of a workload take turns. A size whose time per image is more than 10 % above the least of the smaller sizes' is
marked, in the table by "!"."""
import statistics

import numpy as np

import fastnn as nn
import workloads
from alternate import alternate, arguments, finish, ratio

RISE = 1.1


def task_functions(name, task, sizes):
    """{batch size: function}"""
    rng = np.random.default_rng(0)
    x, y = rng.random((max(sizes), *workloads.SHAPES[name]), dtype=np.float32), rng.integers(0, 10, max(sizes))
    nn.manual_seed(0)
    model = getattr(workloads, name)(nn)
    if task == "predict":
        return {n: lambda n=n: model.predict_on_batch(x[:n]) for n in sizes}
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=1e-4, momentum=0.9))
    return {n: lambda n=n: model.train_on_batch(x[:n], y[:n]) for n in sizes}


def rises(times):
    """{batch size: times per image of the best of the smaller sizes} where that is above RISE, by the median over turns."""
    found, best = {}, None
    for n, taken in times.items():
        each = [t / n for t in taken]
        if best and ratio(each, best) > RISE:
            found[n] = ratio(each, best)
        if not best or statistics.median(each) < statistics.median(best):
            best = each
    return found


def main():
    options, rows, limit = arguments(__doc__, turns=5, largest=512), [], 0
    sizes = [2 ** k for k in range(options.largest.bit_length())]
    print("us an image     " + "".join(f"{n:>9d} " for n in sizes))
    for name in workloads.SHAPES:
        for task in ("predict", "train"):
            if options.only not in f"{name} {task}":
                continue
            times = alternate(task_functions(name, task, sizes), options.turns, 0.002)
            found = rises(times)
            each = {n: statistics.median(taken) / n for n, taken in times.items()}
            rows.append({"workload": name, "task": task, "seconds an image": each, "rises": found})
            numbers = "".join(f"{t * 1e6:9.1f}{'!' if n in found else ' '}" for n, t in each.items())
            print(f"{name:9s} {task:7s}{numbers}", flush=True)
            limit = max([limit, *found.values()])
    print(f"rises over {RISE - 1:.0%}: {sum(len(r['rises']) for r in rows)}, the largest {limit:.2f} times")
    finish(options, rows, {"largest rise": limit})


if __name__ == "__main__":
    main()
