"""ModuleList."""
from ._numbered import Numbered

__all__ = ["ModuleList"]


class ModuleList(Numbered):
    """A list of layers whose parameters are found: ModuleList([layer, ...]), named '0', '1', .... Has append, extend, insert,
    len, iteration, indexing, assignment and deletion by index. It has no forward: call the layers in yours."""

    def __init__(self, modules=()):
        super().__init__()
        self.extend(modules)

    def forward(self, *_):
        """Not to be called: raises TypeError."""
        raise TypeError("ModuleList is a list and cannot be called: call its layers in your forward, or use Sequential")
