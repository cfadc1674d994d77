"""Checks of data and arguments that estimators share."""
import numpy as np


def number(who, name, value, above=None, least=None):
    """`value`, a finite number; TypeError, ValueError otherwise."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{who}: {name} must be a number, got {value!r}")
    if not np.isfinite(value) or (above is not None and value <= above) or (least is not None and value < least):
        limit = f" above {above}" if above is not None else f" of at least {least}" if least is not None else ""
        raise ValueError(f"{who}: {name} must be a finite number{limit}, got {value!r}")
    return value


def whole(who, name, value, least):
    """`value`, a whole number; TypeError, ValueError otherwise."""
    if number(who, name, value) % 1 or value < least:
        raise ValueError(f"{who}: {name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def _numbers(who, name, array, dtype=np.float64):
    """Of that dtype, finite."""
    array = np.asarray(array)
    if array.dtype.kind not in "fiub" or array.dtype == np.float16:
        raise TypeError(f"{who}: {name} must hold real numbers (float32, float64, integers), got dtype {array.dtype}")
    with np.errstate(over="ignore"):
        array = array.astype(dtype, copy=False)
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{who}: {name} holds {array[place]} at {list(place)}; NaN and infinity cannot be used")
    return array


def features(who, x, expected=None, dtype=np.float64):
    """x as (rows, features) of that dtype, all axes but the first flattened; `expected`: how many features there must be, and
    then no row at all is fine."""
    x = _numbers(who, "x", x, dtype)
    if x.ndim < 2:
        raise ValueError(f"{who}: x must have rows and features, got shape {x.shape}; one row is x[None], one feature "
                         "x[:, None]")
    width = int(np.prod(x.shape[1:]))
    x = x.reshape(len(x), width)
    if expected is not None and width != expected:
        raise ValueError(f"{who}: fitted with {expected} features a row, got {width}")
    if width == 0 or (expected is None and len(x) == 0):
        raise ValueError(f"{who}: x is empty, its shape is {x.shape}")
    return x


def targets(who, y, rows):
    """y as float64 (rows,)."""
    y = _numbers(who, "y", y)
    if y.shape == (rows, 1):
        y = y[:, 0]
    if y.shape != (rows,):
        raise ValueError(f"{who}: y must have one number a row, shape ({rows},), got {y.shape}")
    return y


def label_numbers(who, y, rows):
    """-> the classes, sorted, and of each row the number of its class."""
    y = np.asarray(y)
    if y.shape == (rows, 1):
        y = y[:, 0]
    if y.shape != (rows,):
        raise ValueError(f"{who}: y must have one label a row, shape ({rows},), got {y.shape}")
    if y.dtype.kind == "f" and not (np.isfinite(y) & (y % 1 == 0)).all():
        raise ValueError(f"{who}: y must hold labels, got numbers such as {y[~(np.isfinite(y) & (y % 1 == 0))][0]}")
    classes, numbers = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"{who}: y must have two classes or more, all labels are {classes[0]!r}")
    return classes, numbers.reshape(-1)


def sample_weights(who, weights, rows):
    """float64 (rows,), 1 where there are none."""
    if weights is None:
        return np.ones(rows)
    weights = _numbers(who, "sample_weight", weights)
    if weights.shape != (rows,) or (weights < 0).any():
        raise ValueError(f"{who}: sample_weight must be numbers of at least 0, shape ({rows},), got shape {weights.shape}")
    return weights


def accuracy(who, found, y):
    """The share of equal labels."""
    y = np.asarray(y)
    y = y[:, 0] if y.shape == (len(found), 1) else y
    if y.shape != found.shape:
        raise ValueError(f"{who}: y must have one label a row, shape {found.shape}, got {y.shape}")
    return float(np.mean(found == y))
