"""The optimizers under PyTorch's name: nn.optim.SGD, nn.optim.Adam, nn.optim.AdamW, nn.optim.RMSprop."""
from .optimizers import Optimizer, SGD, Adam, AdamW, RMSprop

__all__ = ["Optimizer", "SGD", "Adam", "AdamW", "RMSprop"]
