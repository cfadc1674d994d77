"""A generative adversarial network (DCGAN) that learns to write digits like MNIST's; without a folder of data, small ones like
those in the package.

    python -m fastnn.examples.gan [DATA]"""
import sys
import time

import numpy as np

import fastnn as nn
from fastnn.datasets import load_digits, load_mnist
from fastnn.examples import cnn
from fastnn.examples._training import accuracy
from fastnn.examples.autoencoder import pictures, save_grid
from fastnn.networks import DCGAN
from fastnn.results import Result

BATCH = 64


def train(data=None, *, epochs=None, seed=0, quick=False):
    """The recipe; -> the trained GAN. `data`: a folder with MNIST; None: the embedded digits. quick: few epochs."""
    nn.manual_seed(seed)
    images, scale = (load_mnist(data)[0][0], 1 / 255) if data else (load_digits("train")[0], 1 / 16)
    epochs = epochs or (3 if quick else 20 if data else 40)
    channels, latent, averaging = ((48, 96), 64, 0.999) if data else ((16, 32), 32, 0.99)
    model = DCGAN(images.shape[1:], channels, latent, averaging)
    model.compile(*(nn.Adam(lr=0.0005, betas=(0.5, 0.999)) for _ in range(2)))
    falling = nn.LearningRateScheduler(lambda epoch, lr: 0.0005 * min(1.0, 2 * (1 - epoch / epochs)))
    model.fit(images, batch_size=BATCH if data else 16, epochs=epochs, scale=scale, callbacks=falling)
    print("real: the probability of being real that the discriminator gives real digits; fake: that of the generator's.\n"
          "Neither wins: what tells the two apart shows the generator what is still wrong. Digits that nobody wrote:")
    print(pictures(list(model.sample(12).reshape(3, 4, *images.shape[1:]))))
    return model


def judged(images, classifier):
    """-> (mean probability of the likeliest digit, entropy in nats of how often each digit is the likeliest): high where images
    look like digits, and like all of them (log 10 = 2.303 at most). images between 0 and 1; classifier: bytes -> logits."""
    logits = classifier.predict((images * 255).round().astype(np.uint8)).astype(np.float64)
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    shares = np.bincount(probabilities.argmax(1), minlength=10) / len(images)
    return probabilities.max(1).mean(), -np.sum(shares * np.log(np.maximum(shares, 1e-12)))


def results(data, *, seed=0):
    """What a CNN says of 2,000 samples; the time of a step beside PyTorch's."""
    training_part, held_out = load_mnist(data)
    classifier = cnn.fit("LeNet5", training_part, seed=seed)
    yield Result("the CNN that judges: test accuracy", accuracy(classifier, held_out), 0.99)
    model = train(data, seed=seed)
    confident, entropy = judged(model.sample(2000), classifier)
    yield Result("2,000 samples: mean top probability", confident, 0.9)
    yield Result("2,000 samples: entropy of the classes, nats", entropy, 2.1)
    x = training_part[0][:100 * BATCH]
    yield Result("ms a step of 64", milliseconds(DCGAN(), x), None, False, *torch_milliseconds(x))


def milliseconds(model, x):
    """The time of a step of both networks, after some that compile."""
    model.fit(x[:3 * BATCH], verbose=0)
    started = time.perf_counter()
    model.fit(x, verbose=0)
    return (time.perf_counter() - started) * 1000 * BATCH / len(x)


def torch_milliseconds(x):
    """-> ("PyTorch", the same for the same networks there), ("", None) where it is not installed."""
    try:
        import torch
    except ImportError:
        return "", None
    torch.set_num_threads(nn.get_num_threads())
    n = torch.nn
    generator = n.Sequential(n.Linear(64, 3136, bias=False), n.Unflatten(1, (64, 7, 7)), n.BatchNorm2d(64), n.ReLU(),
                             n.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), n.BatchNorm2d(32), n.ReLU(),
                             n.ConvTranspose2d(32, 1, 4, 2, 1), n.Sigmoid())
    discriminator = n.Sequential(n.Conv2d(1, 32, 4, 2, 1), n.LeakyReLU(0.2), n.Conv2d(32, 64, 4, 2, 1, bias=False),
                                 n.BatchNorm2d(64), n.LeakyReLU(0.2), n.Flatten(), n.Linear(3136, 1))
    optimizers = [torch.optim.Adam(part.parameters(), 2e-4, (0.5, 0.999)) for part in (generator, discriminator)]
    softplus, images = n.functional.softplus, torch.from_numpy(x)

    def step(real):
        fake = generator(torch.randn(len(real), 64))
        optimizers[1].zero_grad()
        (softplus(-discriminator(real)) + softplus(discriminator(fake.detach()))).mean().backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        softplus(-discriminator(fake)).mean().backward()
        optimizers[0].step()

    def epoch(rows):
        for start in range(0, len(rows), BATCH):
            step(images[rows[start:start + BATCH]].float() / 255)
    epoch(torch.arange(3 * BATCH))
    started = time.perf_counter()
    epoch(torch.randperm(len(x)))
    return "PyTorch", (time.perf_counter() - started) * 1000 * BATCH / len(x)


if __name__ == "__main__":
    save_grid(train(*sys.argv[1:2]).sample(64), "gan.png")
