"""Batch normalisation: y = (x - mean) / sqrt(variance + eps) * weight + bias for each channel, with the batch's own mean and
(biased) variance in training, running ones otherwise."""
import numpy as np

from ..graph import Spec, is_symbolic, op
from . import _arguments as arguments
from ._lowering import batch_norm_coefficients, classes_first, images_first, in_mode, like_classes_first

__all__ = ["batch_norm", "batch_norm_backward"]


def _axes(x):
    """Every axis but the channels'."""
    return (0, *range(2, x.ndim))


def _wide(per_channel, x):
    return per_channel.reshape(-1, *[1] * (x.ndim - 2))


def _sizes(emit, x):
    images, channels, *rest = emit.shape(x)
    return dict(channels=channels, pixels=images * emit.prod(rest))


def _channels(x):
    return Spec(x.shape[1:2], x.dtype)


@op("batch_norm_statistics", shape=lambda x: (_channels(x), _channels(x)), mode="reduce", rows=1)
def _statistics(x):
    """-> (mean, biased variance) of every channel."""
    count = np.float64(arguments.prod(x.shape[a] for a in _axes(x)))
    with np.errstate(all="ignore"):
        mean = x.sum(axis=_axes(x), dtype=np.float64) / count
        variance = np.square(x - _wide(mean, x)).sum(axis=_axes(x)) / count
    return mean.astype(x.dtype), variance.astype(x.dtype)


@_statistics.gradient
def _(dys, x, outs):
    return None                                     # batch_norm_apply's gradient goes through them


@_statistics.lower
def _(emit, x, out, eps=0.0, **coefficients):
    """coefficients: weight and bias, where scale and shift are wanted too."""
    rows = classes_first(in_mode(emit, "row"), x)
    made = dict(zip(("mean", "variance", "scale", "shift"), out))
    emit("batch_norm_statistics", x=rows, eps=eps, **made, **coefficients, **_sizes(emit, x))


@op("batch_norm_apply", shape=lambda x, mean, variance, weight, bias, **attrs: x, rows=1)
def _apply(x, mean, variance, weight, bias, *, eps, training):
    """training: mean and variance are x's own, and the gradient goes through them."""
    with np.errstate(all="ignore"):
        scale = (1 if weight is None else weight) / np.sqrt(variance + variance.dtype.type(eps))
        shift = (0 if bias is None else bias) - mean * scale
        return (x * _wide(scale, x) + _wide(shift, x)).astype(x.dtype, copy=False)


@_apply.gradient
def _(dy, x, mean, variance, weight, bias, out, *, eps, training):
    dbias, dweight = _sums(dy, x, mean, variance, eps=eps)
    sums = (dbias, dweight) if training else (None, None)
    dx = _backward(dy, x, mean, variance, weight, *sums, eps=eps, training=training)
    return dx, None, None, None if weight is None else dweight, None if bias is None else dbias


@_apply.lower
def _(emit, x, mean, variance, weight, bias, out, *, eps, training, relu=0, residual=None, scale=None, shift=None):
    sizes = _sizes(emit, x)
    if scale is None:
        scale, shift = batch_norm_coefficients(emit, mean, variance, weight, bias, eps)
    y = like_classes_first(emit, out)
    emit("batch_norm_forward", y=y, x=classes_first(emit, x), scale=scale, shift=shift, relu=relu,
         residual=None if residual is None else classes_first(emit, residual), **sizes)
    images_first(emit, out, y)


@op("batch_norm_sums", shape=lambda dy, x, mean, variance, **attrs: (_channels(x), _channels(x)), mode="reduce", rows=2)
def _sums(dy, x, mean, variance, *, eps):
    """-> (dbias, dweight)."""
    normalised = (x - _wide(mean, x)) / np.sqrt(_wide(variance, x) + variance.dtype.type(eps))
    return tuple(s.sum(axis=_axes(x), dtype=np.float64).astype(x.dtype) for s in (dy, dy * normalised))


@_sums.lower
def _(emit, dy, x, mean, variance, out, *, eps):
    rows = in_mode(emit, "row")
    emit("batch_norm_sums", dbias=out[0], dweight=out[1], dy=classes_first(rows, dy), x=classes_first(rows, x), mean=mean,
         variance=variance, eps=eps, **_sizes(emit, x))


@op("batch_norm_backward", shape=lambda dy, x, mean, variance, weight, dbias, dweight, **attrs: x, rows=2)
def _backward(dy, x, mean, variance, weight, dbias, dweight, *, eps, training):
    inverse = 1 / np.sqrt(variance + variance.dtype.type(eps))
    scale = inverse if weight is None else weight * inverse
    if training:
        count = max(arguments.prod(x.shape[a] for a in _axes(x)), 1)
        normalised = (x - _wide(mean, x)) * _wide(inverse, x)
        dy = dy - _wide(dbias / count, x) - normalised * _wide(dweight / count, x)
    return (dy * _wide(scale, x)).astype(x.dtype, copy=False)


@_backward.lower
def _(emit, dy, x, mean, variance, weight, dbias, dweight, out, *, eps, training, mask=None):
    dx = like_classes_first(emit, out)
    emit("batch_norm_backward", dx=dx, dy=classes_first(emit, dy), x=classes_first(emit, x), mean=mean, variance=variance,
         weight=weight, dbias=dbias, dweight=dweight, training=int(training), eps=eps,
         mask=None if mask is None else classes_first(emit, mask), **_sizes(emit, x))
    images_first(emit, out, dx)


@op("batch_norm_update", shape=lambda m, v, n, mean, variance, **attrs: (m, v, n), mode="flat", update=True)
def batch_norm_update(running_mean, running_variance, num_batches_tracked, mean, variance, *, momentum, count):
    """running = (1 - momentum) running + momentum * batch, the variance unbiased (count elements a channel);
    momentum None: the average of all batches so far. -> the three new states."""
    momentum = 1 / (int(num_batches_tracked) + 1) if momentum is None else momentum
    unbiased = variance * variance.dtype.type(count / max(count - 1, 1))
    new = [(old * (1 - momentum) + batch * momentum).astype(old.dtype, copy=False)
           for old, batch in ((running_mean, mean), (running_variance, unbiased))]
    return (*new, np.asarray(num_batches_tracked + 1, np.int64))


@batch_norm_update.lower
def _(emit, running_mean, running_variance, num_batches_tracked, mean, variance, out, *, momentum, count):
    emit("batch_norm_update", running_mean=running_mean, running_variance=running_variance,
         num_batches_tracked=num_batches_tracked, mean=mean, variance=variance, channels=mean.shape[0], count=count,
         momentum=-1.0 if momentum is None else momentum)
    for new, state in zip(out, (running_mean, running_variance, num_batches_tracked)):
        emit.alias(new, state)                      # in place: a layer used twice updates what its first use made


def batch_norm_training(x, weight=None, bias=None, eps=1e-5):
    """For layers: (y, mean, biased variance) of a batch x (N, C, ...), the gradient going through mean and variance."""
    mean, variance = _statistics(x)
    return _apply(x, mean, variance, weight, bias, eps=float(eps), training=True), mean, variance


def _check(name, x, **per_channel):
    """x and the vectors as floats, with shapes checked."""
    x, *vectors = arguments.floats(name, x=x, **per_channel)
    if x.ndim < 2:
        raise ValueError(f"{name}: x must have shape (N, C, ...), it has shape {arguments.shown(x.shape)}")
    for argument, vector in zip(per_channel, vectors):
        arguments.check_shape(name, argument, vector, (x.shape[1],), f", one number a channel of x {arguments.shown(x.shape)}")
    return (x, *vectors)


def batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """(x - mean) / sqrt(variance + eps) * weight + bias for each channel of x (N, C, ...).

    training: mean and biased variance are the batch's, and running_mean and running_var (arrays, or None) are moved in place:
    running = (1 - momentum) running + momentum * batch, with the unbiased variance. Otherwise mean and variance are
    running_mean and running_var. The vectors have shape (C,); weight, bias None: 1, 0. On values running statistics are not
    moved: layers do it. Raises ValueError where shapes do not fit, or with one value a channel in training.
    Source: Ioffe and Szegedy, arXiv:1502.03167."""
    x, mean, variance, weight, bias = _check("batch_norm", x, running_mean=running_mean, running_var=running_var,
                                             weight=weight, bias=bias)
    if not training:
        if mean is None or variance is None:
            raise ValueError("batch_norm: running_mean and running_var are needed where training is False")
        return _apply(x, mean, variance, weight, bias, eps=float(eps), training=False)
    count = arguments.prod(x.shape[a] for a in _axes(x))
    if count == 1:
        raise ValueError("batch_norm: more than one value a channel is needed in training, x has shape "
                         f"{arguments.shown(x.shape)}")
    y, mean, variance = batch_norm_training(x, weight, bias, eps)
    if not is_symbolic(y) and count:
        _move(running_mean, mean, 1, momentum)
        _move(running_var, variance, count / (count - 1), momentum)
    return y


def _move(running, batch, factor, momentum):
    if running is not None:
        if not isinstance(running, np.ndarray) or running.dtype.kind != "f":
            raise TypeError("batch_norm: running statistics are moved in place and must be float arrays")
        running[...] = (1 - momentum) * running + momentum * (batch.astype(np.float64) * factor)


def batch_norm_backward(grad_output, x, running_mean=None, running_var=None, weight=None, training=False, eps=1e-5):
    """The gradients of batch_norm: (grad_x, grad_weight, grad_bias), always three. In training the batch's statistics are
    computed again from x; running ones are then not read."""
    grad_output, x, mean, variance, weight = arguments.floats(
        "batch_norm_backward", grad_output=grad_output, x=x, running_mean=running_mean, running_var=running_var, weight=weight)
    _check("batch_norm_backward", x, running_mean=mean, running_var=variance, weight=weight)
    arguments.check_shape("batch_norm_backward", "grad_output", grad_output, x.shape, ", as x")
    if training:
        mean, variance = _statistics(x)
    elif mean is None or variance is None:
        raise ValueError("batch_norm_backward: running_mean and running_var are needed where training is False")
    dbias, dweight = _sums(grad_output, x, mean, variance, eps=float(eps))
    sums = (dbias, dweight) if training else (None, None)
    dx = _backward(grad_output, x, mean, variance, weight, *sums, eps=float(eps), training=bool(training))
    return dx, dweight, dbias
