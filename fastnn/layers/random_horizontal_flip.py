"""RandomHorizontalFlip."""
from .. import functional as F
from ..module import Module
from ._check import number

__all__ = ["RandomHorizontalFlip"]


class RandomHorizontalFlip(Module):
    """In training, mirrors each image left and right with probability p; in evaluation the identity. Which ones follows from
    manual_seed, the step, the layer and the number of the image alone: not from threads or backend.

    Args: p=0.5. Shapes: (N, C, H, W), the output as the input. No gradient flows to the input: it stands before what is
    trained."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p = number("RandomHorizontalFlip", "p", p, 0.0, 1.0)

    def forward(self, x):
        """x: (N, C, H, W)."""
        return F.random_window(x, flip=self.p) if self.training else x

    def extra_repr(self):
        """The probability."""
        return f"p={self.p}"
