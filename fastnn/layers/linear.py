"""Linear."""
from .. import functional as F
from ..module import Module
from ..parameter import Parameter
from ._check import integer, kaiming_uniform

__all__ = ["Linear"]


class Linear(Module):
    """y = x weight^T + bias over the last axis.

    Args: in_features, out_features, bias=True. Shapes: (N, ..., in_features) -> (N, ..., out_features).
    Parameters: weight (out_features, in_features), bias (out_features,), both uniform in +-1/sqrt(in_features) (PyTorch's)."""

    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.in_features = integer("Linear", "in_features", in_features)
        self.out_features = integer("Linear", "out_features", out_features)
        self.weight = Parameter(kaiming_uniform((self.out_features, self.in_features), self.in_features))
        self.bias = Parameter(kaiming_uniform((self.out_features,), self.in_features)) if bias else None

    def forward(self, x):
        """x: (N, ..., in_features)."""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self):
        """The arguments, as PyTorch prints them."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
