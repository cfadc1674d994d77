"""Huber's loss of d = x - target: d^2 / 2 while |d| < delta, then delta (|d| - delta / 2); and smooth L1, the same over delta.
Source: Huber, Robust estimation of a location parameter, 1964."""
import numpy as np

from ..graph import functions
from ._loss import averaged, pair, positive, reduced
from .elementwise import apply, define
from .l1_loss import l1_loss, l1_loss_backward

__all__ = ["huber_loss", "huber_loss_backward", "smooth_l1_loss", "smooth_l1_loss_backward"]


def _formula(d, delta):
    near = np.where(np.abs(d) < delta, np.abs(d), delta)
    return near * (np.abs(d) - near / 2)


def _slope(d, delta):
    return functions["clip"](d, -delta, delta)


_huber = define("huber", _formula, lambda dy, d, delta, out: (dy * _slope(d, delta), None))


def huber_loss(x, target, reduction="mean", delta=1.0):
    """d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), d = x - target, the shapes equal (ValueError otherwise).

    delta: above 0. reduction: "mean" over all elements, "sum", or "none" (x's shape). On values gives a value; on arrays a Loss
    ("none": an array)."""
    return _loss("huber_loss", x, target, reduction, positive("huber_loss", "delta", delta), 1.0)


def huber_loss_backward(x, target, reduction="mean", delta=1.0):
    """The gradient of huber_loss with respect to x: d held between -delta and delta."""
    return _backward("huber_loss_backward", x, target, reduction, positive("huber_loss_backward", "delta", delta), 1.0)


def smooth_l1_loss(x, target, reduction="mean", beta=1.0):
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, d = x - target; beta=0 is l1_loss. Otherwise as huber_loss."""
    if beta == 0:
        return l1_loss(x, target, reduction)
    return _loss("smooth_l1_loss", x, target, reduction, positive("smooth_l1_loss", "beta", beta), 1.0 / beta)


def smooth_l1_loss_backward(x, target, reduction="mean", beta=1.0):
    """The gradient of smooth_l1_loss with respect to x: d / beta held between -1 and 1."""
    if beta == 0:
        return l1_loss_backward(x, target, reduction)
    return _backward("smooth_l1_loss_backward", x, target, reduction, positive("smooth_l1_loss_backward", "beta", beta),
                     1.0 / beta)


def _loss(name, x, target, reduction, delta, scale):
    prediction = x
    x, target = pair(name, x, target, reduction)
    terms = _scaled(apply(_huber, difference=functions["sub"](x, target), delta=delta), scale)
    return reduced(terms, reduction, prediction, lambda: _backward(name, x, target, reduction, delta, scale))


def _backward(name, x, target, reduction, delta, scale):
    x, target = pair(name, x, target, reduction)
    return averaged(_scaled(_slope(functions["sub"](x, target), delta), scale), reduction)


def _scaled(terms, scale):
    return terms if scale == 1.0 else functions["mul"](terms, scale)
