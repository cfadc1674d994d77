"""One neuron: it learns AND and OR, cannot learn XOR, and tells two handwritten digits apart.

    python -m fastnn.examples.perceptron"""
import numpy as np

import fastnn as nn
from fastnn.datasets import load_digits
from fastnn.networks import Perceptron
from fastnn.results import Result

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
FUNCTIONS = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}


def train(data=None, *, epochs=None, seed=0, quick=False):
    """Learns the three functions, prints each epoch's line; -> the neuron that learned AND. `data`, `quick`: no effect."""
    models = {}
    for name, wanted in FUNCTIONS.items():
        nn.manual_seed(seed)
        model = models[name] = Perceptron(2, lr=0.5)
        print(f"\n{name}: y = 1 where w1 x1 + w2 x2 + b >= 0")
        tell = nn.LambdaCallback(on_epoch_end=lambda epoch, logs: print(line(model, epoch, wanted)))
        history = model.fit(CORNERS, wanted, epochs=epochs or 15, verbose=0, callbacks=[tell])
        print("learned" if history.history["accuracy"][-1] == 1 else "NOT learned", f"in {len(history.epoch)} epochs")
        print(picture(model))
    print("""
What to see: a mistake moves the line, w1 x1 + w2 x2 + b = 0, towards the corner that lay on its wrong side; an epoch without
one ends the learning. AND's and OR's corners can be parted by a line, and then the rule finds one. No line parts XOR's: the
neuron goes round in circles for ever. It takes a layer of neurons before this one, see the example mlp.""")
    return models["AND"]


def line(model, epoch, wanted):
    """One epoch in words."""
    (w1, w2), (b,) = model.linear.weight.data[0], model.linear.bias.data
    right = int(np.sum(model.predict(CORNERS) == wanted))
    return f"  epoch {epoch + 1:2d}: w = ({w1:4.1f}, {w2:4.1f}), b = {b:4.1f}: {right} of 4 right"


def picture(model, size=11):
    """The square from (0, 0), below on the left, to (1, 1): # where the neuron fires."""
    along = np.linspace(0, 1, size, dtype=np.float32)
    fires = model.predict(np.stack([np.tile(along, size), np.repeat(along, size)], 1)).reshape(size, size)
    return "\n".join("    " + " ".join("#" if f else "." for f in row) for row in fires[::-1])


def two_digits(a=3, b=8):
    """((images, is it a b?) to train, the same held out) of two of the embedded digits, as rows of 64 numbers in [0, 1]."""
    parts = []
    for images, labels in (load_digits("train"), load_digits("test")):
        chosen = np.isin(labels, (a, b))
        parts.append((images[chosen].reshape(-1, 64) / np.float32(16), (labels[chosen] == b).astype(np.int64)))
    return parts


def results(data, *, seed=0):
    """The functions, and 3 against 8."""
    for name, wanted in FUNCTIONS.items():
        nn.manual_seed(seed)
        model = Perceptron(2)
        model.fit(CORNERS, wanted, epochs=100, verbose=0)
        share, note = np.mean(model.predict(CORNERS) == wanted), "no line parts it" if name == "XOR" else ""
        yield Result(f"{name}, share learned", share, None if note else 1.0, note=note)
    (x, y), (xt, yt) = two_digits()
    model = Perceptron(64)
    model.fit(x, y, epochs=50, verbose=0)
    peer, theirs = "", None
    try:
        from sklearn.linear_model import Perceptron as Peer
    except ImportError:
        pass
    else:
        peer, theirs = "scikit-learn Perceptron", Peer(max_iter=50, tol=None, random_state=seed).fit(x, y).score(xt, yt)
    yield Result("digits, 3 against 8, test accuracy", np.mean(model.predict(xt) == yt), 0.95, peer=peer, peer_value=theirs)


if __name__ == "__main__":
    train()
