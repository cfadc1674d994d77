"""LeakyReLU."""
from .. import functional as F
from ..module import Module
from ._check import number

__all__ = ["LeakyReLU"]


class LeakyReLU(Module):
    """x where x > 0, negative_slope * x elsewhere (Maas et al. 2013).

    Args: negative_slope=0.01; inplace: accepted for PyTorch's sake, no effect. Shapes: any, the output as the input."""

    def __init__(self, negative_slope=0.01, inplace=False):
        super().__init__()
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x):
        """x: any shape."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self):
        """The slope."""
        return f"negative_slope={self.negative_slope}"
