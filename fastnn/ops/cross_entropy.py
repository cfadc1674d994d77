"""Cross-entropy of logits against labels or probabilities, a loss a row; and what a mean over rows divides by.

    loss = -sum over c of q_c w_c log_softmax(x)_c;    q = (1 - s) target + s / classes, the target one-hot or as given"""
import numpy as np

from ..graph import CONSTANT, Spec, functions, is_symbolic, op
from . import _arguments as arguments
from ._lowering import classes_first, images_first, like_classes_first

__all__ = ["cross_entropy", "cross_entropy_backward", "cross_entropy_rows", "check_labels"]
IGNORE = -100                                       # PyTorch's label of a row that does not count


# ---- labels

@op("check_labels", mode="flat", check=True)
def _check_labels(target, *, classes, ignore_index):
    wrong = (target != ignore_index) & ((target < 0) | (target >= classes))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise IndexError(f"target[{', '.join(map(str, place))}] is {int(target[place])}, labels must be from 0 to {classes - 1}"
                         f" ({classes} classes)" + ("" if ignore_index == IGNORE else f" or ignore_index={ignore_index}"))
    return target


@_check_labels.gradient
def _(dy, target, out, **attrs):
    return None


@_check_labels.lower
def _(emit, target, out, *, classes, ignore_index):
    first, *rest = target.shape or (1,)
    count = arguments.prod((int(getattr(first, "coefficient", first)), *rest))
    emit("check_labels", target=target, count=count, classes=classes, ignore_index=ignore_index)
    emit.alias(out, target)


def check_labels(target, classes, ignore_index=IGNORE):
    """target (int64) itself, once each of its labels is known to be 0 .. classes - 1 or ignore_index.

    Raises IndexError, naming the first wrong label; in a plan before anything is changed."""
    attrs = dict(classes=arguments.integer("check_labels", "classes", classes, 1), ignore_index=int(ignore_index))
    if is_symbolic(target) and target.node.op is not CONSTANT:
        return _check_labels(target, **attrs)
    labels = target.node.attrs["value"] if is_symbolic(target) else np.asarray(target)
    _check_labels.reference(labels, **attrs)
    return target


# ---- a loss a row

def _distribution(x, target, ignore_index, label_smoothing):
    """q (N, C, ...) and which rows count (N, ...)."""
    classes = x.shape[1]
    if target.dtype.kind == "f":
        q, counted = target, np.ones((x.shape[0], *x.shape[2:]), bool)
    else:
        counted = target != ignore_index
        q = (np.expand_dims(target, 1) == np.arange(classes).reshape(-1, *[1] * (x.ndim - 2))) & np.expand_dims(counted, 1)
    q = q.astype(x.dtype)
    return q * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else q, counted


def _by_class(weight, x):
    return x.dtype.type(1) if weight is None else weight.reshape(-1, *[1] * (x.ndim - 2))


def _log_softmax(x):
    with np.errstate(all="ignore"):
        shifted = x - x.max(axis=1, keepdims=True, initial=-np.inf)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _rows_spec(x, target, weight, **attrs):
    return Spec((x.shape[0], *x.shape[2:]), x.dtype)


@op("cross_entropy_rows", shape=_rows_spec, rows=2)
def _cross_entropy_rows(x, target, weight, *, ignore_index, label_smoothing):
    q, counted = _distribution(x, target, ignore_index, label_smoothing)
    with np.errstate(all="ignore"):
        terms = np.where(q == 0, x.dtype.type(0), q * _by_class(weight, x) * _log_softmax(x))
        return np.where(counted, -terms.sum(axis=1), x.dtype.type(0))


@_cross_entropy_rows.gradient
def _(dy, x, target, weight, out, **attrs):
    dtarget = None
    if target.dtype != "int64":
        spread = dy.unsqueeze(1).expand(x.shape)
        if weight is not None:
            spread = spread * weight.reshape((-1,) + (1,) * (x.ndim - 2)).expand(x.shape)
        dtarget = spread * functions["log_softmax"](x, 1) * (attrs["label_smoothing"] - 1.0)
    return _cross_entropy_backward_rows(dy, x, target, weight, **attrs), dtarget, None


def _fields(emit, x, target):
    """The target as labels or as probabilities, and the sizes of a row."""
    images, classes, *rest = emit.shape(x)
    labels = target.dtype == "int64"
    return dict(target=target if labels else None, probabilities=None if labels else classes_first(emit, target),
                classes=classes, inner=images * emit.prod(rest))


@_cross_entropy_rows.lower
def _(emit, x, target, weight, out, *, ignore_index, label_smoothing):
    emit("cross_entropy_forward", loss=out, x=classes_first(emit, x), weight=weight, ignore_index=ignore_index,
         label_smoothing=label_smoothing, **_fields(emit, x, target))


@op("cross_entropy_backward_rows", shape=lambda dy, x, target, weight, **attrs: x, rows=3)
def _cross_entropy_backward_rows(dy, x, target, weight, *, ignore_index, label_smoothing):
    q, counted = _distribution(x, target, ignore_index, label_smoothing)
    with np.errstate(all="ignore"):
        weighted = q * _by_class(weight, x)
        dx = np.exp(_log_softmax(x)) * weighted.sum(axis=1, keepdims=True) - weighted
        return np.where(np.expand_dims(counted, 1), np.expand_dims(dy, 1) * dx, x.dtype.type(0))


@_cross_entropy_backward_rows.lower
def _(emit, dy, x, target, weight, out, *, ignore_index, label_smoothing):
    dx = like_classes_first(emit, out)
    emit("cross_entropy_backward", dx=dx, dy=dy, x=classes_first(emit, x), weight=weight, ignore_index=ignore_index,
         label_smoothing=label_smoothing, **_fields(emit, x, target))
    images_first(emit, out, dx)


# ---- the divisor of a weighted mean

@op("pick_weight", shape=lambda target, weight, **attrs: Spec(target.shape, weight.dtype if weight else "float32"), rows=1)
def pick_weight(target, weight, *, ignore_index):
    """weight[target] (1 without weight), 0 where the target is ignored."""
    counted = target != ignore_index
    if weight is None:
        return counted.astype(np.float32)
    return np.where(counted, weight[np.where(counted, target, 0)], weight.dtype.type(0))


@pick_weight.gradient
def _(dy, target, weight, out, **attrs):
    return None, None


@pick_weight.lower
def _(emit, target, weight, out, *, ignore_index):
    classes = 2**62 if weight is None else weight.shape[0]
    emit("pick_weight", y=out, target=target, weight=weight, classes=classes, inner=emit.prod(emit.shape(out)),
         ignore_index=ignore_index)


# ---- public functions

def _arguments(name, x, target, weight, ignore_index, label_smoothing):
    """Checked: x (N, C, ...), labels (N, ...) or probabilities of x's shape, weight, attributes; and was it a single row?"""
    x, weight = arguments.floats(name, x=x, weight=weight)
    target = arguments.labels_or_probabilities(name, "target", target)
    if x.ndim == 0:
        raise ValueError(f"{name}: x must have shape (N, classes, ...) or (classes,), it is a number")
    single = x.ndim == 1
    if single:
        x, target = x.reshape((1, *x.shape)), target.reshape((1, *target.shape))
    target = _fit_target(name, x, target)
    if isinstance(target, np.ndarray) and target.dtype.kind == "f" and isinstance(x, np.ndarray):
        x, target = arguments.floats(name, x=x, target=target)
    arguments.check_shape(name, "weight", weight, (x.shape[1],), ", one number a class")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name}: label_smoothing must be between 0 and 1, it is {label_smoothing}")
    attrs = dict(ignore_index=int(ignore_index), label_smoothing=float(label_smoothing))
    if _is_labels(target):
        try:
            target = check_labels(target, x.shape[1], ignore_index)
        except IndexError as error:
            raise IndexError(f"{name}: {error}") from None
    return x, target, weight, attrs, single


def _is_labels(target):
    return np.dtype(target.dtype).kind == "i"


def _fit_target(name, x, target):
    """Labels (N, ...), also given as (N, 1, ...) or as one-hot integers; or probabilities of x's shape."""
    rows = (x.shape[0], *x.shape[2:])
    if tuple(target.shape) == tuple(x.shape) and (x.shape[1] != 1 or not _is_labels(target)):
        return functions["float"](target)
    if _is_labels(target):
        if tuple(target.shape) == rows:
            return target
        if tuple(target.shape) == (rows[0], 1, *rows[1:]):
            return target.reshape(rows)
    raise ValueError(f"{name}: target must have shape {arguments.shown(rows)} (labels) or {arguments.shown(x.shape)} "
                     f"(probabilities) for x of shape {arguments.shown(x.shape)}, it has shape {arguments.shown(target.shape)} "
                     f"and dtype {target.dtype}")


def cross_entropy_rows(x, target, weight=None, ignore_index=IGNORE, label_smoothing=0.0):
    """The cross-entropy of every row, unreduced: (N, ...). Arguments as cross_entropy's."""
    x, target, weight, attrs, single = _arguments("cross_entropy", x, target, weight, ignore_index, label_smoothing)
    rows = _cross_entropy_rows(x, target, weight, **attrs)
    return rows.reshape(()) if single else rows


def _divisor(rows, target, weight, ignore_index):
    """What PyTorch's mean divides by: the weights of the labels, or the number of rows."""
    if _is_labels(target):
        return functions["sum"](pick_weight(target, weight, ignore_index=ignore_index))
    return float(arguments.prod(rows.shape))


def check_reduction(name, reduction):
    """Raises unless it is one of PyTorch's three."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', it is {reduction!r}")


def make_loss(value, gradient, prediction):
    """What a loss function gives on arrays: a Loss (losses.py), tied to the very array that is the prediction."""
    return functions["make_loss"](value, gradient, prediction)


def cross_entropy(x, target, weight=None, ignore_index=IGNORE, reduction="mean", label_smoothing=0.0):
    """-sum over classes of q_c weight_c log softmax(x)_c, q the target, smoothed to (1 - s) q + s / classes.

    x: logits (N, C, ...) or (C,). target: integer labels (N, ...), 0 to C - 1, or probabilities (one-hot included) of x's
    shape. weight (C,) or None. Rows whose label is ignore_index count nothing. reduction: "mean" (over labels: divided by the
    sum of their weights; over probabilities: by the number of rows), "sum" or "none" ((N, ...)).
    On values gives a value; on arrays a Loss ("none": an array). Raises IndexError for labels out of range, ValueError where
    shapes do not fit. Source: as torch.nn.functional.cross_entropy."""
    check_reduction("cross_entropy", reduction)
    checked, labels, w, attrs, single = _arguments("cross_entropy", x, target, weight, ignore_index, label_smoothing)
    rows = _cross_entropy_rows(checked, labels, w, **attrs)
    if reduction == "none":
        return rows.reshape(()) if single else rows
    total = functions["sum"](rows)
    if reduction == "mean":
        total = functions["div"](total, _divisor(rows, labels, w, attrs["ignore_index"]))
    if is_symbolic(total):
        return total
    return make_loss(total, cross_entropy_backward(x, target, weight, ignore_index, reduction, label_smoothing), x)


def cross_entropy_backward(x, target, weight=None, ignore_index=IGNORE, reduction="mean", label_smoothing=0.0):
    """The gradient of cross_entropy with respect to x, of its shape; for reduction "none" of every row by itself."""
    check_reduction("cross_entropy_backward", reduction)
    x, target, weight, attrs, single = _arguments("cross_entropy_backward", x, target, weight, ignore_index, label_smoothing)
    rows = (x.shape[0], *x.shape[2:])
    dy = np.ones(rows, np.dtype(x.dtype))
    if reduction == "mean":
        divisor = _divisor(np.empty(rows), target, weight, attrs["ignore_index"])
        dy = functions["div"](dy, divisor)
    dx = _cross_entropy_backward_rows(dy, x, target, weight, **attrs)
    return dx.reshape(tuple(dx.shape[1:])) if single else dx
