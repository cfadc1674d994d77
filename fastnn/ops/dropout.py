"""Dropout: elements are zeroed with probability p, the others divided by 1 - p. Which ones follows from counters alone
(Philox4x32-10), so that layout, threads and backend give the same mask and the gradient computes it again."""
import numpy as np

from ..graph import current, functions, is_symbolic, op
from . import _arguments as arguments

__all__ = ["dropout", "dropout_backward"]
WORD = np.uint64(0xFFFFFFFF)


def philox(counter, key):
    """Philox4x32-10: counter, four arrays of 32-bit words held in uint64; key, two words. -> four such arrays.
    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011."""
    c0, c1, c2, c3 = counter
    k0, k1 = (np.uint64(k) for k in key)
    for _ in range(10):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (b >> np.uint64(32)) ^ c1 ^ k0, b & WORD, (a >> np.uint64(32)) ^ c3 ^ k1, a & WORD
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & WORD, (k1 + np.uint64(0xBB67AE85)) & WORD
    return c0, c1, c2, c3


def uniforms(images, count, seed, step, stream):
    """(images, count) numbers in [0, 1), of 24 bits: word i & 3 of the block (image, i >> 2, step)."""
    with np.errstate(over="ignore"):
        image = np.arange(images, dtype=np.uint64)[:, None]
        block = np.arange(-(-count // 4), dtype=np.uint64)[None, :]
        zero = np.zeros((images, block.size), np.uint64)
        low, high = (np.uint64(int(step) >> shift & 0xFFFFFFFF) for shift in (0, 32))
        words = philox((zero + image, zero + block, zero + low, zero + high), (int(seed) & 0xFFFFFFFF, stream & 0xFFFFFFFF))
    return (np.stack(words, axis=2).reshape(images, 4 * block.size)[:, :count] >> np.uint64(8)) * 2.0 ** -24


@op("dropout", shape=lambda x, seed, step, **attrs: x, rows=1)
def _dropout(x, seed, step, *, p, stream, images):
    images = x.shape[0] if images is None else images
    keep = uniforms(images, x.size // images if images else 0, seed, step, stream).reshape(x.shape) >= p
    return np.where(keep, x / x.dtype.type(1 - p) if p < 1 else x, x.dtype.type(0))


@_dropout.gradient
def _(dy, x, seed, step, out, **attrs):
    return _dropout(dy, seed, step, **attrs), None, None


@_dropout.lower
def _(emit, x, seed, step, out, *, p, stream, images):
    emit("dropout", y=out, x=x, count=emit.prod(emit.shape(x)), seed=seed, step=step, stream=stream, p=p)


def _images(x):
    """How many images x holds: None for one a row of axis 0, else the batch where axis 0 is a multiple of it, else 1."""
    session = current() if is_symbolic(x) else None
    if session is None or x.ndim and x.shape[0] == session.rows:
        return None
    return session.rows if x.ndim and session.rows and x.shape[0] % session.rows == 0 else 1


def _check_p(name, p):
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p must be between 0 and 1, it is {p}")
    return float(p)


def dropout(x, p=0.5, training=True, inplace=False, *, seed=None, step=None):
    """x with every element zeroed with probability p and the others divided by 1 - p; x itself where not training or p is 0.

    seed, step: integers that, with the place of the element, decide the mask; by default a new draw from the generator that
    manual_seed sets (on values: read at every run). inplace: accepted for PyTorch's sake, no effect. Raises ValueError unless 0 <= p <= 1.
    Source: Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, JMLR 15, 2014."""
    x, p = arguments.check_float("dropout", "x", x), _check_p("dropout", p)
    if not training or p == 0:
        return x
    if x.ndim == 0:
        return dropout(x.reshape((1,)), p, seed=seed, step=step).reshape(())
    session = current() if is_symbolic(x) else None
    if session is None:
        return _dropout(x, _new_seed() if seed is None else seed, step or 0, p=p, stream=0, images=_images(x))
    seed = session.slot("seed", "int64") if seed is None else seed
    step = session.slot("step", "int64") if step is None else step
    return _dropout(x, seed, step, p=p, stream=next(session.streams), images=_images(x))


def _new_seed():
    return functions["next_seed"]()                 # random.py's, set by functional.py: ops import the graph alone


def dropout_backward(grad_output, x, p=0.5, training=True, *, seed, step=0):
    """The gradient of dropout with respect to x, for the seed and step that the forward was given."""
    grad_output, x = arguments.floats("dropout_backward", grad_output=grad_output, x=x)
    arguments.check_shape("dropout_backward", "grad_output", grad_output, x.shape, ", as x")
    return dropout(grad_output, p, training, seed=seed, step=step)
