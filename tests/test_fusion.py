"""Rewrites of graphs: the same bits as without them, and fewer passes over memory."""
import numpy as np
import pytest

import fastnn as nn

native = nn.backend.native
pytestmark = pytest.mark.skipif(native is None, reason="FASTNN_BACKEND=reference: there are no plans")
if native:
    from fastnn import plan as plans
REWRITES = {f.__name__: f for f in plans.REWRITES} if native else {}


def conv(channels, filters, kernel, stride=1, bias=False):
    return nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=bias)


def block(channels, filters, stride=1):
    body = nn.Sequential(conv(channels, filters, 3, stride), nn.BatchNorm2d(filters), nn.ReLU(), conv(filters, filters, 3),
                         nn.BatchNorm2d(filters))
    shortcut = None if stride == 1 else nn.Sequential(conv(channels, filters, 1, stride), nn.BatchNorm2d(filters))
    return [nn.Residual(body, shortcut), nn.ReLU()]


def residual():
    return nn.Sequential(conv(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), *block(16, 16), *block(16, 20, 2), *block(20, 20),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 4))


def pooled():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(300, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 4))


def pooled_winograd():
    return nn.Sequential(conv(3, 16, 3), nn.ReLU(), conv(16, 24, 3, bias=True), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
                         conv(24, 40, 3, bias=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(360, 4))


def mixed():
    return nn.Sequential(conv(3, 8, 3, 2, True), nn.ReLU(), nn.MaxPool2d(3, 1, 1), conv(8, 8, 5, 3, True), nn.ReLU(),
                         nn.BatchNorm2d(8), conv(8, 8, 3, 1, True), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
                         nn.Linear(72, 4))


def trained(make, rewrites, monkeypatch, rows=21):
    """-> (what three steps and predictions give, the steps of all plans)"""
    monkeypatch.setattr(plans, "REWRITES", rewrites)
    monkeypatch.setattr(plans, "_cache", type(plans._cache)())
    nn.manual_seed(3)
    model = make()
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.05, momentum=0.9))
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((rows, 3, 14, 14)).astype(np.float32), rng.integers(0, 4, rows)
    found = [np.array([model.train_on_batch(x, t) for _ in range(3)]), model.predict(x), model.predict(x[:1])]
    return found + list(model.state_dict().values()), [s for plan in plans._cache.values() for s in plan.steps]


@pytest.mark.parametrize("rows", [3, 21])
def test_gradients_go_into_their_updates(rows, monkeypatch):
    fused, steps = trained(pooled, plans.REWRITES, monkeypatch, rows)
    assert [s.kernel for s in steps].count("linear_backward_weight_sgd") == 3
    assert not [s for s in steps if s.kernel == "linear_backward_weight"]
    monkeypatch.setattr(plans, "fuse_updates", lambda steps, kept: steps)
    plain, steps = trained(pooled, plans.REWRITES, monkeypatch, rows)
    assert [s.kernel for s in steps].count("linear_backward_weight") == 3
    for a, b in zip(fused, plain):
        np.testing.assert_array_equal(a, b)


def count(steps, *kernels):
    """How many of these kernels and elementwise instructions there are."""
    names = [s.kernel for s in steps] + [name for s in steps for code, _ in s.program or () for name in plans.OPCODES
                                         if plans.OPCODES[name] == code]
    return sum(name in kernels for name in names)


@pytest.mark.parametrize("make", [residual, pooled, pooled_winograd, mixed])
@pytest.mark.parametrize("name", REWRITES)
def test_same_bits(name, make, target, monkeypatch):
    others = [f for f in REWRITES.values() if f.__name__ != name]
    expected, _ = trained(make, others, monkeypatch)
    found, _ = trained(make, list(REWRITES.values()), monkeypatch)
    for a, b in zip(expected, found):
        np.testing.assert_array_equal(a, b)


def test_passes_that_go(monkeypatch):
    """No addition, ReLU or mask is left but where no kernel can take it: masks behind the gradients of the average pool and of
    Flatten."""
    for make, left in ((residual, 1), (pooled, 0), (mixed, 1)):
        steps = trained(make, list(REWRITES.values()), monkeypatch)[1]
        assert count(steps, "add", "relu", "relu_backward") == left


def test_pooling_behind_winograd(target, monkeypatch):
    """In predictions it is an end of the kernel, also of maps of odd size, whose last row and column no window holds."""
    steps = trained(pooled_winograd, list(REWRITES.values()), monkeypatch, rows=32)[1]
    ends = [s.fields["pool"] for s in steps if s.kernel == "winograd_forward"]
    assert sum(ends) == 4                                     # two layers, for a batch and for one image
    assert count(steps, "max_pool2d_forward") == 2            # of the training step, whose backward reads the whole maps


def test_pooling_keeps_nan(target, monkeypatch):
    """The last NaN of a window is its result, fused or not."""
    nn.manual_seed(0)
    model = nn.Sequential(conv(16, 16, 3, bias=True), nn.MaxPool2d(2))
    x = np.random.default_rng(0).standard_normal((17, 16, 13, 14)).astype(np.float32)
    x[3, 5, 6, 7] = np.nan
    found = [model.predict(x), model.predict(x[3:4])]
    monkeypatch.setattr(plans, "REWRITES", [])
    monkeypatch.setattr(plans, "_cache", type(plans._cache)())
    model = nn.Sequential(*model)
    np.testing.assert_array_equal(found[0], model.predict(x))
    np.testing.assert_array_equal(found[1], found[0][3:4])
    assert 0 < np.isnan(found[0]).sum() == np.isnan(found[0][3]).sum()


def test_batch_norm_of_running_statistics(monkeypatch):
    """In predictions it is an end of the convolution, its coefficients made once; in training they come with the statistics."""
    steps = trained(residual, list(REWRITES.values()), monkeypatch)[1]
    forwards = count(steps, "batch_norm_statistics")
    assert forwards == count(steps, "batch_norm_forward") and forwards > 0
    assert all(s.level == -1 for s in steps if s.kernel == "batch_norm_coefficients")
