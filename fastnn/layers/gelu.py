"""GELU."""
from .. import functional as F
from ..module import Module

__all__ = ["GELU"]


class GELU(Module):
    """x * Phi(x), Phi the normal distribution function (Hendrycks & Gimpel 2016).

    Args: approximate="none", or "tanh": x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2. Shapes: any, the output as the
    input."""

    def __init__(self, approximate="none"):
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, x):
        """x: any shape."""
        return F.gelu(x, self.approximate)

    def extra_repr(self):
        """Which formula."""
        return f"approximate={self.approximate!r}"
