"""Sequential."""
from ..module import Module
from ._numbered import Numbered

__all__ = ["Sequential"]


class Sequential(Numbered):
    """Layers one after the other: each gets the output of the one before it.

    Sequential(*layers), a single list of layers, or a single dict of names and layers. Layers are named '0', '1', ... (their
    parameters '0.weight', ...). Has append, extend, insert, len, iteration, indexing (a slice gives a Sequential of the same
    layers), assignment and deletion by index. A layer whose call returns more than what is to be passed on says by its
    `in_sequential` (a dict) which keyword arguments a Sequential adds to the call."""

    def __init__(self, *layers):
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], dict):
            for name, layer in layers[0].items():
                self.add_module(name, self._layer(layer, name))
            return
        if len(layers) == 1 and not isinstance(layers[0], Module) and hasattr(layers[0], "__iter__"):
            layers = tuple(layers[0])
        self.extend(layers)

    def forward(self, x):
        """x: what the first layer takes."""
        for layer in self:
            x = layer(x, **getattr(layer, "in_sequential", {}))
        return x
