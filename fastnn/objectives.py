"""What compile's `loss` argument means: symbolic functions (y_pred, y_true) -> one value a row, or a scalar."""
from math import prod

from . import functional as F
from . import losses

__all__ = []


def per_row(value):
    """A loss of every element as one a row: the mean over all axes but the first."""
    return value if len(value.shape) <= 1 else value.flatten(1).mean(1)


def match_target(y_pred, y_true):
    """Labels (N, 1) as (N,)."""
    column = y_true.dtype == "int64" and len(y_true.shape) == len(y_pred.shape) > 1 and y_true.shape[1] == 1
    return y_true.squeeze(1) if column else y_true


def logits_of(y_pred):
    """The logits behind a network that ends in a softmax over the classes: cross-entropy takes them, so that its probabilities
    are used as such and never soft-maxed twice."""
    node = y_pred.node
    return node.inputs[0] if node.op.name == "softmax" and node.attrs.get("dim", 1) in (1, 1 - len(y_pred.shape)) else y_pred


def _cross_entropy_rows(y_pred, y_true, label_smoothing=0.0):
    return per_row(F.cross_entropy_rows(logits_of(y_pred), y_true, label_smoothing=label_smoothing))


def _nll_rows(y_pred, y_true):
    return per_row(F.nll_loss(y_pred, match_target(y_pred, y_true), reduction="none"))


def _same_shape(y_pred, y_true):
    """y_true with y_pred's shape, where only axes of length 1 are missing: (N,) targets of an (N, 1) output."""
    if tuple(y_true.shape) != tuple(y_pred.shape) and prod(y_true.shape) == prod(y_pred.shape):
        y_true = y_true.reshape(tuple(y_pred.shape))
    return F.float(y_true) if y_true.dtype != y_pred.dtype else y_true


def _elementwise(function):
    """The rows of a loss of pairs of elements."""
    def rows(y_pred, y_true, **settings):
        return per_row(function(y_pred, _same_shape(y_pred, y_true), reduction="none", **settings))
    return rows


def _mse_rows(y_pred, y_true):
    return F.mse_rows(y_pred, _same_shape(y_pred, y_true))


def _binary_logits(y_pred):
    """The logits behind a sigmoid, or None."""
    return y_pred.node.inputs[0] if y_pred.node.op.name == "sigmoid" else None


_logits_rows = _elementwise(F.binary_cross_entropy_with_logits)


def _binary_cross_entropy_rows(y_pred, y_true, **settings):
    """Of probabilities; of the logits where the network ends in a sigmoid, so that nothing is lost."""
    logits = _binary_logits(y_pred)
    rows = _elementwise(F.binary_cross_entropy) if logits is None else _logits_rows
    return rows(y_pred if logits is None else logits, y_true, **settings)


def _with_logits_rows(y_pred, y_true, **settings):
    logits = _binary_logits(y_pred)
    return _logits_rows(y_pred if logits is None else logits, y_true, **settings)


def _hinge_rows(y_pred, y_true, squared=False, margin=1.0):
    """Integer labels beside several scores: the multi-class loss."""
    if len(y_pred.shape) == 2 and y_pred.shape[1] > 1:
        target = match_target(y_pred, y_true)
        if len(target.shape) == 1:
            return F.multi_margin_loss(y_pred, target, 2 if squared else 1, margin, reduction="none")
    return _elementwise(F.hinge_loss)(y_pred, y_true, squared=squared, margin=margin)


def _squared_hinge_rows(y_pred, y_true):
    return _hinge_rows(y_pred, y_true, squared=True)


def _multi_margin_rows(y_pred, y_true, **settings):
    return F.multi_margin_loss(y_pred, match_target(y_pred, y_true), reduction="none", **settings)


def _categorical_hinge_rows(y_pred, y_true):
    """Keras's: max(0, 1 + the largest wrong score (0 at least) - the right one); labels or one-hot."""
    target = match_target(y_pred, y_true)
    target = F.one_hot(target, y_pred.shape[1]) if len(target.shape) < len(y_pred.shape) else F.float(target)
    right, wrong = (target * y_pred).sum(1), ((1.0 - target) * y_pred).max(1)
    return F.relu(wrong - right + 1.0)


_l1_rows, _huber_rows, _smooth_l1_rows = (_elementwise(f) for f in (F.l1_loss, F.huber_loss, F.smooth_l1_loss))

# rows, the class, the functions that mean the same, and names, Keras's included
KNOWN = [
    (_cross_entropy_rows, losses.CrossEntropyLoss, (losses.cross_entropy, F.cross_entropy),
     "cross_entropy crossentropy categorical_crossentropy sparse_categorical_crossentropy"),
    (_nll_rows, losses.NLLLoss, (losses.nll, F.nll_loss), "nll nll_loss"),
    (_mse_rows, losses.MSELoss, (losses.mse, F.mse_loss), "mse mse_loss mean_squared_error"),
    (_l1_rows, losses.L1Loss, (losses.l1, F.l1_loss), "l1 l1_loss mae mean_absolute_error"),
    (_huber_rows, losses.HuberLoss, (losses.huber, F.huber_loss), "huber huber_loss"),
    (_smooth_l1_rows, losses.SmoothL1Loss, (losses.smooth_l1, F.smooth_l1_loss), "smooth_l1 smooth_l1_loss"),
    (_binary_cross_entropy_rows, losses.BCELoss, (losses.binary_cross_entropy, F.binary_cross_entropy),
     "binary_cross_entropy binary_crossentropy bce"),
    (_with_logits_rows, losses.BCEWithLogitsLoss,
     (losses.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits),
     "binary_cross_entropy_with_logits bce_with_logits"),
    (_hinge_rows, losses.HingeLoss, (losses.hinge, F.hinge_loss), "hinge hinge_loss"),
    (_squared_hinge_rows, None, (), "squared_hinge"),
    (_categorical_hinge_rows, None, (), "categorical_hinge"),
    (_multi_margin_rows, losses.MultiMarginLoss, (F.multi_margin_loss,), "multi_margin multi_margin_loss"),
]
NAMES = {name: rows for rows, _, _, names in KNOWN for name in names.split()}


def resolve(spec, loss_weights=None):
    """compile's `loss` as a symbolic function rows(y_pred, y_true) -> a value of shape (N,), one a row, or a scalar.

    spec: a name, a loss function or class of losses.py, a formula of (y_pred, y_true) (matched by name; other names: the
    prediction first), or for several outputs a dict or list of these, summed with loss_weights, a dict or list of numbers."""
    if isinstance(spec, (dict, list, tuple)):
        return _resolve_several(spec, loss_weights)
    if isinstance(spec, str):
        if spec.lower() not in NAMES:
            raise ValueError(f"compile: unknown loss {spec!r}, expected one of {', '.join(sorted(NAMES))}, a class like "
                             "nn.CrossEntropyLoss() or a function of (y_pred, y_true)")
        return NAMES[spec.lower()]
    if isinstance(spec, type) and issubclass(spec, losses._LossClass):
        spec = spec()
    if isinstance(spec, losses._LossClass):
        return _resolve_class(spec)
    for rows, _, functions, _ in KNOWN:
        if any(spec is f for f in functions):
            return rows
    if not callable(spec):
        raise TypeError(f"compile: loss must be a name, a loss class or a function of (y_pred, y_true), got {spec!r}")
    return by_name(spec)


def _resolve_class(loss):
    """One value a row for a mean over rows; another reduction, or a mean weighted by the labels, is what the class gives."""
    settings = {name: value for name, value in vars(loss).items() if name != "reduction"}
    rows = next((rows for rows, known, _, _ in KNOWN if known is type(loss)), None)
    of_labels = rows in (_cross_entropy_rows, _nll_rows)
    if of_labels and settings.pop("weight") is None and settings.pop("ignore_index") == -100 or not of_labels and rows:
        if loss.reduction != "sum":
            return lambda y_pred, y_true: rows(y_pred, y_true, **settings)
    if isinstance(loss, losses.CrossEntropyLoss):
        return lambda y_pred, y_true: loss(logits_of(y_pred), y_true)
    return lambda y_pred, y_true: loss(y_pred, match_target(y_pred, y_true))


def _resolve_several(spec, loss_weights):
    names = list(spec) if isinstance(spec, dict) else range(len(spec))
    parts = {name: resolve(spec[name]) for name in names}
    weights = loss_weights if loss_weights is not None else {}
    weights = dict(enumerate(weights)) if isinstance(weights, (list, tuple)) else weights
    unknown = [name for name in weights if name not in parts]
    if unknown:
        raise ValueError(f"compile: loss_weights names {unknown[0]!r}, the losses are {list(names)}")

    def rows(y_pred, y_true):
        total = None
        for i, name in enumerate(names):
            part = parts[name](pick(y_pred, name, i, "output"), pick(y_true, name, i, "target")) * float(weights.get(name, 1.0))
            total = part if total is None else total + part
        return total
    return rows


def pick(values, name, place, what):
    """One of several outputs or targets, by its name in a dict, by its place in a list."""
    if isinstance(values, dict):
        if name not in values:
            raise ValueError(f"compile: the loss names the {what} {name!r}, there are {list(values)}")
        return values[name]
    if isinstance(values, (list, tuple)):
        if place >= len(values):
            raise ValueError(f"compile: there is a loss for the {what} {name!r}, but {len(values)} {what}s")
        return values[place]
    return values


def by_name(function):
    """A user's formula as a function of (y_pred, y_true): arguments called so are matched by name, in any order."""
    code = getattr(function, "__code__", None) or getattr(getattr(type(function), "__call__", None), "__code__", None)
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount] if code is not None else ()
    if "y_true" in names and "y_pred" in names:
        return lambda y_pred, y_true: function(y_pred=y_pred, y_true=y_true)
    return function
