"""A convolutional network on the handwritten digits that come with the package: what `python -m fastnn train` runs."""
import math

import fastnn as nn
from fastnn.datasets import load_digits


def network():
    """For images (N, 1, 8, 8) of bytes 0..16; gives the logits of ten classes."""
    return nn.Sequential(
        nn.Rescaling(1 / 16),
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(64 * 4 * 4, 10))


def train(model, training_part, held_out, optimizer, epochs, batch_size):
    """Trains with a learning rate that rises at first and falls in a line to zero; -> the accuracy on the held-out part."""
    model.compile(loss="cross_entropy", optimizer=optimizer, metrics=["accuracy"])
    rates = learning_rates(optimizer.lr, epochs * math.ceil(len(training_part[0]) / batch_size))

    def set_rate(batch, logs=None):
        optimizer.lr = next(rates)

    model.fit(*training_part, batch_size=batch_size, epochs=epochs,
              callbacks=[nn.LambdaCallback(on_train_batch_begin=set_rate)])
    return model.evaluate(*held_out, return_dict=True)["accuracy"]


def learning_rates(highest, steps):
    """One number a step; the rise takes 200 steps, or a quarter of all where these are few."""
    rise = min(200, steps // 4 + 1)
    for step in range(steps):
        yield highest * min(1, (step + 1) / rise) * (1 - step / steps)


if __name__ == "__main__":
    nn.manual_seed(0)
    print("test accuracy:",
          train(network(), load_digits("train"), load_digits("test"), nn.Adam(lr=0.002), epochs=15, batch_size=32))
