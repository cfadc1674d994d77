"""Layers: arguments, initialisation, names, shapes, and that each does what its function does; containers."""
import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F

X = np.random.default_rng(0).standard_normal((3, 4, 8, 8)).astype(np.float32)
ROWS = np.random.default_rng(1).standard_normal((5, 6)).astype(np.float32)

BAD_ARGUMENTS = [
    (lambda: nn.Conv2d(4, 8, 3, groups=3), "Conv2d: groups=3 does not divide in_channels=4"),
    (lambda: nn.Conv2d(4, 6, 3, groups=4), "Conv2d: groups=4 does not divide out_channels=6"),
    (lambda: nn.Conv2d(0, 8, 3), "Conv2d: in_channels must be an integer >= 1, got 0"),
    (lambda: nn.Conv2d(4, 8, (3, 3, 3)), "Conv2d: kernel_size must be an integer or two"),
    (lambda: nn.Conv2d(4, 8, 3, stride=0), "Conv2d: stride must be an integer >= 1, got 0"),
    (lambda: nn.Conv2d(4, 8, 3, padding=-1), "Conv2d: padding must be an integer >= 0, got -1"),
    (lambda: nn.Conv2d(4, 8, 3, padding="full"), "Conv2d: padding must be an integer, two, 'same' or 'valid', got 'full'"),
    (lambda: nn.Conv2d(4, 8, 3, stride=2, padding="same"), "Conv2d: padding='same' needs stride=1"),
    (lambda: nn.Conv2d(4, 8, 3, padding_mode="reflect"), "Conv2d: padding_mode"),
    (lambda: nn.ConvTranspose2d(4, 8, 3, groups=3), "ConvTranspose2d: groups=3 does not divide in_channels=4"),
    (lambda: nn.ConvTranspose2d(4, 8, 3, 2, output_padding=2), r"ConvTranspose2d: output_padding=\(2, 2\) must be smaller than stride"),
    (lambda: nn.Conv1d(4, 8, (3, 3)), r"Conv1d: kernel_size must be an integer, got \(3, 3\)"),
    (lambda: nn.Conv1d(4, 8, 3, padding="full"), "Conv1d: padding must be an integer, 'same' or 'valid', got 'full'"),
    (lambda: nn.MaxPool1d(2, padding=2), "MaxPool1d: padding=2 is more than half"),
    (lambda: nn.LayerNorm(0), "LayerNorm: normalized_shape must be an integer >= 1, got 0"),
    (lambda: nn.LayerNorm(()), "LayerNorm: normalized_shape must be an integer or integers"),
    (lambda: nn.LayerNorm(3, eps=-1), "LayerNorm: eps must be >= 0.0"),
    (lambda: nn.Upsample(), "Upsample: give either size or scale_factor"),
    (lambda: nn.Upsample(2, mode="area"), "Upsample: mode must be"),
    (lambda: nn.Embedding(0, 3), "Embedding: num_embeddings must be an integer >= 1, got 0"),
    (lambda: nn.Embedding(4, 3, padding_idx=4), "Embedding: padding_idx must be a row of num_embeddings=4, got 4"),
    (lambda: nn.Linear(4, 0), "Linear: out_features must be an integer >= 1, got 0"),
    (lambda: nn.MaxPool2d(2, padding=2), "MaxPool2d: padding=2 is more than half of kernel_size=2"),
    (lambda: nn.AvgPool2d(0), "AvgPool2d: kernel_size"),
    (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), "AdaptiveAvgPool2d: output_size"),
    (lambda: nn.BatchNorm2d(0), "BatchNorm2d: num_features"),
    (lambda: nn.BatchNorm2d(3, momentum=2), r"BatchNorm2d: momentum must be in \[0.0, 1.0\], got 2"),
    (lambda: nn.Dropout(1.5), r"Dropout: p must be in \[0.0, 1.0\], got 1.5"),
    (lambda: nn.Reshape(-1, -1), "Reshape: only one length may be -1"),
    (lambda: nn.Concat(), "Concat: expected at least one branch"),
]


@pytest.mark.parametrize("make, message", BAD_ARGUMENTS)
def test_bad_values(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make, message", [
    (lambda: nn.Conv2d(4, 8, 2.5), "Conv2d: kernel_size must be an integer >= 1, got 2.5"),
    (lambda: nn.Linear("4", 2), "Linear: in_features"),
    (lambda: nn.Dropout("half"), "Dropout: p must be a number"),
    (lambda: nn.Sequential(nn.ReLU), r"Sequential: layer 0 must be a Module, got the class ReLU \(make a layer of it"),
    (lambda: nn.Sequential(nn.ReLU(), F.relu), "Sequential: layer 1 must be a Module"),
    (lambda: nn.Residual("body"), "Residual: body must be a Module"),
    (lambda: nn.ModuleList([nn.ReLU()])(X), "ModuleList is a list"),
])
def test_bad_types(make, message):
    with pytest.raises(TypeError, match=message):
        make()


# layer, what it must equal on X, the output's shape
CASES = [
    (nn.Conv2d(4, 6, 3), lambda m: F.conv2d(X, m.weight.data, m.bias.data), (3, 6, 6, 6)),
    (nn.Conv2d(4, 6, 3, 2, 1, bias=False), lambda m: F.conv2d(X, m.weight.data, None, 2, 1), (3, 6, 4, 4)),
    (nn.Conv2d(4, 8, (3, 1), padding="same", groups=4), lambda m: F.conv2d(X, m.weight.data, m.bias.data, 1, "same", 1, 4),
     (3, 8, 8, 8)),
    (nn.Conv2d(4, 2, 3, dilation=2, padding="valid"), lambda m: F.conv2d(X, m.weight.data, m.bias.data, dilation=2),
     (3, 2, 4, 4)),
    (nn.LayerNorm(8), lambda m: F.layer_norm(X, 8), X.shape),
    (nn.LayerNorm((8, 8), 0.1, bias=False), lambda m: F.layer_norm(X, (8, 8), None, None, 0.1), X.shape),
    (nn.LayerNorm((4, 8, 8), elementwise_affine=False), lambda m: F.layer_norm(X, (4, 8, 8)), X.shape),
    (nn.Upsample(scale_factor=2), lambda m: X.repeat(2, 2).repeat(2, 3), (3, 4, 16, 16)),
    (nn.Upsample((3, 5), mode="bilinear", align_corners=True), lambda m: F.interpolate(X, (3, 5), None, "bilinear", True), (3, 4, 3, 5)),
    (nn.Sequential(nn.Reshape(16, 16), nn.Conv1d(16, 6, 5, 2, 1, 2, 2, False)),
     lambda m: F.conv1d(X.reshape(3, 16, 16), m[1].weight.data, None, 2, 1, 2, 2), (3, 6, 5)),
    (nn.Sequential(nn.Reshape(16, 16), nn.Conv1d(16, 5, 4, padding="same")),
     lambda m: F.conv1d(X.reshape(3, 16, 16), m[1].weight.data, m[1].bias.data, padding="same"), (3, 5, 16)),
    (nn.Sequential(nn.Reshape(16, 16), nn.MaxPool1d(3, 2, 1)), lambda m: F.max_pool1d(X.reshape(3, 16, 16), 3, 2, 1), (3, 16, 8)),
    (nn.Sequential(nn.Reshape(16, 16), nn.AvgPool1d(4)), lambda m: X.reshape(3, 16, 4, 4).mean(3), (3, 16, 4)),
    (nn.ConvTranspose2d(4, 6, 4, 2, 1), lambda m: F.conv_transpose2d(X, m.weight.data, m.bias.data, 2, 1), (3, 6, 16, 16)),
    (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, False, 2), lambda m: F.conv_transpose2d(X, m.weight.data, None, 2, 1, 1, 2, 2),
     (3, 6, 18, 18)),
    (nn.Linear(8, 5), lambda m: F.linear(X, m.weight.data, m.bias.data), (3, 4, 8, 5)),
    (nn.Linear(8, 5, bias=False), lambda m: F.linear(X, m.weight.data), (3, 4, 8, 5)),
    (nn.MaxPool2d(2), lambda m: F.max_pool2d(X, 2), (3, 4, 4, 4)),
    (nn.MaxPool2d(3, 2, 1, ceil_mode=True), lambda m: F.max_pool2d(X, 3, 2, 1, 1, True), (3, 4, 5, 5)),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), lambda m: F.avg_pool2d(X, 3, 2, 1, False, False), (3, 4, 4, 4)),
    (nn.AdaptiveAvgPool2d(1), lambda m: X.mean((2, 3), keepdims=True), (3, 4, 1, 1)),
    (nn.AdaptiveAvgPool2d((3, None)), lambda m: F.adaptive_avg_pool2d(X, (3, None)), (3, 4, 3, 8)),
    (nn.Flatten(), lambda m: X.reshape(3, -1), (3, 256)),
    (nn.Flatten(2), lambda m: X.reshape(3, 4, 64), (3, 4, 64)),
    (nn.Reshape(16, -1), lambda m: X.reshape(3, 16, 16), (3, 16, 16)),
    (nn.ReLU(inplace=True), lambda m: np.maximum(X, 0), X.shape),
    (nn.LeakyReLU(0.2), lambda m: np.where(X > 0, X, np.float32(0.2) * X), X.shape),
    (nn.Sigmoid(), lambda m: 1 / (1 + np.exp(-X)), X.shape),
    (nn.Tanh(), lambda m: np.tanh(X), X.shape),
    (nn.ELU(0.5), lambda m: np.where(X > 0, X, 0.5 * np.expm1(X)), X.shape),
    (nn.GELU(), lambda m: F.gelu(X), X.shape),
    (nn.GELU("tanh"), lambda m: X / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X ** 3))), X.shape),
    (nn.SiLU(), lambda m: X / (1 + np.exp(-X)), X.shape),
    (nn.Softplus(2.0), lambda m: np.log1p(np.exp(2 * X)) / 2, X.shape),
    (nn.Softmax(1), lambda m: F.softmax(X, 1), X.shape),
    (nn.Softmax(), lambda m: F.softmax(X, 1), X.shape),
    (nn.LogSoftmax(dim=-1), lambda m: F.log_softmax(X, 3), X.shape),
    (nn.Identity(), lambda m: X, X.shape),
    (nn.Rescaling(0.5, 1.0), lambda m: X * 0.5 + 1, X.shape),
    (nn.Dropout(0.5), lambda m: X, X.shape),
    (nn.BatchNorm2d(4), lambda m: X / np.sqrt(np.float32(1 + 1e-5)), X.shape),
    (nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Tanh()), lambda m: np.tanh(np.maximum(X, 0)).reshape(3, -1), (3, 256)),
    (nn.Residual(nn.Tanh()), lambda m: np.tanh(X) + X, X.shape),
    (nn.Residual(nn.Tanh(), nn.ReLU()), lambda m: np.tanh(X) + np.maximum(X, 0), X.shape),
    (nn.Concat(nn.Tanh(), nn.ReLU()), lambda m: np.concatenate([np.tanh(X), np.maximum(X, 0)], 1), (3, 8, 8, 8)),
    (nn.Concat(nn.Tanh(), nn.ReLU(), dim=-1), lambda m: np.concatenate([np.tanh(X), np.maximum(X, 0)], 3), (3, 4, 8, 16)),
]


@pytest.mark.parametrize("layer, expected, shape", CASES, ids=[f"{i}-{type(c[0]).__name__}" for i, c in enumerate(CASES)])
def test_does_what_its_function_does(layer, expected, shape):
    y = layer(X)
    assert y.shape == shape and y.dtype == np.float32
    np.testing.assert_allclose(y, expected(layer), rtol=2e-5, atol=2e-6)
    if not isinstance(layer, nn.Linear):            # one row alone, and none
        np.testing.assert_array_equal(layer(X[:1]), y[:1])
    assert layer(X[:0]).shape == (0, *shape[1:])


def test_rows_of_other_ranks():
    np.testing.assert_allclose(nn.Softmax()(ROWS), F.softmax(ROWS, 1), rtol=1e-6)
    np.testing.assert_allclose(nn.BatchNorm1d(6)(ROWS), ROWS / np.sqrt(np.float32(1 + 1e-5)), rtol=1e-6)
    assert nn.BatchNorm1d(4)(X[..., 0]).shape == (3, 4, 8)
    with pytest.raises(ValueError, match="Softmax: say which axis"):
        nn.Softmax()(X[0])


def test_bytes_go_in_as_they_are():
    pixels = np.arange(48, dtype=np.uint8).reshape(3, 1, 4, 4)
    y = nn.Sequential(nn.Rescaling(1 / 255, -0.5), nn.Flatten())(pixels)
    np.testing.assert_allclose(y, pixels.reshape(3, -1).astype(np.float32) / 255 - 0.5, rtol=1e-6)


def test_wrong_inputs_name_the_layer():
    with pytest.raises(ValueError, match=r"BatchNorm2d: expected a 4-D input, got 2-D"):
        nn.BatchNorm2d(6)(ROWS)
    with pytest.raises(ValueError, match=r"BatchNorm1d: expected num_features=7 channels, got 6"):
        nn.BatchNorm1d(7)(ROWS)
    with pytest.raises(ValueError, match=r"in layer '1' \(Linear\)"):
        nn.Sequential(nn.ReLU(), nn.Linear(7, 2))(ROWS)
    with pytest.raises(ValueError, match="Residual: body gives shape"):
        nn.Residual(nn.Linear(6, 2))(ROWS)


def test_initialisation():
    nn.manual_seed(3)
    conv, linear = nn.Conv2d(8, 64, 5, groups=2), nn.Linear(300, 200)
    up = nn.ConvTranspose2d(64, 8, 5, groups=2)
    for p, shape, fan_in in ((conv.weight, (64, 4, 5, 5), 100), (conv.bias, (64,), 100), (linear.weight, (200, 300), 300),
                             (linear.bias, (200,), 300), (up.weight, (64, 4, 5, 5), 100)):
        data, bound = p.data, fan_in ** -0.5
        assert p.shape == shape and p.dtype == np.float32 and p.requires_grad and p.grad is None
        assert abs(data).max() <= bound and abs(data).max() > 0.9 * bound
        assert abs(data.mean()) < bound / 3
    nn.manual_seed(3)
    assert np.array_equal(nn.Conv2d(8, 64, 5, groups=2).weight.data, conv.weight.data)
    assert not np.array_equal(nn.Conv2d(8, 64, 5, groups=2).weight.data, conv.weight.data)
    norm = nn.BatchNorm2d(5)
    assert np.all(norm.weight.data == 1) and np.all(norm.bias.data == 0)
    assert nn.BatchNorm2d(5, affine=False).weight is None
    assert nn.manual_seed(7) == 7 and nn.initial_seed() == 7
    with pytest.raises(ValueError, match="manual_seed"):
        nn.manual_seed(-1)


def test_random_state_goes_on():
    from fastnn import random
    nn.manual_seed(11)
    random.uniform((3,), 1.0)
    state = random.get_state()
    first = random.uniform((7,), 1.0), random.permutation(9), random.next_seed()
    random.set_state(state)
    again = random.uniform((7,), 1.0), random.permutation(9), random.next_seed()
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert sorted(first[1]) == list(range(9)) and first[1].dtype == np.int64 and 0 <= first[2] < 2 ** 63


def test_containers():
    a, b, c, d = nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Tanh()
    net = nn.Sequential(a, b)
    assert len(net) == 2 and net[0] is a and net[-1] is b and list(net) == [a, b]
    assert net.append(c) is net and net[2] is c
    assert list(net[1:]) == [b, c] and isinstance(net[1:], nn.Sequential)
    net.insert(1, d)
    assert list(net) == [a, d, b, c] and [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "3.weight", "3.bias"]
    del net[1]
    assert list(net) == [a, b, c]
    net[1] = d
    assert list(net) == [a, d, c] and net(ROWS).shape == (5, 6)
    assert list(nn.Sequential([a, b])) == [a, b]
    assert list(nn.Sequential({"first": a, "then": b}).named_children()) == [("first", a), ("then", b)]
    with pytest.raises(IndexError, match="has 3 layers, there is no layer 3"):
        net[3]
    assert nn.Sequential()(ROWS).shape == ROWS.shape
    residual = nn.Residual(nn.Sequential(nn.Linear(6, 6)), nn.Linear(6, 6))
    assert [n for n, _ in residual.named_parameters()] == ["body.0.weight", "body.0.bias", "shortcut.weight", "shortcut.bias"]
    concat = nn.Concat(nn.Linear(6, 1), nn.Linear(6, 2))
    assert [n for n, _ in concat.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    layers = nn.ModuleList([a, b]).append(c)
    assert len(layers) == 3 and layers[1] is b and [n for n, _ in layers.named_children()] == ["0", "1", "2"]


def test_a_layer_used_twice():
    layer = nn.Linear(6, 6)
    net = nn.Sequential(layer, layer)
    assert len(net.parameters()) == 2
    np.testing.assert_allclose(net(ROWS), layer(layer(ROWS)), rtol=1e-6)


def test_printing():
    text = repr(nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.Residual(nn.Linear(2, 3))))
    assert "(0): Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)" in text
    assert "(body): Linear(in_features=2, out_features=3, bias=True)" in text
    for layer in (c[0] for c in CASES):
        assert type(layer).__name__ in repr(layer)


def batch_statistics(x):
    axes = (0, *range(2, x.ndim))
    return x.mean(axes), x.var(axes), x.size // x.shape[1]


@pytest.mark.parametrize("x", [X, X[..., 0], ROWS], ids=["NCHW", "NCL", "NC"])
@pytest.mark.parametrize("momentum", [0.1, 0.6, None])
def test_batch_norm_training(x, momentum):
    norm = (nn.BatchNorm2d if x.ndim == 4 else nn.BatchNorm1d)(x.shape[1], momentum=momentum)
    wide = [1, -1, *[1] * (x.ndim - 2)]
    norm.weight.data[...] = np.linspace(0.5, 2, x.shape[1])
    norm.bias.data[...] = np.linspace(-1, 1, x.shape[1])
    running = np.zeros(x.shape[1]), np.ones(x.shape[1])
    norm.train()
    for step in range(1, 4):
        batch = x * step
        mean, var, count = batch_statistics(batch.astype(np.float64))
        y = norm(batch)
        wanted = (batch - mean.reshape(wide)) / np.sqrt(var.reshape(wide) + 1e-5)
        wanted = wanted * norm.weight.data.reshape(wide) + norm.bias.data.reshape(wide)
        np.testing.assert_allclose(y, wanted, rtol=2e-4, atol=2e-5)
        m = 1 / step if momentum is None else momentum
        running = (1 - m) * running[0] + m * mean, (1 - m) * running[1] + m * var * count / (count - 1)
        np.testing.assert_allclose(norm.running_mean.data, running[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(norm.running_var.data, running[1], rtol=1e-4, atol=1e-6)
        assert norm.num_batches_tracked.data == step and norm.num_batches_tracked.dtype == np.int64
    norm.eval()
    wanted = (x - running[0].reshape(wide)) / np.sqrt(running[1].reshape(wide) + 1e-5) * norm.weight.data.reshape(wide) \
        + norm.bias.data.reshape(wide)
    np.testing.assert_allclose(norm(x), wanted, rtol=2e-4, atol=2e-5)
    assert norm.num_batches_tracked.data == 3


def test_batch_norm_without_running_statistics():
    norm = nn.BatchNorm1d(6, track_running_stats=False, affine=False)
    mean, var, _ = batch_statistics(ROWS)
    for _ in range(2):
        np.testing.assert_allclose(norm(ROWS), (ROWS - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)
        norm.train()
    assert norm.state_dict() == {}


def test_batch_norm_used_twice_updates_twice():
    norm = nn.BatchNorm1d(6)
    net, running = nn.Sequential(norm, norm).train(), np.ones(6)
    net(ROWS)
    for x in (ROWS, (ROWS - ROWS.mean(0)) / np.sqrt(ROWS.var(0) + 1e-5)):
        running = 0.9 * running + 0.1 * x.var(0, ddof=1)
    assert norm.num_batches_tracked.data == 2
    np.testing.assert_allclose(norm.running_var.data, running, rtol=1e-4)
    net.compile(loss="mse")
    net.fit(ROWS, ROWS, verbose=0)
    assert norm.num_batches_tracked.data == 4


def test_frozen_batch_norm_keeps_its_statistics():
    net = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))
    net.train()
    net[1].eval()
    net(ROWS)
    assert net[1].num_batches_tracked.data == 0


def test_dropout_training():
    nn.manual_seed(0)
    layer, x = nn.Dropout(0.3), np.ones((64, 100), np.float32)
    layer.train()
    y, z = layer(x), layer(x)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)} or np.allclose(np.unique(y), [0, 1 / 0.7])
    assert abs((y == 0).mean() - 0.3) < 0.03 and not np.array_equal(y, z)
    dx = layer.backward(np.ones_like(z), z)
    np.testing.assert_array_equal(dx, z)            # the same mask, the same factor
    nn.manual_seed(0)
    again = nn.Dropout(0.3)
    again.train()
    np.testing.assert_array_equal(again(x), y)
    two = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    two.train()
    assert abs((two(x) != 0).mean() - 0.25) < 0.03  # two layers, two streams
    np.testing.assert_array_equal(layer.eval()(x), x)


def test_follows_pytorch():
    torch = pytest.importorskip("torch")
    tnn = torch.nn
    theirs = tnn.Sequential(tnn.Conv2d(4, 8, 3, 2, 1, groups=2), tnn.BatchNorm2d(8), tnn.LeakyReLU(), tnn.MaxPool2d(2),
                            tnn.Flatten(), tnn.Linear(32, 5), tnn.LogSoftmax(1))
    ours = nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1, groups=2), nn.BatchNorm2d(8), nn.LeakyReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(32, 5), nn.LogSoftmax(1))
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for mode in (True, False):
        theirs.train(mode), ours.train(mode)
        np.testing.assert_allclose(ours(X), theirs(torch.from_numpy(X)).detach().numpy(), rtol=1e-4, atol=1e-5)
    for name, tensor in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], tensor.numpy(), rtol=1e-4, atol=1e-6)
