"""Layer normalisation: y = (x - mean) / sqrt(variance + eps) * weight + bias, mean and biased variance over the last axes of
each row by itself."""
import numpy as np

from ..graph import Spec, op
from . import _arguments as arguments

__all__ = ["layer_norm", "layer_norm_backward"]


def _rows(x, axes):
    """The spec of a number for each part that is normalised by itself."""
    return Spec(x.shape[:len(x.shape) - axes], x.dtype)


def _wide(numbers, axes):
    return numbers.reshape(*numbers.shape, *[1] * axes)


def _over(x, axes):
    return tuple(range(x.ndim - axes, x.ndim))


def _sizes(emit, x, axes):
    shape = emit.shape(x)
    return dict(outer=emit.prod(shape[:len(shape) - axes]), count=emit.prod(shape[len(shape) - axes:]))


@op("layer_norm", shape=lambda x, weight, bias, *, axes, eps: (x, _rows(x, axes), _rows(x, axes)), rows=1)
def _layer_norm(x, weight, bias, *, axes, eps):
    """-> (y, mean, 1 / sqrt(variance + eps))."""
    mean = x.mean(axis=_over(x, axes), dtype=np.float64)
    variance = np.square(x - _wide(mean, axes)).mean(axis=_over(x, axes))
    mean, rstd = mean.astype(x.dtype), (1 / np.sqrt(variance + eps)).astype(x.dtype)
    y = (x - _wide(mean, axes)) * _wide(rstd, axes)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias, mean, rstd


@_layer_norm.gradient
def _(dys, x, weight, bias, outs, *, axes, eps):
    dy, (_, mean, rstd) = dys[0], outs              # nothing else reads mean and rstd
    sums = (None, None) if weight is None and bias is None else _sums(dy, x, mean, rstd, axes=axes, eps=eps)
    return _backward(dy, x, mean, rstd, weight, axes=axes), sums[0] if weight is not None else None, \
        sums[1] if bias is not None else None


@_layer_norm.lower
def _(emit, x, weight, bias, out, *, axes, eps):
    y, *numbers = out
    mean, rstd = (v if emit.wanted(v) else None for v in numbers)
    emit("layer_norm_forward", y=y, mean=mean, rstd=rstd, x=x, weight=weight, bias=bias, eps=eps, **_sizes(emit, x, axes))


@op("layer_norm_backward", shape=lambda dy, x, mean, rstd, weight, *, axes: x, rows=4)
def _backward(dy, x, mean, rstd, weight, *, axes):
    dy = dy if weight is None else dy * weight
    normal = (x - _wide(mean, axes)) * _wide(rstd, axes)
    first, second = ((v.mean(axis=_over(x, axes), dtype=np.float64, keepdims=True)).astype(x.dtype) for v in (dy, dy * normal))
    return (dy - first - normal * second) * _wide(rstd, axes)


@_backward.lower
def _(emit, dy, x, mean, rstd, weight, out, *, axes):
    emit("layer_norm_backward", dx=out, dy=dy, x=x, mean=mean, rstd=rstd, weight=weight, **_sizes(emit, x, axes))


def _sums_spec(dy, x, mean, rstd, *, axes, eps):
    normalised = Spec(x.shape[len(x.shape) - axes:], x.dtype)
    return normalised, normalised


@op("layer_norm_sums", shape=_sums_spec, mode="reduce", rows=4)
def _sums(dy, x, mean, rstd, *, axes, eps):
    """-> (dweight, dbias)."""
    normal = (x - _wide(mean, axes)) * _wide(rstd, axes)
    over = tuple(range(x.ndim - axes))
    return tuple(v.sum(axis=over, dtype=np.float64).astype(x.dtype) for v in (dy * normal, dy))


@_sums.lower
def _(emit, dy, x, mean, rstd, out, *, axes, eps):
    sizes = _sizes(emit, x, axes)
    if emit.mode == "reduce":
        return emit("layer_norm_sums", dweight=out[0], dbias=out[1], dy=dy, x=x, mean=mean, rstd=rstd, **sizes)
    normal, product = emit.temp(x.shape), emit.temp(x.shape)            # the batch is not the first axis: plain arrays
    emit("layer_norm_forward", y=normal, mean=None, rstd=None, x=x, weight=None, bias=None, eps=eps, **sizes)
    emit.elementwise("mul", product, dy, normal)
    for made, of in zip(out, (product, dy)):
        emit("reduce", y=made, x=of, kind=0, outer=1, count=sizes["outer"], inner=sizes["count"])


def _normalized(name, x, normalized_shape, **parameters):
    """x with a batch axis, how many axes are normalised, and the parameters, all as floats; and was it one row?"""
    shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    shape = tuple(arguments.integer(name, "normalized_shape", d, 1) for d in shape)
    x, *given = arguments.floats(name, x=x, **parameters)
    if not shape or x.ndim < len(shape) or tuple(x.shape[x.ndim - len(shape):]) != shape:
        raise ValueError(f"{name}: normalized_shape {arguments.shown(shape)} must be the last lengths of x, which has shape "
                         f"{arguments.shown(x.shape)}")
    for argument, value in zip(parameters, given):
        if argument != "grad_output":
            arguments.check_shape(name, argument, value, shape, ", as normalized_shape")
    return x, len(shape), given


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(variance + eps) * weight + bias, mean and biased variance over the last axes of x.

    x (N, ..., *normalized_shape); normalized_shape: an integer or a tuple; weight, bias of that shape, None: 1, 0. Returns
    x's shape.
    Raises ValueError where shapes do not fit. Source: Ba, Kiros and Hinton, arXiv:1607.06450."""
    x, axes, (weight, bias) = _normalized("layer_norm", x, normalized_shape, weight=weight, bias=bias)
    if x.ndim == axes:
        return _layer_norm(x.reshape((1, *x.shape)), weight, bias, axes=axes, eps=float(eps))[0].reshape(tuple(x.shape))
    return _layer_norm(x, weight, bias, axes=axes, eps=float(eps))[0]


def layer_norm_backward(grad_output, x, normalized_shape, weight=None, eps=1e-5):
    """The gradients of layer_norm: (grad_x, grad_weight, grad_bias), always three; grad_output has x's shape."""
    x, axes, (grad_output, weight) = _normalized("layer_norm_backward", x, normalized_shape, grad_output=grad_output,
                                                   weight=weight)
    arguments.check_shape("layer_norm_backward", "grad_output", grad_output, x.shape, ", as x")
    shape = tuple(x.shape)
    if x.ndim == axes:
        x, grad_output = x.reshape((1, *shape)), grad_output.reshape((1, *shape))
    _, mean, rstd = _layer_norm(x, None, None, axes=axes, eps=float(eps))
    dweight, dbias = _sums(grad_output, x, mean, rstd, axes=axes, eps=float(eps))
    return _backward(grad_output, x, mean, rstd, weight, axes=axes).reshape(shape), dweight, dbias
