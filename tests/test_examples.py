"""The guide, module by module on its small setting: what it prints is what it computed, and what it says of that is so."""
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import fastnn as nn
from fastnn import networks
from fastnn.datasets import load_digits
from fastnn.examples import autoencoder as autoencoders
from fastnn.examples._training import accuracy

EXAMPLES = Path(nn.__file__).parent / "examples"
CHECKS = {}                                         # module -> what is checked of (what it returned, what it printed)


def guide(check):
    """A check of the module of its name, in the guide's order."""
    CHECKS[check.__name__] = check
    return check


def close(pair):
    """By hand and by the package: equal."""
    np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-6)


def figure(text, pattern):
    """The number that stands in the text after the pattern."""
    (number,) = re.findall(pattern + r"\s*(-?[\d.]+(?:e-?\d+)?)(?!\d)", text)
    return float(number.rstrip("."))


@guide
def perceptron(model, text):
    assert model.predict(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)).tolist() == [0, 0, 0, 1]
    assert re.findall(r"(AND|OR|XOR):|^(NOT learned|learned)", text, re.M) == [
        (name, "") if name else ("", found) for name, found in
        (("AND", 0), (0, "learned"), ("OR", 0), (0, "learned"), ("XOR", 0), (0, "NOT learned"))]


@guide
def layers(found, text):
    assert found["xor"].tolist() == [0, 1, 1, 0] and "1  0     1  0    1" in text
    assert found["learned"] == 4 and "4 of 4 right" in text
    assert found["counted"] == found["parameters"] == figure(text, "the package counts") == 2410


@guide
def forward_propagation(found, text):
    close((found["by hand"], found["package"]))
    assert text.count(str(found["by hand"].round(4))) == 2
    assert found["difference"] < 1e-6 and figure(text, "no number differs by more than") < 1e-6
    assert 0.1 < found["likeliest"] < 0.3           # "about equally likely"


@guide
def loss(found, text):
    for pair in found.values():
        close(pair)
    assert figure(text, re.escape("(0.25 + 0.25 + 0 + 1) / 4 =")) == 0.375 and "log 10 = 2.3026" in text
    assert abs(found["squared"][0]) < abs(found["entropy"][0]) / 100
    assert figure(text, "the squared error:") == pytest.approx(found["squared"][0], rel=1e-2)


@guide
def backpropagation(found, text):
    close(found["loss"])
    assert list(found["package"]) == ["0.weight", "0.bias", "2.weight", "2.bias", "the input"]
    assert max(found["package"].values()) < 1e-6 and figure(text, "hand and package:") < 1e-6
    assert max(found["tried"].values()) < 1e-3


@guide
def gradient_descent(found, text):
    valley, digits = found["valley"], found["digits"]
    assert valley["with momentum"] < 1e-9 < valley["right"] < 0.1 < 10 < valley["too small"] < 75 < valley["too large"]
    assert found["difference"] < 1e-4 and figure(text, "differs by more than") < 1e-4
    assert min(digits["right"], digits["with momentum"]) > 0.85 > 0.5 > max(digits["too small"], digits["too large"])
    assert [float(read) for read in re.findall(r"read right (\S+)", text)] == pytest.approx(list(digits.values()), abs=6e-4)


@guide
def activations(found, text):
    assert found["worst"] < 1e-6
    close(found["softmax"])
    first_to_last = {name: sizes[0] / sizes[-1] for name, sizes in found["sizes"].items()}
    assert first_to_last["sigmoid"] < 1e-3 < 0.1 < min(first_to_last[name] for name in ("tanh", "relu", "leaky relu"))
    assert text.count("derivative  ") == 4


@guide
def convolution(found, text):
    close(found["strongest"])
    close(found["means"])
    assert found["difference"] < 1e-6 and found["shifted"] < 1e-6
    assert figure(text, r"F\.conv2d says") == pytest.approx(found["strongest"][0], abs=1e-4)
    assert "##++==++++==--" in text and "  ##..##..  " in text


def reads_digits(at_least):
    """A check that the printed share of the unseen digits is what the returned model reads right, and enough."""
    def check(model, text):
        right = accuracy(model, load_digits("test"))
        assert figure(text, "accuracy on 355 digits it has not seen:") == pytest.approx(right, abs=1e-4) and right > at_least
    return check


@guide
def mlp(model, text):
    reads_digits(0.9)(model, text)


@guide
def cnn(model, text):
    reads_digits(0.85)(model, text)
    assert "that it takes for a" in text and f"needs {model.get_submodule('1.0').weight.data.size} weights" in text


@guide
def resnet(model, text):
    right = accuracy(model, load_digits("test"))
    assert isinstance(model, networks.ResNet) and "20 layers without shortcuts" in text
    assert figure(text, "    20 layers with shortcuts:") == pytest.approx(right, abs=1e-4)


@guide
def autoencoder(model, text):
    _, held_out = autoencoders.images(None)
    error = np.mean((model.reconstruct(held_out) - held_out) ** 2)
    assert figure(text, "digits it has not seen") == pytest.approx(error, abs=1e-5)
    assert "PCA" in text and "nobody wrote" in text and "@" in text


@guide
def boltzmann(model, text):
    assert isinstance(model, networks.RBM) and text.count("@") > 20
    assert figure(text, "softmax on features:") > 0.85


@guide
def gan(model, text):
    assert model.sample(2).shape == (2, 1, 8, 8) and "nobody wrote" in text


@guide
def rnn(model, text):
    (x, y), right = load_digits("test"), figure(text, "digits it has not seen:")
    assert np.mean(model.predict(x[:, 0] / 16).argmax(1) == y) == pytest.approx(right, abs=1e-4) and right > 0.3


@guide
def language_model(model, text):
    cost = figure(text, "the held-out text costs it")
    assert cost < np.log(len(model.vocabulary)) - 0.5
    assert figure(text, "guess among") == pytest.approx(np.exp(cost), abs=0.1)


@guide
def svm(model, text):
    reads_digits(0.98)(type("Scores", (), {"predict": lambda self, x: np.eye(10)[model.predict(x / 16)]})(), text)
    assert figure(text, "digits are") == len(model.support_) and "@@" in text


@guide
def speech(model, text):
    assert figure(text, "that it has not heard:") > 0.15 and "understood as" in text


@guide
def faces(model, text):
    assert model.predict(np.zeros((1, 1, 112, 92), np.uint8)).shape == (1, 4)
    assert figure(text, "chance would be") == 0.25 <= figure(text, "images it has not seen:")


@guide
def stocks(model, text):
    errors = {name: figure(text, name + r"\s+error") for name in ("lstm", "linear", "naive")}
    assert "252 days" in text and max(errors.values()) < 1.2 * errors["naive"]


NEED_DATA = ("speech", "faces", "stocks")
PICTURES = ("layers", "gradient_descent", "convolution") if importlib.util.find_spec("matplotlib") else ()


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name == "speech" else ()) for name in CHECKS])
def test_the_guide(name, request, tmp_path, capsys):
    module, arguments = importlib.import_module(f"fastnn.examples.{name}"), ()
    if name in NEED_DATA:
        arguments = (request.getfixturevalue("data_folder"),)
    elif name in PICTURES:
        arguments = (tmp_path / "picture.png",)
    run = getattr(module, "main", None) or module.train
    CHECKS[name](run(*arguments, quick=True), capsys.readouterr().out)
    if name in PICTURES:
        assert arguments[0].read_bytes()[:4] == b"\x89PNG"


def test_the_readme_lists_the_guide():
    text = (Path(__file__).resolve().parents[1] / "README.md").read_text()
    assert re.findall(r"`python -m fastnn\.examples\.(\w+)", text) == list(CHECKS)
    modules = {path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith("_")}
    assert modules - set(CHECKS) == {"digits", "mnist"}         # what `python -m fastnn train` runs
