"""Losses: numbers that know their gradient; functions that give (loss, gradient); PyTorch's loss classes. What compile's `loss`
argument means stands in objectives.py."""
import numpy as np

from . import functional as F
from . import graph

__all__ = ["Loss", "cross_entropy", "nll", "mse", "l1", "smooth_l1", "huber", "binary_cross_entropy",
           "binary_cross_entropy_with_logits", "hinge", "CrossEntropyLoss", "NLLLoss", "MSELoss", "L1Loss", "SmoothL1Loss",
           "HuberLoss", "BCELoss", "BCEWithLogitsLoss", "HingeLoss", "MultiMarginLoss"]


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


def l1(y, t, reduction="mean"):
    """-> (loss, dy): the mean of |y - t| over all elements (reduction 'sum': their sum), and its gradient for y. t has y's
    shape."""
    return _with_gradient(F.l1_loss(y, t, reduction=_reduction("l1", reduction)))


def smooth_l1(y, t, beta=1.0, reduction="mean"):
    """-> (loss, dy): the mean of d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, d = y - t of y's shape, and its gradient
    for y. reduction: 'mean' or 'sum'."""
    return _with_gradient(F.smooth_l1_loss(y, t, reduction=_reduction("smooth_l1", reduction), beta=beta))


def huber(y, t, delta=1.0, reduction="mean"):
    """-> (loss, dy): the mean of d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), d = y - t of y's shape, and its
    gradient for y. reduction: 'mean' or 'sum'."""
    return _with_gradient(F.huber_loss(y, t, reduction=_reduction("huber", reduction), delta=delta))


def binary_cross_entropy(y, t, weight=None, reduction="mean"):
    """-> (loss, dy): the mean of -(t log y + (1 - t) log(1 - y)), y probabilities, t in [0, 1] of y's shape, and its gradient
    for y. weight: a factor for every element, broadcasting; reduction: 'mean' or 'sum'."""
    return _with_gradient(F.binary_cross_entropy(y, t, weight, _reduction("binary_cross_entropy", reduction)))


def binary_cross_entropy_with_logits(y, t, weight=None, reduction="mean", pos_weight=None):
    """-> (loss, dy): the binary cross-entropy of sigmoid(y), y any logits, and its gradient for y. pos_weight: a factor for the
    positives' term, broadcasting. Otherwise as binary_cross_entropy."""
    reduction = _reduction("binary_cross_entropy_with_logits", reduction)
    return _with_gradient(F.binary_cross_entropy_with_logits(y, t, weight, reduction, pos_weight))


def hinge(y, t, margin=1.0, squared=False, reduction="mean"):
    """-> (loss, dy): the mean of max(0, margin - t y), targets t -1 and 1 (or 0 and 1) of y's shape, and its gradient for y;
    squared: of its square. Integer labels t (N,) beside scores y (N, classes): the multi-class loss, PyTorch's MultiMarginLoss.
    reduction: 'mean' or 'sum'."""
    return _with_gradient(F.hinge_loss(y, t, margin, squared, _reduction("hinge", reduction)))


def _reduction(where, reduction, allowed=("mean", "sum")):
    if reduction not in allowed:
        raise ValueError(f"{where}: reduction must be one of {', '.join(map(repr, allowed))}, got {reduction!r}")
    return reduction


_ALL = ("mean", "sum", "none")


class _LossClass:
    """What the loss classes share: settings, named as the function's arguments, a call, and the way they are written."""
    function = None

    def __init__(self, reduction, **settings):
        self.__dict__.update(settings, reduction=_reduction(type(self).__name__, reduction, _ALL))

    def __call__(self, input, target):
        return self.function(input, target, **vars(self))

    def to(self, *_, **__):
        """Accepted for PyTorch's sake; returns self."""
        return self

    def __repr__(self):
        shown = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not isinstance(v, np.ndarray) and v is not None)
        return f"{type(self).__name__}({shown})"


def _array(weight):
    return None if weight is None else np.array(weight, np.float32)


class CrossEntropyLoss(_LossClass):
    """Softmax and cross-entropy of logits: CrossEntropyLoss()(y, t) is F.cross_entropy(y, t): a Loss on arrays, a value on
    values.

    weight=None: (C,), a factor a class; ignore_index=-100; reduction='mean' | 'sum' | 'none'; label_smoothing=0.0."""
    function = staticmethod(F.cross_entropy)

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"CrossEntropyLoss: label_smoothing must be in [0, 1], got {label_smoothing!r}")
        super().__init__(reduction, weight=_array(weight), ignore_index=int(ignore_index),
                         label_smoothing=float(label_smoothing))


class NLLLoss(_LossClass):
    """The negative log likelihood of log-probabilities: F.nll_loss. Arguments as CrossEntropyLoss's, without smoothing."""
    function = staticmethod(F.nll_loss)

    def __init__(self, weight=None, ignore_index=-100, reduction="mean"):
        super().__init__(reduction, weight=_array(weight), ignore_index=int(ignore_index))


class MSELoss(_LossClass):
    """The mean squared error: F.mse_loss. reduction='mean' | 'sum' | 'none'."""
    function = staticmethod(F.mse_loss)

    def __init__(self, reduction="mean"):
        super().__init__(reduction)


class L1Loss(_LossClass):
    """The mean absolute error: F.l1_loss. reduction='mean' | 'sum' | 'none'."""
    function = staticmethod(F.l1_loss)

    def __init__(self, reduction="mean"):
        super().__init__(reduction)


class SmoothL1Loss(_LossClass):
    """F.smooth_l1_loss: squared below beta, absolute above. reduction='mean' | 'sum' | 'none'; beta=1.0."""
    function = staticmethod(F.smooth_l1_loss)

    def __init__(self, reduction="mean", beta=1.0):
        super().__init__(reduction, beta=float(beta))


class HuberLoss(_LossClass):
    """F.huber_loss: squared below delta, linear above. reduction='mean' | 'sum' | 'none'; delta=1.0."""
    function = staticmethod(F.huber_loss)

    def __init__(self, reduction="mean", delta=1.0):
        super().__init__(reduction, delta=float(delta))


class BCELoss(_LossClass):
    """The binary cross-entropy of probabilities: F.binary_cross_entropy.

    weight=None: a factor for every element, broadcasting; reduction='mean' | 'sum' | 'none'."""
    function = staticmethod(F.binary_cross_entropy)

    def __init__(self, weight=None, reduction="mean"):
        super().__init__(reduction, weight=_array(weight))


class BCEWithLogitsLoss(_LossClass):
    """The binary cross-entropy of logits: F.binary_cross_entropy_with_logits.

    weight=None, pos_weight=None: factors for every element and for the positives' term, broadcasting;
    reduction='mean' | 'sum' | 'none'."""
    function = staticmethod(F.binary_cross_entropy_with_logits)

    def __init__(self, weight=None, reduction="mean", pos_weight=None):
        super().__init__(reduction, weight=_array(weight), pos_weight=_array(pos_weight))


class HingeLoss(_LossClass):
    """F.hinge_loss: targets -1 and 1 (or 0 and 1) of the scores' shape, or integer labels beside a score a class.

    margin=1.0; squared=False; reduction='mean' | 'sum' | 'none'."""
    function = staticmethod(F.hinge_loss)

    def __init__(self, margin=1.0, squared=False, reduction="mean"):
        super().__init__(reduction, margin=float(margin), squared=bool(squared))


class MultiMarginLoss(_LossClass):
    """The multi-class hinge loss: F.multi_margin_loss. p=1 | 2; margin=1.0; weight=None: (C,), a factor a class;
    reduction='mean' | 'sum' | 'none'."""
    function = staticmethod(F.multi_margin_loss)

    def __init__(self, p=1, margin=1.0, weight=None, reduction="mean"):
        super().__init__(reduction, p=p, margin=float(margin), weight=_array(weight))
