"""The neuron: its rule against Rosenblatt's by hand, its gradient against the formula, what it can learn and what not."""
import numpy as np
import pytest

import fastnn as nn
from fastnn.examples import perceptron
from fastnn.networks import Perceptron

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)


def plane(rng, rows=60):
    x = rng.standard_normal((rows, 3)).astype(np.float32)
    return x, (x @ np.array([1, -2, 0.5]) + 0.3 > 0).astype(np.float32)


def test_the_perceptron_rule():
    x, t = plane(np.random.default_rng(0))
    model = Perceptron(3, lr=0.5)
    model.fit(x, t, epochs=2, shuffle=False, verbose=0)
    w, b, mistakes = np.zeros(3), 0.0, 0
    for row, wanted in [*zip(x, t)] * 2:
        y = float(w @ row + b >= 0)
        w, b, mistakes = w + 0.5 * (wanted - y) * row, b + 0.5 * (wanted - y), mistakes + (y != wanted)
    assert mistakes > 3
    np.testing.assert_allclose(model.linear.weight.data[0], w, rtol=1e-5)
    np.testing.assert_allclose(model.linear.bias.data[0], b, rtol=1e-5)


def test_one_step_of_gradient_descent():
    x, t = plane(np.random.default_rng(1))
    model = Perceptron(3, "sigmoid", lr=0.2)
    model.linear.weight.data[...] = w = np.array([[0.3, 0.1, -0.2]])
    model.fit(x, t, epochs=1, batch_size=len(x), verbose=0)
    y = 1 / (1 + np.exp(-(x @ w[0])))
    slope = 2 * (y - t) * y * (1 - y)
    np.testing.assert_allclose(model.linear.weight.data, w - 0.2 * (slope @ x)[None] / len(x), rtol=1e-4)
    np.testing.assert_allclose(model.linear.bias.data, [-0.2 * slope.mean()], rtol=1e-4)


@pytest.mark.parametrize("function, learned", [([0, 0, 0, 1], True), ([0, 1, 1, 1], True), ([1, 1, 0, 1], True),
                                               ([0, 1, 1, 0], False)])
def test_what_a_plane_can_separate(function, learned):
    nn.manual_seed(0)
    model = Perceptron(2)
    history = model.fit(CORNERS, function, epochs=50, verbose=0)
    assert np.array_equal(model.predict(CORNERS), function) is learned
    assert (len(history.epoch) < 50) is learned and (history.history["accuracy"][-1] == 1) is learned


@pytest.mark.parametrize("activation, bound", [("sigmoid", 0.06), ("tanh", 0.2), ("identity", 0.2)])
def test_gradient_descent_learns(activation, bound):
    nn.manual_seed(0)
    x, t = plane(np.random.default_rng(2))
    assert Perceptron(3, activation).fit(x, t, epochs=40, verbose=0).history["loss"][-1] < bound


def test_saved_it_is_still_a_neuron(tmp_path):
    model = Perceptron(2)
    model.fit(CORNERS, [0, 1, 1, 1], verbose=0)
    model.save(tmp_path / "or.safetensors")
    assert nn.load(tmp_path / "or.safetensors").predict(CORNERS).tolist() == [0, 1, 1, 1]


def test_what_it_refuses():
    with pytest.raises(ValueError, match="y must be 0 or 1, got -1, 1"):
        Perceptron(2).fit(CORNERS, [-1, 1, 1, -1])
    with pytest.raises(ValueError, match="Perceptron: unknown activation 'stairs'"):
        Perceptron(2, "stairs")


def test_the_results():
    rows = list(perceptron.results(None))
    assert all(row.holds in (None, True) for row in rows) and sum(row.holds is True for row in rows) == 3, rows
