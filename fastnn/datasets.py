"""Data sets as NumPy arrays: the digits that come with the package, and folders of IDX files such as MNIST's;
others by name.

Images come as uint8 (N, channels, height, width), labels as int64 (N,): what `fit` takes (with `scale=` for the images)."""
import os

import numpy as np

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def load_digits(split="train"):
    """The UCI handwritten digits (E. Alpaydin, C. Kaynak; CC BY 4.0): images (N, 1, 8, 8) uint8 in 0..16, labels (N,) int64.

    split: "train" (1,442 images), "test" (355 held out: of each digit every fifth in the data set's order), "all" (both).
    The writers are the same in both parts, so the held-out part says little about new ones. ValueError: another split."""
    if split not in ("train", "test", "all"):
        raise ValueError(f'load_digits: split is "train", "test" or "all", not {split!r}')
    images = load_idx(os.path.join(FOLDER, "digits-images-idx3-ubyte.gz"))[:, None]
    labels = load_idx(os.path.join(FOLDER, "digits-labels-idx1-ubyte.gz")).astype(np.int64)
    if split == "all":
        return images, labels
    held_out = np.zeros(len(labels), bool)
    for digit in range(10):
        held_out[np.flatnonzero(labels == digit)[4::5]] = True
    chosen = held_out if split == "test" else ~held_out
    return images[chosen], labels[chosen]


def load_idx(path):
    """The array in an IDX file (http://yann.lecun.com/exdb/mnist), gzipped or not, in its shape and dtype (native byte order).

    ValueError, naming the file: not IDX, an unknown element type, cut short or too long, or broken gzip."""
    path = os.fspath(path)
    data = _read(path)
    if len(data) < 4 or data[0] or data[1] or data[2] not in DTYPES:
        raise ValueError(f"{path} is no IDX file: it starts with bytes {data[:4].hex(' ') or '(empty)'}, where 00 00, an "
                         f"element type ({', '.join(f'{t:02x}' for t in DTYPES)}) and the number of axes are expected")
    dtype, ndim = np.dtype(DTYPES[data[2]]), data[3]
    start = 4 + 4 * ndim
    if len(data) < start:
        raise ValueError(f"{path} is cut short: its header has {start} bytes, the file {len(data)}")
    shape = [int(n) for n in np.frombuffer(data, ">u4", ndim, 4)]
    size = dtype.itemsize
    for n in shape:
        size *= n
    if len(data) != start + size:
        problem = "is cut short" if len(data) < start + size else "is too long"
        raise ValueError(f"{path} {problem}: {tuple(shape)} of {dtype.name} need {start + size:,} bytes with the header, "
                         f"there are {len(data):,}")
    if ndim > 32:
        raise ValueError(f"{path} has {ndim} axes; 32 are the most that can be read")
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def load_idx_folder(folder):
    """MNIST and its look-alikes: -> (x_train, y_train), (x_test, y_test); images (N, 1, height, width) in the files' dtype,
    labels (N,) int64.

    The folder holds train-images*, train-labels*, t10k-images* (or test-images*) and t10k-labels* (or test-labels*), gzipped
    or not. FileNotFoundError: one is missing. ValueError: images and labels do not belong together, or not IDX."""
    folder = os.fspath(folder)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder} is no folder")
    return _load_pair(folder, "train"), _load_pair(folder, "t10k", "test")


def load_mnist(folder):
    """MNIST (LeCun, Cortes; http://yann.lecun.com/exdb/mnist) from a folder of its IDX files or one that holds them in mnist/:
    what load_idx_folder gives, 60,000 and 10,000 images (N, 1, 28, 28) uint8 in 0..255."""
    inside = os.path.join(os.fspath(folder), "mnist")
    return load_idx_folder(inside if os.path.isdir(inside) else folder)


def load_faces(path):
    """The ORL faces (Samaria, Harter 1994; AT&T Laboratories Cambridge): images (400, 1, 112, 92) uint8, labels (400,) int64,
    ten images of each of 40 people, in the data set's order.

    path: orl_faces.zip, or a folder that holds it, itself or in faces/; it holds s1/1.pgm to s40/10.pgm. FileNotFoundError: no
    such file. ValueError, naming file and member: no zip, or an image missing or not what it should be."""
    import zipfile
    path = _inside(path, "faces", "orl_faces.zip")
    images = np.empty((400, 1, 112, 92), np.uint8)
    try:
        with zipfile.ZipFile(path) as archive:
            for i in range(400):
                images[i, 0] = _pgm(path, archive, f"s{i // 10 + 1}/{i % 10 + 1}.pgm", images.shape[2:])
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is no sound zip file: {error}") from None
    return images, np.repeat(np.arange(40), 10)


def _inside(path, subfolder, name):
    """The file `name` in the folder `path` or in its subfolder; `path` where it is no folder."""
    path = os.fspath(path)
    if not os.path.isdir(path):
        return path
    places = [os.path.join(path, name), os.path.join(path, subfolder, name)]
    found = [place for place in places if os.path.exists(place)]
    if not found:
        raise FileNotFoundError(f"neither {' nor '.join(places)} exists")
    return found[0]


def _pgm(path, archive, member, shape):
    """The image in a member of a zip file, in binary PGM of 8 bits; it must have this shape."""
    height, width = shape
    header = b"P5\n%d %d\n255\n" % (width, height)
    try:
        data = archive.read(member)
    except KeyError:
        raise ValueError(f"{path} has no {member}") from None
    if not data.startswith(header) or len(data) != len(header) + height * width:
        raise ValueError(f"{path}: {member} is no binary PGM of {width}x{height} bytes")
    return np.frombuffer(data, np.uint8, offset=len(header)).reshape(shape)


def _load_pair(folder, *splits):
    images_path, labels_path = _find(folder, splits, "images"), _find(folder, splits, "labels")
    images, labels = load_idx(images_path), load_idx(labels_path)
    if images.ndim not in (3, 4):
        raise ValueError(f"{images_path}: images have 3 or 4 axes (N, height, width), here the shape is {images.shape}")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(f"{labels_path} holds {labels.dtype} {labels.shape}, but {images_path} has {len(images)} images: one "
                         f"whole number for each is expected")
    return (images[:, None] if images.ndim == 3 else images), labels.astype(np.int64)


def _find(folder, splits, kind):
    """The file of one part; unpacked goes before gzipped where both lie there."""
    names = [n for n in os.listdir(folder) if any(n.startswith(f"{split}-{kind}") for split in splits)]
    if not names:
        raise FileNotFoundError(f"{folder} has no file {' or '.join(f'{s}-{kind}*' for s in splits)} (IDX, gzipped or not)")
    return os.path.join(folder, min(names, key=lambda n: (n.endswith(".gz"), n)))


def _read(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] != b"\x1f\x8b":
        return data
    import gzip
    import zlib
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is no sound gzip file: {error}") from None
