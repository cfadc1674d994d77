"""The process-wide source of random numbers: initialisation and shuffling draw from it, dropout takes its keys from it.

Philox4x32-10 in NumPy's Generator, made at the first draw (numpy.random costs time to import). Without `manual_seed` the seed
comes from the operating system. Drawing is safe from several threads; the order in which they draw is then theirs."""
import operator
import os
import threading

import numpy as np

__all__ = ["manual_seed", "initial_seed"]

_lock = threading.RLock()
_seed = _generator = None


def manual_seed(seed):
    """Fixes every random number that follows: initialisation, shuffling, dropout. `seed`: an integer >= 0. Returns it."""
    global _seed, _generator
    seed = operator.index(seed)
    if seed < 0:
        raise ValueError(f"manual_seed: seed must be >= 0, got {seed}")
    with _lock:
        _seed, _generator = seed, None
    return seed


def initial_seed():
    """The seed in use: manual_seed's, or the one drawn from the operating system."""
    generator()
    return _seed


def generator():
    """The np.random.Generator behind everything here."""
    global _seed, _generator
    with _lock:
        if _generator is None:
            if _seed is None:
                _seed = int.from_bytes(os.urandom(8), "little") >> 1
            _generator = np.random.Generator(np.random.Philox(_seed))
        return _generator


def uniform(shape, bound):
    """float32 array, uniform in [-bound, bound)."""
    with _lock:
        draw = generator().random(shape, dtype=np.float32)
    draw -= np.float32(0.5)
    draw *= np.float32(2 * bound)
    return draw


def normal(shape, std=1.0):
    """float32 array, normal with mean 0 and this standard deviation."""
    with _lock:
        draw = generator().standard_normal(shape, dtype=np.float32)
    draw *= np.float32(std)
    return draw


def integers(below, shape):
    """int64 array, uniform in 0 .. below-1."""
    with _lock:
        return generator().integers(below, size=shape, dtype=np.int64)


def permutation(n):
    """0 .. n-1 in random order, int64."""
    with _lock:
        return generator().permutation(n).astype(np.int64, copy=False)


def next_seed():
    """A new key for dropout's generator: an int in [0, 2**63)."""
    with _lock:
        return int(generator().integers(0, 2**63 - 1, dtype=np.int64))


def get_state():
    """The generator's state as a dict of ints, strings and lists (it goes into JSON); see set_state."""
    with _lock:
        state = generator().bit_generator.state
        return {"seed": _seed, "counter": [int(i) for i in state["state"]["counter"]],
                "key": [int(i) for i in state["state"]["key"]], "buffer": [int(i) for i in state["buffer"]],
                **{name: int(state[name]) for name in ("buffer_pos", "has_uint32", "uinteger")}}


def set_state(state):
    """Goes on where get_state was called."""
    global _seed, _generator
    with _lock:
        bits = np.random.Philox(0)
        bits.state = {"bit_generator": "Philox", "buffer": np.array(state["buffer"], np.uint64),
                      **{name: state[name] for name in ("buffer_pos", "has_uint32", "uinteger")},
                      "state": {"counter": np.array(state["counter"], np.uint64), "key": np.array(state["key"], np.uint64)}}
        _seed, _generator = state["seed"], np.random.Generator(bits)
