"""Recurrent networks read an image row by row, as if it were a sequence of 28 steps, and say at its end which digit it was:
MNIST; without a folder of data, the digits in the package.

    python -m fastnn.examples.rnn [DATA]"""
import sys
import time

import numpy as np

import fastnn as nn
from fastnn.datasets import load_digits, load_mnist
from fastnn.networks import SequenceClassifier
from fastnn.results import Result

CELLS = {"rnn": 0.96, "gru": None, "lstm": 0.985}   # and the accuracy on MNIST that each must reach
EPOCHS, RATE = {"rnn": 8, "gru": 5, "lstm": 6}, 0.002


def load(data=None):
    """(sequences, labels) to train on and to test on; a step is a row of pixels."""
    parts, highest = (load_mnist(data), 255) if data else ((load_digits("train"), load_digits("test")), 16)
    return [(images[:, 0] * np.float32(1 / highest), labels) for images, labels in parts]


def train(data=None, *, epochs=None, seed=0, quick=False, cell="lstm"):
    """The recipe; -> the trained network. `data`: a folder with MNIST; None: the embedded digits. quick: a few epochs."""
    nn.manual_seed(seed)
    (x, y), held_out = load(data)
    epochs = epochs or (4 if quick else EPOCHS[cell] if data else 30)
    model = SequenceClassifier(cell, x.shape[2], 128 if data else 64, classes=10)
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=RATE), metrics=["accuracy"])
    falling = nn.LearningRateScheduler(lambda epoch, rate: RATE * (0.5 + 0.5 * np.cos(np.pi * epoch / epochs)))
    model.fit(x, y, batch_size=64, epochs=epochs, callbacks=[falling])
    accuracy = model.evaluate(*held_out, return_dict=True)["accuracy"]
    print(f"{cell}: accuracy on {len(held_out[0]):,} digits it has not seen: {accuracy:.4f}. How sure it becomes while it "
          "reads one:")
    show_reading(model, held_out[0][0])
    return model


def show_reading(model, image):
    """The rows of an image, and beside each what the network makes of the image up to there."""
    for row in range(len(image)):
        seen = model.predict(image[None, :row + 1])[0]
        share = np.exp(seen - seen.max()) / np.exp(seen - seen.max()).sum()
        print("".join(" .:*#"[min(int(ink * 5), 4)] * 2 for ink in image[row]), f" {share.argmax()} ({share.max():.2f})")


def results(data, *, seed=0):
    """MNIST by each kind of cell; for the LSTM, PyTorch's on the same data."""
    (x, y), (xt, yt) = load(data)
    for cell, bar in CELLS.items():
        model = train(data, seed=seed, cell=cell)
        yield Result(f"{cell}, MNIST row by row, test accuracy", np.mean(model.predict(xt).argmax(1) == yt), bar)
    peer = epoch_of_torch(x, y)
    yield Result("lstm, MNIST, seconds an epoch", epoch_of_fastnn(x, y), peer_value=peer, higher=False,
                 peer="" if peer is None else "PyTorch", note="batches of 64, Adam")


def epoch_of_fastnn(x, y):
    """Seconds of one epoch of the LSTM."""
    model = SequenceClassifier("lstm", x.shape[2], 128, classes=10)
    model.train_on_batch(x[:64], y[:64])
    started = time.perf_counter()
    for start in range(0, len(x), 64):
        model.train_on_batch(x[start:start + 64], y[start:start + 64])
    return time.perf_counter() - started


def epoch_of_torch(x, y):
    """The same in PyTorch, as many threads; None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(nn.get_num_threads())
    cell, linear = torch.nn.LSTM(x.shape[2], 128, batch_first=True), torch.nn.Linear(128, 10)
    optimizer = torch.optim.Adam([*cell.parameters(), *linear.parameters()], lr=0.001)
    x, y = torch.tensor(x), torch.tensor(y)

    def step(x, y):
        loss = torch.nn.functional.cross_entropy(linear(cell(x)[1][0][-1]), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    step(x[:64], y[:64])
    started = time.perf_counter()
    for start in range(0, len(x), 64):
        step(x[start:start + 64], y[start:start + 64])
    return time.perf_counter() - started


if __name__ == "__main__":
    train(*sys.argv[1:2])
