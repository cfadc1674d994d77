"""torch.nn.utils's like: clipping gradients by hand, between backward and step. (In a compiled step: the optimizers' clipnorm,
global_clipnorm and clipvalue.)"""
import math

import numpy as np

__all__ = ["clip_grad_norm_", "clip_grad_value_"]


def _gradients(where, parameters):
    """The gradients, live arrays, of one parameter or several; those without one are left out."""
    parameters = [parameters] if hasattr(parameters, "requires_grad") else list(parameters)
    for p in parameters:
        if not hasattr(p, "requires_grad"):
            raise TypeError(f"{where}: parameters must be Parameters, got {type(p).__name__}")
    return [p.grad for p in parameters if p.grad is not None]


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False):
    """Scales the gradients of `parameters` (one, or an iterable) together, in place, so that their norm is at most max_norm
    (Pascanu et al. 2013). -> the norm before, a float.

    norm_type: the norm's power, or math.inf for the largest absolute value. As PyTorch's the factor is
    min(1, max_norm / (norm + 1e-6)). error_if_nonfinite: RuntimeError, and nothing changed, where the norm is not finite. The sum
    runs in float64 over the parameters in order, whatever the number of threads."""
    max_norm, norm_type = float(max_norm), float(norm_type)
    if not max_norm >= 0 or not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: max_norm must be >= 0 and norm_type > 0, got {max_norm} and {norm_type}")
    gradients = _gradients("clip_grad_norm_", parameters)
    sizes = [np.abs(g, dtype=np.float64) for g in gradients]
    if math.isinf(norm_type):
        norm = float(np.max([s.max(initial=0.0) for s in sizes], initial=0.0))
    else:
        with np.errstate(all="ignore"):
            norm = float(sum([float((s ** norm_type).sum()) for s in sizes]) ** (1 / norm_type))
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {norm}")
    factor = min(1.0, max_norm / (norm + 1e-6)) if not math.isnan(norm) else math.nan
    if factor != 1.0:
        with np.errstate(all="ignore"):
            for g in gradients:
                g *= g.dtype.type(factor)
    return norm


def clip_grad_value_(parameters, clip_value):
    """Holds each element of the gradients of `parameters` (one, or an iterable) between -clip_value and clip_value, in place."""
    value = float(clip_value)
    if not value >= 0:
        raise ValueError(f"clip_grad_value_: clip_value must be >= 0, got {clip_value!r}")
    for g in _gradients("clip_grad_value_", parameters):
        np.clip(g, -value, value, out=g)
