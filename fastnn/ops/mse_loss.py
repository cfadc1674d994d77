"""Mean squared error: a row's loss is the mean of (x - target)^2 over its elements."""
import numpy as np

from ..graph import Spec, functions, is_symbolic, op
from . import _arguments as arguments
from ._lowering import each_image
from .cross_entropy import check_reduction, make_loss

__all__ = ["mse_loss", "mse_loss_backward", "mse_rows"]


def _count(x):
    return arguments.prod(x.shape[1:])


def _column(dy, x):
    return dy.reshape(-1, *[1] * (x.ndim - 1))


@op("mse_rows", shape=lambda x, target: Spec(x.shape[:1], x.dtype), rows=2)
def _mse_rows(x, target):
    total = np.square(x - target).sum(axis=tuple(range(1, x.ndim)), dtype=np.float64)
    return (total / max(_count(x), 1)).astype(x.dtype)


@_mse_rows.gradient
def _(dy, x, target, out):
    dx = _mse_backward_rows(dy, x, target)
    return dx, -dx


@_mse_rows.lower
def _(emit, x, target, out):
    for (x, target), (loss,) in each_image(emit, (x, target), (out,)):
        emit("mse_forward", loss=loss, x=x, target=target, count=_count(x))


@op("mse_backward_rows", shape=lambda dy, x, target: x, rows=3)
def _mse_backward_rows(dy, x, target):
    return _column(dy, x) * x.dtype.type(2 / max(_count(x), 1)) * (x - target)


@_mse_backward_rows.gradient
def _(ddx, dy, x, target, out):
    moved = ddx * dy.reshape((-1,) + (1,) * (x.ndim - 1)).expand(x.shape) * (2.0 / _count(x))
    return (ddx * (x - target)).sum(dim=tuple(range(1, x.ndim))) * (2.0 / _count(x)), moved, -moved


@_mse_backward_rows.lower
def _(emit, dy, x, target, out):
    for (dy, x, target), (dx,) in each_image(emit, (dy, x, target), (out,)):
        emit("mse_backward", dx=dx, dy=dy, x=x, target=target, count=_count(x))


def _check(name, x, target):
    x, target = arguments.floats(name, x=x, target=target)
    arguments.check_shape(name, "target", target, x.shape, ", as x")
    return x, target


def mse_rows(x, target):
    """The mean squared error of every row: x and target (N, ...) -> (N,)."""
    x, target = _check("mse_loss", x, target)
    if x.ndim == 0:
        raise ValueError("mse_loss: x must have rows (N, ...), it is a number")
    return _mse_rows(x, target)


def mse_loss(x, target, reduction="mean"):
    """(x - target)^2, the shapes equal (ValueError otherwise).

    reduction: "mean" over all elements, "sum", or "none" (x's shape). On values gives a value; on arrays a Loss
    ("none": an array)."""
    check_reduction("mse_loss", reduction)
    prediction = x
    x, target = _check("mse_loss", x, target)
    if reduction == "mean" and x.ndim and arguments.prod(x.shape):
        result = functions["mean"](_mse_rows(x, target))
    else:
        result = functions["square"](functions["sub"](x, target))
        result = result if reduction == "none" else functions[reduction](result)
    if is_symbolic(result) or reduction == "none":
        return result
    return make_loss(result, mse_loss_backward(x, target, reduction), prediction)


def mse_loss_backward(x, target, reduction="mean"):
    """The gradient of mse_loss with respect to x: 2 (x - target), for "mean" divided by the number of elements."""
    check_reduction("mse_loss_backward", reduction)
    x, target = _check("mse_loss_backward", x, target)
    factor = 2.0 / max(arguments.prod(x.shape), 1) if reduction == "mean" else 2.0
    return functions["mul"](functions["sub"](x, target), factor)
