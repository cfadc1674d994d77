"""Convolutional networks for small images."""
from ..layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential
from ..layers._check import integer
from ._activation import make_activation

__all__ = ["LeNet5", "SmallCNN"]


class LeNet5(Sequential):
    """Two convolutions, three fully connected layers, 61,706 parameters (LeCun, Bottou, Bengio, Haffner 1998,
    doi:10.1109/5.726791), with what is usual today: ReLU, maxima in the pooling, every map of the second convolution sees all
    of the first, logits out.

    Args: classes=10; activation="relu" (the paper's: "tanh"). Shapes: (N, 1, 28, 28) -> (N, classes)."""

    def __init__(self, classes=10, activation="relu"):
        act = lambda: make_activation("LeNet5", activation)                                       # noqa: E731
        super().__init__(
            Conv2d(1, 6, 5, padding=2), act(), MaxPool2d(2),
            Conv2d(6, 16, 5), act(), MaxPool2d(2),
            Flatten(), Linear(16 * 5 * 5, 120), act(), Linear(120, 84), act(),
            Linear(84, integer("LeNet5", "classes", classes)))


class SmallCNN(Sequential):
    """3x3 convolutions with batch norm, each but the last followed by a pooling that halves the image; then the means of every
    map over a grid of 4x4, which tell the linear layer where things are, whatever the image's size; dropout.

    Args: in_channels; classes; widths=(24, 48, 96): the maps of each convolution; dropout=0.2.
    Shapes: (N, in_channels, H, W) -> (N, classes), logits."""

    def __init__(self, in_channels, classes, widths=(24, 48, 96), dropout=0.2):
        layers, channels = [], integer("SmallCNN", "in_channels", in_channels)
        for i, width in enumerate(widths):
            width = integer("SmallCNN", f"widths[{i}]", width)
            layers += [MaxPool2d(2)] if i else []
            layers += [Conv2d(channels, width, 3, padding=1, bias=False), BatchNorm2d(width), ReLU()]
            channels = width
        super().__init__(*layers, AdaptiveAvgPool2d(4), Flatten(), Dropout(dropout),
                         Linear(channels * 16, integer("SmallCNN", "classes", classes)))
