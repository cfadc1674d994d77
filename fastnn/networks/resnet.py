"""Deep residual networks (He, Zhang, Ren, Sun 2016, arXiv:1512.03385). Layers are named as in PyTorch's torchvision, so that
ResNet18 takes its trained weights."""
from .. import functional as F
from ..layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Identity, Linear, MaxPool2d, Sequential
from ..layers._check import integer
from ..module import Module

__all__ = ["ResNet", "ResNet18", "BasicBlock", "Bottleneck"]


def _conv(inputs, outputs, kernel, stride=1):
    return Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class _Block(Module):
    """relu(body(x) + shortcut(x)); the shortcut is x where shapes agree, else a 1x1 convolution (the paper's option B).
    `shortcut=False` leaves it out: relu(body(x)), a plain network's part."""

    def _set_shortcut(self, inputs, outputs, stride, shortcut):
        self.downsample = None
        if shortcut and (stride != 1 or inputs != outputs):
            self.downsample = Sequential(_conv(inputs, outputs, 1, stride), BatchNorm2d(outputs))
        self.shortcut = shortcut

    def forward(self, x):
        """x: (N, inputs, H, W) -> (N, width * expansion, H / stride, W / stride)."""
        y = self.body(x)
        if self.shortcut:
            y = y + (x if self.downsample is None else self.downsample(x))
        return F.relu(y)


class BasicBlock(_Block):
    """Two 3x3 convolutions. Args: inputs, width: channels in and out; stride=1, of the first; shortcut=True."""
    expansion, convolutions = 1, 2

    def __init__(self, inputs, width, stride=1, shortcut=True):
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, width, 3, stride), BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3), BatchNorm2d(width)
        self._set_shortcut(inputs, width, stride, shortcut)

    def body(self, x):
        """What the block learns beside its shortcut."""
        return self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))


class Bottleneck(_Block):
    """1x1 to `width` channels, 3x3, 1x1 to four times `width`. Args as BasicBlock's; the stride is the 3x3 convolution's."""
    expansion, convolutions = 4, 3

    def __init__(self, inputs, width, stride=1, shortcut=True):
        super().__init__()
        outputs = width * self.expansion
        self.conv1, self.bn1 = _conv(inputs, width, 1), BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3, stride), BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, outputs, 1), BatchNorm2d(outputs)
        self._set_shortcut(inputs, outputs, stride, shortcut)

    def body(self, x):
        """What the block learns beside its shortcut."""
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return self.bn3(self.conv3(y))


BLOCKS = {"basic": BasicBlock, "bottleneck": Bottleneck}


class _Stages(Module):
    """conv1, bn1, relu, maxpool; stages layer1, layer2, ... of blocks, each but the first of twice the width and half the
    image; the mean of every map; fc."""

    def __init__(self, conv1, maxpool, block, counts, classes, shortcuts):
        super().__init__()
        channels = width = conv1.out_channels
        self.conv1, self.bn1, self.maxpool = conv1, BatchNorm2d(width), maxpool
        self.stages = len(counts)
        for stage, count in enumerate(counts):
            blocks = []
            for i in range(count):
                blocks.append(block(channels, width << stage, 2 if stage and not i else 1, shortcuts))
                channels = (width << stage) * block.expansion
            setattr(self, f"layer{stage + 1}", Sequential(*blocks))
        self.avgpool, self.flatten, self.fc = AdaptiveAvgPool2d(1), Flatten(), Linear(channels, classes)

    def forward(self, x):
        """x: (N, in_channels, H, W) -> logits (N, classes)."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(self.flatten(self.avgpool(x)))


class ResNet(_Stages):
    """The paper's networks for small images (section 4.2): a 3x3 convolution, three stages of n blocks with `width`,
    2 * width and 4 * width channels, the mean, a linear layer.

    Args: depth: 6n + 2 layers (8, 14, 20, 32, 44, 56, 110), 9n + 2 of bottlenecks (11, 20, 29, ...; their outputs are four
    times as wide); width=16; in_channels=3; classes=10; block="basic" | "bottleneck"; shortcuts=True: False makes the plain
    network of the same layers, to compare. Shapes: (N, in_channels, H, W), H and W of 4 and more -> (N, classes), logits.
    ValueError: another depth, an unknown block, a number below 1."""

    def __init__(self, depth, width=16, in_channels=3, classes=10, block="basic", shortcuts=True):
        if block not in BLOCKS:
            raise ValueError(f"ResNet: block must be one of {', '.join(map(repr, BLOCKS))}, got {block!r}")
        layers = 3 * BLOCKS[block].convolutions
        n, rest = divmod(integer("ResNet", "depth", depth) - 2, layers)
        if n < 1 or rest:
            raise ValueError(f"ResNet: depth must be {layers}n + 2 for {block} blocks ({layers + 2}, {2 * layers + 2}, ...), "
                             f"got {depth}")
        width = integer("ResNet", "width", width)
        conv1 = _conv(integer("ResNet", "in_channels", in_channels), width, 3)
        classes = integer("ResNet", "classes", classes)
        super().__init__(conv1, Identity(), BLOCKS[block], [n, n, n], classes, shortcuts)


class ResNet18(_Stages):
    """The paper's 18 layers for large images (table 1): a 7x7 convolution of stride 2, 64 channels, a 3x3 pooling of stride 2,
    four stages of two basic blocks with 64, 128, 256, 512 channels. 11,689,512 parameters under torchvision's names.

    Args: classes=1000; in_channels=3. Shapes: (N, in_channels, H, W), made for 224x224 -> (N, classes), logits."""

    def __init__(self, classes=1000, in_channels=3):
        conv1 = _conv(integer("ResNet18", "in_channels", in_channels), 64, 7, 2)
        classes = integer("ResNet18", "classes", classes)
        super().__init__(conv1, MaxPool2d(3, 2, padding=1), BasicBlock, [2, 2, 2, 2], classes, True)
