"""Losses: numbers that know their gradient, PyTorch's loss functions and classes, and what compile's `loss` argument means."""
from math import prod

import numpy as np

from . import functional as F
from . import graph

__all__ = ["Loss", "cross_entropy", "nll", "mse", "CrossEntropyLoss", "NLLLoss", "MSELoss"]


class Loss(float):
    """A loss: a float with `item()` and `backward()`. Sums and multiples of losses are losses too.

    `terms`: [(prediction array, gradient array, factor)]; the loss's gradient for a prediction is the sum of factor *
    gradient."""

    def __new__(cls, value, terms=()):
        loss = super().__new__(cls, value)
        loss.terms = tuple(terms)
        return loss

    def item(self):
        """The loss as a plain float."""
        return float(self)

    def detach(self):
        """The loss as a plain float, which has no backward."""
        return float(self)

    @property
    def gradient(self):
        """The gradient with respect to the prediction, for a loss of one prediction."""
        gradients = self._gradients()
        if len(gradients) != 1:
            raise ValueError(f"this loss has {len(gradients)} predictions, not one: it has no single gradient")
        return gradients[0][1]

    def _gradients(self):
        total = {}
        for prediction, gradient, factor in self.terms:
            scaled = gradient if factor == 1.0 else gradient * gradient.dtype.type(factor)
            key = id(prediction)
            total[key] = (prediction, total[key][1] + scaled if key in total else scaled)
        return list(total.values())

    def backward(self):
        """Computes the gradients of the networks' parameters: each prediction that went into the loss must be what a model's
        call in training mode returned, and not have been used by a backward before. ValueError where it is not."""
        from . import run
        if not self.terms:
            raise ValueError("backward: this loss came from no prediction (it is a plain number)")
        run.backward_of(self._gradients())

    def __add__(self, other):
        if isinstance(other, Loss):
            return Loss(float(self) + float(other), self.terms + other.terms)
        return Loss(float(self) + float(other), self.terms) if isinstance(other, (int, float, np.number)) else NotImplemented

    __radd__ = __add__

    def __mul__(self, other):
        if isinstance(other, Loss):
            raise TypeError("a product of two losses has no backward: multiply by a number (float(loss))")
        if not isinstance(other, (int, float, np.number)):
            return NotImplemented
        return Loss(float(self) * float(other), [(p, g, f * float(other)) for p, g, f in self.terms])

    __rmul__ = __mul__

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    def __truediv__(self, other):
        return self * (1.0 / float(other))


def make_loss(value, gradient, prediction):
    """The Loss that a loss function of fastnn.functional returns on arrays."""
    return Loss(value, [(prediction, gradient, 1.0)])


graph.functions["make_loss"] = make_loss


def _with_gradient(loss):
    return (loss, loss.gradient) if isinstance(loss, Loss) else loss


def cross_entropy(y, t, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """-> (loss, dy): the cross-entropy of logits `y` (N, C, ...) and the targets `t`, and its gradient for y, of y's shape.

    t: integer labels (N, ...), or probabilities or one-hot floats of y's shape. weight: (C,), by class, the mean is then the
    weighted one; ignore_index: labels that do not count; reduction: 'mean' or 'sum'; label_smoothing: in [0, 1]."""
    reduction = _reduction("cross_entropy", reduction)
    return _with_gradient(F.cross_entropy(y, t, weight, ignore_index=ignore_index, reduction=reduction,
                                          label_smoothing=label_smoothing))


def nll(y, t, weight=None, ignore_index=-100, reduction="mean"):
    """-> (loss, dy): the negative log likelihood -y[n, t[n]] of log-probabilities `y` (N, C, ...) and labels `t` (N, ...), and
    its gradient for y. Arguments as cross_entropy's."""
    return _with_gradient(F.nll_loss(y, t, weight, ignore_index=ignore_index, reduction=_reduction("nll", reduction)))


def mse(y, t, reduction="mean"):
    """-> (loss, dy): the mean of (y - t)**2 over all elements (reduction 'sum': their sum), and its gradient for y. t has y's
    shape."""
    return _with_gradient(F.mse_loss(y, t, reduction=_reduction("mse", reduction)))


def _reduction(where, reduction, allowed=("mean", "sum")):
    if reduction not in allowed:
        raise ValueError(f"{where}: reduction must be one of {', '.join(map(repr, allowed))}, got {reduction!r}")
    return reduction


class _LossClass:
    """What the loss classes share: settings, a call, and the way they are written."""

    def to(self, *_, **__):
        """Accepted for PyTorch's sake; returns self."""
        return self

    def __repr__(self):
        shown = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not isinstance(v, np.ndarray) and v is not None)
        return f"{type(self).__name__}({shown})"


_ALL = ("mean", "sum", "none")


class CrossEntropyLoss(_LossClass):
    """Softmax and cross-entropy of logits: CrossEntropyLoss()(y, t) is F.cross_entropy(y, t): a Loss on arrays, a value on
    values.

    weight=None: (C,), a factor a class; ignore_index=-100; reduction='mean' | 'sum' | 'none'; label_smoothing=0.0."""

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        self.weight = None if weight is None else np.array(weight, np.float32)
        self.ignore_index, self.reduction = int(ignore_index), _reduction("CrossEntropyLoss", reduction, _ALL)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"CrossEntropyLoss: label_smoothing must be in [0, 1], got {label_smoothing!r}")
        self.label_smoothing = float(label_smoothing)

    def __call__(self, input, target):
        return F.cross_entropy(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
                               label_smoothing=self.label_smoothing)


class NLLLoss(_LossClass):
    """The negative log likelihood of log-probabilities: F.nll_loss. Arguments as CrossEntropyLoss's, without smoothing."""

    def __init__(self, weight=None, ignore_index=-100, reduction="mean"):
        self.weight = None if weight is None else np.array(weight, np.float32)
        self.ignore_index, self.reduction = int(ignore_index), _reduction("NLLLoss", reduction, _ALL)

    def __call__(self, input, target):
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_LossClass):
    """The mean squared error: F.mse_loss. reduction='mean' | 'sum' | 'none'."""

    def __init__(self, reduction="mean"):
        self.reduction = _reduction("MSELoss", reduction, _ALL)

    def __call__(self, input, target):
        return F.mse_loss(input, target, reduction=self.reduction)


# ---- compile's loss argument: symbolic functions (y_pred, y_true) -> one value a row, or a scalar

def per_row(value):
    """A loss of every element as one a row: the mean over all axes but the first."""
    return value if len(value.shape) <= 1 else value.flatten(1).mean(1)


def match_target(y_pred, y_true):
    """Labels (N, 1) as (N,)."""
    column = y_true.dtype == "int64" and len(y_true.shape) == len(y_pred.shape) and y_true.shape[1] == 1
    return y_true.squeeze(1) if column else y_true


def logits_of(y_pred):
    """The logits behind a network that ends in a softmax over the classes: cross-entropy takes them, so that its probabilities
    are used as such and never soft-maxed twice."""
    node = y_pred.node
    return node.inputs[0] if node.op.name == "softmax" and node.attrs.get("dim", 1) in (1, 1 - len(y_pred.shape)) else y_pred


def _cross_entropy_rows(y_pred, y_true, label_smoothing=0.0):
    return per_row(F.cross_entropy_rows(logits_of(y_pred), y_true, label_smoothing=label_smoothing))


def _nll_rows(y_pred, y_true):
    return per_row(F.nll_loss(y_pred, match_target(y_pred, y_true), reduction="none"))


def _same_shape(y_pred, y_true):
    """y_true with y_pred's shape, where only axes of length 1 are missing: (N,) targets of an (N, 1) output."""
    if tuple(y_true.shape) != tuple(y_pred.shape) and prod(y_true.shape) == prod(y_pred.shape):
        y_true = y_true.reshape(tuple(y_pred.shape))
    return F.float(y_true) if y_true.dtype != y_pred.dtype else y_true


def _mse_rows(y_pred, y_true):
    return F.mse_rows(y_pred, _same_shape(y_pred, y_true))


NAMES = {**dict.fromkeys(("cross_entropy", "crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"),
                         _cross_entropy_rows),
         **dict.fromkeys(("nll", "nll_loss"), _nll_rows), **dict.fromkeys(("mse", "mse_loss", "mean_squared_error"), _mse_rows)}


def resolve(spec, loss_weights=None):
    """compile's `loss` as a symbolic function rows(y_pred, y_true) -> a value of shape (N,), one a row, or a scalar.

    spec: a name, a loss function or class of this module, a formula of (y_pred, y_true) (matched by name; other names: the
    prediction first), or for several outputs a dict or list of these, summed with loss_weights, a dict or list of numbers."""
    if isinstance(spec, (dict, list, tuple)):
        return _resolve_several(spec, loss_weights)
    if isinstance(spec, str):
        if spec.lower() not in NAMES:
            raise ValueError(f"compile: unknown loss {spec!r}, expected one of {', '.join(sorted(NAMES))}, a class like "
                             "nn.CrossEntropyLoss() or a function of (y_pred, y_true)")
        return NAMES[spec.lower()]
    if isinstance(spec, type) and issubclass(spec, _LossClass):
        spec = spec()
    if isinstance(spec, _LossClass):
        return _resolve_class(spec)
    for rows, functions in ((_cross_entropy_rows, (cross_entropy, F.cross_entropy)), (_nll_rows, (nll, F.nll_loss)),
                            (_mse_rows, (mse, F.mse_loss))):
        if any(spec is f for f in functions):
            return rows
    if not callable(spec):
        raise TypeError(f"compile: loss must be a name, a loss class or a function of (y_pred, y_true), got {spec!r}")
    return by_name(spec)


def _resolve_class(loss):
    if isinstance(loss, MSELoss):
        return _mse_rows if loss.reduction == "mean" else loss
    if loss.weight is None and loss.reduction == "mean" and loss.ignore_index == -100:
        if isinstance(loss, NLLLoss):
            return _nll_rows
        return lambda y_pred, y_true: _cross_entropy_rows(y_pred, y_true, loss.label_smoothing)
    if isinstance(loss, CrossEntropyLoss):
        return lambda y_pred, y_true: loss(logits_of(y_pred), y_true)
    return lambda y_pred, y_true: loss(y_pred, match_target(y_pred, y_true))


def _resolve_several(spec, loss_weights):
    names = list(spec) if isinstance(spec, dict) else range(len(spec))
    parts = {name: resolve(spec[name]) for name in names}
    weights = loss_weights if loss_weights is not None else {}
    weights = dict(enumerate(weights)) if isinstance(weights, (list, tuple)) else weights
    unknown = [name for name in weights if name not in parts]
    if unknown:
        raise ValueError(f"compile: loss_weights names {unknown[0]!r}, the losses are {list(names)}")

    def rows(y_pred, y_true):
        total = None
        for i, name in enumerate(names):
            part = parts[name](pick(y_pred, name, i, "output"), pick(y_true, name, i, "target")) * float(weights.get(name, 1.0))
            total = part if total is None else total + part
        return total
    return rows


def pick(values, name, place, what):
    """One of several outputs or targets, by its name in a dict, by its place in a list."""
    if isinstance(values, dict):
        if name not in values:
            raise ValueError(f"compile: the loss names the {what} {name!r}, there are {list(values)}")
        return values[name]
    if isinstance(values, (list, tuple)):
        if place >= len(values):
            raise ValueError(f"compile: there is a loss for the {what} {name!r}, but {len(values)} {what}s")
        return values[place]
    return values


def by_name(function):
    """A user's formula as a function of (y_pred, y_true): arguments called so are matched by name, in any order."""
    code = getattr(function, "__code__", None) or getattr(getattr(type(function), "__call__", None), "__code__", None)
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount] if code is not None else ()
    if "y_true" in names and "y_pred" in names:
        return lambda y_pred, y_true: function(y_pred=y_pred, y_true=y_true)
    return function
