"""Checks and normalisations of arguments that the public functions share. Every message names the function, the argument, what
was expected and what came."""
import numpy as np

from ..graph import CONSTANT, Batch, as_value, functions, is_symbolic

CHANNELS_LAST = '; it looks channels-last: give data_format="channels_last", or x.transpose(0, 3, 1, 2), which costs nothing'


def is_plain_number(x):
    """A Python number or a NumPy scalar: not an array, not a value."""
    return isinstance(x, (bool, int, float, np.bool_, np.integer, np.floating))


def _float_array(op, argument, x):
    """`x` as a float32 or float64 array: integers and bools become float32, complex and float16 are refused."""
    array = np.asarray(x)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f" and size == 2:
        raise TypeError(f"{op}: {argument} is a float16 array; give float32")
    if kind not in "fiub":
        raise TypeError(f"{op}: {argument} has dtype {array.dtype}; real numbers are expected")
    return array.astype(np.float64 if kind == "f" and size >= 8 else np.float32, copy=False)


def check_float(op, argument, x):
    """`x` as a float array or float value (integer values are cast)."""
    return floats(op, **{argument: x})[0]


def floats(op, numbers=False, **arguments):
    """Every argument as a float array of one dtype (float64 where one is), or as a float value; None stays. With `numbers`,
    numbers stay Python numbers beside arrays and values."""
    found = {}
    for argument, x in arguments.items():
        if is_symbolic(x):
            x = as_value(x)
            x = functions["float"](x) if x.dtype == "int64" else x
        elif x is not None and not (numbers and is_plain_number(x)):
            x = _float_array(op, argument, x)
        found[argument] = x
    arrays = [a for a in found.values() if isinstance(a, np.ndarray)]
    if not arrays and not any(is_symbolic(x) for x in found.values()):
        return [None if x is None else np.asarray(x, np.float32) for x in found.values()]
    dtype = np.result_type(*arrays) if arrays else None
    return [a.astype(dtype, copy=False) if isinstance(a, np.ndarray) else _as_python(a) for a in found.values()]


def _as_python(x):
    return x.item() if isinstance(x, np.generic) else x


def labels_or_probabilities(op, argument, target):
    """A target as int64 labels (integer and bool arrays, int64 values) or as floats."""
    if is_symbolic(target):
        return as_value(target)
    array = np.asarray(target)
    return array.astype(np.int64, copy=False) if array.dtype.kind in "iub" else _float_array(op, argument, array)


def check_ndim(op, argument, x, ndims, axes):
    """Raises unless x has one of `ndims` axes; `axes` says in words which."""
    if x.ndim not in ndims:
        raise ValueError(f"{op}: {argument} must have shape {axes}, it has shape {shown(x.shape)}")


def check_shape(op, argument, x, shape, why=""):
    """Raises unless x (None passes) has this shape."""
    if x is not None and tuple(x.shape) != tuple(shape):
        raise ValueError(f"{op}: {argument} must have shape {shown(shape)}{why}, it has shape {shown(x.shape)}")


def shown(shape):
    """A shape for messages; the stand-in for a batch size is written N."""
    from ..graph import FUNCTIONAL_ROWS
    return "(" + ", ".join("N" if d == FUNCTIONAL_ROWS else str(d) for d in shape) + ("," if len(shape) == 1 else "") + ")"


def integer(op, argument, value, least):
    """`value` as a plain int of at least `least`."""
    try:
        number = value.__index__()
    except (AttributeError, TypeError):
        raise TypeError(f"{op}: {argument} must be an integer, it is {value!r}") from None
    if number < least:
        raise ValueError(f"{op}: {argument} must be at least {least}, it is {number}")
    return number


def integers(op, argument, value, count, least):
    """`value`, one integer for all or `count` of them, as a tuple of plain ints."""
    if isinstance(value, (tuple, list, np.ndarray)) and np.ndim(value) == 1:
        if len(value) != count:
            raise ValueError(f"{op}: {argument} must be an integer or {count} of them, it is {value!r}")
        return tuple(integer(op, argument, v, least) for v in value)
    return (integer(op, argument, value, least),) * count


def axis(op, dim, ndim):
    """`dim` counted from the front."""
    number = integer(op, "dim", dim, -1 << 62)
    if not -ndim <= number < ndim:
        raise IndexError(f"{op}: dim {number} is out of range for {ndim} axes")
    return number % ndim


def axes(op, dim, ndim):
    """dim None (all), an integer or a tuple of them -> ascending axes."""
    if dim is None:
        return tuple(range(ndim))
    given = dim if isinstance(dim, (tuple, list)) else (dim,)
    found = sorted(axis(op, d, ndim) for d in given)
    if len(set(found)) != len(found):
        raise ValueError(f"{op}: dim {dim!r} names an axis twice")
    return tuple(found)


def prod(numbers):
    """The product of ints, at most one Batch among them."""
    total = 1
    for number in numbers:
        total = number * total if isinstance(number, Batch) else total * number
    return total


def plus(a, b):
    """a + b for ints or multiples of N, of which one may be 0."""
    if isinstance(a, Batch) and isinstance(b, Batch):
        return Batch(a.coefficient + b.coefficient)
    return b if a == 0 else a if b == 0 else a + b


def strides_of(shape):
    """C-order strides in elements."""
    return tuple(prod(shape[i + 1:]) for i in range(len(shape)))


def constant_number(x):
    """The Python number behind a number or a constant value without axes, else None."""
    if is_plain_number(x):
        return x
    if is_symbolic(x) and x.node.op is CONSTANT and x.shape == ():
        value = x.node.attrs["value"]
        return value.item() if isinstance(value, np.ndarray) else value
    return None
