"""Support vector machines: one with a Gaussian kernel on the digits in the package; with a folder of data, a linear one on
random Fourier features of all of MNIST, where a kernel matrix would have 3.6 billion entries.

    python -m fastnn.examples.svm [DATA]"""
import importlib.util
import sys
import time

import numpy as np

import fastnn as nn
from fastnn.datasets import load_digits, load_mnist
from fastnn.networks import SVC, LinearSVC, RandomFourierFeatures
from fastnn.results import Result

SHADES = " .:-=+*#%@"


def train(data=None, *, epochs=None, seed=0, quick=False):
    """The recipe; -> the trained SVC, with `data` the LinearSVC. `data`: a folder with MNIST; None: the embedded digits. quick:
    few epochs and features (with `data` alone: an SVC has no epochs)."""
    nn.manual_seed(seed)
    if data is not None:
        return fourier(data, epochs=epochs or (2 if quick else 12), components=500 if quick else 5000)[0]
    (x, y), (xt, yt) = load_digits("train"), load_digits("test")
    model = SVC(C=10, kernel="rbf").fit(x / 16, y)
    print(f"accuracy on {len(yt):,} digits it has not seen: {model.score(xt / 16, yt):.4f}. All it keeps of {len(y):,}\n"
          f"training digits are {len(model.support_)} support vectors, those near a border between two classes. The one that pulls\n"
          "hardest in each of four classes, not always a tidy specimen:\n")
    pull = np.abs(model.dual_coef_).sum(0)
    hardest = [model.support_[np.where(y[model.support_] == digit, pull, 0).argmax()] for digit in (1, 3, 8, 9)]
    for row in range(8):
        print("    ".join("".join(2 * SHADES[min(pixel * 10 // 17, 9)] for pixel in x[i, 0, row].astype(int)) for i in hardest))
    return model


def fourier(data, epochs=12, components=5000):
    """MNIST by random features -> (model, test accuracy, seconds)."""
    (x, y), (xt, yt) = load_mnist(data)
    start = time.perf_counter()
    features = RandomFourierFeatures(GAMMA, components).fit(x)
    model = LinearSVC(C=10, loss="hinge", epochs=epochs, lr=2.0).fit(features.transform(x / np.float32(255)), y)
    seconds = time.perf_counter() - start
    accuracy = model.score(features.transform(xt / np.float32(255)), yt)
    print(f"accuracy on {len(yt):,} digits it has not seen: {accuracy:.4f}, by straight borders in {components:,}\n"
          "random waves: each feature is the cosine of a coordinate along a random direction. Linear in the pixels\n"
          "themselves it reaches about 0.918.")
    return model, accuracy, seconds


GAMMA = 0.02                        # of pixels in [0, 1]: near 1 / (784 * their variance)


def results(data, *, seed=0):
    """The optimum, its support vectors and the time to it beside scikit-learn's, on the embedded digits; MNIST: linear, by
    random features, and with a Gaussian kernel on the first 10,000 images."""
    nn.manual_seed(seed)
    yield from on_digits()
    yield from on_mnist(data)


def peer():
    """scikit-learn's module of support vector machines, None where it is not installed."""
    return importlib.import_module("sklearn.svm") if importlib.util.find_spec("sklearn") else None


def on_digits():
    """Two classes (is it above 4?) and ten, each kernel."""
    (x, y), (xt, yt) = load_digits("train"), load_digits("test")
    x, xt = (a.reshape(len(a), -1) / 16 for a in (x, xt))
    for kernel in ("linear", "rbf", "poly"):
        for classes, labels, held_out in ((2, y > 4, yt > 4), (10, y, yt)):
            what = f"digits, {kernel}, {classes} classes: "
            ours, theirs, seconds, peers_seconds = side_by_side(lambda module: module.SVC(kernel=kernel).fit(x, labels), 5)
            if theirs is None:
                yield Result(what + "test accuracy", ours.score(xt, held_out))
                continue
            accuracy, peers = ours.score(xt, held_out), theirs.score(xt, held_out)
            yield Result(what + "test accuracy", accuracy, None, True, "scikit-learn", peers)
            a, b = (dual_objectives(model, 1 / (x.shape[1] * x.var())) for model in (ours, theirs))
            yield Result(what + "dual objective, relative difference", np.abs(a / b - 1).max(), 1e-4, False)
            a, b = (len(model.support_) for model in (ours, theirs))
            yield Result(what + "support vectors, relative difference", abs(a - b) / b, 0.02, False, note=f"{a} and {b}")
            yield Result(what + "training seconds", seconds, 1.5 * peers_seconds, False, "scikit-learn", peers_seconds)


def side_by_side(fit, repeats):
    """Our model and scikit-learn's (None without it), fitted in turns; the least seconds of each."""
    modules, models, least = [nn.networks, peer()], [None, None], [np.inf, np.inf]
    for _ in range(repeats):
        for i, module in enumerate(modules):
            if module is not None:
                start = time.perf_counter()
                models[i] = fit(module)
                least[i] = min(least[i], time.perf_counter() - start)
    return (*models, *least)


def dual_objectives(model, gamma):
    """1/2 sum_kl w_k w_l k(x_k, x_l) - sum |w| of each pair of classes, w its dual coefficients, in float64; of a fitted SVC,
    ours or scikit-learn's, with coef0 = 0."""
    vectors, objectives = np.asarray(model.support_vectors_), []
    products, squares = vectors @ vectors.T, (vectors ** 2).sum(1)
    values = {"linear": products, "poly": (gamma * products) ** model.degree,
              "rbf": np.exp(-gamma * (squares[:, None] + squares - 2 * products))}[model.kernel]
    of_class = np.repeat(np.arange(len(model.classes_)), model.n_support_)
    for i in range(len(model.classes_)):
        for j in range(i + 1, len(model.classes_)):
            w = np.where(of_class == i, model.dual_coef_[j - 1], 0) + np.where(of_class == j, model.dual_coef_[i], 0)
            objectives.append(w @ values @ w / 2 - np.abs(w).sum())
    return np.array(objectives)


def on_mnist(data):
    """Linear, in random features, and with a Gaussian kernel."""
    (x, y), (xt, yt) = load_mnist(data)
    x, xt = (a.reshape(len(a), -1) / np.float32(255) for a in (x, xt))
    ours, theirs, seconds, peers_seconds = side_by_side(lambda module: module.LinearSVC(C=0.01).fit(x, y), 1)
    yield from compared("MNIST, linear: ", ours.score(xt, yt), 0.915, seconds, theirs and theirs.score(xt, yt), peers_seconds)
    _, accuracy, seconds = fourier(data)
    yield from compared("MNIST, random features: ", accuracy, 0.975, seconds, None, np.inf)
    few = slice(10000)
    ours, theirs, seconds, peers_seconds = side_by_side(lambda module: module.SVC(C=5.0, gamma=GAMMA).fit(x[few], y[few]), 1)
    yield from compared("MNIST, 10,000 images, rbf: ", ours.score(xt, yt), None, seconds, theirs and theirs.score(xt, yt),
                        peers_seconds)


def compared(what, accuracy, bar, seconds, peers_accuracy, peers_seconds):
    """The rows of one comparison."""
    name = "scikit-learn" if peers_accuracy else ""
    yield Result(what + "test accuracy", accuracy, bar, True, name, peers_accuracy)
    if name:
        yield Result(what + "training seconds", seconds, 1.5 * peers_seconds, False, name, peers_seconds)
    else:
        yield Result(what + "training seconds", seconds)


if __name__ == "__main__":
    train(*sys.argv[1:2])
