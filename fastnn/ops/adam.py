"""Adam and, with decoupled weight decay, AdamW, as in PyTorch. Source: Kingma and Ba, arXiv:1412.6980; Loshchilov and Hutter,
arXiv:1711.05101."""
import numpy as np

from ..graph import op


def _spec(weight, gradient, exp_avg, exp_avg_sq, *numbers, decoupled):
    return weight, exp_avg, exp_avg_sq


@op("adam", shape=_spec, mode="flat", update=True)
def adam(weight, gradient, exp_avg, exp_avg_sq, lr, beta1, beta2, eps, weight_decay, correction1, correction2, *, decoupled):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    weight -= lr / correction1 * m / (sqrt(v / correction2) + eps), corrections 1 - beta^step. Weight decay adds
    weight_decay weight to g, or (decoupled) takes lr weight_decay weight off first. -> the new weight, m, v."""
    kind = weight.dtype.type
    g = gradient
    if decoupled:
        weight = weight - kind(lr * weight_decay) * weight
    else:
        g = gradient + kind(weight_decay) * weight
    m = kind(beta1) * exp_avg + kind(1 - beta1) * g
    v = kind(beta2) * exp_avg_sq + kind(1 - beta2) * g * g
    return weight - kind(lr / correction1) * m / (np.sqrt(v) / kind(np.sqrt(correction2)) + kind(eps)), m, v


@adam.lower
def _(emit, weight, gradient, exp_avg, exp_avg_sq, lr, beta1, beta2, eps, weight_decay, correction1, correction2, out, *,
      decoupled):
    emit("adam", weight=weight, gradient=gradient, exp_avg=exp_avg, exp_avg_sq=exp_avg_sq, count=emit.prod(weight.shape), lr=lr,
         beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, decoupled=int(decoupled), correction1=correction1,
         correction2=correction2)
