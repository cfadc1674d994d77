"""Gradient clipping: by hand, and in the optimizers' updates, compiled and by hand."""
import math

import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F

RNG = np.random.default_rng(0)
X, LABELS = 3 * RNG.standard_normal((20, 6)).astype(np.float32), RNG.integers(0, 3, 20)


def parameters(*shapes):
    made = [nn.Parameter(np.zeros(s)) for s in shapes]
    for p in made[:-1]:
        p.grad = RNG.standard_normal(p.shape)
    return made                                     # the last has no gradient


@pytest.mark.parametrize("norm_type", [2.0, 1, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_by_norm(norm_type, max_norm):
    ps = parameters((4, 3), (5,), (2,))
    before = [p.grad.copy() for p in ps[:-1]]
    flat = np.concatenate([g.ravel() for g in before]).astype(np.float64)
    norm = nn.clip_grad_norm_(ps, max_norm, norm_type)
    assert norm == pytest.approx(np.linalg.norm(flat, norm_type), rel=1e-6)
    for p, g in zip(ps, before):
        np.testing.assert_allclose(p.grad, g * min(1, max_norm / (norm + 1e-6)), rtol=1e-6)
    assert ps[-1].grad is None and nn.utils.clip_grad_norm_ is nn.clip_grad_norm_


def test_by_norm_as_pytorch():
    torch = pytest.importorskip("torch")
    ps = parameters((40, 30), (50,), (2,))
    theirs = [torch.nn.Parameter(torch.zeros(p.shape)) for p in ps[:-1]]
    for p, q in zip(ps, theirs):
        q.grad = torch.from_numpy(p.grad.copy())
    assert nn.clip_grad_norm_(ps, 0.7) == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, 0.7)), rel=1e-6)
    nn.clip_grad_value_(ps, 0.01)
    torch.nn.utils.clip_grad_value_(theirs, 0.01)
    for p, q in zip(ps, theirs):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-6)


def test_by_value_and_bad_arguments():
    p = parameters((4, 3), (1,))[0]
    before = p.grad.copy()
    nn.clip_grad_value_(p, 0.3)
    np.testing.assert_array_equal(p.grad, np.clip(before, -0.3, 0.3, dtype=np.float32))
    p.grad[0, 0] = np.nan
    kept = p.grad.copy()
    with pytest.raises(RuntimeError, match="norm of the gradients is nan"):
        nn.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(p.grad, kept)
    assert math.isnan(nn.clip_grad_norm_([p], 1.0)) and np.isnan(p.grad).all()
    for call, error in ((lambda: nn.clip_grad_norm_([p], -1), ValueError), (lambda: nn.clip_grad_value_([p], -1), ValueError),
                        (lambda: nn.clip_grad_norm_([np.zeros(3)], 1), TypeError)):
        with pytest.raises(error, match="clip_grad"):
            call()


def network():
    nn.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 300), nn.Tanh(), nn.Linear(300, 3))


def by_hand(kind, bound, **settings):
    """The same steps by clip_grad_*_ and an optimizer that does not clip."""
    model = network().train()
    optimizer = nn.SGD(model.parameters(), lr=0.5, **settings)
    for _ in range(4):
        loss = F.cross_entropy(model(X), LABELS)
        optimizer.zero_grad()
        loss.backward()
        if kind == "clipvalue":
            nn.clip_grad_value_(model.parameters(), bound)
        for some in ([model.parameters()] if kind == "global_clipnorm" else model.parameters() if kind == "clipnorm" else ()):
            nn.clip_grad_norm_(some, bound)
        optimizer.step()
    return [p.data.copy() for p in model.parameters()]


KINDS = [("clipnorm", 0.05), ("global_clipnorm", 0.1), ("clipvalue", 0.003)]


@pytest.mark.parametrize("kind, bound", KINDS)
def test_in_the_optimizer(kind, bound):
    wanted, unclipped = by_hand(kind, bound, momentum=0.9), by_hand(None, 0, momentum=0.9)
    compiled, stepped = network(), network().train()
    compiled.compile("sgd", "cross_entropy")
    compiled.compile(nn.SGD(lr=0.5, momentum=0.9, **{kind: bound}), "cross_entropy")
    optimizer = nn.SGD(stepped.parameters(), lr=0.5, momentum=0.9, **{kind: bound})
    for _ in range(4):
        compiled.train_on_batch(X, LABELS)
        loss = F.cross_entropy(stepped(X), LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for model in (compiled, stepped):
        for p, w, u in zip(model.parameters(), wanted, unclipped):
            np.testing.assert_allclose(p.data, w, rtol=1e-4, atol=1e-6)
            assert not np.allclose(p.data, u, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind, bound", KINDS)
@pytest.mark.parametrize("make", [nn.SGD, nn.Adam, nn.AdamW, nn.RMSprop])
def test_every_optimizer_takes_it_and_a_high_bound_changes_no_bit(make, kind, bound):
    found = []
    for settings in ({}, {kind: 1e6}):
        model = network()
        model.compile(make(lr=0.01, **settings), "cross_entropy")
        for _ in range(3):
            model.train_on_batch(X, LABELS)
        found.append([p.data.tobytes() for p in model.parameters()])
    assert found[0] == found[1]


def test_the_bound_may_change_without_a_new_plan():
    if nn.backend.native is None:
        pytest.skip("FASTNN_BACKEND=reference: there are no plans")
    from fastnn import plan
    model = network()
    model.compile(nn.SGD(lr=1.0, global_clipnorm=1.0), "cross_entropy")
    model.train_on_batch(X, LABELS)
    before, compiled = [p.data.copy() for p in model.parameters()], plan.compiled
    model.optimizer.global_clipnorm = 1e-3
    model.train_on_batch(X, LABELS)
    moved = math.sqrt(sum(float(np.square(p.data.astype(np.float64) - b).sum()) for p, b in zip(model.parameters(), before)))
    assert moved == pytest.approx(1e-3, rel=1e-3) and plan.compiled == compiled


def test_the_same_bits_whatever_the_threads():
    found, before = set(), nn.get_num_threads()
    for threads in (1, 2, 3):
        nn.set_num_threads(threads)
        model = network()
        model.compile(nn.SGD(lr=0.5, global_clipnorm=0.1), "cross_entropy")
        model.train_on_batch(X, LABELS)
        found.add(b"".join(p.data.tobytes() for p in model.parameters()))
    nn.set_num_threads(before)
    assert len(found) == 1


def test_one_of_the_three():
    with pytest.raises(ValueError, match="SGD: give one of clipnorm"):
        nn.SGD(clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(ValueError, match="Adam: global_clipnorm must be above 0"):
        nn.Adam(global_clipnorm=0)
