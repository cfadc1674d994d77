"""Gradient descent and the learning rate: too small, right, too large; momentum. First in a valley of two weights, by hand and
by the package, then on digits.

    python -m fastnn.examples.gradient_descent [PICTURE.png]"""
import sys

import numpy as np

import fastnn as nn
from fastnn.datasets import load_digits
from fastnn.examples._picture import save
from fastnn.networks import MLP

STEEP = 50.0                                        # the loss is (w1^2 + STEEP w2^2) / 2, its gradient (w1, STEEP w2)
START = np.array([10.0, 1.0])
RATES = {"too small": (0.001, 0), "right": (0.038, 0), "too large": (0.041, 0), "with momentum": (0.038, 0.7)}
ON_DIGITS = {"too small": (0.001, 0), "right": (0.3, 0), "too large": (6.0, 0), "with momentum": (0.03, 0.9)}


def main(picture=None, *, quick=False):
    """Both; -> the numbers printed. picture: where to save one. quick: fewer epochs on the digits."""
    steps, valley, difference = 100, {}, 0.0
    print(f"A valley: loss = (w1^2 + {STEEP:.0f} w2^2) / 2, gentle along w1, steep along w2. A step of gradient descent is\n"
          "w = w - rate * gradient; with momentum m = momentum * m + gradient, w = w - rate * m.\n\n"
          "                  rate   momentum  loss at the start  after 10     after 100    w2 in the first steps")
    for name, (rate, momentum) in RATES.items():
        path = descend(rate, momentum, steps)
        losses = (path ** 2 @ [1, STEEP]) / 2
        valley[name] = losses[-1]
        difference = max(difference, float(np.abs(path[:21] - by_the_package(rate, momentum, 20)).max()))
        print(f"    {name:13s} {rate:.3f}   {momentum:.1f}       {losses[0]:<18.3g} {losses[10]:<12.3g} {losses[steps]:<12.3g} "
              + " ".join(f"{w2:5.2f}" for w2 in path[:5, 1]))
    print(f"    the package's SGD takes the same steps, no weight differs by more than {difference:.0e} in the first 20")

    epochs = 2 if quick else 10
    print(f"\nDigits, a network 64-32-10, {epochs} epochs in batches of 32. Each step's gradient is that of its batch alone,\n"
          "a rough sketch of the true one for a fraction of the work (stochastic gradient descent, SGD):")
    histories = {name: on_digits(rate, momentum, epochs) for name, (rate, momentum) in ON_DIGITS.items()}
    for name, (rate, momentum) in ON_DIGITS.items():
        loss, right = (histories[name].history[key] for key in ("loss", "val_accuracy"))
        print(f"    {name:13s} {rate:<6g} {momentum:.1f}   loss {loss[0]:.3g} in the first epoch, {loss[-1]:.3g} in the last;"
              f" unseen digits read right {right[-1]:.3f}")
    print(f"""
What to see: with too small a rate nothing is wrong, but it takes for ever. At 2 / {STEEP:.0f} = {2 / STEEP:.2f} a step lands as
far beyond the bottom of the steep direction as it came from: above that, w2 grows with every step. The largest good rate is set
by the steepest direction, and then the gentle one is slow: momentum adds up steps that agree, and those across the valley
cancel. On digits nobody knows the steepness, so one tries rates, a factor of three apart, and takes about the largest that
works; far above it the first steps end so far out that nothing is learned any more. With momentum 0.9 steps that agree add up
to 1 / (1 - 0.9) = 10 of them, so that a tenth of the rate does.""")
    if picture:
        save(picture, *(lambda ax, name=name, history=history: nn.plots.training_curves(history, ax=ax).set_title(name)
                        for name, history in histories.items()))
    return {"valley": valley, "difference": difference,
            "digits": {name: history.history["val_accuracy"][-1] for name, history in histories.items()}}


def descend(rate, momentum, steps):
    """By hand -> the weights (steps + 1, 2), from START on."""
    w, m, path = START, np.zeros(2), [START]
    for _ in range(steps):
        gradient = w * [1, STEEP]
        m = momentum * m + gradient
        w = w - rate * m
        path.append(w)
    return np.array(path)


def by_the_package(rate, momentum, steps):
    """The same by nn.SGD: a neuron whose mean squared error on two rows is that loss."""
    neuron = nn.Linear(2, 1, bias=False)
    neuron.weight.data[...] = START
    x, y = np.diag([1.0, np.sqrt(STEEP)]), np.zeros((2, 1))
    optimizer, path = nn.SGD(neuron.parameters(), lr=rate, momentum=momentum), [START]
    loss_fn = nn.MSELoss()
    neuron.train()
    for _ in range(steps):
        loss = loss_fn(neuron(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        path.append(neuron.weight.data[0].copy())
    return np.array(path)


def on_digits(rate, momentum, epochs):
    """-> History of a network trained anew from the same weights."""
    (x, y), (xt, yt) = load_digits("train"), load_digits("test")
    x, y = x[:1440], y[:1440]                       # whole batches: a last one of two images would be a very rough sketch
    middle = x.mean(0)                              # taken off, since inputs around 0 make the valley less steep
    nn.manual_seed(0)
    network = MLP([64, 32, 10])
    network.compile(loss="cross_entropy", optimizer=nn.SGD(lr=rate, momentum=momentum), metrics=["accuracy"])
    return network.fit((x - middle) / 8, y, batch_size=32, epochs=epochs, validation_data=((xt - middle) / 8, yt), verbose=0)


if __name__ == "__main__":
    main(*sys.argv[1:2])
