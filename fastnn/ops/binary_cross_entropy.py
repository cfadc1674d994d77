"""Binary cross-entropy of probabilities and of logits, element by element.

    of probabilities  -(target log p + (1 - target) log(1 - p)), no logarithm below -100
    of logits         the same for p = sigmoid(x), w target in the place of target (w: the weight of the positives), as
                      log1p(e^-|x|) (w target + 1 - target) + max(x, 0) (1 - target) + max(-x, 0) w target: nothing overflows
                      or cancels"""
import numpy as np

from ..graph import functions
from . import _arguments as arguments
from ._loss import averaged, pair, reduced
from .elementwise import apply, define

__all__ = ["binary_cross_entropy", "binary_cross_entropy_backward", "binary_cross_entropy_with_logits",
           "binary_cross_entropy_with_logits_backward"]


def _log(p):
    return functions["maximum"](functions["log"](p), -100.0)


_of_probabilities = define(
    "binary_cross_entropy",
    lambda p, target: -(target * np.maximum(np.log(p), -100) + (1 - target) * np.maximum(np.log1p(-p), -100)),
    lambda dy, p, target, out: (dy * _slope(p, target), dy * (_log(1.0 - p) - _log(p))))

_of_logits = define(
    "binary_cross_entropy_with_logits",
    lambda x, target, w: np.log1p(np.exp(-np.abs(x))) * (w * target + (1 - target)) + np.maximum(x, 0) * (1 - target)
    + np.maximum(-x, 0) * (w * target),
    lambda dy, x, target, w, out: (dy * _logits_slope(x, target, w),
                                   dy * (functions["softplus"](-x) * w - functions["softplus"](x)), None))


def _slope(p, target):
    return (p - target) / functions["maximum"](p * (1.0 - p), 1e-12)


def _logits_slope(x, target, w):
    y = functions["sigmoid"](x)
    if arguments.constant_number(w) == 1:
        return y - target
    return y * (target * w + (1.0 - target)) - target * w


def binary_cross_entropy(x, target, weight=None, reduction="mean"):
    """-(target log x + (1 - target) log(1 - x)), x probabilities and target in [0, 1], the shapes equal (ValueError otherwise).

    A logarithm counts as -100 at least. weight: a factor for every element, of a shape that broadcasts to x's. reduction:
    "mean" over all elements, "sum", or "none" (x's shape). Probabilities outside [0, 1] give NaN. On values gives a value; on
    arrays a Loss ("none": an array). Source: as torch.nn.functional.binary_cross_entropy."""
    prediction = x
    x, target, weight = pair("binary_cross_entropy", x, target, reduction, weight=weight)
    terms = _weighted(apply(_of_probabilities, x=x, target=target), weight)
    return reduced(terms, reduction, prediction, lambda: binary_cross_entropy_backward(x, target, weight, reduction))


def binary_cross_entropy_backward(x, target, weight=None, reduction="mean"):
    """The gradient of binary_cross_entropy with respect to x: (x - target) / (x (1 - x)), the divisor 1e-12 at least."""
    x, target, weight = pair("binary_cross_entropy_backward", x, target, reduction, weight=weight)
    return averaged(_weighted(_slope(x, target), weight), reduction)


def binary_cross_entropy_with_logits(x, target, weight=None, reduction="mean", pos_weight=None):
    """The binary cross-entropy of sigmoid(x), x any logits, however large; target in [0, 1], of x's shape (else ValueError).

    pos_weight: what the term of the positives, target log sigmoid(x), is multiplied by; weight: a factor for every element;
    both of shapes that broadcast to x's. reduction, result: as binary_cross_entropy's."""
    prediction = x
    x, target, weight, w = pair("binary_cross_entropy_with_logits", x, target, reduction, weight=weight, pos_weight=pos_weight)
    terms = _weighted(apply(_of_logits, x=x, target=target, pos_weight=1.0 if w is None else w), weight)
    return reduced(terms, reduction, prediction,
                   lambda: binary_cross_entropy_with_logits_backward(x, target, weight, reduction, w))


def binary_cross_entropy_with_logits_backward(x, target, weight=None, reduction="mean", pos_weight=None):
    """The gradient of binary_cross_entropy_with_logits with respect to x: sigmoid(x) - target, without pos_weight."""
    x, target, weight, w = pair("binary_cross_entropy_with_logits_backward", x, target, reduction, weight=weight,
                                pos_weight=pos_weight)
    return averaged(_weighted(_logits_slope(x, target, 1.0 if w is None else w), weight), reduction)


def _weighted(terms, weight):
    return terms if weight is None else functions["mul"](terms, weight)
