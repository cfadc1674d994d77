"""A convolutional network for MNIST and its look-alikes: what `python -m fastnn train --data DIR` runs."""
import sys

import fastnn as nn
from fastnn.datasets import load_idx_folder
from fastnn.examples.digits import train


def network(channels=1, height=28, width=28, classes=10):
    """For images (N, channels, height, width) of bytes 0..255; gives the logits of the classes."""
    return nn.Sequential(
        nn.Rescaling(1 / 255),
        nn.Conv2d(channels, 32, 3), nn.ReLU(),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * ((height - 4) // 2) * ((width - 4) // 2), 128), nn.ReLU(),
        nn.Linear(128, classes))


if __name__ == "__main__":
    nn.manual_seed(0)
    training_part, held_out = load_idx_folder(sys.argv[1])
    optimizer = nn.SGD(lr=0.05, momentum=0.9, weight_decay=0.0005)
    print("test accuracy:", train(network(), training_part, held_out, optimizer, epochs=3, batch_size=64))
