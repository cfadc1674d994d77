"""The optimizers under PyTorch's name: nn.optim.SGD, nn.optim.Adam, nn.optim.AdamW."""
from .optimizers import Optimizer, SGD, Adam, AdamW

__all__ = ["Optimizer", "SGD", "Adam", "AdamW"]
