"""Autoencoders: networks that learn to make a short code of an image from which another network makes the image again."""
from math import prod

import numpy as np

from .. import functional as F
from .. import random
from ..layers import Conv2d, ConvTranspose2d, Flatten, Linear, ReLU, Reshape, Sequential
from ..layers._check import integer
from ..module import Module
from ._activation import make_activation
from ._generative import halved, row_shape, scaled

__all__ = ["Autoencoder", "ConvAutoencoder", "DenoisingAutoencoder", "VariationalAutoencoder"]


class Autoencoder(Module):
    """An encoder and a decoder of fully connected layers, trained to give back what went in (Hinton and Salakhutdinov 2006,
    doi:10.1126/science.1127647). The decoder mirrors the encoder.

    Args: shape=(1, 28, 28): of a row of the data, a number or a tuple; hidden=(512, 256): neurons of the hidden layers;
    code=32: numbers a code; activation="relu": a name or a layer's class, after each hidden layer; output="sigmoid": after the
    last one, "identity" for data that is not between 0 and 1. Attributes: `encoder` (N, *shape) -> (N, code) and `decoder` (N,
    code) -> (N, *shape), networks of their own. Called, it gives reconstructions. Raises ValueError or TypeError for sizes
    below 1.

    Data of dtype uint8 is multiplied by the `scale` that fit was given (1/255 at first)."""
    loss = "mse"

    def __init__(self, shape=(1, 28, 28), hidden=(512, 256), code=32, activation="relu", output="sigmoid"):
        super().__init__()
        where = type(self).__name__
        self.shape, self.code, self.scale = row_shape(where, shape), integer(where, "code", code), 1 / 255
        if not isinstance(hidden, (tuple, list)):
            raise TypeError(f"{where}: hidden is a tuple, the neurons of each hidden layer, not {hidden!r}")
        sizes = [prod(self.shape), *(integer(where, f"hidden[{i}]", size) for i, size in enumerate(hidden))]
        self.encoder = Sequential(Flatten(), *_dense(where, sizes, activation), Linear(sizes[-1], self.encoder_outputs()))
        back = [self.code, *sizes[::-1]]
        self.decoder = Sequential(*_dense(where, back[:-1], activation), Linear(*back[-2:]), make_activation(where, output),
                                  Reshape(*self.shape))
        self._remember_codes()

    def encoder_outputs(self):
        """Numbers that the encoder gives a row."""
        return self.code

    def _remember_codes(self):
        """Room for the mean of the codes of the training data and the Cholesky factor of their covariance: what sample draws
        from."""
        self.register_buffer("code_mean", np.zeros(self.code, np.float32))
        self.register_buffer("code_factor", np.eye(self.code, dtype=np.float32))

    def forward(self, x):
        """x: (N, *shape) -> the same shape."""
        return self.decoder(self.encoder(x))

    def compile(self, optimizer="adam", loss=None, **settings):
        """Module.compile; loss=None: what this kind of network is trained by. fit calls it where nobody has."""
        return super().compile(optimizer, self.loss if loss is None else loss, **settings)

    def fit(self, x, y=None, batch_size=64, epochs=1, *, scale=None, validation_data=None, **settings):
        """Trains the network to give back x, (N, *shape) -> History. y: what to give back instead (noisy images as x, clean
        ones as y). scale: multiplies uint8 data, and is remembered. validation_data: rows like x, or a pair of such. The
        rest as Module.fit's: verbose, callbacks, validation_split, shuffle, sample_weight, ... Raises ValueError for other
        shapes."""
        if scale is not None and scale != self.scale:
            self.scale = float(scale)
        if self.__dict__.get("_compiled") is None:
            self.compile()
        if validation_data is not None:
            pair = validation_data if isinstance(validation_data, (tuple, list)) else (validation_data,) * 2
            validation_data = tuple(self._rows("fit: validation_data", part) for part in pair)
        x = self._rows("fit", x)
        history = super().fit(x, x if y is None else self._rows("fit: y", y), batch_size, epochs,
                              validation_data=validation_data, **settings)
        self._study(x)
        return history

    def _study(self, x):
        """Looks at the codes of the training data, for sample."""
        codes = self.encode(x).astype(np.float64)
        covariance = np.cov(codes, rowvar=False).reshape(self.code, self.code) if len(codes) > 1 else np.zeros((self.code,) * 2)
        spread = np.trace(covariance) / self.code
        self.code_mean.data = codes.mean(0)
        self.code_factor.data = np.linalg.cholesky(covariance + (1e-6 * spread + 1e-12) * np.eye(self.code))

    def evaluate(self, x, y=None, batch_size=64, **settings):
        """Module.evaluate of reconstructions of x; y as fit's."""
        x = self._rows("evaluate", x)
        return super().evaluate(x, x if y is None else self._rows("evaluate: y", y), batch_size, **settings)

    def _rows(self, where, x):
        return scaled(f"{type(self).__name__}.{where}", x, self.shape, self.scale)

    def encode(self, x, batch_size=256):
        """The codes of x, (N, *shape) -> (N, code)."""
        return self.encoder.predict(self._rows("encode", x), batch_size)

    def decode(self, codes, batch_size=256):
        """What the decoder makes of codes, (N, code) -> (N, *shape)."""
        return self.decoder.predict(scaled(f"{type(self).__name__}.decode", codes, (self.code,), 1.0), batch_size)

    def reconstruct(self, x, batch_size=256):
        """decode(encode(x)): (N, *shape) -> (N, *shape)."""
        return self.decode(self.encode(x, batch_size), batch_size)

    def sample(self, n):
        """n new rows, (n, *shape): decoded from codes that are drawn from the normal distribution with the mean and the
        covariance of the training data's codes (the standard normal one before fit). The random numbers are manual_seed's."""
        noise = random.normal((integer(type(self).__name__ + ".sample", "n", n), self.code))
        return self.decode(self.code_mean.data + noise @ self.code_factor.data.T)


def _dense(where, sizes, activation):
    """A layer and an activation from each size to the next."""
    return [layer for a, b in zip(sizes, sizes[1:]) for layer in (Linear(a, b), make_activation(where, activation))]


class ConvAutoencoder(Autoencoder):
    """An autoencoder of convolutions of stride 2 and, in the decoder, transposed ones (Masci et al. 2011,
    doi:10.1007/978-3-642-21735-7_7).

    Args: shape=(1, 28, 28): channels, height and width, the last two divisible by 2 once for each layer; channels=(16, 32): of
    the layers, each of which halves the image; code=32: numbers a code. The rest as Autoencoder's. Raises ValueError for a
    shape that cannot be halved so often."""

    def __init__(self, shape=(1, 28, 28), channels=(16, 32), code=32, output="sigmoid"):
        Module.__init__(self)
        where = type(self).__name__
        self.shape, self.code, self.scale = row_shape(where, shape), integer(where, "code", code), 1 / 255
        widths, small = halved(where, self.shape, channels)
        down = [layer for a, b in zip(widths, widths[1:]) for layer in (Conv2d(a, b, 4, 2, 1), ReLU())]
        up = [layer for a, b in zip(widths[:0:-1], widths[-2::-1]) for layer in (ConvTranspose2d(a, b, 4, 2, 1), ReLU())][:-1]
        self.encoder = Sequential(*down, Flatten(), Linear(prod(small), self.encoder_outputs()))
        self.decoder = Sequential(Linear(self.code, prod(small)), ReLU(), Reshape(*small), *up, make_activation(where, output))
        self._remember_codes()


class DenoisingAutoencoder(Autoencoder):
    """An autoencoder that is shown spoilt images while it is trained, and learns to give back the sound ones (Vincent et al.
    2008, doi:10.1145/1390156.1390294). The noise is new at every step. reconstruct(noisy) cleans.

    Args: noise="gaussian": numbers of standard deviation `level` are added; "masking": a share `level` of the numbers becomes
    0; level=0.5. The rest as Autoencoder's. Raises ValueError for another noise or a level that does not fit."""

    def __init__(self, shape=(1, 28, 28), hidden=(512, 256), code=32, activation="relu", output="sigmoid", noise="gaussian",
                 level=0.5):
        super().__init__(shape, hidden, code, activation, output)
        if noise not in ("gaussian", "masking"):
            raise ValueError(f"DenoisingAutoencoder: noise must be 'gaussian' or 'masking', got {noise!r}")
        if not 0 <= level < (1 if noise == "masking" else np.inf):
            raise ValueError(f"DenoisingAutoencoder: level must be at least 0, for masking below 1, got {level!r}")
        self.noise, self.level = noise, float(level)

    def corrupt(self, x):
        """x with noise, as in training: (N, *shape), values or arrays."""
        if self.noise == "gaussian":
            return x + F.randn_like(x) * self.level
        return F.dropout(x, self.level) * (1 - self.level)

    def forward(self, x):
        """x: (N, *shape) -> the same shape; noise is added in training."""
        return super().forward(self.corrupt(x) if self.training else x)


class VariationalAutoencoder(Autoencoder):
    """A model of where images come from: a code from a standard normal distribution, and pixels that are 1 with the
    probabilities that the decoder gives. The encoder gives mean and logarithm of the variance of the normal distribution of the
    codes that an image may have come from. Trained by the evidence lower bound (ELBO), with codes mean + deviation * noise
    (Kingma and Welling 2014, arXiv:1312.6114).

    Args: shape=(1, 28, 28), of data between 0 and 1; hidden=(400,); code=20; activation="relu". Called, it gives a dict of
    "logits" (N, *shape), for codes that are drawn, "mean" and "log_variance" (N, code). The loss that fit and evaluate give is
    the negative ELBO in nats a row, one draw a row."""

    def __init__(self, shape=(1, 28, 28), hidden=(400,), code=20, activation="relu"):
        super().__init__(shape, hidden, code, activation, "identity")

    def encoder_outputs(self):
        """Mean and logarithm of the variance of every number of the code."""
        return 2 * self.code

    def _remember_codes(self):
        """sample draws from the standard normal distribution."""

    def _study(self, x):
        """Nothing is to be learned about the codes: see _remember_codes."""

    def forward(self, x):
        """x: (N, *shape) -> a dict, see the class."""
        both = self.encoder(x)
        mean, log_variance = both[:, :self.code], both[:, self.code:]
        codes = mean + F.exp(log_variance * 0.5) * F.randn_like(mean)
        return {"logits": self.decoder(codes), "mean": mean, "log_variance": log_variance}

    @staticmethod
    def loss(y_pred, y_true):
        """The negative ELBO of every row: cross-entropy of the pixels, and the divergence of the codes' distribution from the
        standard normal one, -1/2 sum(1 + log variance - mean^2 - variance)."""
        pixels = F.binary_cross_entropy_with_logits(y_pred["logits"], y_true, reduction="none").flatten(1).sum(1)
        mean, log_variance = y_pred["mean"], y_pred["log_variance"]
        return pixels + (F.square(mean) + F.exp(log_variance) - log_variance - 1.0).sum(1) * 0.5

    def elbo(self, x, batch_size=256):
        """The mean ELBO of x's rows in nats, estimated with one draw a row: at most the log-likelihood. RuntimeError before fit
        or compile."""
        return -self.evaluate(x, batch_size=batch_size)[0]

    def posterior(self, x, batch_size=256):
        """-> (mean, standard deviation), (N, code) each, of the codes that the rows of x may have come from."""
        both = self.encoder.predict(self._rows("posterior", x), batch_size)
        return both[:, :self.code], np.exp(both[:, self.code:] / 2)

    def encode(self, x, batch_size=256):
        """The mean code of each row of x, (N, *shape) -> (N, code)."""
        return self.posterior(x, batch_size)[0]

    def decode(self, codes, batch_size=256):
        """The pixels' probabilities for codes, (N, code) -> (N, *shape)."""
        return F.sigmoid(super().decode(codes, batch_size))

    def sample(self, n):
        """n new rows, (n, *shape): the pixels' probabilities for codes drawn from the standard normal distribution."""
        return self.decode(random.normal((integer("VariationalAutoencoder.sample", "n", n), self.code)))
