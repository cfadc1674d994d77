"""L1 and L2 penalties: values, and gradients through a compiled step."""
import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F

RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((18, 6)).astype(np.float32), RNG.integers(0, 3, 18)


def network():
    nn.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def step(loss):
    model = network()
    model.compile(nn.SGD(lr=1.0), loss)
    return model.train_on_batch(X, LABELS), [p.data.copy() for p in model.parameters()]


@pytest.mark.parametrize("penalty, value, slope", [(nn.l1_penalty, np.abs, np.sign), (nn.l2_penalty, np.square, lambda w: 2 * w)])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_value_and_gradient(penalty, value, slope, reduction):
    model = network()
    start = [p.data.copy() for p in model.parameters()]
    model.compile(nn.SGD(lr=1.0), lambda y_pred, y_true: F.cross_entropy(y_pred, y_true, reduction=reduction)
                  + 0.01 * penalty(model))
    loss, (plain, moved) = model.train_on_batch(X, LABELS), step("cross_entropy")
    weights = [w for w in start if w.ndim > 1]
    assert penalty(network()) == pytest.approx(sum(value(w).sum() for w in weights), rel=1e-5)
    assert loss == pytest.approx(plain + 0.01 * sum(value(w).sum() for w in weights), rel=1e-5)
    for p, without, w in zip(model.parameters(), moved, start):
        expected = without - 0.01 * slope(w) if w.ndim > 1 else without
        np.testing.assert_allclose(p.data, expected, rtol=1e-4, atol=1e-6)


def test_chosen_parameters():
    model = network()
    bias = model[0].bias
    model.compile(nn.SGD(lr=1.0), lambda y_pred, y_true: F.cross_entropy(y_pred, y_true) + nn.l1_penalty(bias)
                  + nn.l2_penalty([bias, model[2].weight]))
    before, first = [p.data.copy() for p in model.parameters()], step("cross_entropy")[1]
    model.train_on_batch(X, LABELS)
    for p, b, w, slope in zip(model.parameters(), before, first, (lambda v: 0 * v, lambda v: np.sign(v) + 2 * v, lambda v: 2 * v,
                                                                  lambda v: 0 * v)):
        np.testing.assert_allclose(p.data, w - slope(b), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="l2_penalty: expected a module with weights"):
        nn.l2_penalty(nn.ReLU())
