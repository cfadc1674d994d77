"""The linear layer: y[..., o] = bias[o] + sum over k of x[..., k] weight[o, k]."""
from ..graph import Spec, functions, op
from . import _arguments as arguments

__all__ = ["linear", "linear_backward", "linear_backward_input", "linear_backward_weight"]


def _costs(positions, weights, one):
    """Nanoseconds of a row alone, whose products wait for the weights (or, of the weights' gradient, do not), and of 16."""
    return positions * weights * one, positions * weights * 0.29


@op("linear", shape=lambda x, weight, bias: Spec((*x.shape[:-1], weight.shape[0]), x.dtype), rows=1)
def _linear(x, weight, bias):
    y = x @ weight.T
    return y if bias is None else y + bias


@_linear.gradient
def _(dy, x, weight, bias, out):
    return (_linear_backward_input(dy, weight), _linear_backward_weight(dy, x),
            None if bias is None else dy.sum(dim=tuple(range(dy.ndim - 1))))


@_linear.costs
def _(x, weight, bias, out):
    return _costs(arguments.prod(x.shape[1:-1]), arguments.prod(weight.shape), 0.05)


@_linear.lower
def _(emit, x, weight, bias, out, relu=0, residual=None):
    out_features, in_features = weight.shape
    packed = emit.packed("linear_pack", weight, (out_features + 15) // 16 * in_features * 16, in_features=in_features,
                         out_features=out_features)
    emit("linear_forward", y=out, x=x, weight=weight, packed=packed, bias=bias, residual=residual, relu=relu,
         positions=emit.prod(emit.shape(x)[:-1]), in_features=in_features, out_features=out_features)


@op("linear_backward_input", shape=lambda dy, weight: Spec((*dy.shape[:-1], weight.shape[1]), dy.dtype), rows=1)
def _linear_backward_input(dy, weight):
    return dy @ weight


@_linear_backward_input.gradient
def _(ddx, dy, weight, out):
    return _linear(ddx, weight, None), _linear_backward_weight(dy, ddx)


@_linear_backward_input.costs
def _(dy, weight, out):
    return _costs(arguments.prod(dy.shape[1:-1]), arguments.prod(weight.shape), 0.05)


@_linear_backward_input.lower
def _(emit, dy, weight, out, residual=None, mask=None):
    emit("linear_backward_input", dx=out, dy=dy, weight=weight, residual=residual, mask=mask,
         positions=emit.prod(emit.shape(dy)[:-1]), in_features=weight.shape[1], out_features=weight.shape[0])


@op("linear_backward_weight", shape=lambda dy, x: Spec((dy.shape[-1], x.shape[-1]), dy.dtype), mode="reduce", rows=2, few=True)
def _linear_backward_weight(dy, x):
    return dy.reshape(-1, dy.shape[-1]).T @ x.reshape(-1, x.shape[-1])


@_linear_backward_weight.gradient
def _(ddweight, dy, x, out):
    return _linear(x, ddweight, None), _linear_backward_input(dy, ddweight)


@_linear_backward_weight.costs
def _(dy, x, out):
    return _costs(arguments.prod(x.shape[1:-1]), arguments.prod(out.shape), 0.02)


@_linear_backward_weight.lower
def _(emit, dy, x, out):
    positions, out_features, in_features = emit.prod(emit.shape(x)[:-1]), dy.shape[-1], x.shape[-1]
    if emit.mode == "reduce":
        emit("linear_backward_weight", dweight=out, dy=dy, x=x, positions=positions, in_features=in_features,
             out_features=out_features, dy_steps=(out_features, 1), x_steps=(in_features, 1))
    else:
        emit("matmul", y=out, a=dy, b=x, a_const=None, b_const=None, m=out_features, k=positions, n=in_features,
             a_strides=(1, out_features), b_strides=(in_features, 1))


def _check(name, x, weight):
    arguments.check_ndim(name, "weight", weight, (2,), "(out_features, in_features)")
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"{name}: weight has {weight.shape[1]} input features (shape {arguments.shown(weight.shape)}), "
                         f"the input has shape {arguments.shown(x.shape)}")


def linear(x, weight, bias=None):
    """x weight^T + bias. x (..., in_features), weight (out_features, in_features), bias (out_features,) or None.

    Returns (..., out_features). Raises ValueError where shapes do not fit."""
    x, weight, bias = arguments.floats("linear", x=x, weight=weight, bias=bias)
    _check("linear", x, weight)
    arguments.check_shape("linear", "bias", bias, weight.shape[:1], ", one number an output feature")
    return _linear(x, weight, bias) if x.ndim > 1 else _linear(x.reshape((1, -1)), weight, bias).reshape((-1,))


def _backward_arguments(name, grad_output, x, weight):
    """-> grad_output, x, weight, and whether x was a single row (then it has an axis more)."""
    grad_output, x, weight = arguments.floats(name, grad_output=grad_output, x=x, weight=weight)
    _check(name, x, weight)
    arguments.check_shape(name, "grad_output", grad_output, (*x.shape[:-1], weight.shape[0]), ", as linear's result")
    if x.ndim > 1:
        return grad_output, x, weight, False
    return grad_output.reshape((1, -1)), x.reshape((1, -1)), weight, True


def linear_backward_input(grad_output, x, weight):
    """The gradient of linear with respect to x: grad_output weight, of x's shape."""
    dy, _, weight, single = _backward_arguments("linear_backward_input", grad_output, x, weight)
    dx = _linear_backward_input(dy, weight)
    return dx.reshape((-1,)) if single else dx


def linear_backward_weight(grad_output, x, weight):
    """The gradient of linear with respect to weight: grad_output^T x over all rows; of weight only the shape counts."""
    dy, rows, *_ = _backward_arguments("linear_backward_weight", grad_output, x, weight)
    return _linear_backward_weight(dy, rows)


def linear_backward(grad_output, x, weight):
    """The gradients of linear: (grad_x, grad_weight, grad_bias), always three."""
    dy, *_ = _backward_arguments("linear_backward", grad_output, x, weight)
    return (linear_backward_input(grad_output, x, weight), linear_backward_weight(grad_output, x, weight),
            functions["sum"](dy, tuple(range(dy.ndim - 1))))
