"""The multi-layer perceptron."""
from ..layers import Dropout, Flatten, Linear, Sequential
from ..layers._check import integer
from ._activation import make_activation

__all__ = ["MLP"]


class MLP(Sequential):
    """Fully connected layers with an activation between them (Rumelhart, Hinton, Williams 1986, doi:10.1038/323533a0).

    Args: sizes, the numbers of inputs, of neurons in each hidden layer, of outputs: MLP([784, 256, 128, 10]);
    activation="relu": a name or a layer's class, after each layer but the last; dropout=0.0: the share of hidden neurons left
    out while training.
    Shapes: (N, ...) with sizes[0] numbers a row -> (N, sizes[-1]). Raises ValueError for fewer than two sizes, a
    size below 1, an unknown activation."""

    def __init__(self, sizes, activation="relu", dropout=0.0):
        sizes = [integer("MLP", f"sizes[{i}]", size) for i, size in enumerate(sizes)]
        if len(sizes) < 2:
            raise ValueError(f"MLP: sizes must hold at least the numbers of inputs and outputs, got {sizes}")
        layers = [Flatten()]
        for inputs, outputs in zip(sizes[:-2], sizes[1:-1]):
            layers += [Linear(inputs, outputs), make_activation("MLP", activation)] + ([Dropout(dropout)] if dropout else [])
        super().__init__(*layers, Linear(sizes[-2], sizes[-1]))
