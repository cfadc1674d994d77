"""Metrics: what compile's `metrics` argument means. A metric is a formula on values, one value a row: it comes out of the same
plan as the loss, without a second pass."""
from . import functional as F
from .objectives import by_name, per_row, pick, _mse_rows, _same_shape

__all__ = []


def accuracy(y_pred, y_true):
    """1 where the prediction is right, else 0: (N,). Several classes (N, C, ...): the largest output against integer labels,
    one-hot or probabilities; one output (N,) or (N, 1): above 0.5 for probabilities (a sigmoid at the end), above 0 for
    logits."""
    shape = tuple(y_pred.shape)
    if len(shape) == 1 or len(shape) == 2 and shape[1] == 1:
        threshold = 0.5 if y_pred.node.op.name == "sigmoid" else 0.0
        return per_row((y_pred > threshold) == (_same_shape(y_pred, y_true) > 0.5))
    return per_row(F.accuracy(y_pred, y_true))


def mae(y_pred, y_true):
    """The mean absolute error of each row: (N,)."""
    return per_row((y_pred - _same_shape(y_pred, y_true)).abs())


NAMES = {"accuracy": accuracy, "acc": accuracy, "mse": _mse_rows, "mean_squared_error": _mse_rows, "mae": mae,
         "mean_absolute_error": mae}


def resolve(spec, loss=None):
    """One metric -> (name, symbolic function (y_pred, y_true) -> one value a row, or a scalar). spec: a name, or a formula."""
    if isinstance(spec, str):
        if spec.lower() not in NAMES:
            raise ValueError(f"compile: unknown metric {spec!r}, expected one of {', '.join(sorted(NAMES))} or a function of "
                             "(y_pred, y_true)")
        return spec, NAMES[spec.lower()]
    if not callable(spec):
        raise TypeError(f"compile: a metric must be a name or a function of (y_pred, y_true), got {spec!r}")
    name = getattr(spec, "__name__", type(spec).__name__)
    return ("metric" if name == "<lambda>" else name), by_name(spec)


def resolve_all(specs, loss=None):
    """compile's `metrics`: a name or formula, a list of them, or a dict by output name -> [(name, function)], names all
    different."""
    if isinstance(specs, dict):
        found = []
        for place, (output, several) in enumerate(specs.items()):
            found += [(f"{output}_{name}", _of_output(f, output, place)) for name, f in resolve_all(several, loss)]
    elif isinstance(specs, str) or callable(specs):
        found = [resolve(specs, loss)]
    else:
        found = [resolve(s, loss) for s in specs or ()]
    names = {}
    for name, function in found:
        unique, i = name, 1
        while unique in names or unique == "loss":
            unique, i = f"{name}_{i}", i + 1
        names[unique] = function
    return list(names.items())


def _of_output(function, output, place):
    return lambda y_pred, y_true: function(pick(y_pred, output, place, "output"), pick(y_true, output, place, "target"))
