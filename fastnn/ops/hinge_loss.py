"""Hinge losses: of one score a case, the target's sign; of a score a class (PyTorch's multi_margin_loss).
Source: Cortes and Vapnik, Support-vector networks, 1995; Weston and Watkins, Support vector machines for multi-class, 1999."""
import numpy as np

from ..graph import functions
from . import _arguments as arguments
from ._loss import averaged, pair, reduced
from .cross_entropy import IGNORE, check_labels, check_reduction, pick_weight
from .nll_loss import one_hot

__all__ = ["hinge_loss", "hinge_loss_backward", "multi_margin_loss", "multi_margin_loss_backward"]


def hinge_loss(x, target, margin=1.0, squared=False, reduction="mean"):
    """max(0, margin - sign x), sign 1 where target is above 0, else -1 (so targets are -1 and 1, or 0 and 1), of x's shape;
    squared: its square. Integer labels (N,) beside scores x (N, classes): multi_margin_loss.

    reduction: "mean" over all elements, "sum", or "none" (x's shape). On values gives a value; on arrays a Loss
    ("none": an array). Raises ValueError where shapes do not fit."""
    if _several_classes(x, target):
        return multi_margin_loss(x, target, 2 if squared else 1, margin, None, reduction)
    prediction = x
    x, target = pair("hinge_loss", x, target, reduction)
    short, _ = _short(x, target, margin)
    return reduced(functions["square"](short) if squared else short, reduction, prediction,
                   lambda: hinge_loss_backward(x, target, margin, squared, reduction))


def hinge_loss_backward(x, target, margin=1.0, squared=False, reduction="mean"):
    """The gradient of hinge_loss with respect to x."""
    if _several_classes(x, target):
        return multi_margin_loss_backward(x, target, 2 if squared else 1, margin, None, reduction)
    x, target = pair("hinge_loss_backward", x, target, reduction)
    short, sign = _short(x, target, margin)
    return averaged(functions["mul"](functions["neg"](sign), _power_slope(short, squared)), reduction)


def _several_classes(x, target):
    """Labels beside a score a class?"""
    x, target = (v if hasattr(v, "shape") else np.asarray(v) for v in (x, target))
    return np.dtype(target.dtype).kind in "iu" and len(target.shape) == 1 and len(x.shape) == 2 and x.shape[1] > 1


def _short(x, target, margin):
    """How much is missing to the margin, and the targets' signs."""
    sign = functions["where"](functions["gt"](target, 0.0), 1.0, -1.0)
    return functions["relu"](functions["sub"](float(margin), functions["mul"](sign, x))), sign


def _power_slope(short, squared):
    """The slope of short or short^2, short >= 0; 0 at 0."""
    return functions["mul"](short, 2.0) if squared else functions["gt"](short, 0.0)


def _parts(name, x, target, p, margin, weight, reduction):
    """short (N, classes), 0 at the label; one-hot labels; the factor of every row, (N, 1)."""
    check_reduction(name, reduction)
    if p not in (1, 2):
        raise ValueError(f"{name}: p must be 1 or 2, it is {p!r}")
    x, weight = arguments.floats(name, x=x, weight=weight)
    arguments.check_ndim(name, "x", x, (2,), "(N, classes)")
    target = arguments.labels_or_probabilities(name, "target", target)
    if np.dtype(target.dtype).kind != "i":
        raise TypeError(f"{name}: target must be integer labels, it has dtype {target.dtype}")
    rows, classes = x.shape
    arguments.check_shape(name, "target", target, (rows,), f" for x of shape {arguments.shown(x.shape)}")
    arguments.check_shape(name, "weight", weight, (classes,), ", one number a class")
    target = check_labels(target, classes)
    mask = one_hot(target, classes)
    own = functions["sum"](functions["where"](mask, x, 0.0), 1, keepdim=True)
    short = functions["relu"](functions["add"](functions["sub"](x, own), float(margin)))
    if weight is None and x.dtype == "float64":
        weight = np.ones(classes)
    factor = functions["div"](pick_weight(target, weight, ignore_index=IGNORE), float(classes)).reshape((rows, 1))
    return functions["where"](mask, 0.0, short), mask, factor


def multi_margin_loss(x, target, p=1, margin=1.0, weight=None, reduction="mean"):
    """weight[t] / classes * sum over c != t of max(0, margin - x[t] + x[c])^p: scores x (N, classes), integer labels t (N,).

    p: 1 or 2. weight (classes,) or None. reduction: "mean" over the N rows, "sum" or "none" ((N,)). On values gives a value; on
    arrays a Loss ("none": an array). Raises IndexError for labels out of range. Source: as torch.nn.functional's."""
    short, _, factor = _parts("multi_margin_loss", x, target, p, margin, weight, reduction)
    terms = functions["mul"](functions["square"](short) if p == 2 else short, factor)
    return reduced(functions["sum"](terms, 1), reduction, x,
                   lambda: multi_margin_loss_backward(x, target, p, margin, weight, reduction))


def multi_margin_loss_backward(x, target, p=1, margin=1.0, weight=None, reduction="mean"):
    """The gradient of multi_margin_loss with respect to x, of its shape."""
    short, mask, factor = _parts("multi_margin_loss_backward", x, target, p, margin, weight, reduction)
    slope = functions["mul"](_power_slope(short, p == 2), factor)
    dx = functions["where"](mask, functions["neg"](functions["sum"](slope, 1, keepdim=True)), slope)
    return functions["mul"](dx, 1.0 / max(dx.shape[0], 1)) if reduction == "mean" else dx
