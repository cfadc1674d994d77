"""A network that writes: an LSTM learns to predict the next character of Shakespeare's plays, and then makes up its own.
Without a folder of data it reads the package's own source instead.

    python -m fastnn.examples.language_model [DATA]"""
import pathlib
import sys
import time

import numpy as np

import fastnn as nn
from fastnn.datasets import load_text
from fastnn.networks import LanguageModel
from fastnn.results import Result


def load(data=None):
    """The text in two parts: to learn from, and the last tenth to be judged by."""
    if data is not None:
        return load_text(data)
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(pathlib.Path(nn.__file__).parent.glob("*.py")))
    return text[:-20000], text[-20000:]


def train(data=None, *, epochs=None, seed=0, quick=False):
    """The recipe; -> the trained model. `data`: a folder with tinyshakespeare/. quick: a small network, few characters."""
    nn.manual_seed(seed)
    text, held_out = load(data)
    if quick:
        text, held_out = text[:40000], held_out[:1000]
    model = LanguageModel(text + held_out, "lstm", hidden_size=64 if quick else 256)
    model.fit(text, epochs=epochs or (2 if quick else 5), validation_text=held_out)
    loss = model.loss(held_out)
    print(f"the held-out text costs it {loss:.3f} nats a character: as if it had to guess among {np.exp(loss):.1f} characters\n"
          f"each time, where a blind guess has {len(model.vocabulary)}. It writes, character by character:\n")
    print(model.sample(100 if quick else 500, prompt="\n", temperature=0.8))
    return model


def results(data, *, seed=0):
    """Tiny Shakespeare."""
    text, held_out = load(data)
    yield Result("lstm, Shakespeare, nats a character", train(data, seed=seed).loss(held_out), 1.60, higher=False,
                 note="the last 10 % of the text")
    peer = speed_of_torch(text)
    yield Result("lstm, characters learned a second", speed_of_fastnn(text), peer="" if peer is None else "PyTorch",
                 peer_value=peer, note="256 units, batches of 32 x 64")


def speed_of_fastnn(text, steps=200):
    """Characters a second in training."""
    model = LanguageModel(text)
    x, y = model._rows(text, 64)
    model.train_on_batch(x[:32], y[:32])
    started = time.perf_counter()
    for start in range(0, steps * 32, 32):
        model.train_on_batch(x[start:start + 32], y[start:start + 32])
    return steps * 32 * 64 / (time.perf_counter() - started)


def speed_of_torch(text, steps=200):
    """The same network in PyTorch, as many threads; None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(nn.get_num_threads())
    model = LanguageModel(text)
    x, y = (torch.tensor(a) for a in model._rows(text, 64))
    size = len(model.vocabulary)
    cell, linear = torch.nn.LSTM(size, 256, batch_first=True), torch.nn.Linear(256, size)
    optimizer = torch.optim.Adam([*cell.parameters(), *linear.parameters()], lr=0.004)

    def step(x, y):
        logits = linear(cell(torch.nn.functional.one_hot(x, size).float())[0])
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, size), y.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    step(x[:32], y[:32])
    started = time.perf_counter()
    for start in range(0, steps * 32, 32):
        step(x[start:start + 32], y[start:start + 32])
    return steps * 32 * 64 / (time.perf_counter() - started)


if __name__ == "__main__":
    train(*sys.argv[1:2])
