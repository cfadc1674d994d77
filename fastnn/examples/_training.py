"""What the examples of image classifiers share: the rate's course, pictures of mistakes, PyTorch beside it."""
import math
import time

import numpy as np

import fastnn as nn
from fastnn.examples.digits import learning_rates


def sgd(lr):
    """Stochastic gradient descent with Nesterov's momentum and weight decay."""
    return nn.SGD(lr=lr, momentum=0.9, weight_decay=0.0005, nesterov=True)


def fit(model, training_part, optimizer, *, epochs, batch_size=64, scale=1 / 255, verbose="auto"):
    """Trains with a rate that rises to the optimizer's and falls in a line to zero. -> the model"""
    images, labels = training_part
    rates = learning_rates(optimizer.lr, epochs * math.ceil(len(images) / batch_size))

    def set_rate(batch, logs=None):
        optimizer.lr = next(rates)
    model.compile(loss="cross_entropy", optimizer=optimizer, metrics=["accuracy"])
    model.fit(images, labels, batch_size=batch_size, epochs=epochs, scale=scale, verbose=verbose,
              callbacks=[nn.LambdaCallback(on_train_batch_begin=set_rate)])
    return model


def accuracy(model, held_out):
    """The share of the images whose largest output is their label; held_out: (images, labels)."""
    images, labels = held_out
    return float(np.mean(model.predict(images).argmax(1) == labels))


def mistakes(model, held_out, count=3):
    """Prints the first few images (N, 1, H, W) that the network takes for something else."""
    images, labels = held_out
    found = model.predict(images).argmax(1)
    for i in np.flatnonzero(found != labels)[:count]:
        print(f"\na {labels[i]} that it takes for a {found[i]}:\n{ascii_art(images[i, 0])}")


def ascii_art(image):
    """A grey image (H, W) as lines of text, two characters a pixel."""
    shades = " .:-=+*#%@"
    steps = (image.astype(float) / max(1, image.max()) * (len(shades) - 1)).astype(int)
    return "\n".join("".join(2 * shades[step] for step in row).rstrip() for row in steps)


def seconds(function):
    """(What function() returns, how long it took.) Waits before: threads of what ran last may spin on for a while."""
    time.sleep(0.2)
    started = time.perf_counter()
    return function(), time.perf_counter() - started


def pytorch(layers, training_part, held_out, *, lr, epochs, batch_size=64, seed=0):
    """(accuracy, seconds) of the same in PyTorch: a Sequential of the same layers, on the same threads, the same rates, images
    not shifted; (None, None) where it is not installed. Layers are written as PyTorch's: that makes the copies."""
    try:
        import torch
    except ImportError:
        return None, None
    torch.set_num_threads(nn.get_num_threads())
    torch.manual_seed(seed)
    peer = torch.nn.Sequential(*[eval(f"torch.nn.{layer!r}", {"torch": torch}) for layer in layers])
    x, xt = [torch.tensor(part[0], dtype=torch.float32) / 255 for part in (training_part, held_out)]
    y = torch.tensor(training_part[1])
    optimizer = torch.optim.SGD(peer.parameters(), lr, 0.9, weight_decay=0.0005, nesterov=True)
    rates, loss = learning_rates(lr, epochs * math.ceil(len(x) / batch_size)), torch.nn.CrossEntropyLoss()
    started = time.perf_counter()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch_size):
            optimizer.param_groups[0]["lr"] = next(rates)
            optimizer.zero_grad()
            loss(peer(x[rows]), y[rows]).backward()
            optimizer.step()
    took = time.perf_counter() - started
    peer.eval()
    with torch.no_grad():
        found = torch.cat([peer(part).argmax(1) for part in xt.split(1000)]).numpy()
    return float(np.mean(found == held_out[1])), took
