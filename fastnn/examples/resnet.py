"""Residual networks: why a deep network needs shortcuts, on the digits in the package; with a folder of data, MNIST.

    python -m fastnn.examples.resnet [DATA]"""
import sys

import fastnn as nn
from fastnn.datasets import load_digits, load_mnist
from fastnn.examples import _training as training
from fastnn.networks import ResNet
from fastnn.results import Result


def on_digits(depth, shortcuts, *, epochs=10, seed=0, verbose="auto"):
    """A thin network of that depth, trained on the embedded digits; -> (model, its accuracy on the held-out ones)."""
    nn.manual_seed(seed)
    model = ResNet(depth, width=8, in_channels=1, classes=10, shortcuts=shortcuts)
    training.fit(model, load_digits("train"), training.sgd(0.1), epochs=epochs, batch_size=32, scale=1 / 16, verbose=verbose)
    return model, training.accuracy(model, load_digits("test"))


def on_mnist(training_part, *, epochs=10, seed=0, verbose="auto"):
    """Eight layers, the images shifted by up to two pixels; -> the trained model."""
    nn.manual_seed(seed)
    model = nn.Sequential(nn.RandomShift(2), ResNet(8, width=16, in_channels=1, classes=10))
    return training.fit(model, training_part, training.sgd(0.1), epochs=epochs, verbose=verbose)


def train(data=None, *, epochs=None, seed=0, quick=False):
    """Without `data`: 8 and 56 layers with and without shortcuts, -> the one of 56 with them; else -> the one of eight layers,
    trained on MNIST. quick: the embedded digits, 8 and 20 layers, 3 epochs."""
    if data is not None:
        training_part, held_out = load_mnist(data)
        model = on_mnist(training_part, epochs=epochs or (1 if quick else 10), seed=seed)
        training.mistakes(model, held_out)
        print(f"\naccuracy on {len(held_out[1]):,} digits it has not seen: {training.accuracy(model, held_out):.4f}")
        return model
    depths, lines = (8, 20) if quick else (8, 56), []
    for depth in depths:
        for shortcuts in (False, True):
            name = f"{depth:2d} layers {'with' if shortcuts else 'without'} shortcuts"
            print(f"\n{name}")
            model, share = on_digits(depth, shortcuts, epochs=epochs or (3 if quick else 10), seed=seed)
            lines.append(f"    {name + ':':32s} {share:.4f}")
    print(f"""
accuracy on digits not seen:
{chr(10).join(lines)}

What to see: {depths[1]} layers could do all that {depths[0]} can: the others need only pass on what they get. But layers that
start from random weights do not: the deep plain network learns slowly or not at all. With a shortcut a pair of layers computes
x + f(x), passes on x from the start, and the gradient finds its way back past all of them.""")
    return model


def results(data, *, seed=0):
    """MNIST; 56 layers on the embedded digits, beside the same ones without shortcuts."""
    training_part, held_out = load_mnist(data)
    model, took = training.seconds(lambda: on_mnist(training_part, seed=seed))
    yield Result("8 layers on MNIST, test accuracy", training.accuracy(model, held_out), 0.995, note="10 epochs")
    yield Result("8 layers, seconds an epoch", took / 10, higher=False)
    (_, plain), (_, share) = [on_digits(56, shortcuts, seed=seed, verbose=0) for shortcuts in (False, True)]
    yield Result("56 layers on digits, test accuracy", share, plain + 0.01, peer="without shortcuts", peer_value=plain,
                 note="width 8, 10 epochs")


if __name__ == "__main__":
    train(*sys.argv[1:2])
