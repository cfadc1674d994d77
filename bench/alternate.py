"""Timing things beside each other: they take turns in one process, so that whatever else goes on hits all of them, and ratios
are medians over the turns. Also what the scripts here share: a machine's description, options, a file of results."""
import argparse
import contextlib
import ctypes
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import time

import fastnn as nn

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4               # of <malloc.h>
REST_S = 0.012          # lets the spinning threads of the one before go to sleep: libgomp's, under PyTorch, spin for 3 to 6 ms


def turn(function, seconds):
    """Seconds a call, of calls one after another for about so long; the first, which wakes threads and caches, is left out."""
    start = time.perf_counter()
    function()
    first = time.perf_counter() - start
    inner = max(1, min(100_000, int(seconds / max(first, 1e-7))))
    start = time.perf_counter()
    for _ in range(inner):
        function()
    return (time.perf_counter() - start) / inner


def alternate(functions, turns=7, seconds=0.004, rest=REST_S):
    """{name: function} -> {name: [seconds a call, one a turn]}"""
    times = {name: [] for name in functions}
    for function in functions.values():             # plans, primitives and pages are made
        function()
    for _ in range(turns):
        for name, function in functions.items():
            time.sleep(rest)
            times[name].append(turn(function, seconds))
    return times


def ratio(others, ours):
    """How many times ours is faster: the median over the turns."""
    return statistics.median(a / b for a, b in zip(others, ours))


def better(times, names):
    """The one of `names` with the least median."""
    return min(names, key=lambda name: statistics.median(times[name]))


def geometric_mean(numbers):
    numbers = [n for n in numbers if n]
    return statistics.geometric_mean(numbers) if numbers else float("nan")


def machine():
    """What a figure must be read with."""
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            processor = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), processor)
    versions = {}
    for name in ("numpy", "torch", "onnxruntime", "openvino", "ncnn", "keras", "tensorflow", "jax"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    native = nn.backend.native
    return {"processor": processor, "date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
            "target": native.get_target() if native else "none", "threads": nn.get_num_threads(), "fastnn": nn.__version__,
            "python": platform.python_version(), "versions": versions}


def arguments(description, **defaults):
    """The options of a script: --json FILE, --only TEXT, --threads N and one for each of `defaults`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name holds this text")
    parser.add_argument("--threads", type=int, default=nn.get_num_threads())
    for name, default in defaults.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    options = parser.parse_args()
    nn.set_num_threads(options.threads)
    return options


def use_torch():
    """PyTorch with as many threads as fastnn and no gradients. malloc keeps its memory, as a plan does: large results would
    cost PyTorch page faults in every call."""
    import torch
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_MMAP_MAX, 0)
        ctypes.CDLL(None).mallopt(M_TRIM_THRESHOLD, 1 << 30)
    torch.set_num_threads(nn.get_num_threads())
    torch.set_grad_enabled(False)
    return torch


def finish(options, results, summary=None):
    """Prints what the run was made with, and writes the file that --json names."""
    about = machine()
    print(f"{about['processor']}, {about['cores']} cores, {about['threads']} threads, target {about['target']}; fastnn "
          f"{about['fastnn']}, " + ", ".join(f"{k} {v}" for k, v in about["versions"].items()))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": about, "summary": summary or {}, "results": results}, file, indent=1)
