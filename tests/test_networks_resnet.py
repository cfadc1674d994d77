"""Residual networks: their sizes and names against the published ones, the blocks against their formula, and that the shortcut
is what lets many layers train."""
import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F
from fastnn.examples import resnet as resnet_example
from fastnn.networks import BasicBlock, Bottleneck, ResNet, ResNet18
from fastnn.networks import resnet


def count(model):
    return sum(p.data.size for p in model.parameters())


def test_resnet18_has_torchvisions_names_and_sizes():
    model = ResNet18()
    assert count(model) == 11_689_512                           # torchvision.models.resnet18
    state = model.state_dict()
    assert len(state) == 122 and state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert state["layer4.1.conv2.weight"].shape == (512, 512, 3, 3) and state["bn1.num_batches_tracked"].shape == ()
    assert ResNet18(classes=5, in_channels=1).predict(np.zeros((1, 1, 64, 64), np.float32)).shape == (1, 5)


def test_fifty_layers_of_bottlenecks_have_their_size():
    conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
    assert count(resnet._Stages(conv1, nn.MaxPool2d(3, 2, padding=1), Bottleneck, [3, 4, 6, 3], 1000, True)) == 25_557_032


@pytest.mark.parametrize("depth, block", [(8, "basic"), (20, "basic"), (56, "basic"), (11, "bottleneck"), (29, "bottleneck")])
def test_depth_counts_the_layers(depth, block):
    model = ResNet(depth, width=2, block=block)
    layers = [m for path, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear)) and "downsample" not in path]
    assert len(layers) == depth


def test_shapes():
    x = np.random.default_rng(0).random((3, 2, 12, 9), np.float32)
    for block, last in (("basic", 16), ("bottleneck", 64)):
        model = ResNet(8 if block == "basic" else 11, width=4, in_channels=2, classes=5, block=block)
        assert model.predict(x).shape == (3, 5) and model.fc.in_features == last
        assert model.activations(x, ["layer3"])["layer3"].shape == (3, last, 3, 3)


@pytest.mark.parametrize("block, inputs, stride, shortcut", [
    (BasicBlock, 4, 1, True), (BasicBlock, 4, 2, True), (Bottleneck, 16, 1, True), (Bottleneck, 4, 2, True),
    (BasicBlock, 4, 1, False)])
def test_a_block_is_its_formula(block, inputs, stride, shortcut):
    nn.manual_seed(1)
    model = block(inputs, 4, stride, shortcut)
    x = np.random.default_rng(0).standard_normal((2, inputs, 6, 6)).astype(np.float32)
    state = {name: array.astype(np.float64) for name, array in model.state_dict().items()}

    def conv_bn(y, conv, bn, stride=1):
        kernel = state[f"{conv}.weight"].shape[-1]
        y = F.conv2d(y, state[f"{conv}.weight"], stride=stride, padding=kernel // 2)
        return y / np.sqrt(1 + 1e-5)                            # a batch norm as it starts
    parts = block.convolutions
    y = x.astype(np.float64)
    for i in range(1, parts + 1):
        y = conv_bn(y, f"conv{i}", f"bn{i}", stride if i == (1 if parts == 2 else 2) else 1)
        y = np.maximum(y, 0) if i < parts else y
    if shortcut:
        y = y + (conv_bn(x.astype(np.float64), "downsample.0", "downsample.1", stride) if "downsample.0.weight" in state else x)
    np.testing.assert_allclose(model.predict(x), np.maximum(y, 0), atol=1e-5)


@pytest.mark.parametrize("arguments, message", [((9,), r"depth must be 6n \+ 2"), ((2,), "depth"),
                                                ((8, 0), "width"),
                                                ((8, 4, 1, 10, "wide"), "block"), ((8, 4, 1, 10, "bottleneck"), r"9n \+ 2")])
def test_what_it_refuses(arguments, message):
    with pytest.raises(ValueError, match=f"ResNet: .*{message}"):
        ResNet(*arguments)


def test_deep_networks_need_their_shortcuts():
    (_, plain), (_, residual) = [resnet_example.on_digits(56, shortcuts, epochs=4, verbose=0) for shortcuts in (False, True)]
    print(plain, residual)
    assert residual > 0.7 > plain + 0.2


@pytest.mark.slow
def test_mnist(data_folder):
    rows = list(resnet_example.results(data_folder))
    assert len(rows) == 3 and all(row.holds in (None, True) for row in rows), rows
