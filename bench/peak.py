"""The measured peak of this machine: multiply-adds a second by target, and bytes a second of a copy, on as many threads as
fastnn uses. `python bench/peak.py` prints them."""
import ctypes
import functools
import os
import platform
import subprocess
import tempfile
import threading
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = {"avx512": ["-mavx512f", "-mprefer-vector-width=512", "-mfma"], "avx2": ["-mavx2", "-mfma"], "sse2": [], "neon": []}


@functools.cache
def library(target):
    """peak.c compiled for a target; None where there is no C compiler."""
    folder = tempfile.mkdtemp(prefix="fastnn-peak-")
    path = os.path.join(folder, f"peak-{target}.so")
    flags = FLAGS[target] if platform.machine() in ("x86_64", "AMD64") else []
    try:
        subprocess.run([*os.environ.get("CC", "cc").split(), "-O3", "-ffp-contract=fast", *flags, "-shared", "-fPIC",
                        os.path.join(HERE, "peak.c"), "-o", path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    made = ctypes.CDLL(path)
    made.multiply_adds.restype, made.multiply_adds.argtypes = ctypes.c_int64, [ctypes.c_int64, ctypes.c_void_p]
    made.copy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
    made.copy.restype = None
    return made


def at_once(count, work):
    """Seconds that `count` threads need for work(i) each."""
    gate = threading.Barrier(count + 1)

    def run(i):
        gate.wait()
        work(i)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    gate.wait()
    start = time.perf_counter()
    for t in threads:
        t.join()
    return time.perf_counter() - start


@functools.cache
def gflops(target, threads, rounds=20, count=400_000):
    """GFLOP/s of multiply-adds in registers, the best of some rounds; None where it cannot be measured."""
    lib = library(target)
    if lib is None:
        return None
    outs = [np.zeros(64, np.float32) for _ in range(threads)]
    best = 0.0
    for _ in range(rounds):
        done = []
        seconds = at_once(threads, lambda i: done.append(lib.multiply_adds(count, outs[i].ctypes.data)))
        best = max(best, sum(done) / seconds / 1e9)
    return best


def gbytes(threads, moved=1 << 28):
    """GB/s of a copy that reads and writes `moved` bytes in all (default: more than the caches hold), both counted; None where
it     cannot be measured."""
    return _gbytes(threads, max(12, (moved // (2 * threads)).bit_length() - 1))


def aligned(size):
    """An array of so many bytes that begins where a page begins."""
    block = np.ones(size // 4 + 4096, np.float32)
    skip = -block.ctypes.data % 4096 // 4
    return block[skip:skip + size // 4]


@functools.cache
def _gbytes(threads, bits, rounds=10):
    from fastnn.backend import native
    lib = library(native.get_target() if native else "sse2")
    if lib is None:
        return None
    size, repeats, best = 1 << bits, 1 << max(0, 26 - bits), 0.0
    # the copy begins half a page later than the original: their addresses never agree modulo a page
    pairs = [(aligned(size), aligned(size + 4096)[512:512 + size // 4]) for _ in range(threads)]
    for _ in range(rounds):
        seconds = at_once(threads, lambda i: lib.copy(pairs[i][1].ctypes.data, pairs[i][0].ctypes.data, size, repeats))
        best = max(best, 2 * size * threads * repeats / seconds / 1e9)
    return best


if __name__ == "__main__":
    import fastnn as nn
    count = nn.get_num_threads()
    for name in nn.backend.native.targets() if nn.backend.native else ():
        rates = [gflops(name, n) or float("nan") for n in (count, 1)]
        print(f"{name:7s} {count} threads: {rates[0]:.0f} GFLOP/s, one {rates[1]:.0f}")
    print(f"copy    {count} threads: {gbytes(count) or float('nan'):.1f} GB/s, one {gbytes(1) or float('nan'):.1f}")
