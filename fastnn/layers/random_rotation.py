"""RandomRotation."""
from .. import functional as F
from ..module import Module
from ._check import number

__all__ = ["RandomRotation"]


class RandomRotation(Module):
    """In training, turns each image about its middle by a random angle from -degrees to degrees, bilinear, zeros outside; in
    evaluation the identity. Random numbers as RandomHorizontalFlip's.

    Args: degrees: 0 to 180. Shapes: (N, C, H, W), the output as the input. No gradient flows to the input."""

    def __init__(self, degrees):
        super().__init__()
        self.degrees = number("RandomRotation", "degrees", degrees, 0.0, 180.0)

    def forward(self, x):
        """x: (N, C, H, W)."""
        return F.random_window(x, degrees=self.degrees) if self.training else x

    def extra_repr(self):
        """The bound."""
        return f"degrees={self.degrees}"
