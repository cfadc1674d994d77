"""What serving costs besides kernels: two Python threads with one model, and the interpreter's time of a predict.

    python bench/serving.py [--json FILE] [--only lenet5]

Two callers at once over one caller, every caller single-threaded (`set_num_threads(1)`): the goal is 1.7. The interpreter's
time is that of `predict_on_batch` of one row by a network of one multiplication: all of it, and before and after its one native
call."""
import statistics
import threading
import time

import numpy as np

import fastnn as nn
import workloads
from alternate import alternate, arguments, finish
from peers import data, ours


def throughput(model, x, callers, seconds):
    """Predictions a second of so many threads."""
    counts, gate, over = [0] * callers, threading.Barrier(callers + 1), threading.Event()

    def call(i):
        gate.wait()
        while not over.is_set():
            model.predict_on_batch(x)
            counts[i] += 1
    workers = [threading.Thread(target=call, args=(i,)) for i in range(callers)]
    for w in workers:
        w.start()
    gate.wait()
    start = time.perf_counter()
    time.sleep(seconds)
    over.set()
    for w in workers:
        w.join()
    return sum(counts) / (time.perf_counter() - start)


def two_callers(name, rows, turns, seconds=0.2):
    model, x = ours(name), data(name, rows)[0]
    model.predict_on_batch(x)
    pairs = [[throughput(model, x, callers, seconds) for callers in (1, 2)] for _ in range(turns)]
    one, two = (statistics.median(side) for side in zip(*pairs))
    return {"workload": name, "rows": rows, "one caller": one, "two callers": two,
            "times": statistics.median(b / a for a, b in pairs)}


def interpreter_time(turns):
    """Seconds of a predict of one row by a network of one multiplication: all of it, and without the one native call."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False))
    x, out = np.ones((1, 1), np.float32), np.empty((1, 1), np.float32)
    model.predict_on_batch(x)
    (executable,) = model._predictors.values()
    native_run, _ = executable.quick[1]
    functions = {"all": lambda: model.predict_on_batch(x),
                 "native call": lambda: native_run(1, 1, (x, None), (out,), None, None),
                 "empty": lambda: None}
    times = alternate(functions, 3 * turns, 0.01)
    everything, inside, empty = (statistics.median(times[name]) for name in functions)
    return {"predict_on_batch": everything - empty, "without the native call": everything - inside}


def main():
    options, rows = arguments(__doc__, turns=5), []
    times = interpreter_time(options.turns)
    for name, seconds in times.items():
        print(f"interpreter: {name:24s} {seconds * 1e6:.2f} us")
    nn.set_num_threads(1)
    print(f"{'workload':10s} {'rows':>5s} {'one caller/s':>13s} {'two':>10s} {'times':>6s}")
    for name in workloads.SHAPES:
        for n in (1, 64):
            if options.only in name:
                rows.append(two_callers(name, n, options.turns))
                r = rows[-1]
                print(f"{name:10s} {n:5d} {r['one caller']:13.0f} {r['two callers']:10.0f} {r['times']:5.2f}x", flush=True)
    nn.set_num_threads(options.threads)
    finish(options, rows, {"interpreter": times, "two callers, least": min(r["times"] for r in rows)})


if __name__ == "__main__":
    main()
