"""Networks that several tests train, each written in three ways: `sequential`, `functional` (nn.Input and Model) and `module`,
a class whose text is PyTorch's. Parameters come in the same order in all three."""
import numpy as np

import fastnn as nn
import fastnn.functional as F

TEXT = """
class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, self.num_flat_features(x))
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)

    def num_flat_features(self, x):
        size = x.size()[1:]
        num_features = 1
        for s in size:
            num_features *= s
        return num_features


class MnistCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        return self.fc2(x)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_planes, planes, stride=1):
        super(BasicBlock, self).__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)

        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != self.expansion*planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_planes, self.expansion*planes, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(self.expansion*planes)
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        out = F.relu(out)
        return out


class ResidualNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.block1 = BasicBlock(8, 16, stride=2)
        self.block2 = BasicBlock(16, 16)
        self.linear = nn.Linear(16, 10)

    def forward(self, x):
        out = F.relu(self.bn(self.stem(x)))
        out = self.block2(self.block1(out))
        out = F.avg_pool2d(out, out.size(2))
        out = out.view(out.size(0), -1)
        return self.linear(out)
"""

SHAPES = {"lenet5": (1, 28, 28), "mnist_cnn": (1, 28, 28), "residual": (3, 12, 12)}
CLASSES = {"lenet5": "LeNet5", "mnist_cnn": "MnistCnn", "residual": "ResidualNet"}


def classes(nn, F, torch):
    """TEXT executed with these modules behind its names."""
    space = {"nn": nn, "F": F, "torch": torch, "__name__": "pasted"}
    exec(TEXT, space)
    return space


def lenet5_layers():
    return [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]


def mnist_cnn_layers():
    return [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10)]


def block(channels, filters, stride):
    body = nn.Sequential(nn.Conv2d(channels, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(),
                         nn.Conv2d(filters, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters))
    if channels == filters and stride == 1:
        return nn.Residual(body)
    return nn.Residual(body, nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)))


def residual_layers():
    return [nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), block(8, 16, 2), nn.ReLU(),
            block(16, 16, 1), nn.ReLU(), nn.AvgPool2d(6), nn.Flatten(), nn.Linear(16, 10)]


def mlp_layers():
    return [nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)]


def cifar_vgg_layers():
    convolutions = [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)]
    layers = []
    for i, (channels, filters) in enumerate(convolutions):
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), *([nn.MaxPool2d(2)] if i % 2 else [])]
    return [*layers, nn.Flatten(), nn.Linear(2048, 128), nn.ReLU(), nn.Linear(128, 10)]


def resnet20_layers():
    layers, channels = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for filters, stride in ((16, 1), (16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1)):
        layers += [block(channels, filters, stride), nn.ReLU()]
        channels = filters
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]


def lstm_layers():
    return [nn.Reshape(28, 28), nn.LSTM(28, 128, batch_first=True, return_sequences=False), nn.Linear(128, 10)]


LAYERS = {"lenet5": lenet5_layers, "mnist_cnn": mnist_cnn_layers, "residual": residual_layers, "mlp": mlp_layers,
          "cifar_vgg": cifar_vgg_layers, "resnet20": resnet20_layers, "lstm": lstm_layers}


def sequential(name):
    return nn.Sequential(*LAYERS[name]())


def functional(name):
    """Written with nn.Input; the residual block spelled out as a DAG."""
    x = nn.Input(*SHAPES[name])
    if name != "residual":
        y = x
        for layer in lenet5_layers() if name == "lenet5" else mnist_cnn_layers():
            y = layer(y)
        return nn.Model(x, y)

    def conv_bn(v, channels, filters, kernel, stride):
        return nn.BatchNorm2d(filters)(nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False)(v))
    y = F.relu(conv_bn(x, 3, 8, 3, 1))
    body = conv_bn(F.relu(conv_bn(y, 8, 16, 3, 2)), 16, 16, 3, 1)
    y = F.relu(body + conv_bn(y, 8, 16, 1, 2))
    y = F.relu(conv_bn(F.relu(conv_bn(y, 16, 16, 3, 1)), 16, 16, 3, 1) + y)
    return nn.Model(x, nn.Linear(16, 10)(F.avg_pool2d(y, 6).flatten(1)))


def module(name):
    return classes(nn, F, F)[CLASSES[name]]()


FORMS = {"sequential": sequential, "functional": functional, "module": module}


def batches(name, count, rows, seed=0):
    """Batches of images of ten noisy patterns, with their labels."""
    rng = np.random.default_rng(seed)
    patterns = rng.standard_normal((10, *SHAPES[name]))
    for _ in range(count):
        labels = rng.integers(0, 10, rows)
        yield (patterns[labels] + rng.standard_normal((rows, *SHAPES[name]))).astype(np.float32), labels


def copy_parameters(model, arrays):
    """Sets the model's parameters, in order, from arrays."""
    parameters = list(model.parameters())
    assert len(parameters) == len(arrays)
    for p, a in zip(parameters, arrays):
        assert p.shape == a.shape
        p.data[...] = a
    return model
