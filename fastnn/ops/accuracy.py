"""Is the largest output the target's class?"""
import numpy as np

from ..graph import Spec, op
from . import _arguments as arguments
from ._lowering import classes_first
from .cross_entropy import IGNORE

__all__ = ["accuracy"]


@op("accuracy", shape=lambda x, target, *, ignore_index: Spec((x.shape[0], *x.shape[2:]), x.dtype), rows=2)
def _accuracy(x, target, *, ignore_index):
    classes, labels = x.shape[1], target.dtype.kind == "i"
    if classes == 1:
        right = (x[:, 0] > 0.5) == (target if labels else target[:, 0])
    else:
        right = x.argmax(axis=1) == (target if labels else target.argmax(axis=1))
    return (right & (target != ignore_index) if labels else right).astype(x.dtype)


@_accuracy.gradient
def _(dy, x, target, out, *, ignore_index):
    return None, None


@_accuracy.lower
def _(emit, x, target, out, *, ignore_index):
    images, classes, *rest = emit.shape(x)
    labels = target.dtype == "int64"
    emit("accuracy", y=out, x=classes_first(emit, x), target=target if labels else None,
         probabilities=None if labels else classes_first(emit, target), classes=classes, inner=images * emit.prod(rest),
         ignore_index=ignore_index)


def accuracy(x, target, ignore_index=IGNORE):
    """1.0 a row where the largest of x (N, C, ...) (the first of ties) is the target's class, else 0.0: (N, ...).

    target: labels (N, ...), or probabilities (one-hot included) of x's shape. With one output (N, 1) or (N,): x > 0.5 against
    the target's 0 or 1. Rows whose label is ignore_index give 0. No gradient."""
    x = arguments.check_float("accuracy", "x", x)
    target = arguments.labels_or_probabilities("accuracy", "target", target)
    if x.ndim == 0:
        raise ValueError("accuracy: x must have rows, it is a number")
    if x.ndim == 1:
        x = x.reshape((x.shape[0], 1))
    rows, one_hot_labels = (x.shape[0], *x.shape[2:]), x.shape[1] != 1 and tuple(target.shape) == tuple(x.shape)
    if np.dtype(target.dtype).kind != "i" or one_hot_labels:
        target = arguments.check_float("accuracy", "target", target)
        if x.shape[1] == 1 and tuple(target.shape) == rows:
            target = target.reshape(tuple(x.shape))
        arguments.check_shape("accuracy", "target", target, x.shape, ", as x, or be integer labels")
    elif tuple(target.shape) == (rows[0], 1, *rows[1:]):
        target = target.reshape(rows)
    else:
        arguments.check_shape("accuracy", "target", target, rows, f" for x of shape {arguments.shown(x.shape)}")
    return _accuracy(x, target, ignore_index=int(ignore_index))
