"""Optimizers: trajectories against the formulas and against PyTorch, groups, what moves and what does not, state dicts."""
import numpy as np
import pytest

import fastnn as nn

SHAPES = ((4, 3), (5,))


def sgd(w, g, state, t, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False):
    g = g + weight_decay * w
    if momentum:
        state["v"] = v = g if t == 1 else momentum * state["v"] + (1 - dampening) * g
        g = g + momentum * v if nesterov else v
    return w - lr * g


def adam(w, g, state, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled=False):
    if decoupled:
        w = w - lr * weight_decay * w
    else:
        g = g + weight_decay * w
    state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * g
    state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * g * g
    m, v = state["m"] / (1 - betas[0] ** t), state["v"] / (1 - betas[1] ** t)
    return w - lr * m / (np.sqrt(v) + eps)


def adamw(w, g, state, t, lr, weight_decay=1e-2, **rest):
    return adam(w, g, state, t, lr, weight_decay=weight_decay, decoupled=True, **rest)


def rmsprop(w, g, state, t, lr, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
    g = g + weight_decay * w
    state["s"] = s = alpha * state.get("s", 0) + (1 - alpha) * g * g
    state["m"] = m = alpha * state.get("m", 0) + (1 - alpha) * g
    state["v"] = momentum * state.get("v", 0) + g / (np.sqrt(s - m * m if centered else s) + eps)
    return w - lr * state["v"]


CASES = [
    ("SGD", sgd, dict(lr=0.1)), ("SGD", sgd, dict(lr=0.1, momentum=0.9)), ("SGD", sgd, dict(lr=0.1, weight_decay=0.05)),
    ("SGD", sgd, dict(lr=0.1, momentum=0.9, nesterov=True)), ("SGD", sgd, dict(lr=0.1, momentum=0.8, dampening=0.3)),
    ("SGD", sgd, dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1)),
    ("SGD", sgd, dict(lr=0.05, momentum=0.7, dampening=0.9, weight_decay=0.1)),
    ("Adam", adam, dict(lr=0.01)), ("Adam", adam, dict(lr=0.02, betas=(0.5, 0.9), eps=1e-3)),
    ("Adam", adam, dict(lr=0.01, weight_decay=0.1)),
    ("AdamW", adamw, dict(lr=0.01)), ("AdamW", adamw, dict(lr=0.02, betas=(0.5, 0.9), weight_decay=0.3)),
    ("RMSprop", rmsprop, dict(lr=0.01)), ("RMSprop", rmsprop, dict(lr=0.01, alpha=0.8, eps=1e-3, momentum=0.9)),
    ("RMSprop", rmsprop, dict(lr=0.02, weight_decay=0.1, momentum=0.5, centered=True)),
]


def start(seed=0):
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(s).astype(np.float32) for s in SHAPES]
    gradients = [[rng.standard_normal(s).astype(np.float32) for s in SHAPES] for _ in range(12)]
    return weights, gradients


def walk(optimizer, params, gradients):
    for step in gradients:
        for p, g in zip(params, step):
            p.grad = g
        optimizer.step()
        optimizer.zero_grad()
    return [p.data.copy() for p in params]


@pytest.mark.parametrize("name, formula, settings", CASES, ids=[f"{n}-{'-'.join(s)}" for n, _, s in CASES])
def test_follows_the_formula(name, formula, settings):
    weights, gradients = start()
    params = [nn.Parameter(w) for w in weights]
    moved = walk(getattr(nn, name)(params, **settings), params, gradients)
    for i, w in enumerate(weights):
        w, state = w.astype(np.float64), {}
        for t, step in enumerate(gradients, 1):
            w = formula(w, step[i].astype(np.float64), state, t, **settings)
        np.testing.assert_allclose(moved[i], w, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name, formula, settings", CASES, ids=[f"{n}-{'-'.join(s)}" for n, _, s in CASES])
def test_follows_pytorch(name, formula, settings):
    torch = pytest.importorskip("torch")
    weights, gradients = start(1)
    theirs = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in weights]
    optimizer = getattr(torch.optim, name)(theirs, **settings)
    for step in gradients:
        for p, g in zip(theirs, step):
            p.grad = torch.from_numpy(g)
        optimizer.step()
    ours = [nn.Parameter(w) for w in weights]
    mine = getattr(nn.optim, name)(ours, **settings)
    for a, b in zip(walk(mine, ours, gradients), theirs):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-5, atol=1e-6)
    # PyTorch's state goes on here, and ours there
    resumed = [nn.Parameter(p.detach().numpy()) for p in theirs]
    mine = getattr(nn, name)(resumed, lr=7.0)
    mine.load_state_dict(optimizer.state_dict())
    assert mine.lr == settings["lr"]
    back = getattr(torch.optim, name)(theirs, **settings)
    state = nn_state_as_torch(torch, mine.state_dict())
    walk(mine, resumed, gradients[:3])
    back.load_state_dict(state)
    for step in gradients[:3]:
        for p, g in zip(theirs, step):
            p.grad = torch.from_numpy(g)
        back.step()
    for a, b in zip(resumed, theirs):
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-5, atol=1e-6)


def nn_state_as_torch(torch, state):
    tensors = {i: {k: torch.tensor(v) for k, v in s.items()} for i, s in state["state"].items()}
    return {"state": tensors, "param_groups": state["param_groups"]}


@pytest.mark.parametrize("make", [lambda p: nn.SGD(p, lr=0.1, momentum=0.9, dampening=0.5), lambda p: nn.Adam(p, lr=0.1),
                                  lambda p: nn.RMSprop(p, momentum=0.9, centered=True)], ids=["SGD", "Adam", "RMSprop"])
def test_state_dict_resumes(make):
    weights, gradients = start()
    params = [nn.Parameter(w) for w in weights]
    whole = walk(make(params), params, gradients)
    params = [nn.Parameter(w) for w in weights]
    first = make(params)
    walk(first, params, gradients[:5])
    again = [nn.Parameter(p.data) for p in params]
    second = make(again)
    second.load_state_dict(first.state_dict())
    for a, b in zip(walk(second, again, gradients[5:]), whole):
        np.testing.assert_array_equal(a, b)
    state = first.state_dict()
    assert list(state) == ["state", "param_groups"] and state["param_groups"][0]["params"] == [0, 1]
    next(iter(state["state"][0].values()))[...] = 99                # a copy
    assert not np.any(next(iter(first.state_dict()["state"][0].values())) == 99)


def test_state_dicts_that_do_not_fit():
    a = nn.Adam([nn.Parameter(np.zeros(3))])
    with pytest.raises(ValueError, match=r"groups of \[2\] parameters given, expected \[1\]"):
        a.load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]})
    with pytest.raises(ValueError, match=r"exp_avg of .* has shape \(4,\), expected \(3,\)"):
        a.load_state_dict({"state": {0: {"step": 1, "exp_avg": np.zeros(4)}}, "param_groups": [{"params": [0]}]})
    with pytest.raises(ValueError, match="amsgrad"):
        a.load_state_dict({"state": {}, "param_groups": [{"params": [0], "amsgrad": True}]})


def test_no_gradient_no_move():
    weights, gradients = start()
    for make in (lambda p: nn.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1), lambda p: nn.AdamW(p, lr=0.1)):
        params = [nn.Parameter(w) for w in weights]
        optimizer = make(params)
        params[0].grad = gradients[0][0]
        optimizer.step()
        np.testing.assert_array_equal(params[1].data, weights[1])
        assert not np.array_equal(params[0].data, weights[0])
        assert list(optimizer.state_dict()["state"]) == [0]
        before = params[0].data.copy()
        params[0].requires_grad = False
        optimizer.step()
        np.testing.assert_array_equal(params[0].data, before)


def test_each_parameter_counts_its_own_steps():
    weights, gradients = start()
    params = [nn.Parameter(w) for w in weights]
    optimizer = nn.Adam(params, lr=0.1)
    states, wanted, counts = [{}, {}], [w.astype(np.float64) for w in weights], [0, 0]
    for t, step in enumerate(gradients):
        for i, (p, g) in enumerate(zip(params, step)):
            if i == 0 or t % 3 == 1:
                p.grad, counts[i] = g, counts[i] + 1
                wanted[i] = adam(wanted[i], g.astype(np.float64), states[i], counts[i], 0.1)
        optimizer.step()
        optimizer.zero_grad()
    for p, w in zip(params, wanted):
        np.testing.assert_allclose(p.data, w, rtol=2e-5, atol=2e-6)
    assert [float(s["step"]) for s in optimizer.state_dict()["state"].values()] == [12, 4]


def test_groups_and_settings_that_change():
    weights, gradients = start()
    params = [nn.Parameter(w) for w in weights]
    optimizer = nn.SGD([{"params": [params[0]]}, {"params": params[1], "lr": 1.0, "weight_decay": 0.5}], lr=0.1, momentum=0.9)
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 1.0] and optimizer.lr == 0.1
    states, wanted = [{}, {}], [w.astype(np.float64) for w in weights]
    for t, step in enumerate(gradients[:6], 1):
        optimizer.param_groups[0]["lr"] = 0.1 / t
        for i, (p, g, extra) in enumerate(zip(params, step, (dict(lr=0.1 / t), dict(lr=1.0, weight_decay=0.5)))):
            p.grad = g
            wanted[i] = sgd(wanted[i], g.astype(np.float64), states[i], t, momentum=0.9, **extra)
        optimizer.step()
    for p, w in zip(params, wanted):
        np.testing.assert_allclose(p.data, w, rtol=2e-5, atol=2e-6)
    optimizer.learning_rate = 0.25
    assert [g["lr"] for g in optimizer.param_groups] == [0.25, 0.25]


def test_momentum_switched_on_later():
    w, g = nn.Parameter(np.ones(3)), np.ones(3)
    optimizer = nn.SGD([w], lr=1.0)
    for momentum in (0, 0.5, 0.5):
        optimizer.param_groups[0]["momentum"] = momentum
        w.grad = g
        optimizer.step()
    np.testing.assert_allclose(w.data, 1 - 1 - 1 - 1.5)


def test_arguments():
    p = nn.Parameter(np.zeros(3))
    assert nn.SGD(0.5).lr == 0.5 and nn.SGD(learning_rate=0.5).learning_rate == 0.5
    assert nn.SGD().lr == 0.01 and nn.Adam().lr == 1e-3
    assert nn.AdamW().defaults["weight_decay"] == 1e-2 and nn.Adam().defaults["betas"] == (0.9, 0.999)
    assert nn.SGD(iter([p])).parameters() == [p] and nn.SGD([("w", p)]).parameters() == [p] and p in nn.SGD([p])
    assert nn.optim.SGD is nn.SGD and "lr=0.5" in repr(nn.SGD(0.5))
    for make, message in [
        (lambda: nn.SGD([p], lr=-1), "SGD: lr must be >= 0, got -1"), (lambda: nn.SGD([p], momentum=-1), "SGD: momentum"),
        (lambda: nn.SGD([p], nesterov=True), "SGD: nesterov=True needs momentum > 0"),
        (lambda: nn.Adam([p], betas=(1.0, 0.9)), "Adam: betas"),
        (lambda: nn.Adam([p], eps=-1), "Adam: eps"), (lambda: nn.RMSprop([p], alpha=1.5), "RMSprop: alpha"),
        (lambda: nn.SGD([p, p]), "more than once"),
        (lambda: nn.SGD([]), "params is empty"),
        (lambda: nn.SGD([{"params": [p], "speed": 1}]), "unknown setting 'speed'"), (lambda: nn.SGD().step(), "no parameters"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="got one Parameter"):
        nn.SGD(p)
    with pytest.raises(TypeError, match="params must be Parameters, got ndarray"):
        nn.SGD([np.zeros(3)])


def test_binding():
    net, other = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = nn.SGD(lr=0.1)
    net.compile(optimizer, "mse")
    assert optimizer.parameters() == net.parameters()
    net.compile(optimizer, "mse")
    with pytest.raises(ValueError, match="another model"):
        other.compile(optimizer, "mse")
    part = nn.SGD([net.weight], lr=0.1)
    net.compile(part, "mse")
    assert part.parameters() == [net.weight]


def test_step_takes_a_closure_and_zero_grad_forgets():
    p = nn.Parameter(np.ones(2))
    optimizer = nn.SGD([p], lr=1.0)

    def closure():
        p.grad = np.ones(2)
        return 3.5
    assert optimizer.step(closure) == 3.5
    np.testing.assert_array_equal(p.data, 0)
    optimizer.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(p.grad, 0)
    optimizer.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize("make", [nn.SGD, nn.Adam, nn.RMSprop])
def test_a_step_costs_what_its_parameters_take(make):
    """Threads share a step by its cost: a step by hand reads and writes states alone, and those count."""
    from fastnn.plan import estimate
    p = nn.Parameter(np.zeros((1000, 300), np.float32))
    p.grad = np.ones((1000, 300), np.float32)
    optimizer = make([p], lr=0.1)
    optimizer.step()
    plan, _ = next(iter(optimizer._plans.values())).bound(1)
    assert sum(estimate(step, 1) for step in plan.steps) >= 4 * 300_000


def test_double_precision():
    weights, gradients = start()
    net = nn.Linear(3, 4).double()
    optimizer = nn.Adam(net.parameters(), lr=0.1)
    net.weight.data, state, w = weights[0], {}, weights[0].astype(np.float64)
    for t, step in enumerate(gradients, 1):
        net.weight.grad = step[0]
        optimizer.step()
        w = adam(w, step[0].astype(np.float64), state, t, 0.1)
    np.testing.assert_allclose(net.weight.data, w, rtol=1e-12)
