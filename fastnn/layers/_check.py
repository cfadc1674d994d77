"""What layers check when they are made: each error names the layer, the argument, what was expected and what came."""
import operator

from .. import random


def integer(layer, name, value, minimum=1):
    """`value` as an int >= minimum."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{layer}: {name} must be an integer >= {minimum}, got {value!r}") from None
    if isinstance(value, bool) or number < minimum:
        raise ValueError(f"{layer}: {name} must be an integer >= {minimum}, got {value!r}")
    return number


def several(layer, name, value, count, minimum=1):
    """An int or a tuple of `count` ints, as a tuple."""
    if isinstance(value, (tuple, list)):
        if len(value) != count:
            wanted = "an integer or two (height, width)" if count == 2 else "an integer"
            raise ValueError(f"{layer}: {name} must be {wanted}, got {value!r}")
        return tuple(integer(layer, name, v, minimum) for v in value)
    return (integer(layer, name, value, minimum),) * count


def pair(layer, name, value, minimum=1):
    """An int or a pair of ints, as a pair."""
    return several(layer, name, value, 2, minimum)


def number(layer, name, value, low=None, high=None):
    """`value` as a float, low <= value <= high."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{layer}: {name} must be a number, got {value!r}") from None
    if low is not None and not result >= low or high is not None and not result <= high:
        wanted = f">= {low}" if high is None else f"in [{low}, {high}]"
        raise ValueError(f"{layer}: {name} must be {wanted}, got {value!r}")
    return result


def window(layer, kernel_size, padding, axes=2):
    """A pooling window's kernel_size and padding, as tuples: padding may be half the window at most."""
    kernel, pad = several(layer, "kernel_size", kernel_size, axes), several(layer, "padding", padding, axes, 0)
    if any(2 * p > k for p, k in zip(pad, kernel)):
        raise ValueError(f"{layer}: padding={padding!r} is more than half of kernel_size={kernel_size!r}")
    return kernel, pad


def dimensions(layer, x, *allowed):
    """Checks the number of axes of a layer's input."""
    if len(x.shape) not in allowed:
        wanted = " or ".join(f"{n}-D" for n in allowed)
        raise ValueError(f"{layer}: expected a {wanted} input, got {len(x.shape)}-D (shape {tuple(x.shape)})")


def kaiming_uniform(shape, fan_in):
    """PyTorch's initial weights of convolution and linear layers: kaiming_uniform(a=sqrt(5)) is uniform(+-1/sqrt(fan_in)), and
    so are their biases."""
    return random.uniform(shape, fan_in ** -0.5 if fan_in else 0.0)
