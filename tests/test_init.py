"""Initialisers: bounds and moments by PyTorch's formulas, orthogonality, the seed."""
import math

import numpy as np
import pytest

import fastnn as nn

SHAPES = [(60, 40), (30, 20, 3, 3)]
FORMULAS = {                                        # the standard deviation, from fan_in, fan_out
    "kaiming_uniform_": lambda i, o: math.sqrt(2 / i), "kaiming_normal_": lambda i, o: math.sqrt(2 / i),
    "xavier_uniform_": lambda i, o: math.sqrt(2 / (i + o)), "xavier_normal_": lambda i, o: math.sqrt(2 / (i + o))}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_moments(name, shape):
    window = math.prod(shape[2:])
    std = FORMULAS[name](shape[1] * window, shape[0] * window)
    p = nn.Parameter(np.zeros(shape))
    assert getattr(nn.init, name)(p) is p
    assert p.data.std() == pytest.approx(std, rel=0.06) and abs(p.data.mean()) < 0.1 * std
    largest = np.abs(p.data).max() / std
    assert math.sqrt(3) * 0.99 < largest <= math.sqrt(3) * 1.0001 if "uniform" in name else largest > 2.5


def test_as_pytorch_says():
    """The same formulas: mode, slope and gain."""
    torch = pytest.importorskip("torch")
    for name, settings in (("kaiming_uniform_", dict(a=math.sqrt(5))), ("kaiming_normal_", dict(mode="fan_out",
                                                                                                       nonlinearity="relu")),
                           ("xavier_uniform_", dict(gain=2.5)), ("xavier_normal_", dict(gain=0.3)),
                           ("normal_", dict(mean=1.0, std=3.0)), ("uniform_", dict(a=-2.0, b=7.0))):
        ours, theirs = nn.Parameter(np.zeros((200, 30, 3))), torch.zeros(200, 30, 3)
        getattr(nn.init, name)(ours, **settings)
        getattr(torch.nn.init, name)(theirs, **settings)
        assert ours.data.std() == pytest.approx(float(theirs.std()), rel=0.04)
        assert ours.data.mean() == pytest.approx(float(theirs.mean()), abs=0.05 * float(theirs.std()))
    for name, param in (("linear", None), ("conv2d", None), ("tanh", None), ("relu", None), ("leaky_relu", 0.3),
                        ("leaky_relu", None), ("selu", None), ("sigmoid", None)):
        assert nn.init.calculate_gain(name, param) == pytest.approx(torch.nn.init.calculate_gain(name, param))


@pytest.mark.parametrize("shape", [(7, 7), (4, 9), (9, 4), (5, 3, 2, 2), (40, 3, 2, 2)])
def test_orthogonal(shape):
    p = nn.init.orthogonal_(nn.Parameter(np.zeros(shape)), gain=2.0)
    m = p.data.reshape(shape[0], -1).astype(np.float64)
    small = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)


def test_constants_arrays_and_the_seed():
    p, a = nn.Parameter(np.zeros((3, 4))), np.zeros((3, 4), np.float32)
    assert (nn.init.ones_(p).data == 1).all() and (nn.init.constant_(a, 2.5) == 2.5).all() and not nn.init.zeros_(p).data.any()
    nn.manual_seed(5)
    first = nn.init.normal_(p).data.copy()
    nn.manual_seed(5)
    np.testing.assert_array_equal(nn.init.normal_(a), first)
    layer = nn.Linear(4, 3)
    nn.init.kaiming_normal_(layer.weight)
    np.testing.assert_allclose(layer(np.ones((1, 4), np.float32))[0], layer.weight.data.sum(1) + layer.bias.data, rtol=1e-5,
                               atol=1e-6)


def test_bad_arguments():
    for call, error, message in ((lambda: nn.init.xavier_uniform_(nn.Parameter(np.zeros(3))), ValueError, "two axes"),
                                 (lambda: nn.init.kaiming_normal_(np.zeros((3, 3)), mode="in"), ValueError, "mode"),
                                 (lambda: nn.init.calculate_gain("swish"), ValueError, "unknown nonlinearity 'swish'"),
                                 (lambda: nn.init.zeros_([1.0]), TypeError, "got list"),
                                 (lambda: nn.init.ones_(np.zeros(3, int)), TypeError, "ndarray")):
        with pytest.raises(error, match=message):
            call()
