"""Numbered: a module that is a list of modules, named by their places."""
import operator

from ..module import Module


class Numbered(Module):
    """The list part of Sequential, ModuleList and Concat."""

    def _layer(self, layer, place):
        if not isinstance(layer, Module):
            made = isinstance(layer, type) and f"the class {layer.__name__} (make a layer of it: {layer.__name__}(...))"
            what = made or repr(layer)
            raise TypeError(f"{type(self).__name__}: layer {place} must be a Module, got {what}")
        return layer

    def _renumber(self, layers):
        for i, layer in enumerate(layers):
            self._layer(layer, i)
        for name, _ in self.named_children():
            delattr(self, name)
        for i, layer in enumerate(layers):
            self.add_module(str(i), layer)
        return self

    def append(self, layer):
        """Adds a layer at the end. Returns self."""
        self.add_module(str(len(self)), self._layer(layer, len(self)))
        return self

    def extend(self, layers):
        """Adds several layers at the end. Returns self."""
        for layer in layers:
            self.append(layer)
        return self

    def insert(self, index, layer):
        """Puts a layer before place `index`; the later ones move on by one. Returns self."""
        layers = list(self)
        layers.insert(index, layer)
        return self._renumber(layers)

    def __len__(self):
        return len(self.children())

    def __iter__(self):
        return iter(self.children())

    def _place(self, index):
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"{type(self).__name__} has {len(self)} layers, there is no layer {index}")
        return place % len(self)

    def __getitem__(self, index):
        layers = self.children()
        if not isinstance(index, slice):
            return layers[self._place(index)]
        container = next(c for c in type(self).__mro__ if Numbered in c.__bases__)      # a subclass may take other arguments
        return container(layers[index])

    def __setitem__(self, index, layer):
        place = self._place(index)
        self.add_module(self.named_children()[place][0], self._layer(layer, place))

    def __delitem__(self, index):
        layers = list(self)
        if not isinstance(index, slice):
            index = self._place(index)
        del layers[index]
        self._renumber(layers)
