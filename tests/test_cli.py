"""The command line, run as users run it. One short training serves all tests of what comes after it."""
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import fastnn as nn
from fastnn import cli, datasets
from fastnn.examples import mnist
from test_datasets import idx_bytes


def run(*arguments, cwd, status=0):
    """stdout of `python -m fastnn ...` (stderr where it fails), without the current folder's sources on the path."""
    done = subprocess.run([sys.executable, "-P", "-m", "fastnn", *map(str, arguments)], cwd=cwd, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr if status else done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    return folder, run("train", "--epochs", 3, "--seed", 1, cwd=folder)


def accuracy(text):
    return float(re.search(r"^test accuracy: (\d\.\d+)$", text, re.M)[1])


def test_train_reports_and_saves(trained):
    folder, text = trained
    assert len(re.findall(r"^epoch \d/3 ", text, re.M)) == 3
    assert accuracy(text) > 0.95
    assert os.listdir(folder) == ["digits.safetensors"]
    assert "nn.load('digits.safetensors')" in text


def test_the_saved_model_is_what_was_reported(trained):
    folder, text = trained
    images, labels = datasets.load_digits("test")
    found = nn.load(folder / "digits.safetensors").predict(images).argmax(1)
    assert f"{np.mean(found == labels):.4f}" == f"{accuracy(text):.4f}"


def test_evaluate(trained):
    folder, text = trained
    assert accuracy(run("evaluate", "digits.safetensors", cwd=folder)) == accuracy(text)


def test_predict(trained):
    folder, _ = trained
    images, labels = datasets.load_digits("test")
    found = np.array(run("predict", "digits.safetensors", cwd=folder).split(), int)
    assert np.mean(found == labels) > 0.95
    np.save(folder / "some.npy", images[:7, 0])
    (folder / "some.idx").write_bytes(idx_bytes(images[:7, 0]))
    for name in ("some.npy", "some.idx"):
        assert run("predict", "digits.safetensors", name, cwd=folder).split() == [str(d) for d in found[:7]]
        os.unlink(folder / name)


def test_summary_and_info(trained):
    folder, _ = trained
    assert "29,258" in run("summary", "digits.safetensors", cwd=folder)      # parameters
    text = run("info", cwd=folder)
    assert nn.__version__ in text and "backend" in text and "threads" in text


def test_the_same_seed_gives_the_same_file(trained, tmp_path):
    folder, _ = trained
    run("train", "--epochs", 3, "--seed", 1, "--output", "again.safetensors", cwd=tmp_path)
    assert (tmp_path / "again.safetensors").read_bytes() == (folder / "digits.safetensors").read_bytes()


def test_a_folder_of_idx_files(tmp_path, capsys, monkeypatch):
    x, y = datasets.load_digits("all")
    x, y = np.kron(x[:400, 0], np.ones((2, 2), np.uint8)) * 15, y[:400].astype(np.uint8)        # 16x16, bytes up to 240
    for split, part in (("train", slice(0, 300)), ("t10k", slice(300, 400))):
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(x[part]))
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(idx_bytes(y[part]))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--data", ".", "--epochs", "2", "--batch-size", "20"]) == 0
    text = capsys.readouterr().out
    assert "300 images of 16x16, 100 held out" in text and accuracy(text) > 0.5
    assert cli.main(["evaluate", "model.safetensors", "--data", "."]) == 0
    assert accuracy(capsys.readouterr().out) == accuracy(text)


def test_the_mnist_network_is_the_one_for_28x28():
    model = mnist.network()
    assert model.state_dict()["7.weight"].shape == (128, 9216)


@pytest.mark.parametrize("arguments, message", [
    (("evaluate", "gone.safetensors"), "gone.safetensors"), (("train", "--data", "nowhere"), "nowhere"),
    (("predict", "text.safetensors"), "text.safetensors"), (("summary", "."), "directory")])
def test_errors_are_one_line(tmp_path, capsys, monkeypatch, arguments, message):
    (tmp_path / "text.safetensors").write_text("this is a text that somebody gave another name")
    monkeypatch.chdir(tmp_path)
    assert cli.main(list(arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith("fastnn: ") and message in error and error.count("\n") == 1


@pytest.mark.parametrize("arguments", [(), ("fly",), ("train", "--epochs", "0"), ("train", "--lr", "nan"), ("evaluate",)])
def test_wrong_arguments(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(list(arguments))
    assert stopped.value.code == 2 and "usage" in capsys.readouterr().err


def test_the_code_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    path = pathlib.Path(__file__).parent.parent / "README.md"
    if not path.exists():
        pytest.skip("no README beside the tests")
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.S)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 3 and names["history"].history["accuracy"][-1] > 0.9
    assert np.mean(names["model"].predict(names["images"]).argmax(1) == names["labels"]) > 0.95
