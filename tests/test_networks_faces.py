"""The faces: the loader on archives sound and broken, and what the network makes of the real ones."""
import zipfile

import numpy as np
import pytest

from fastnn.datasets import load_faces
from fastnn.examples import faces

HEADER = b"P5\n92 112\n255\n"


def archive(path, change=None):
    """A zip file of 400 images, each of one grey of its own, the change made to it: {name: bytes, or None to leave it out}."""
    with zipfile.ZipFile(path, "w") as file:
        for i in range(400):
            name = f"s{i // 10 + 1}/{i % 10 + 1}.pgm"
            data = (change or {}).get(name, HEADER + bytes([i % 251]) * (112 * 92))
            if data is not None:
                file.writestr(name, data)
    return path


def test_the_loader(tmp_path):
    (tmp_path / "faces").mkdir()
    path = archive(tmp_path / "faces" / "orl_faces.zip")
    for place in (tmp_path, tmp_path / "faces", path):
        images, labels = load_faces(place)
        assert images.shape == (400, 1, 112, 92) and images.dtype == np.uint8 and labels.dtype == np.int64
        assert (images == (np.arange(400) % 251).astype(np.uint8)[:, None, None, None]).all()
        assert labels.tolist() == [person for person in range(40) for _ in range(10)]


@pytest.mark.parametrize("data, message", [
    (None, "has no s3/7.pgm"), (b"P5\n9 9\n255\n" + b"." * 81, "s3/7.pgm is no binary PGM"),
    (HEADER + b"short", "s3/7.pgm is no binary PGM of 92x112")])
def test_broken_archives(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        load_faces(archive(tmp_path / "a.zip", {"s3/7.pgm": data}))


def test_what_is_no_archive(tmp_path):
    with pytest.raises(FileNotFoundError, match="orl_faces.zip"):
        load_faces(tmp_path)
    (tmp_path / "orl_faces.zip").write_text("a text")
    with pytest.raises(ValueError, match="no sound zip file"):
        load_faces(tmp_path)
    with pytest.raises(ValueError, match="--data"):
        faces.train()


@pytest.mark.slow
def test_the_results(data_folder):
    rows = list(faces.results(data_folder))
    assert len(rows) == 1 and rows[0].holds, rows
