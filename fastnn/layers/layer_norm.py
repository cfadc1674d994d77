"""LayerNorm."""
import numpy as np

from .. import functional as F
from ..module import Module
from ..parameter import Parameter
from ._check import integer, number

__all__ = ["LayerNorm"]


class LayerNorm(Module):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axes of each row by itself (Ba, Kiros and Hinton,
    arXiv:1607.06450).

    Args: normalized_shape: an int or a tuple, the last lengths of x; eps=1e-5; elementwise_affine=True: has weight and
    bias; bias=True.
    Shapes: (N, ..., *normalized_shape) -> the same.
    Parameters: weight (ones), bias (zeros), of normalized_shape."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        super().__init__()
        given = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        if not given:
            raise ValueError("LayerNorm: normalized_shape must be an integer or integers, got none")
        self.normalized_shape = tuple(integer("LayerNorm", "normalized_shape", d) for d in given)
        self.eps, self.elementwise_affine = number("LayerNorm", "eps", eps, 0.0), bool(elementwise_affine)
        self.weight = Parameter(np.ones(self.normalized_shape)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape)) if elementwise_affine and bias else None

    def forward(self, x):
        """x: (N, ..., *normalized_shape)."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        """The arguments, as PyTorch prints them."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}" + \
            ("" if self.bias is not None or not self.elementwise_affine else ", bias=False")
