"""The digits in the package, and IDX files: sound ones of every kind, and broken ones that must say what is wrong."""
import gzip
import hashlib

import numpy as np
import pytest

from fastnn import datasets

TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    code = TYPES[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + np.asarray(array, array.dtype.newbyteorder(">")).tobytes()


def write(path, data):
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_digits_are_the_uci_ones():
    images, labels = datasets.load_digits("all")
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.uint8 and labels.shape == (1797,) and labels.dtype == np.int64
    assert images.min() == 0 and images.max() == 16
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    digest = hashlib.sha256(images.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    assert digest == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def test_digits_are_scikit_learns():
    loaded = pytest.importorskip("sklearn.datasets").load_digits()
    images, labels = datasets.load_digits("all")
    assert np.array_equal(images[:, 0], loaded.images) and np.array_equal(labels, loaded.target)


def test_held_out_digits():
    (x, y), (xt, yt), (images, labels) = (datasets.load_digits(split) for split in ("train", "test", "all"))
    assert len(x) == len(y) == 1442 and len(xt) == len(yt) == 355
    assert np.bincount(yt).min() >= 34                          # every digit has its share
    parts = sorted(row.tobytes() for row in np.concatenate([x, xt]))
    assert parts == sorted(row.tobytes() for row in images)
    assert not {row.tobytes() for row in x} & {row.tobytes() for row in xt}
    again = datasets.load_digits("test")
    assert np.array_equal(again[0], xt) and np.array_equal(again[1], yt)
    with pytest.raises(ValueError, match="'validation'"):
        datasets.load_digits("validation")


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3, 4), (3, 1, 2, 2)])
def test_idx_round_trip(tmp_path, kind, ending, shape):
    array = np.asarray(np.random.default_rng(0).random(shape) * 100, kind)
    read = datasets.load_idx(write(tmp_path / f"a{ending}", idx_bytes(array)))
    assert read.dtype == array.dtype and read.dtype.isnative and read.shape == shape and np.array_equal(read, array)


SOUND = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
BROKEN = {
    "empty": (b"", "no IDX"), "short magic": (SOUND[:3], "no IDX"), "first byte": (b"\x01" + SOUND[1:], "no IDX"),
    "element type": (SOUND[:2] + b"\x0a" + SOUND[3:], "no IDX"),
    "header": (SOUND[:10], "cut short"), "data": (SOUND[:-1], "cut short"),
    "more data": (SOUND + b"\x00", "too long"), "huge": (SOUND[:4] + b"\xff" * 12 + SOUND[16:], "cut short"),
    "axes": (bytes([0, 0, 8, 255]) + bytes(4 * 255), "axes"), "text": (b"<html>not found</html>", "no IDX"),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_idx(tmp_path, name, ending):
    data, message = BROKEN[name]
    path = write(tmp_path / f"broken{ending}", data)
    with pytest.raises(ValueError, match=message) as caught:
        datasets.load_idx(path)
    assert str(path) in str(caught.value)


def test_broken_gzip(tmp_path):
    path = tmp_path / "a.gz"
    packed = gzip.compress(SOUND, mtime=0)
    for cut in range(2, len(packed)):
        path.write_bytes(packed[:cut])
        with pytest.raises(ValueError, match="a.gz"):
            datasets.load_idx(path)
    for place in range(2, len(packed)):                         # one byte wrong: an error that names the file, or harmless
        path.write_bytes(packed[:place] + bytes([packed[place] ^ 0x55]) + packed[place + 1:])
        try:
            assert np.array_equal(datasets.load_idx(path), datasets.load_idx(write(tmp_path / "sound", SOUND)))
        except ValueError as error:
            assert "a.gz" in str(error)


def make_folder(folder, images=(6, 4), names=("train", "t10k"), ending=""):
    rng = np.random.default_rng(1)
    made = []
    for split, count in zip(names, images):
        x, y = rng.integers(0, 256, (count, 5, 7)).astype(np.uint8), rng.integers(0, 10, count).astype(np.uint8)
        write(folder / f"{split}-images-idx3-ubyte{ending}", idx_bytes(x))
        write(folder / f"{split}-labels-idx1-ubyte{ending}", idx_bytes(y))
        made.append((x, y))
    return made


@pytest.mark.parametrize("names", [("train", "t10k"), ("train", "test")])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_folder(tmp_path, names, ending):
    made = make_folder(tmp_path, names=names, ending=ending)
    for (x, y), (images, labels) in zip(datasets.load_idx_folder(tmp_path), made):
        assert np.array_equal(x, images[:, None]) and x.dtype == np.uint8
        assert np.array_equal(y, labels) and y.dtype == np.int64


def test_idx_folder_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        datasets.load_idx_folder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"train-images\*"):
        datasets.load_idx_folder(tmp_path)
    make_folder(tmp_path)
    write(tmp_path / "t10k-labels-idx1-ubyte", idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(ValueError, match="has 4 images"):
        datasets.load_idx_folder(tmp_path)
    write(tmp_path / "t10k-images-idx3-ubyte", idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(ValueError, match="3 or 4 axes"):
        datasets.load_idx_folder(tmp_path)


def test_mnist_in_the_folder_or_below_it(tmp_path):
    images = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    (tmp_path / "mnist").mkdir()
    for split in ("train", "t10k"):
        write(tmp_path / "mnist" / f"{split}-images-idx3-ubyte.gz", idx_bytes(images))
        write(tmp_path / "mnist" / f"{split}-labels-idx1-ubyte.gz", idx_bytes(np.array([7, 2], np.uint8)))
    for folder in (tmp_path, tmp_path / "mnist"):
        for x, y in datasets.load_mnist(folder):
            assert np.array_equal(x, images[:, None]) and y.tolist() == [7, 2]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        datasets.load_mnist(tmp_path / "nowhere")
