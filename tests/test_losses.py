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


def huber(d, delta):
    return np.where(abs(d) < delta, d * d / 2, delta * (abs(d) - delta / 2))


SIGNS = np.where(RNG.random((6, 4)) < 0.5, -1.0, 1.0)
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
    ("l1", lambda y: nn.l1(y, SOFT), LOGITS, np.abs(LOGITS - SOFT).mean()),
    ("huber", lambda y: nn.huber(y, SOFT, 0.7), LOGITS, huber(LOGITS - SOFT, 0.7).mean()),
    ("smooth l1", lambda y: nn.smooth_l1(y, SOFT, 0.5, reduction="sum"), LOGITS, huber(LOGITS - SOFT, 0.5).sum() / 0.5),
    ("binary", lambda y: nn.binary_cross_entropy(y, SOFT), SOFT[::-1], -(SOFT * np.log(SOFT[::-1]) + (1 - SOFT)
                                                                       * np.log(1 - SOFT[::-1])).mean()),
    ("binary logits", lambda y: nn.binary_cross_entropy_with_logits(y, SOFT), LOGITS,
     (np.log1p(np.exp(LOGITS)) - SOFT * LOGITS).mean()),
    ("binary weights", lambda y: nn.binary_cross_entropy_with_logits(y, SOFT, WEIGHT, "sum", WEIGHT[::-1]), LOGITS,
     (WEIGHT * (WEIGHT[::-1] * SOFT * np.log1p(np.exp(-LOGITS)) + (1 - SOFT) * np.log1p(np.exp(LOGITS)))).sum()),
    ("hinge", lambda y: nn.hinge(y, SIGNS), LOGITS, np.maximum(0, 1 - SIGNS * LOGITS).mean()),
    ("hinge of 0 and 1", lambda y: nn.hinge(y, SIGNS > 0, 0.5, squared=True), LOGITS,
     (np.maximum(0, 0.5 - SIGNS * LOGITS) ** 2).mean()),
    ("hinge of labels", lambda y: nn.hinge(y, LABELS), LOGITS,
     (np.maximum(0, 1 - LOGITS[np.arange(6), LABELS][:, None] + LOGITS).sum() - 6) / 24),
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
                           (nn.MSELoss("sum")(LOGITS, SOFT), F.mse_loss(LOGITS, SOFT, reduction="sum")),
                           (nn.L1Loss()(LOGITS, SOFT), F.l1_loss(LOGITS, SOFT)),
                           (nn.HuberLoss(delta=0.5)(LOGITS, SOFT), F.huber_loss(LOGITS, SOFT, delta=0.5)),
                           (nn.SmoothL1Loss("sum", 0.5)(LOGITS, SOFT), F.smooth_l1_loss(LOGITS, SOFT, "sum", 0.5)),
                           (nn.BCELoss(WEIGHT)(SOFT, SOFT), F.binary_cross_entropy(SOFT, SOFT, WEIGHT)),
                           (nn.BCEWithLogitsLoss(pos_weight=WEIGHT)(LOGITS, SOFT),
                            F.binary_cross_entropy_with_logits(LOGITS, SOFT, pos_weight=WEIGHT)),
                           (nn.HingeLoss(squared=True)(LOGITS, SIGNS), F.hinge_loss(LOGITS, SIGNS, squared=True)),
                           (nn.MultiMarginLoss(2, weight=WEIGHT)(LOGITS, LABELS),
                            F.multi_margin_loss(LOGITS, LABELS, 2, weight=WEIGHT))]:
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
                          (lambda: nn.mse(LOGITS, SOFT[:, :3]), "mse"),
                          (lambda: nn.l1(LOGITS, SOFT[0]), "l1_loss: target must"),
                          (lambda: nn.huber(LOGITS, SOFT, 0), "delta must be above 0"),
                          (lambda: F.binary_cross_entropy_with_logits(LOGITS, SOFT[:, 0]), "target must have shape"),
                          (lambda: F.multi_margin_loss(LOGITS, LABELS, 3), "p must be 1 or 2"),
                          (lambda: nn.BCELoss(reduction="all"), "BCELoss: reduction")]:
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(IndexError, match="4"):
        nn.cross_entropy(LOGITS, LABELS + 1)


def test_large_logits_and_sure_probabilities():
    """Nothing overflows, nothing cancels: the loss of a right and sure answer keeps its digits."""
    x = np.array([-1e4, -60.0, -20.0, 0.0, 20.0, 60.0, 1e4], np.float32)
    for t in (0.0, 1.0):
        rows = F.binary_cross_entropy_with_logits(x, np.full(7, t), reduction="none")
        np.testing.assert_allclose(rows, np.logaddexp(0, (1 - 2 * t) * x.astype(np.float64)), rtol=3e-7, atol=1e-45)
        np.testing.assert_allclose(nn.binary_cross_entropy_with_logits(x, np.full(7, t), reduction="sum")[1],
                                   1 / (1 + np.exp(-np.maximum(x.astype(np.float64), -500))) - t, atol=1e-7)
    loss, dy = nn.binary_cross_entropy(np.array([0.0, 1.0, 1e-30], np.float32), [1, 0, 0], reduction="sum")
    assert loss == 200 and np.isfinite(dy).all() and dy[0] < -1e11 and dy[1] > 1e11


BINARY = (LABELS % 2).astype(np.int64)
NAMED = [("mae", nn.L1Loss(), SOFT[:, :1]), ("huber", nn.HuberLoss, SOFT[:, 0]), ("smooth_l1", F.smooth_l1_loss, SOFT[:, :1]),
         ("binary_crossentropy", nn.BCELoss(), BINARY),
         ("bce_with_logits", nn.binary_cross_entropy_with_logits, BINARY[:, None]),
         ("hinge", nn.HingeLoss(), 2 * BINARY - 1), ("squared_hinge", nn.HingeLoss(squared=True), BINARY)]


@pytest.mark.parametrize("name, same, y", NAMED, ids=[n for n, *_ in NAMED])
def test_in_compile(name, same, y):
    """A name and what means the same train alike; the loss is the mean over rows of (N, 1) outputs, also for targets (N,)."""
    losses = []
    for loss in (name, same):
        nn.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid() if name[:2] == "bi" else nn.Identity())
        before = model(X)
        model.compile(loss=loss, optimizer=nn.SGD(lr=0.2), metrics=["accuracy"])
        losses.append([model.train_on_batch(X, y) for _ in range(30)])
    assert losses[0] == losses[1] and losses[0][-1] < losses[0][0]
    function = {"mae": F.l1_loss, "huber": F.huber_loss, "smooth_l1": F.smooth_l1_loss, "binary_crossentropy":
                F.binary_cross_entropy, "bce_with_logits": F.binary_cross_entropy_with_logits, "hinge": F.hinge_loss,
                "squared_hinge": lambda a, b: F.hinge_loss(a, b, squared=True)}[name]
    assert losses[0][0] == pytest.approx(float(function(before, np.reshape(y, (6, 1)).astype(np.float32))), rel=1e-5)


def test_several_classes_in_compile():
    for spec, value in (("hinge", lambda y: F.hinge_loss(y, LABELS)),
                        ("multi_margin", lambda y: F.multi_margin_loss(y, LABELS)),
                        (nn.MultiMarginLoss(2, 0.5, WEIGHT), lambda y: F.multi_margin_loss(y, LABELS, 2, 0.5, WEIGHT)),
                        (nn.CrossEntropyLoss(reduction="sum"), lambda y: F.cross_entropy(y, LABELS, reduction="sum")),
                        ("categorical_hinge", lambda y: np.mean([max(0, 1 + max(0, *np.delete(r, t)) - r[t]) for r, t in
                                                                 zip(y, LABELS)]))):
        model = small()
        before = model.eval()(X)
        model.compile(loss=spec, optimizer=nn.SGD(lr=0.01))
        assert model.train_on_batch(X, LABELS) == pytest.approx(float(value(before)), rel=1e-5)
        assert model.evaluate(X, LABELS[:, None])[0] < float(value(before))


def test_binary_losses_look_behind_the_sigmoid():
    """A saturated sigmoid has lost what the logit knows."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Sigmoid())
    model[0].weight.data[...] = 200.0
    for name in ("binary_crossentropy", "binary_cross_entropy_with_logits"):
        model.compile(loss=name, optimizer=nn.SGD(lr=0.0))
        assert model.train_on_batch(np.ones((2, 1), np.float32), np.zeros((2, 1))) == pytest.approx(200)


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
