"""The linear support vector machine for many rows, trained by stochastic gradient descent on the package's layers."""
import math

import numpy as np

from .. import functional as F
from ..callbacks import Callback
from ..layers import Linear, Rescaling, Sequential
from ..optimizers import SGD
from ._estimator import accuracy, features, label_numbers, number, whole

__all__ = ["LinearSVC"]

HINGES = {"hinge": lambda margin: F.relu(1.0 - margin), "squared_hinge": lambda margin: F.square(F.relu(1.0 - margin))}


class _FallingRate(Callback):
    """The learning rate falls in a line to zero, step by step."""

    def __init__(self, optimizer, steps):
        super().__init__()
        self.optimizer, self.highest, self.steps, self.step = optimizer, optimizer.lr, steps, 0

    def on_train_batch_begin(self, batch, logs=None):
        self.optimizer.lr = self.highest * (1 - self.step / self.steps)
        self.step += 1


class LinearSVC:
    """The linear support vector classifier, of more than two classes one against the rest: minimizes |w|^2 / 2 + C sum over the
    rows of the hinge loss, l or l^2 of l = max(0, 1 - t (w.x + b)), t = 1 or -1, by SGD with momentum on a Linear layer
    (Shalev-Shwartz and others 2011, doi:10.1007/s10107-010-0420-4). b is part of w, as in scikit-learn's LinearSVC.

    Args: C=1.0; loss="squared_hinge" | "hinge"; epochs=20; batch_size=64; lr=0.5: the learning rate at first, for rows of mean
    length 1, to which they are scaled; it falls in a line to zero; momentum=0.9; verbose=0: as Module.fit's.
    After fit: classes_ (k,), coef_ (k, features) and intercept_ (k,), float32, of two classes (1, features) and (1,), positive
    for the second; n_features_in_; network_, a Sequential that gives the decision function and can be saved; history_.
    Raises ValueError for arguments out of their range. Shuffling follows nn.manual_seed."""

    def __init__(self, C=1.0, loss="squared_hinge", epochs=20, batch_size=64, lr=0.5, momentum=0.9, verbose=0):
        self.C, self.loss, self.epochs, self.batch_size = C, loss, epochs, batch_size
        self.lr, self.momentum, self.verbose = lr, momentum, verbose
        self._check()

    def _check(self):
        for name in ("C", "lr"):
            number("LinearSVC", name, getattr(self, name), above=0)
        if self.loss not in HINGES:
            raise ValueError(f"LinearSVC: loss must be one of {', '.join(map(repr, HINGES))}, got {self.loss!r}")
        for name in ("epochs", "batch_size"):
            whole("LinearSVC", name, getattr(self, name), 1)

    def fit(self, x, y):
        """Learns; -> self. x: (N, features), or (N, ...), flattened; y: (N,) labels, two classes or more. ValueError: NaN or
        infinity, lengths that differ, one class."""
        self._check()
        x = features("LinearSVC", x, dtype=np.float32)
        classes, labels = label_numbers("LinearSVC", y, len(x))
        sums = 1 if len(classes) == 2 else len(classes)
        sides = np.where(labels[:, None] == (np.arange(sums) if sums > 1 else 1), np.float32(1), np.float32(-1))
        length = math.sqrt(np.einsum("ij,ij->", x, x, dtype=np.float64) / len(x)) or 1.0
        network = Sequential(Rescaling(1 / length), Linear(x.shape[1], sums))
        for parameter in network.parameters():
            np.asarray(parameter.data)[...] = 0
        optimizer = SGD(lr=self.lr, momentum=self.momentum, weight_decay=1 / (self.C * len(x) * length ** 2))
        hinge = HINGES[self.loss]
        network.compile(loss=lambda y_pred, y_true: hinge(y_pred * y_true).sum(1), optimizer=optimizer)
        steps = self.epochs * math.ceil(len(x) / self.batch_size)
        history = network.fit(x, sides, batch_size=self.batch_size, epochs=self.epochs, verbose=self.verbose,
                              callbacks=[_FallingRate(optimizer, steps)])
        weight, bias = (np.array(p.data) for p in network.parameters())
        self.classes_, self.n_features_in_, self.network_, self.history_ = classes, x.shape[1], network, history
        self.coef_, self.intercept_ = weight / np.float32(length), bias
        return self

    def decision_function(self, x):
        """float32: of two classes (N,), positive for the second; else (N, classes), the largest for the class predicted."""
        if not hasattr(self, "network_"):
            raise RuntimeError("LinearSVC: call fit first")
        x = features("LinearSVC", x, self.n_features_in_, dtype=np.float32)
        found = self.network_.predict(x, batch_size=1024)
        return found[:, 0] if found.shape[1] == 1 else found

    def predict(self, x):
        """The labels (N,)."""
        found = self.decision_function(x)
        return self.classes_[found.argmax(1) if found.ndim > 1 else (found > 0).astype(int)]

    def score(self, x, y):
        """The share of rows whose label is predicted."""
        return accuracy("LinearSVC", self.predict(x), y)
