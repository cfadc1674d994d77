"""Residual."""
from ..module import Module

__all__ = ["Residual"]


class Residual(Module):
    """body(x) + shortcut(x) (He et al. 2016, arXiv:1512.03385); without a shortcut, body(x) + x. Named body and shortcut; their
    outputs must have equal shapes."""

    def __init__(self, body, shortcut=None):
        super().__init__()
        for name, module in (("body", body), ("shortcut", shortcut)):
            if not isinstance(module, Module) and not (name == "shortcut" and module is None):
                raise TypeError(f"Residual: {name} must be a Module, got {module!r}")
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        """x: what body and shortcut take."""
        y, skip = self.body(x), x if self.shortcut is None else self.shortcut(x)
        if tuple(y.shape) != tuple(skip.shape):
            raise ValueError(f"Residual: body gives shape {tuple(y.shape)}, shortcut {tuple(skip.shape)}, expected equal ones")
        return y + skip
