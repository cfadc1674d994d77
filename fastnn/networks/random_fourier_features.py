"""Random Fourier features: a Gaussian kernel for linear methods."""
import numpy as np

from .. import functional as F
from .. import random
from ._estimator import features, number, whole

__all__ = ["RandomFourierFeatures"]


class RandomFourierFeatures:
    """z(x) = sqrt(2 / n) cos(W x + b), W normal of variance 2 gamma, b uniform on [0, 2 pi), so that z(x).z(y) is near
    exp(-gamma |x - y|^2) (Rahimi and Recht 2007, "Random features for large-scale kernel machines"). What is linear in z(x), a
    LinearSVC or a Linear layer, is then nearly a kernel machine, at a cost that grows with the rows, not with their square.

    Args: gamma=1.0, or "scale": 1 / (features * the variance of x); n_components=100, n. After fit: weights_ (features, n),
    offset_ (n,), gamma_, n_features_in_. Drawn by the generator of nn.manual_seed. ValueError, TypeError: bad arguments."""

    def __init__(self, gamma=1.0, n_components=100):
        self.gamma, self.n_components = gamma, whole("RandomFourierFeatures", "n_components", n_components, 1)
        if gamma != "scale":
            number("RandomFourierFeatures", "gamma", gamma, above=0)

    def fit(self, x, y=None):
        """Draws W and b for the features of x, (N, features), or (N, ...), flattened; -> self."""
        x = features("RandomFourierFeatures", x, dtype=np.float32)
        spread = x.shape[1] * float(x.var(dtype=np.float64))
        gamma = float(self.gamma) if self.gamma != "scale" else 1 / spread if spread > 0 else 1.0
        draw = random.generator()
        weights = draw.standard_normal((x.shape[1], self.n_components), dtype=np.float32) * np.float32(np.sqrt(2 * gamma))
        self.weights_, self.offset_ = weights, draw.random(self.n_components, dtype=np.float32) * np.float32(2 * np.pi)
        self.gamma_, self.n_features_in_ = gamma, x.shape[1]
        return self

    def transform(self, x):
        """float32 (N, n_components)."""
        if not hasattr(self, "weights_"):
            raise RuntimeError("RandomFourierFeatures: call fit first")
        x = features("RandomFourierFeatures", x, self.n_features_in_, dtype=np.float32)
        out = np.empty((len(x), self.n_components), np.float32)
        weight = np.ascontiguousarray(self.weights_.T)
        for start in range(0, len(x), 1024):
            part = out[start:start + 1024]
            np.cos(F.linear(x[start:start + 1024], weight, self.offset_), out=part)
            part *= np.float32(np.sqrt(2 / self.n_components))
        return out

    def fit_transform(self, x, y=None):
        """fit, then transform."""
        return self.fit(x).transform(x)
