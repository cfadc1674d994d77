"""Benchmarks: `pytest bench/` times every op and a few networks, on each backend and target, beside the measured peak of the
machine (peak.py) and beside PyTorch and ONNX Runtime where they are installed. Results are checked before they are timed.

    pytest bench/                              all of it (minutes); --benchmark-json=FILE keeps the figures
    pytest bench/ --quick                      a few shapes, briefly (so does --benchmark-disable: every case once)
    pytest bench/ -k "conv2d and avx512"       some of it

`engine` is what runs a case: a target of the native backend ("avx512", ...), "reference" (NumPy), "torch", "torch_last"
(PyTorch with channels-last memory), "onnxruntime". A table at the end shows a case a line: time, GFLOP/s or GB/s, share of the
peak (for GB/s: of a copy that moves as many bytes), and the fastest other library's time over ours. A
convolution's operations are counted as the direct way needs them: Winograd's does fewer, and may pass the peak."""
import os
import sys

import numpy as np
import pytest

import fastnn as nn

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peak                                                                          # noqa: E402
from engines import ENGINES, LIBRARIES, TARGETS, native                              # noqa: E402

rows, checked = [], {}


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="a few shapes, briefly")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    option = config.option
    option.quick = option.quick or getattr(option, "benchmark_disable", False)
    option.benchmark_max_time = 0.02 if option.quick else min(float(option.benchmark_max_time), 0.3)
    option.benchmark_min_rounds = 3
    option.benchmark_disable_gc = True
    config.addinivalue_line("markers", "full: left out by --quick")


def pytest_collection_modifyitems(config, items):
    if config.option.quick:
        skip = pytest.mark.skip(reason="left out by --quick")
        for item in items:
            if item.get_closest_marker("full"):
                item.add_marker(skip)


@pytest.fixture
def engine(request, monkeypatch):
    """The named engine, in use while the test runs."""
    name = request.param
    before = native.get_target() if native else None
    if name in TARGETS:
        native.set_target(name)
    elif name == "reference":
        from fastnn import run
        monkeypatch.setattr(run, "native", None)
    elif name not in LIBRARIES:
        pytest.skip(f"{name} is not installed")
    if name.startswith("torch"):
        import torch
        torch.set_num_threads(nn.get_num_threads())
    yield name
    if native:
        native.set_target(before)


def as_array(result):
    if isinstance(result, (tuple, list)):
        result = result[0]
    return np.asarray(result.detach() if hasattr(result, "detach") else result, np.float32)


@pytest.fixture
def measure(benchmark, engine):
    """measure(case name, function, flops=..., bytes=..., check=...): checks the result against what the first engine gave for
    this case, times the function, and notes rates beside the peak."""
    def timed(case, function, flops=0, bytes=0, check=True):
        result = function()
        if check:
            result = as_array(result)
            assert np.isfinite(result).all()
            sample = result.reshape(-1)[::max(1, result.size // 4096)]
            expected = checked.setdefault(case, sample)
            np.testing.assert_allclose(sample, expected, atol=2e-4 * max(1e-3, float(np.abs(expected).max())), rtol=0)
        benchmark.group = case
        benchmark(function)
        if benchmark.stats is not None:
            note(benchmark, case, engine, flops, bytes)
    return timed


def note(benchmark, case, engine, flops, bytes):
    threads, seconds = nn.get_num_threads(), benchmark.stats.stats.median
    info = {"engine": engine, "threads": threads, "rate": None, "peak": None, "unit": ""}
    target = engine if engine in TARGETS else (TARGETS[0] if TARGETS else None)
    if flops:
        info.update(unit="GFLOP/s", rate=flops / seconds / 1e9, peak=peak.gflops(target, threads) if target else None)
    elif bytes:
        info.update(unit="GB/s", rate=bytes / seconds / 1e9, peak=peak.gbytes(threads, int(bytes)))
    info["share of peak"] = info["rate"] / info["peak"] if info["peak"] else None
    benchmark.extra_info.update(info)
    rows.append((case, engine, seconds, info))


def pytest_terminal_summary(terminalreporter):
    if not rows:
        return
    best = {}
    for case, engine, seconds, _ in rows:
        if engine in LIBRARIES:
            best[case] = min(best.get(case, (seconds, engine)), (seconds, engine))
    write = terminalreporter.write_line
    terminalreporter.section("rates")
    write(f"{'case':44s} {'engine':12s} {'time':>10s} {'rate':>16s} {'of peak':>8s}  fastest other / ours")
    for case, engine, seconds, info in sorted(rows, key=lambda row: (row[0], ENGINES.index(row[1]))):
        rate = f"{info['rate']:8.1f} {info['unit']}" if info["rate"] else ""
        share = f"{info['share of peak']:7.0%}" if info["share of peak"] else ""
        other, name = best.get(case, (None, ""))
        ratio = f"{other / seconds:5.2f} x {name}" if other and engine in TARGETS else ""
        write(f"{case:44s} {engine:12s} {seconds * 1e6:8.1f} us {rate:>16s} {share:>8s}  {ratio}")
    known = [f"{target} {peak.gflops(target, nn.get_num_threads()) or 0:.0f} GFLOP/s" for target in TARGETS]
    write(f"peak on {nn.get_num_threads()} threads: {', '.join(known)}, copy {peak.gbytes(nn.get_num_threads()) or 0:.1f} GB/s")
