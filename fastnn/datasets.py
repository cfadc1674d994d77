"""Data sets as NumPy arrays: the digits that come with the package, folders of IDX files such as MNIST's, faces, spoken digits,
a text, prices.

Images come as uint8 (N, channels, height, width), labels as int64 (N,): what `fit` takes (with `scale=` for the images)."""
import os
from typing import NamedTuple

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


class SpokenDigits(NamedTuple):
    """Recordings: `signals` a list of int16 arrays, one a recording, of `rate` samples a second; `digits` (N,) int64 0..9;
    `speakers` (N,) names; `takes` (N,) int64, which of a speaker's recordings of a digit."""
    signals: list
    digits: np.ndarray
    speakers: np.ndarray
    takes: np.ndarray
    rate: int


def load_spoken_digits(folder):
    """The Free Spoken Digit Dataset (Z. Jackson and others, CC BY-SA 4.0) -> SpokenDigits, in the order of the files' names.

    folder: holds recordings.zip or fsdd/recordings.zip, or is such a file's path; in it {digit}_{speaker}_{take}.wav. Its
    official test part are the takes 0 to 4. FileNotFoundError: no such file. ValueError: a recording that is not 16-bit mono,
    or rates that differ."""
    import zipfile
    path, found, rates = _place(folder, "recordings.zip", "fsdd"), [], set()
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(n for n in archive.namelist() if n.endswith(".wav")):
                digit, speaker, take = os.path.basename(name)[:-len(".wav")].split("_")
                signal, rate = _wav(f"{path}: {name}", archive.read(name))
                found.append((signal, int(digit), speaker, int(take)))
                rates.add(rate)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is no sound zip file: {error}") from None
    if len(rates) != 1:
        raise ValueError(f"{path}: recordings of one rate are expected, there are {sorted(rates)} samples a second")
    signals, digits, speakers, takes = zip(*found)
    return SpokenDigits(list(signals), np.array(digits), np.array(speakers), np.array(takes), rates.pop())


def _wav(name, data):
    """(samples int16, samples a second) of a RIFF file with one channel of 16 bits."""
    import io
    import wave
    try:
        with wave.open(io.BytesIO(data)) as wav:
            if (wav.getnchannels(), wav.getsampwidth()) != (1, 2):
                raise ValueError(f"{name}: {wav.getnchannels()} channels of {8 * wav.getsampwidth()} bits; one of 16 is "
                                 "expected")
            return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(np.int16), wav.getframerate()
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{name} is no sound wav file: {error}") from None


def load_text(folder, held_out=0.1):
    """A text in two parts -> (the first, the last `held_out` of its characters): by default tiny Shakespeare (A. Karpathy).

    folder: holds input.txt or tinyshakespeare/input.txt, in UTF-8; or the path of such a file. FileNotFoundError: no such file.
    ValueError: not UTF-8, or a share that is not in (0, 1)."""
    if not 0 < held_out < 1:
        raise ValueError(f"load_text: held_out must be between 0 and 1, got {held_out!r}")
    path = _place(folder, "input.txt", "tinyshakespeare")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}") from None
    cut = int(len(text) * (1 - held_out))
    return text[:cut], text[cut:]


def load_prices(folder, column="adjclose"):
    """Daily prices -> dates (N,) datetime64[D], ascending, and prices (N,) float64: by default the S&P 500.

    folder: holds sp500-2000.csv or stocks/sp500-2000.csv, or is the path of a CSV file with a header, a column `date` (ISO) and
    the column asked for. FileNotFoundError: no such file. ValueError: no such column, no number, a price that is not positive,
    or dates that do not ascend."""
    import csv
    path = _place(folder, "sp500-2000.csv", "stocks")
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        dates = np.array([row["date"] for row in rows], "datetime64[D]")
        prices = np.array([row[column] for row in rows], np.float64)
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: columns date and {column} of dates and numbers are expected: {error!r}") from None
    if not (np.isfinite(prices) & (prices > 0)).all() or not (np.diff(dates) > np.timedelta64(0)).all():
        raise ValueError(f"{path}: positive prices and ascending dates are expected")
    return dates, prices


def _place(folder, name, inside):
    """The path of a file that lies in `folder` or in the folder `inside` of it, or is `folder` itself."""
    if folder is None:
        raise ValueError(f"give the folder of data that holds {inside}/{name}: none comes with the package")
    folder = os.fspath(folder)
    for path in (folder, os.path.join(folder, name), os.path.join(folder, inside, name)):
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(f"{folder} has no {name} and no {inside}/{name}")
