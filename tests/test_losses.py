"""Losses on arrays: values, gradients by finite differences, Loss's arithmetic and backward, PyTorch's loop."""
import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((6, 4))
LABELS = np.array([0, 3, 1, 1, 2, 0])
SOFT = np.abs(RNG.standard_normal((6, 4)))
SOFT /= SOFT.sum(1, keepdims=True)
WEIGHT = np.array([1.0, 2.0, 0.5, 3.0])


def log_softmax(x):
    x = x - x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


ROWS = -log_softmax(LOGITS)[np.arange(6), LABELS]
CASES = [
    ("labels", lambda y: nn.cross_entropy(y, LABELS), LOGITS, ROWS.mean()),
    ("one-hot", lambda y: nn.cross_entropy(y, np.eye(4)[LABELS]), LOGITS, ROWS.mean()),
    ("integer one-hot", lambda y: nn.cross_entropy(y, np.eye(4, dtype=int)[LABELS]), LOGITS, ROWS.mean()),
    ("probabilities", lambda y: nn.cross_entropy(y, SOFT), LOGITS, -(SOFT * log_softmax(LOGITS)).sum(1).mean()),
    ("sum", lambda y: nn.cross_entropy(y, LABELS, reduction="sum"), LOGITS, ROWS.sum()),
    ("weight", lambda y: nn.cross_entropy(y, LABELS, WEIGHT), LOGITS, (ROWS * WEIGHT[LABELS]).sum() / WEIGHT[LABELS].sum()),
    ("ignored", lambda y: nn.cross_entropy(y, LABELS, ignore_index=1), LOGITS, ROWS[LABELS != 1].mean()),
    ("smoothed", lambda y: nn.cross_entropy(y, LABELS, label_smoothing=0.2), LOGITS,
     (0.8 * ROWS - 0.2 * log_softmax(LOGITS).mean(1)).mean()),
    ("nll", lambda y: nn.nll(y, LABELS), LOGITS, -LOGITS[np.arange(6), LABELS].mean()),
    ("nll weight", lambda y: nn.nll(y, LABELS, WEIGHT), LOGITS,
     -(LOGITS[np.arange(6), LABELS] * WEIGHT[LABELS]).sum() / WEIGHT[LABELS].sum()),
    ("mse", lambda y: nn.mse(y, SOFT), LOGITS, ((LOGITS - SOFT) ** 2).mean()),
    ("mse sum", lambda y: nn.mse(y, SOFT, reduction="sum"), LOGITS, ((LOGITS - SOFT) ** 2).sum()),
]


@pytest.mark.parametrize("name, function, y, value", CASES, ids=[c[0] for c in CASES])
def test_values_and_gradients(name, function, y, value):
    loss, dy = function(y)
    assert isinstance(loss, float) and dy.shape == y.shape and dy.dtype == np.float64
    assert loss == pytest.approx(value, rel=1e-10)
    for place in np.ndindex(y.shape):
        moved = y.copy()
        moved[place] += 1e-6
        up = float(function(moved)[0])
        moved[place] -= 2e-6
        assert dy[place] == pytest.approx((up - float(function(moved)[0])) / 2e-6, rel=1e-5, abs=1e-8)
    narrow, gradient = function(y.astype(np.float32))
    assert narrow == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(gradient, dy, rtol=1e-4, atol=1e-6)


def test_classes_are_the_functions():
    for made, function in [(nn.CrossEntropyLoss()(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS)),
                           (nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.1)(LOGITS, LABELS),
                            F.cross_entropy(LOGITS, LABELS, WEIGHT, label_smoothing=0.1)),
                           (nn.NLLLoss(ignore_index=0)(LOGITS, LABELS), F.nll_loss(LOGITS, LABELS, ignore_index=0)),
                           (nn.MSELoss("sum")(LOGITS, SOFT), F.mse_loss(LOGITS, SOFT, reduction="sum"))]:
        assert isinstance(made, nn.Loss) and made == function and made.item() == float(function) and type(made.item()) is float
    rows = nn.CrossEntropyLoss(reduction="none")(LOGITS, LABELS)
    np.testing.assert_allclose(rows, ROWS, rtol=1e-10)
    assert "label_smoothing=0.1" in repr(nn.CrossEntropyLoss(label_smoothing=0.1))
    assert nn.MSELoss().to("cpu").reduction == "mean"


def test_bad_arguments():
    for make, message in [(lambda: nn.CrossEntropyLoss(reduction="average"), "CrossEntropyLoss: reduction"),
                          (lambda: nn.CrossEntropyLoss(label_smoothing=2), "label_smoothing"),
                          (lambda: nn.cross_entropy(LOGITS, LABELS, reduction="none"), "cross_entropy: reduction"),
                          (lambda: nn.cross_entropy(LOGITS, LABELS[:5]), "target"),
                          (lambda: nn.mse(LOGITS, SOFT[:, :3]), "mse")]:
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(IndexError, match="4"):
        nn.cross_entropy(LOGITS, LABELS + 1)


def test_arithmetic():
    a, b = nn.MSELoss()(LOGITS, SOFT), nn.MSELoss("sum")(LOGITS, SOFT)
    total = 2 * a + b / 4 - 1.0 + sum([a, -b])
    assert isinstance(total, nn.Loss) and total == pytest.approx(2 * float(a) + float(b) / 4 - 1 + float(a) - float(b))
    np.testing.assert_allclose(total.gradient, 3 * a.gradient - 0.75 * b.gradient, rtol=1e-12)
    assert type(a.detach()) is float and f"{a:.3f}" == f"{float(a):.3f}"
    with pytest.raises(TypeError, match="product of two losses"):
        a * b
    with pytest.raises(ValueError, match="came from no prediction"):
        nn.Loss(1.0).backward()


def small():
    nn.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)).train()


X = RNG.standard_normal((6, 3)).astype(np.float32)


def gradients(model):
    return [p.grad.copy() for p in model.parameters()]


def test_backward_is_the_hand_made_one():
    model = small()
    loss = nn.CrossEntropyLoss()(model(X), LABELS)
    loss.backward()
    mine = gradients(model)
    by_hand = small()
    y = by_hand(X)
    loss2, dy = nn.cross_entropy(y, LABELS)
    by_hand.backward(dy)
    assert loss == loss2
    for a, b in zip(mine, gradients(by_hand)):
        np.testing.assert_array_equal(a, b)
    y = model(X)
    (nn.CrossEntropyLoss()(y, LABELS) * 2).backward()           # accumulates
    for a, b in zip(gradients(model), mine):
        np.testing.assert_allclose(a, 3 * b, rtol=1e-5, atol=1e-7)


def test_a_sum_over_two_runs():
    model = small()
    one, two = model(X), model(X + 1)
    (F.cross_entropy(one, LABELS) + 3 * F.mse_loss(two, SOFT.astype(np.float32)) + F.mse_loss(one, 0 * one)).backward()
    total = gradients(model)
    model.zero_grad()
    for x, dys in ((X, lambda y: nn.cross_entropy(y, LABELS)[1] + nn.mse(y, 0 * y)[1]),
                   (X + 1, lambda y: 3 * nn.mse(y, SOFT.astype(np.float32))[1])):
        y = model(x)
        model.backward(dys(y), y)
    for a, b in zip(gradients(model), total):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_lost_and_spent_runs_say_so():
    model = small()
    y = model(X)
    with pytest.raises((RuntimeError, ValueError), match="NumPy"):
        nn.CrossEntropyLoss()(y * 2, LABELS).backward()
    loss = nn.CrossEntropyLoss()(y, LABELS)
    loss.backward()
    with pytest.raises((RuntimeError, ValueError)):
        loss.backward()
    model.eval()
    with pytest.raises((RuntimeError, ValueError), match="train"):
        nn.CrossEntropyLoss()(model(X), LABELS).backward()


def test_pytorchs_loop():
    model = small()
    loss_fn, optimizer = nn.CrossEntropyLoss(), nn.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    losses = []
    for _ in range(40):
        loss = loss_fn(model(X), LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_runs_are_freed_with_the_arrays_they_returned():
    from fastnn import run
    model, before = small(), len(run._waiting)
    for i in range(20):
        y = model(X)
        if i % 2:
            nn.CrossEntropyLoss()(y, LABELS).backward()
    del y
    assert len(run._waiting) <= before
