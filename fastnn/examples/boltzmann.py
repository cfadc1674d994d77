"""Boltzmann machines: a restricted one learns digits without being told what they are; a softmax on its features reads them.

    python -m fastnn.examples.boltzmann [DATA]"""
import sys
import time

import numpy as np

import fastnn as nn
from fastnn.datasets import load_digits, load_mnist
from fastnn.networks import RBM, BoltzmannMachine
from fastnn.networks.boltzmann import all_states
from fastnn.results import Result

SHADES = " .:-=+*#%@"


def train(data=None, *, epochs=None, seed=0, quick=False):
    """The recipe; -> the trained RBM. `data`: a folder with MNIST; None: the embedded digits. quick: a few epochs."""
    nn.manual_seed(seed)
    (x, y), (xt, yt) = digits() if data is None else mnist(data)
    rbm, side = RBM(x.shape[1], 256), int(x.shape[1] ** 0.5)
    print("A restricted Boltzmann machine learns the images alone. reconstruction_error: the mean square between an image and\n"
          "what the machine makes of the hidden units that it wakes.")
    epochs = epochs or (10 if quick else 40 if data is None else 5)
    rbm.fit(x, batch_size=10 if data is None else 64, epochs=epochs, learning_rate=0.1)
    show("Weights of eight hidden units, @ where light wakes the unit, blank where it puts it to sleep: strokes, parts of digits.",
         rbm.weight.data[:8], side)
    samples = rbm.sample(8, steps=50 if quick else 500, start=x[:8], mean=True)
    show("What the machine draws when left to itself (its chains began at eight images, many steps ago):", samples, side)
    for name, inputs, inputs_test in (("pixels", x, xt), ("features", rbm.transform(x), rbm.transform(xt))):
        accuracy = np.mean(softmax_regression(inputs, y, 30 if quick else 100).predict(inputs_test).argmax(1) == yt)
        print(f"softmax on {name}: {accuracy:.4f} of {len(yt):,} unseen digits are read right")
    return rbm


def digits():
    """The embedded digits as rows from 0 to 1: (x, y), (x_test, y_test)."""
    return tuple((x.reshape(len(x), -1) / np.float32(16), y) for x, y in map(load_digits, ("train", "test")))


def mnist(folder):
    """MNIST the same way."""
    return tuple((x.reshape(len(x), -1) / np.float32(255), y) for x, y in load_mnist(folder))


def softmax_regression(x, y, epochs):
    """A linear layer and softmax, trained."""
    model = nn.Sequential(nn.Linear(x.shape[1], 10))
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=0.05))
    model.fit(x, y, batch_size=256, epochs=epochs, verbose=0)
    return model


def show(title, rows, side):
    """Square images beside each other, as text."""
    print(f"\n{title}")
    low, high = rows.min(), rows.max()
    shades = ((rows - low) / (high - low + 1e-9) * (len(SHADES) - 1)).round().astype(int).reshape(-1, side, side)
    step = max(1, side // 14)                       # every other line and column of large ones
    for line in range(0, side, step):
        print("   ".join("".join(SHADES[s] * (2 // step or 1) for s in image[line, ::step]) for image in shades))
    print()


# ---- what it must show

def results(data, *, seed=0):
    """Features and speed beside scikit-learn's BernoulliRBM; the general machine on a distribution that is known."""
    yield from digits_beside_sklearn(seed)
    yield from seconds("MNIST, 784-256, batch 100, an epoch", mnist(data)[0][0], dict(hidden=256, batch=100, epochs=1), seed)
    sampled = dict(epochs=40, batch_size=500, learning_rate=0.1, momentum=0.5)
    for learning, settings in (("exact", dict(epochs=300)), ("sampled", sampled)):
        divergence = known_distribution(learning, settings, seed)
        yield Result(f"10 units, {learning} learning: KL from a known distribution", divergence, 0.01, higher=False,
                     note="from 20,000 samples of it")


def digits_beside_sklearn(seed):
    """The pipeline of scikit-learn's own example on the embedded digits, on the same split: 100 hidden units, persistent chains of
    one Gibbs step, learning rate 0.06, batches of 10; then a softmax on the features."""
    (x, y), (xt, yt) = digits()
    settings = dict(hidden=100, batch=10, epochs=30)
    rbm, peer = ours(x, settings, seed)[0], theirs(x, settings, seed)[0]
    mine = np.mean(softmax_regression(rbm.transform(x), y, 100).predict(rbm.transform(xt)).argmax(1) == yt)
    reached = peer and regression_on(peer, x, y, xt, yt)
    yield Result("digits, 64-100: softmax on features, test accuracy", mine, reached,
                 peer="BernoulliRBM + LogisticRegression" if peer else "", peer_value=reached)
    yield Result("digits, 64-100: pseudo-likelihood of test images", rbm.score_samples(xt).mean(),
                 peer="BernoulliRBM" if peer else "", peer_value=peer and peer.score_samples(xt).mean())
    settings = dict(hidden=256, batch=10, epochs=10)            # scikit-learn's defaults
    for dtype in ("float32", "float64"):
        yield from seconds(f"digits ({dtype}), 64-256, batch 10, 10 epochs", x.astype(dtype), settings, seed, bar=5.0)


def seconds(what, x, settings, seed, bar=None):
    """Times of training, turn about, the best of three."""
    times = [(ours(x, settings, seed)[1], theirs(x, settings, seed)[1]) for _ in range(3)]
    mine, other = min(t for t, _ in times), min(t for _, t in times)
    if other == np.inf:
        yield Result(f"{what}: seconds", mine)
        return
    yield Result(f"{what}: seconds", mine, peer="BernoulliRBM", peer_value=other)
    yield Result(f"{what}: times as fast", other / mine, bar, peer="BernoulliRBM", peer_value=1.0)


def ours(x, settings, seed):
    """-> (a trained RBM, seconds)."""
    nn.manual_seed(seed)
    rbm, start = RBM(x.shape[1], settings["hidden"]), time.perf_counter()
    rbm.fit(x, settings["batch"], settings["epochs"], learning_rate=0.06, persistent=True, verbose=0)
    return rbm, time.perf_counter() - start


def theirs(x, settings, seed):
    """The same by scikit-learn; (None, infinity) where it is not installed."""
    try:
        from sklearn.neural_network import BernoulliRBM
    except ImportError:
        return None, np.inf
    rbm = BernoulliRBM(settings["hidden"], learning_rate=0.06, batch_size=settings["batch"], n_iter=settings["epochs"],
                       random_state=seed)
    start = time.perf_counter()
    rbm.fit(x)
    return rbm, time.perf_counter() - start


def regression_on(rbm, x, y, xt, yt):
    """Test accuracy of scikit-learn's logistic regression on its RBM's features."""
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression(max_iter=1000).fit(rbm.transform(x), y).score(rbm.transform(xt), yt)


def known_distribution(learning, settings, seed):
    """KL divergence of what a machine has learned from samples of another one, whose probabilities are known."""
    rng = np.random.default_rng(seed)
    known, machine = BoltzmannMachine(10), BoltzmannMachine(10)
    half = np.tril(0.7 * rng.standard_normal((10, 10)), -1)
    known.weight.data[...], known.bias.data[...] = half + half.T, 0.7 * rng.standard_normal(10)
    p = known.probabilities().astype(np.float64)
    machine.fit(all_states(10)[rng.choice(len(p), 20_000, p=p / p.sum())], learning=learning, verbose=0, **settings)
    return float((p * np.log(p / machine.probabilities())).sum())


if __name__ == "__main__":
    train(*sys.argv[1:2])
