"""Argument checks that several networks share."""
import operator

from .. import layers

ACTIVATIONS = {name.lower(): name for name in ("ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Sigmoid", "Tanh", "Identity")
               if name in layers.__all__}


def positive(where, name, number):
    """`number` as an int of at least 1; ValueError or TypeError otherwise."""
    try:
        value = operator.index(number)
    except TypeError:
        raise TypeError(f"{where}: {name} must be a whole number, got {number!r}") from None
    if value < 1:
        raise ValueError(f"{where}: {name} must be at least 1, got {value}")
    return value


def activation(where, name):
    """A new activation layer by name ("relu", "leaky_relu", "tanh", ...) or from a function without arguments (a class);
    ValueError: an unknown name."""
    if callable(name):
        return name()
    known = ACTIVATIONS.get(str(name).lower().replace("_", ""))
    if known is None:
        raise ValueError(f"{where}: unknown activation {name!r}, expected one of {', '.join(ACTIVATIONS)} or a layer's class")
    return getattr(layers, known)()
