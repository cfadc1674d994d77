"""Embedding."""
from .. import functional as F
from .. import random
from ..module import Module
from ..parameter import Parameter
from ._check import integer

__all__ = ["Embedding"]


class Embedding(Module):
    """A table of vectors: each index becomes its row.

    Args: num_embeddings, embedding_dim; padding_idx=None: a row (negative: from the end) that starts as zeros and is not
    trained.
    Shapes: whole numbers (N, ...) of any dtype -> (N, ..., embedding_dim).
    Parameters: weight (num_embeddings, embedding_dim), standard normal (PyTorch's).
    Raises IndexError that names the first index outside 0 .. num_embeddings - 1, before anything is changed."""

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None):
        super().__init__()
        self.num_embeddings = integer("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = integer("Embedding", "embedding_dim", embedding_dim)
        table = random.normal((self.num_embeddings, self.embedding_dim))
        self.padding_idx = None
        if padding_idx is not None:
            row = integer("Embedding", "padding_idx", padding_idx, -self.num_embeddings)
            if row >= self.num_embeddings:
                raise ValueError(f"Embedding: padding_idx must be a row of num_embeddings={self.num_embeddings}, "
                                 f"got {padding_idx!r}")
            self.padding_idx = row % self.num_embeddings
            table[self.padding_idx] = 0
        self.weight = Parameter(table)

    def forward(self, x):
        """x: (N, ...)."""
        return F.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self):
        """The arguments, as PyTorch prints them."""
        return f"{self.num_embeddings}, {self.embedding_dim}" + \
            ("" if self.padding_idx is None else f", padding_idx={self.padding_idx}")
