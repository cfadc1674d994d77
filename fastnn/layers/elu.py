"""ELU."""
from .. import functional as F
from ..module import Module
from ._check import number

__all__ = ["ELU"]


class ELU(Module):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2016).

    Args: alpha=1.0; inplace: accepted for PyTorch's sake, no effect. Shapes: any, the output as the input."""

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha = number("ELU", "alpha", alpha)

    def forward(self, x):
        """x: any shape."""
        return F.elu(x, self.alpha)

    def extra_repr(self):
        """The factor."""
        return f"alpha={self.alpha}"
