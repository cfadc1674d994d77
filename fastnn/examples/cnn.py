"""Convolutional networks: SmallCNN and LeNet5 on MNIST; without a folder of data, a small one on the digits in the package.

    python -m fastnn.examples.cnn [DATA]"""
import sys

import fastnn as nn
from fastnn.datasets import load_digits, load_mnist
from fastnn.examples import _training as training
from fastnn.networks import LeNet5, SmallCNN
from fastnn.results import Result

# network, the highest rate, epochs, pixels by which images are shifted in training (a digit is the same digit elsewhere); what
# it must reach
ON_MNIST = {"LeNet5": (lambda: LeNet5(classes=10), 0.05, 12, 1, 0.99),
            "SmallCNN": (lambda: SmallCNN(in_channels=1, classes=10), 0.05, 12, 2, 0.994)}


def fit(name, training_part, *, epochs=None, seed=0, verbose="auto"):
    """A network of ON_MNIST, new and trained."""
    network, lr, usual, shift, _ = ON_MNIST[name]
    nn.manual_seed(seed)
    model = nn.Sequential(nn.RandomShift(shift), network())
    return training.fit(model, training_part, training.sgd(lr), epochs=epochs or usual, verbose=verbose)


def train(data=None, *, epochs=None, seed=0, quick=False):
    """The recipe; -> the trained network: SmallCNN on MNIST, where `data` is its folder; else a smaller one on the embedded
    digits. quick: 3 epochs."""
    epochs = epochs or (3 if quick else None)
    if data is None:
        nn.manual_seed(seed)
        training_part, held_out = load_digits("train"), load_digits("test")
        model = nn.Sequential(nn.RandomShift(0), SmallCNN(in_channels=1, classes=10, widths=(16, 32)))
        training.fit(model, training_part, nn.Adam(lr=0.01), epochs=epochs or 20, batch_size=32, scale=1 / 16)
    else:
        training_part, held_out = load_mnist(data)
        model = fit("SmallCNN", training_part, epochs=epochs, seed=seed)
    weight = model.get_submodule("1.0").weight.data
    training.mistakes(model, held_out, 2)
    print(f"""
accuracy on {len(held_out[1]):,} digits it has not seen: {training.accuracy(model, held_out):.4f}

What to see: each neuron of the first layer looks at 3x3 pixels only, and all neurons of a map use the same nine weights, the
first map's are
{chr(10).join("    " + " ".join(f"{w:6.2f}" for w in row) for row in weight[0, 0])}
So the layer needs {weight.size} weights, and finds its stroke or edge wherever it lies. Pooling makes the picture
coarser, the layers behind see larger parts of it: compare the accuracy with the example mlp's.""")
    return model


def results(data, *, seed=0):
    """MNIST, beside PyTorch: the same layers, rates and epochs; the peer's images are not shifted."""
    training_part, held_out = load_mnist(data)
    for name, (network, lr, epochs, _, bar) in ON_MNIST.items():
        model, ours = training.seconds(lambda: fit(name, training_part, seed=seed))
        theirs, took = training.pytorch(network(), training_part, held_out, lr=lr, epochs=epochs, seed=seed)
        peer = "PyTorch" if theirs else ""
        yield Result(f"{name} on MNIST, test accuracy", training.accuracy(model, held_out), bar, peer=peer, peer_value=theirs)
        yield Result(f"{name}, seconds an epoch", ours / epochs, higher=False, peer=peer, peer_value=took and took / epochs)


if __name__ == "__main__":
    train(*sys.argv[1:2])
