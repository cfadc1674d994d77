"""MLP: what it is made of, what it refuses, and what it learns."""
import os

import numpy as np
import pytest

import fastnn as nn
from fastnn import cli
from fastnn.datasets import load_digits
from fastnn.examples import mlp
from fastnn.networks import MLP


def test_layers_and_activations():
    model = MLP([784, 256, 128, 10])
    assert [type(layer).__name__ for layer in model] == ["Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert sum(p.data.size for p in model.parameters()) == 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10
    assert model.predict(np.zeros((3, 1, 28, 28), np.uint8)).shape == (3, 10)
    assert isinstance(MLP([2, 3, 1], "tanh", dropout=0.5)[3], nn.Dropout)
    assert isinstance(MLP([2, 3, 1], nn.Sigmoid)[2], nn.Sigmoid)
    assert isinstance(MLP((2, 3, 1), "leaky_relu")[2], nn.LeakyReLU) and len(MLP([4, 2])) == 2
    assert type(model[:3]) is nn.Sequential and model[:3][1] is model[1]


@pytest.mark.parametrize("sizes, activation, message", [([5], "relu", "at least"), ([5, 0], "relu", r"sizes\[1\]"),
                                                        ([5, 2.5], "relu", r"sizes\[1\]"), ([2, 2, 2], "sine", "'sine'")])
def test_what_it_refuses(sizes, activation, message):
    with pytest.raises((TypeError, ValueError), match=f"MLP: .*{message}"):
        MLP(sizes, activation)


def test_the_example_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--model", "mlp", "--epochs", "8", "--seed", "1"]) == 0
    assert os.listdir(tmp_path) == ["mlp.safetensors"] and "digits it has not seen" in capsys.readouterr().out
    images, labels = load_digits("test")
    assert np.mean(nn.load("mlp.safetensors").predict(images).argmax(1) == labels) > 0.93


@pytest.mark.slow
def test_mnist(data_folder):
    rows = list(mlp.results(data_folder))
    assert rows and all(row.holds for row in rows), rows
