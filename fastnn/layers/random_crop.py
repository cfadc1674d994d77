"""RandomCrop."""
from .. import functional as F
from ..module import Module
from ._check import pair

__all__ = ["RandomCrop"]


class RandomCrop(Module):
    """In training, cuts a window at a random place out of each image with zeros around it; in evaluation the window in the
    middle of the image (with size that of the image, the image itself). Random numbers as RandomHorizontalFlip's.

    Args: size: an integer or (height, width); padding=0: zeros on each side, an integer or (rows, columns). Shapes: (N, C, H, W) ->
    (N, C, *size). No gradient flows to the input in training."""

    def __init__(self, size, padding=0):
        super().__init__()
        self.size, self.padding = pair("RandomCrop", "size", size), pair("RandomCrop", "padding", padding, 0)

    def forward(self, x):
        """x: (N, C, H, W)."""
        if self.training:
            return F.random_window(x, self.size, self.padding)
        margins = [full - cut for full, cut in zip(x.shape[2:], self.size)]
        if any(m < 0 for m in margins):
            raise ValueError(f"RandomCrop: size {self.size} is larger than the image {tuple(x.shape[2:])}: there is no middle of it")
        if not any(margins):
            return x
        top, left = (m // 2 for m in margins)
        return x[:, :, top:top + self.size[0], left:left + self.size[1]]

    def extra_repr(self):
        """The arguments."""
        return f"size={self.size}, padding={self.padding}"
