"""A multi-layer perceptron, 784-256-128-10, on MNIST; without a folder of data, 64-128-10 on the digits in the package.

    python -m fastnn.examples.mlp [DATA]"""
import sys
import warnings

import fastnn as nn
from fastnn.datasets import load_digits, load_mnist
from fastnn.examples import _training as training
from fastnn.networks import MLP
from fastnn.results import Result

BATCH_SIZE = 64


def task(data):
    """(sizes, what takes bytes to [0, 1], the rate, epochs), the part to train on, the held-out part."""
    if data is None:
        return ([64, 128, 10], 1 / 16, 0.01, 30), load_digits("train"), load_digits("test")
    return ([784, 256, 128, 10], 1 / 255, 0.003, 15), *load_mnist(data)


def fit(recipe, training_part, *, seed, verbose="auto"):
    """A new network, trained by Adam; a fifth of the hidden neurons is left out in each step (dropout), so that none relies on
    another."""
    sizes, scale, lr, epochs = recipe
    nn.manual_seed(seed)
    return training.fit(MLP(sizes, activation="relu", dropout=0.2), training_part, nn.Adam(lr=lr), epochs=epochs,
                        batch_size=BATCH_SIZE, scale=scale, verbose=verbose)


def train(data=None, *, epochs=None, seed=0, quick=False):
    """The recipe; -> the trained network. `data`: a folder with MNIST; None: the embedded digits. quick: 5 epochs."""
    (*recipe, usual), training_part, held_out = task(data)
    model = fit((*recipe, epochs or (5 if quick else usual)), training_part, seed=seed)
    training.mistakes(model, held_out, 2)
    print(f"""
accuracy on {len(held_out[1]):,} digits it has not seen: {training.accuracy(model, held_out):.4f}

What to see: the network sees a row of numbers, not a picture (shuffle the pixels of all images alike, and it learns as well),
and yet its layers of neurons, each one no more than the example perceptron's, tell ten digits apart. What it takes for
something else is often unclear to us, too.""")
    return model


def results(data, *, seed=0):
    """MNIST and the embedded digits, beside scikit-learn's MLPClassifier: the same sizes, batch, epochs, Adam. Times are turn about
    the best of three, of MNIST, which takes long, of one."""
    for name, folder, bar, turns in (("digits", None, 0.97, 3), ("MNIST", data, 0.98, 1)):
        recipe, training_part, held_out = task(folder)
        fits = [(training.seconds(lambda: fit(recipe, training_part, seed=seed, verbose=0)),
                 scikit_learn(recipe, training_part, held_out, seed)) for _ in range(turns)]
        right, their_accuracy = training.accuracy(fits[0][0][0], held_out), fits[0][1][0]
        ours, theirs = min(took for (_, took), _ in fits), their_accuracy and min(took for _, (_, took) in fits)
        peer, note = ("scikit-learn MLPClassifier", f"{theirs / ours:.1f} times as fast; bar: 3") if theirs else ("", "")
        yield Result(f"{name}, test accuracy", right, max(bar, their_accuracy or 0), peer=peer, peer_value=their_accuracy)
        yield Result(f"{name}, seconds to train", ours, theirs and theirs / 3, False, peer, theirs, note)


def scikit_learn(recipe, training_part, held_out, seed):
    """(accuracy, seconds) of the same by scikit-learn at its own rate, (None, None) where it is not installed."""
    try:
        from sklearn.neural_network import MLPClassifier
    except ImportError:
        return None, None
    sizes, scale, _, epochs = recipe
    (x, y), (xt, yt) = [(images.reshape(len(images), -1).astype("float32") * scale, labels)
                        for images, labels in (training_part, held_out)]
    peer = MLPClassifier(sizes[1:-1], batch_size=BATCH_SIZE, alpha=0, max_iter=epochs, tol=0, n_iter_no_change=epochs + 1,
                         random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                         # it would like more epochs
        _, took = training.seconds(lambda: peer.fit(x, y))
    return float(peer.score(xt, yt)), took


if __name__ == "__main__":
    train(*sys.argv[1:2])
