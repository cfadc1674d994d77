"""The optimizers under PyTorch's name: nn.optim.SGD, nn.optim.Adam, nn.optim.AdamW, nn.optim.RMSprop; and the schedules,
nn.optim.lr_scheduler."""
from . import lr_scheduler                          # noqa: F401
from .optimizers import Optimizer, SGD, Adam, AdamW, RMSprop

__all__ = ["Optimizer", "SGD", "Adam", "AdamW", "RMSprop"]
