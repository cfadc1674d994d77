"""Penalties on weights, as terms of a loss: formulas on values, so that their gradient is part of the compiled step.

    model.compile(loss=lambda y_pred, y_true: F.cross_entropy(y_pred, y_true) + 1e-4 * nn.l2_penalty(model), ...)

The loss that fit and evaluate report holds the penalty, as Keras's does. (A weight decay of the optimizer is another thing: it
is in no loss, and under Adam does something else.)"""
from . import functional as F
from . import graph

__all__ = ["l1_penalty", "l2_penalty"]


def _weights(where, of):
    """A module's parameters of two axes or more (no biases, no norms' scales), or the parameters given: one, or an iterable."""
    if hasattr(of, "shape"):
        return [of]
    if hasattr(of, "parameters"):
        of = [p for p in of.parameters() if len(p.shape) > 1]
    found = list(of)
    if not found or not all(hasattr(p, "requires_grad") for p in found):
        raise ValueError(f"{where}: expected a module with weights, a Parameter or an iterable of them, got {found or of!r}")
    return found


def _total(where, of, term):
    total = None
    for p in _weights(where, of):
        part = F.sum(term(p if graph.current() is not None else p.data))
        total = part if total is None else total + part
    return total if graph.current() is not None else float(total)


def l1_penalty(of):
    """The sum of |w| over the weights `of` a module (its parameters of two axes or more), or over the parameters given (one, or an
    iterable). Within a loss a value; elsewhere a float. The gradient at 0 is 0."""
    return _total("l1_penalty", of, F.abs)


def l2_penalty(of):
    """The sum of w^2, not halved, as Keras's L2. Otherwise as l1_penalty."""
    return _total("l2_penalty", of, F.square)
