"""What random ops share: numbers that follow from counters alone (Philox4x32-10), so that layout, threads, batch and backend
give the same ones. An op `name(x, seed, step, *, stream, images, ...)` calls `uniforms` in its reference and `draw` in its
public function; its kernel calls philox.h's philox_strip."""
import numpy as np

from ..graph import current, functions, is_symbolic

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


def uniforms(x, seed, step, stream, images):
    """Numbers in [0, 1) of x's shape, of 24 bits: word i & 3 of the block (image, i >> 2, step) for element i of an image.
    images: how many x holds, None: one a row of axis 0."""
    images = x.shape[0] if images is None else images
    count = x.size // images if images else 0
    with np.errstate(over="ignore"):
        image = np.arange(images, dtype=np.uint64)[:, None]
        block = np.arange(-(-count // 4), dtype=np.uint64)[None, :]
        zero = np.zeros((images, block.size), np.uint64)
        low, high = (np.uint64(int(step) >> shift & 0xFFFFFFFF) for shift in (0, 32))
        words = philox((zero + image, zero + block, zero + low, zero + high), (int(seed) & 0xFFFFFFFF, stream & 0xFFFFFFFF))
    wholes = np.stack(words, axis=2).reshape(images, 4 * block.size)[:, :count] >> np.uint64(8)
    return (wholes * 2.0 ** -24).reshape(x.shape)


def draw(op, x, seed, step, **attrs):
    """`op` of x (an array, or a value of one axis or more). On values seed and step are read at every run, and each random node
    has a stream of its own; on arrays the seed is by default a new draw from the generator that manual_seed sets."""
    session = current() if is_symbolic(x) else None
    if session is None:                             # random.py's next_seed, set by functional.py: ops import the graph alone
        return op(x, functions["next_seed"]() if seed is None else seed, step or 0, stream=0, images=_images(x), **attrs)
    seed = session.slot("seed", "int64") if seed is None else seed
    step = session.slot("step", "int64") if step is None else step
    return op(x, seed, step, stream=next(session.streams), images=_images(x), **attrs)


def _images(x):
    """How many images x holds: None for one a row of axis 0, else the batch where axis 0 is a multiple of it, else 1."""
    session = current() if is_symbolic(x) else None
    if session is None or x.ndim and x.shape[0] == session.rows:
        return None
    return session.rows if x.ndim and session.rows and x.shape[0] % session.rows == 0 else 1
