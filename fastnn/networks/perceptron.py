"""One neuron."""
from .. import functional as F
from ..callbacks import LambdaCallback
from ..layers import Linear
from ..module import Module
from ..optimizers import SGD
from ._activation import make_activation

__all__ = ["Perceptron"]


class Perceptron(Module):
    """The neuron y = f(w x + b), and how it learns (Rosenblatt 1958, doi:10.1037/h0042519).

    Args: inputs, their number; activation="step": f is 1 where w x + b >= 0, else 0, and `fit` follows the perceptron rule
    w += lr (t - y) x, b += lr (t - y), which finds a separating plane where there is one. Any other ("sigmoid", "tanh",
    "identity", a layer's class): gradient descent on the squared error (y - t)**2 (Widrow, Hoff 1960, the delta rule);
    lr=0.1, the learning rate. w and b start at zero. `weight` (1, inputs) and `bias` (1,) are those of `linear`.
    Shapes: (N, inputs) -> (N,). It is compiled; compile it again for another loss or optimizer."""

    def __init__(self, inputs, activation="step", lr=0.1):
        super().__init__()
        self.linear = Linear(inputs, 1)
        self.linear.weight.data[...] = 0
        self.linear.bias.data[...] = 0
        self.activation = None if activation == "step" else make_activation("Perceptron", activation)
        self.compile(loss="mse" if self.activation else perceptron_rule, optimizer=SGD(lr=lr),
                     metrics=None if self.activation else [accuracy])

    def forward(self, x):
        """x: (N, inputs)."""
        z = self.linear(x).squeeze(1)
        return self.activation(z) if self.activation else z >= 0

    def fit(self, x, y, batch_size=1, epochs=100, callbacks=None, **options):
        """Trains -> History. x: (N, inputs), y: (N,), with "step" 0 or 1; one example a step by default, as the rule says. With
        "step" it ends after an epoch without a mistake. More options as Module.fit's. ValueError: arrays that do not fit."""
        callbacks = list(callbacks or ())
        if self.activation is None:
            _check_classes(y)
            callbacks.append(LambdaCallback(on_epoch_end=self._stop_when_right))
        return super().fit(x, y, batch_size=batch_size, epochs=epochs, callbacks=callbacks, **options)

    def _stop_when_right(self, epoch, logs):
        if logs["accuracy"] == 1:
            self.stop_training = True


def perceptron_rule(y_pred, y_true):
    """(y - t) z, where y = (z >= 0) is the prediction: the distance |z| of what lies on the wrong side. A step has no gradient,
    so this one's for z is y - t, the perceptron rule's."""
    (z, _) = y_pred.node.inputs
    return (y_pred - F.float(y_true)) * z


def accuracy(y_pred, y_true):
    """1 where the prediction, 0 or 1, is right."""
    return y_pred == F.float(y_true)


def _check_classes(y):
    import numpy as np
    found = np.unique(y)
    if not np.isin(found, (0, 1)).all():
        raise ValueError(f"Perceptron.fit: with a step as activation y must be 0 or 1, got {', '.join(map(str, found[:5]))}")
