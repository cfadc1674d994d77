"""Autoencoders on MNIST: 784 pixels are squeezed through a code of 32 numbers. Without a folder of data, smaller ones on the
digits in the package.

    python -m fastnn.examples.autoencoder [DATA]"""
import sys

import numpy as np

import fastnn as nn
from fastnn.datasets import load_digits, load_mnist
from fastnn.networks import Autoencoder, ConvAutoencoder, DenoisingAutoencoder, VariationalAutoencoder
from fastnn.results import Result


def train(data=None, *, epochs=None, seed=0, quick=False):
    """The recipe; -> the trained plain autoencoder. `data`: a folder with MNIST; None: the embedded digits. quick: few
    epochs."""
    x, xt = images(data)
    code, hidden = (32, (512, 256)) if data else (8, (128,))
    epochs = epochs or (3 if quick else 10 if data else 40)
    nn.manual_seed(seed)
    model = fitted(Autoencoder(x.shape[1:], hidden, code), x, epochs)
    found, plain = model.evaluate(xt)[0], np.mean((pca(x, xt, code) - xt) ** 2)
    print(f"{x[0].size} pixels in a code of {code} numbers: mean squared error on digits it has not seen {found:.5f}. The\n"
          f"best that {code} numbers can do with straight lines alone (PCA) is {plain:.5f}: what the hidden layers' curves do.")
    print("Above digits it has not seen, below what it makes of their codes:")
    print(pictures([xt[:4], model.reconstruct(xt[:4])]))
    variational = fitted(VariationalAutoencoder(x.shape[1:], (400,) if data else (128,), 20 if data else 8), x, epochs)
    print(f"A variational autoencoder (ELBO {variational.elbo(xt):.1f} nats) has codes that can be drawn at random. These\n"
          "digits nobody wrote:")
    print(pictures([variational.sample(4), variational.sample(4)]))
    return model


def images(data):
    """(training, held-out) images as floats between 0 and 1."""
    (x, _), (xt, _) = load_mnist(data) if data else (load_digits("train"), load_digits("test"))
    highest = np.float32(255 if data else 16)
    return x / highest, xt / highest


def fitted(model, x, epochs):
    """The model, trained by Adam; the learning rate falls to a tenth towards the end."""
    model.compile(nn.Adam(lr=0.001))
    falling = nn.LearningRateScheduler(lambda epoch, lr: 0.001 * 0.1 ** max(0.0, 2 * epoch / epochs - 1))
    model.fit(x, batch_size=64 if len(x) > 5000 else 16, epochs=epochs, callbacks=falling)
    return model


def pca(x, xt, components):
    """xt from its first principal components, those of x: what a linear autoencoder can reach at best."""
    flat, mean = x.reshape(len(x), -1), x.reshape(len(x), -1).mean(0)
    axes = np.linalg.svd(np.cov(flat.T.astype(np.float64)))[2][:components].astype(np.float32)
    return (mean + (xt.reshape(len(xt), -1) - mean) @ axes.T @ axes).reshape(xt.shape)


def pictures(rows):
    """Rows of grey images (N, 1, height, width) between 0 and 1 as text: a character is two pixels high, or, where images are
    small, half a pixel wide."""
    lines = []
    for images in rows:
        grey = images[:, 0]
        grey = (grey[:, :-1:2] + grey[:, 1::2]) / 2 if grey.shape[1] > 16 else grey.repeat(2, axis=2)
        shades = np.array(list(" .:-=+*#%@"))[np.clip(grey * 10, 0, 9).astype(int)]
        lines += ["  ".join("".join(image[y]) for image in shades).rstrip() for y in range(shades.shape[1])]
    return "\n".join(lines)


def save_grid(images, path):
    """A grid of the images as a picture file, where matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return print("(pip install matplotlib, and there is a picture of 64 of them)")
    from fastnn import plots
    figure = Figure(figsize=(6, 6))
    plots.sample_grid(images, ax=figure.subplots())
    figure.savefig(path)
    print(f"64 of them: {path}")


def results(data, *, seed=0):
    """Each kind on MNIST's test images, beside PCA; the time of an epoch beside PyTorch's."""
    x, xt = images(data)
    linear = np.mean((pca(x, xt, 32) - xt) ** 2)
    nn.manual_seed(seed)
    model = fitted(Autoencoder(), x, 10)
    yield Result("MNIST, code of 32: test MSE", model.evaluate(xt)[0], 0.7 * linear, False, "PCA, 32 components", linear)
    yield Result("convolutional, code of 32: test MSE", fitted(ConvAutoencoder(), x, 5).evaluate(xt)[0], None, False,
                 "PCA, 32 components", linear)
    noisy = xt + 0.5 * np.random.default_rng(seed).standard_normal(xt.shape, dtype=np.float32)
    model = fitted(DenoisingAutoencoder(), x, 10)
    yield Result("denoising, noise 0.5: MSE of cleaned", np.mean((model.reconstruct(noisy) - xt) ** 2), None, False,
                 "PCA, 32 components", np.mean((pca(x, noisy, 32) - xt) ** 2),
                 f"of the noisy ones {np.mean((noisy - xt) ** 2):.4f}")
    model = fitted(VariationalAutoencoder(), x, 20)
    yield Result("variational, code of 20: test ELBO, nats", model.elbo(xt), note="one draw an image")
    print(pictures([model.sample(4), model.sample(4)]))
    yield Result("seconds an epoch of 784-512-256-32", seconds(Autoencoder(), x), None, False, *torch_seconds(x))


def seconds(model, x):
    """The time of one epoch in batches of 64, after a short one that compiles."""
    import time
    model.fit(x[:640], verbose=0)
    started = time.perf_counter()
    model.fit(x, verbose=0, shuffle=False)
    return time.perf_counter() - started


def torch_seconds(x):
    """-> ("PyTorch", the same network's time for the same epoch), ("", None) where it is not installed."""
    try:
        import torch
    except ImportError:
        return "", None
    import time
    torch.set_num_threads(nn.get_num_threads())
    sizes = [784, 512, 256, 32, 256, 512, 784]
    layers = [part for a, b in zip(sizes, sizes[1:]) for part in (torch.nn.Linear(a, b), torch.nn.ReLU())]
    layers[5], layers[-1] = torch.nn.Identity(), torch.nn.Sigmoid()
    model = torch.nn.Sequential(*layers)
    optimizer, flat = torch.optim.Adam(model.parameters()), torch.from_numpy(x.reshape(len(x), -1))

    def epoch(rows):
        for start in range(0, len(rows), 64):
            batch = rows[start:start + 64]
            loss = torch.nn.functional.mse_loss(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    epoch(flat[:640])
    started = time.perf_counter()
    epoch(flat)
    return "PyTorch", time.perf_counter() - started


if __name__ == "__main__":
    save_grid(train(*sys.argv[1:2]).sample(64), "autoencoder.png")
