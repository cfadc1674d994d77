"""Stochastic gradient descent, PyTorch's: momentum, dampening, weight decay, Nesterov."""
from ..graph import op


def _spec(weight, gradient, velocity, *numbers, nesterov):
    return (weight, velocity) if velocity else weight


@op("sgd", shape=_spec, mode="flat", update=True)
def sgd(weight, gradient, velocity, first, lr, momentum, dampening, weight_decay, *, nesterov):
    """g = gradient + weight_decay weight; v = first ? g : momentum v + (1 - dampening) g;
    weight -= lr (nesterov ? g + momentum v : v). velocity None: no momentum. `first`: 1 in the first step, else 0.
    -> the new weight, or (weight, velocity)."""
    kind = weight.dtype.type
    g = gradient + kind(weight_decay) * weight if weight_decay else gradient
    if velocity is None:
        return weight - kind(lr) * g
    v = g.copy() if first else kind(momentum) * velocity + kind(1 - dampening) * g
    return weight - kind(lr) * (g + kind(momentum) * v if nesterov else v), v


@sgd.lower
def _(emit, weight, gradient, velocity, first, lr, momentum, dampening, weight_decay, out, *, nesterov):
    emit("sgd", weight=weight, gradient=gradient, velocity=velocity, count=emit.prod(weight.shape), first=first, lr=lr,
         momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=int(nesterov))
