"""Concat."""
from .. import functional as F
from ._check import integer
from ._numbered import Numbered

__all__ = ["Concat"]


class Concat(Numbered):
    """Gives its input to every branch and joins their outputs along axis dim=1 (the channels): Concat(*branches, dim=1), as in
    Inception (Szegedy et al. 2015). Branches are named '0', '1', .... Their outputs must agree in the other axes."""

    def __init__(self, *branches, dim=1):
        super().__init__()
        if len(branches) == 1 and isinstance(branches[0], (list, tuple)):
            branches = tuple(branches[0])
        if not branches:
            raise ValueError("Concat: expected at least one branch, got none")
        self.dim = integer("Concat", "dim", dim, -8)
        self.extend(branches)

    def __getitem__(self, index):
        branches = list(self)[index]
        return Concat(*branches, dim=self.dim) if isinstance(index, slice) else branches

    def forward(self, x):
        """x: what every branch takes."""
        return F.cat([branch(x) for branch in self], self.dim)

    def extra_repr(self):
        """The axis."""
        return f"dim={self.dim}"
