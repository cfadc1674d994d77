"""RMSprop, as in PyTorch. Source: Tieleman and Hinton, lecture 6.5 of Neural networks for machine learning, 2012; centred:
Graves, arXiv:1308.0850."""
import numpy as np

from ..graph import op


def _spec(weight, gradient, square_avg, grad_avg, velocity, *numbers):
    return tuple(s for s in (weight, square_avg, grad_avg, velocity) if s)


@op("rmsprop", shape=_spec, mode="flat", update=True)
def rmsprop(weight, gradient, square_avg, grad_avg, velocity, lr, alpha, eps, weight_decay, momentum):
    """g = gradient + weight_decay weight; s = alpha s + (1 - alpha) g^2; with grad_avg m = alpha m + (1 - alpha) g and s - m^2
    (0 at least) is taken for s; d = g / (sqrt(s) + eps); with a velocity v = momentum v + d is taken for d; weight -= lr d.
    -> the new weight, s, m, v, without those that are None."""
    kind = weight.dtype.type
    g = gradient + kind(weight_decay) * weight if weight_decay else gradient
    square_avg = kind(alpha) * square_avg + kind(1 - alpha) * g * g
    spread = square_avg
    if grad_avg is not None:
        grad_avg = kind(alpha) * grad_avg + kind(1 - alpha) * g
        spread = np.maximum(square_avg - grad_avg * grad_avg, 0)
    d = g / (np.sqrt(spread) + kind(eps))
    if velocity is not None:
        d = velocity = kind(momentum) * velocity + d
    return tuple(a for a in (weight - kind(lr) * d, square_avg, grad_avg, velocity) if a is not None)


@rmsprop.lower
def _(emit, weight, gradient, square_avg, grad_avg, velocity, lr, alpha, eps, weight_decay, momentum, out):
    emit("rmsprop", weight=weight, gradient=gradient, square_avg=square_avg, grad_avg=grad_avg, velocity=velocity,
         count=emit.prod(weight.shape), lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)
