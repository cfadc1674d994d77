"""A convolutional network on the handwritten digits that come with the package: what `python -m fastnn train` runs."""
import fastnn as nn
from fastnn.datasets import load_digits


def network():
    """For images (N, 1, 8, 8) of bytes 0..16; gives the logits of ten classes."""
    return nn.Sequential(
        nn.Rescaling(1 / 16),
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(64 * 4 * 4, 10))


def train(model, training_part, held_out, epochs=15, batch_size=32, lr=0.002):
    """Trains by Adam, the learning rate falling to zero in equal steps; -> the accuracy on the held-out part."""
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=lr), metrics=["accuracy"])
    falling = nn.LearningRateScheduler(lambda epoch, rate: lr * (1 - epoch / epochs))
    model.fit(*training_part, batch_size=batch_size, epochs=epochs, callbacks=[falling])
    return model.evaluate(*held_out, return_dict=True)["accuracy"]


if __name__ == "__main__":
    nn.manual_seed(0)
    print("test accuracy:", train(network(), load_digits("train"), load_digits("test")))
