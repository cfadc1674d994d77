"""Memory between pages that may not be touched, and processes that may crash: what a kernel reads or writes outside its arrays
becomes a test's failure that names the kernel."""
import ctypes
import mmap
import os
import pickle
import signal
import warnings

import numpy as np
import pytest

PAGE = mmap.PAGESIZE
READ, WRITE, NONE = 1, 2, 0
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Memory:
    """`pieces` runs of `size` bytes, each between two guard pages: beginning right behind one, or (high) ending right before
    one. Filled with 0xff, which is NaN in float32 and -1 in int64. Never freed: it goes with the process."""

    def __init__(self, pieces, size, high):
        self.pages = max(-(-size // PAGE), 1) * PAGE
        self.stride, self.size, self.pieces = self.pages + PAGE, size, pieces
        self.base = _libc.mmap(None, pieces * self.stride + PAGE, NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        assert self.base not in (None, ctypes.c_void_p(-1).value), "mmap failed"
        self.address = self.base + PAGE + (self.pages - size if high else 0)
        self.protect(READ | WRITE)
        for piece in range(pieces):
            self.bytes(piece)[...] = 0xff

    def protect(self, how):
        for piece in range(self.pieces):
            assert _libc.mprotect(self.base + PAGE + piece * self.stride, self.pages, how) == 0, "mprotect failed"

    def bytes(self, piece=0):
        return np.frombuffer((ctypes.c_uint8 * self.size).from_address(self.address + piece * self.stride), np.uint8)

    def array(self, dtype, shape, piece=0):
        return self.bytes(piece).view(dtype).reshape(shape)


def like(array, high):
    """The same array, strides included, in guarded memory from its first byte to its last -> (array, memory)."""
    reach = [(d - 1) * s for d, s in zip(array.shape, array.strides)]
    low = -sum(r for r in reach if r < 0)
    memory = Memory(1, low + sum(r for r in reach if r > 0) + array.itemsize, high)
    copy = np.ndarray(array.shape, array.dtype, memory.bytes(), low, array.strides)
    copy[...] = array
    return copy, memory


class Place:
    """Where an isolated function says what it is about to do."""

    def __init__(self):
        self.map = mmap.mmap(-1, PAGE)

    def say(self, what):
        self.map[:] = what.encode()[:PAGE - 1].ljust(PAGE, b"\0")

    def said(self):
        return self.map[:].rstrip(b"\0").decode()


def isolated(function):
    """Runs function(place) in a forked process -> what it returns. Its exceptions, and signals that end it, fail the test."""
    place = Place()
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)             # of forking with threads: the pool's are prepared
        child = os.fork()
    if child == 0:
        try:
            os.close(readable)
            try:
                message = pickle.dumps((None, function(place)))
            except BaseException as error:
                message = pickle.dumps((f"{type(error).__name__}: {error}", None))
            with os.fdopen(writable, "wb") as pipe:
                pipe.write(message)
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        message = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        pytest.fail(f"{signal.Signals(os.WTERMSIG(status)).name} in {place.said()}", pytrace=False)
    problem, result = pickle.loads(message)
    if problem:
        pytest.fail(f"{problem}\nat {place.said()}", pytrace=False)
    return result
