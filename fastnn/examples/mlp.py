"""A multi-layer perceptron, 784-256-128-10, on MNIST; without a folder of data, a small one on the digits in the package.

    python -m fastnn.examples.mlp [DATA]"""
import sys

import numpy as np

import fastnn as nn
from fastnn.datasets import load_digits, load_mnist
from fastnn.networks import MLP
from fastnn.results import Result


def train(data=None, *, epochs=None, seed=0, quick=False):
    """The recipe; -> the trained network. `data`: a folder with MNIST; None: the embedded digits. quick: a few epochs."""
    nn.manual_seed(seed)
    if data is None:
        (x, y), (xt, yt), scale, sizes = load_digits("train"), load_digits("test"), 1 / 16, [64, 128, 10]
    else:
        ((x, y), (xt, yt)), scale, sizes = load_mnist(data), 1 / 255, [784, 256, 128, 10]
    epochs = epochs or (5 if quick else 15 if data else 30)
    model = MLP(sizes, activation="relu")
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=0.001), metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=epochs, scale=scale)
    accuracy = model.evaluate(xt, yt, return_dict=True)["accuracy"]
    print(f"accuracy on {len(yt):,} digits it has not seen: {accuracy:.4f}. The loss above is of the training digits: it goes on\n"
          "falling when the accuracy on new ones no longer rises, as the network begins to learn its examples by heart.")
    return model


def results(data, *, seed=0):
    """MNIST and the embedded digits."""
    for name, folder, held_out, bar in (("MNIST", data, load_mnist(data)[1], 0.98), ("digits", None, load_digits("test"), 0.97)):
        found = train(folder, seed=seed).predict(held_out[0]).argmax(1)
        yield Result(f"{name}, test accuracy", np.mean(found == held_out[1]), bar)


if __name__ == "__main__":
    train(*sys.argv[1:2])
