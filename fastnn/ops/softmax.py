"""softmax and log_softmax along one axis: y = exp(x - max) / sum exp(x - max), and its logarithm."""
import numpy as np

from ..graph import op
from . import _arguments as arguments

__all__ = ["softmax", "softmax_backward", "log_softmax", "log_softmax_backward"]


def _mode(node):
    return "flat" if node.attrs["dim"] == 0 else "row"


def _runs(emit, x, dim):
    shape = emit.shape(x)
    return dict(outer=emit.prod(shape[:dim]), count=shape[dim], inner=emit.prod(shape[dim + 1:]))


@op("softmax", mode=_mode)
def _softmax(x, *, dim):
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(axis=dim, keepdims=True, initial=-np.inf))
        return e / e.sum(axis=dim, keepdims=True)


@_softmax.gradient
def _(dy, x, out, *, dim):
    return _softmax_backward(dy, out, dim=dim)


@_softmax.lower
def _(emit, x, out, *, dim):
    emit("softmax_forward", y=out, x=x, **_runs(emit, x, dim))


@op("softmax_backward", mode=_mode)
def _softmax_backward(dy, y, *, dim):
    return y * (dy - (dy * y).sum(axis=dim, keepdims=True))


@_softmax_backward.gradient
def _(ddx, dy, y, out, *, dim):
    inner = (dy * y).sum(dim, keepdim=True).expand(y.shape)
    moved = (ddx * y).sum(dim, keepdim=True).expand(y.shape)
    return y * (ddx - moved), ddx * (dy - inner) - dy * moved


@_softmax_backward.lower
def _(emit, dy, y, out, *, dim):
    emit("softmax_backward", dx=out, dy=dy, y=y, **_runs(emit, y, dim))


@op("log_softmax", mode=_mode)
def _log_softmax(x, *, dim):
    with np.errstate(all="ignore"):
        shifted = x - x.max(axis=dim, keepdims=True, initial=-np.inf)
        return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


@_log_softmax.gradient
def _(dy, x, out, *, dim):
    return _log_softmax_backward(dy, out, dim=dim)


@_log_softmax.lower
def _(emit, x, out, *, dim):
    emit("log_softmax_forward", y=out, x=x, **_runs(emit, x, dim))


@op("log_softmax_backward", mode=_mode)
def _log_softmax_backward(dy, y, *, dim):
    return dy - np.exp(y) * dy.sum(axis=dim, keepdims=True)


@_log_softmax_backward.gradient
def _(ddx, dy, y, out, *, dim):
    probabilities = y.exp()
    along = (ddx * probabilities).sum(dim, keepdim=True).expand(y.shape)
    return ddx - along, -(ddx * probabilities * dy.sum(dim, keepdim=True).expand(y.shape))


@_log_softmax_backward.lower
def _(emit, dy, y, out, *, dim):
    emit("log_softmax_backward", dx=out, dy=dy, y=y, **_runs(emit, y, dim))


def _apply(made, x, dim):
    x = arguments.check_float(made.name, "x", x)
    return made(x, dim=arguments.axis(made.name, dim, x.ndim))


def _apply_backward(made, grad_output, y, dim):
    grad_output, y = arguments.floats(made.name, grad_output=grad_output, y=y)
    arguments.check_shape(made.name, "grad_output", grad_output, y.shape, ", as y")
    return made(grad_output, y, dim=arguments.axis(made.name, dim, y.ndim))


def softmax(x, dim=-1):
    """exp(x) / sum exp(x) along `dim`, computed from x - max: no overflow. Same shape."""
    return _apply(_softmax, x, dim)


def softmax_backward(grad_output, y, dim=-1):
    """The gradient of softmax from its output y: y (grad_output - sum grad_output y)."""
    return _apply_backward(_softmax_backward, grad_output, y, dim)


def log_softmax(x, dim=-1):
    """log softmax(x) along `dim`: x - max - log sum exp(x - max). Same shape."""
    return _apply(_log_softmax, x, dim)


def log_softmax_backward(grad_output, y, dim=-1):
    """The gradient of log_softmax from its output y: grad_output - exp(y) sum grad_output."""
    return _apply_backward(_log_softmax_backward, grad_output, y, dim)
