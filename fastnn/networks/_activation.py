"""Activation layers by name, for networks that let one choose."""
from .. import layers

NAMES = {name.lower(): name for name in ("ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Sigmoid", "Tanh", "Identity")}


def make_activation(network, activation):
    """A new layer: by name ("relu", "leaky_relu", "tanh", ...), or from a function without arguments, such as a layer's class.
    ValueError, naming the network: an unknown name."""
    if callable(activation):
        return activation()
    known = NAMES.get(str(activation).lower().replace("_", ""))
    if known is None:
        raise ValueError(f"{network}: unknown activation {activation!r}, expected one of {', '.join(NAMES)} or a layer's class")
    return getattr(layers, known)()
