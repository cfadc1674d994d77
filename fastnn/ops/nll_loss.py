"""The negative log-likelihood of labels under given log-probabilities, and one-hot rows."""
import numpy as np

from ..graph import functions, is_symbolic
from . import _arguments as arguments
from .cross_entropy import IGNORE, check_labels, check_reduction, make_loss, pick_weight

__all__ = ["nll_loss", "nll_loss_backward", "one_hot"]


def one_hot(target, num_classes):
    """Labels (N, ...) -> float rows (N, num_classes, ...): 1 at the label, else 0. (The classes are axis 1, as in every loss;
    torch.nn.functional.one_hot puts them last.) A label out of range gives a row of zeros."""
    classes = arguments.integer("one_hot", "num_classes", num_classes, 1)
    target = arguments.labels_or_probabilities("one_hot", "target", target)
    rest = tuple(target.shape[1:])
    numbers = np.arange(classes, dtype=np.float32).reshape(classes, *[1] * len(rest))
    return functions["eq"](target.reshape((target.shape[0], 1, *rest)), numbers)


def _parts(name, x, target, weight, ignore_index):
    """x (N, C, ...); -weight one-hot of this shape, what the loss is the scalar product of with x; the weight of every row (N,
    ...); and was it a single row?"""
    x, weight = arguments.floats(name, x=x, weight=weight)
    if x.ndim == 0:
        raise ValueError(f"{name}: x must have shape (N, classes, ...) or (classes,), it is a number")
    target, single = arguments.labels_or_probabilities(name, "target", target), x.ndim == 1
    if single:
        x, target = x.reshape((1, *x.shape)), target.reshape((1, *target.shape))
    if np.dtype(target.dtype).kind != "i":
        raise TypeError(f"{name}: target must be integer labels, it has dtype {target.dtype}")
    arguments.check_shape(name, "target", target, (x.shape[0], *x.shape[2:]), f" for x of shape {arguments.shown(x.shape)}")
    arguments.check_shape(name, "weight", weight, (x.shape[1],), ", one number a class")
    target = check_labels(target, x.shape[1], ignore_index)
    if weight is None and x.dtype == "float64":     # so that the divisor is float64 too
        weight = np.ones(x.shape[1])
    weights = pick_weight(target, weight, ignore_index=int(ignore_index))
    rows = weights.reshape((x.shape[0], 1, *x.shape[2:]))
    return x, functions["sub"](0.0, functions["mul"](one_hot(target, x.shape[1]), rows)), weights, single


def nll_loss(x, target, weight=None, ignore_index=IGNORE, reduction="mean"):
    """-weight[target] x[target]: x log-probabilities (N, C, ...) or (C,), target integer labels (N, ...), weight (C,) or
    None.

    reduction: "mean" (divided by the sum of the labels' weights), "sum" or "none" ((N, ...)); rows whose label is ignore_index
    count nothing. On values gives a value; on arrays a Loss ("none": an array). Raises IndexError for labels out of range."""
    check_reduction("nll_loss", reduction)
    checked, mask, weights, single = _parts("nll_loss", x, target, weight, ignore_index)
    rows = functions["sum"](functions["where"](mask, functions["mul"](checked, mask), 0.0), 1)
    if reduction == "none":
        return rows.reshape(()) if single else rows
    total = functions["sum"](rows)
    if reduction == "mean":
        total = functions["div"](total, functions["sum"](weights))
    return total if is_symbolic(total) else make_loss(total, nll_loss_backward(x, target, weight, ignore_index, reduction), x)


def nll_loss_backward(x, target, weight=None, ignore_index=IGNORE, reduction="mean"):
    """The gradient of nll_loss with respect to x: -weight[target] at the label, for "mean" divided by the weights' sum."""
    check_reduction("nll_loss_backward", reduction)
    x, mask, weights, single = _parts("nll_loss_backward", x, target, weight, ignore_index)
    dx = functions["div"](mask, functions["sum"](weights)) if reduction == "mean" else mask
    dx = dx.astype(x.dtype, copy=False)
    return dx.reshape(tuple(dx.shape[1:])) if single else dx
