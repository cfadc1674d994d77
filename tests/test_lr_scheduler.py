"""Schedules of the learning rate: beside PyTorch's, in fit, and without compiling anew."""
import numpy as np
import pytest

import fastnn as nn
from fastnn.optim import lr_scheduler

SETTINGS = [("StepLR", dict(step_size=3), 10), ("StepLR", dict(step_size=1, gamma=0.9), 10),
            ("CosineAnnealingLR", dict(T_max=8), 20), ("CosineAnnealingLR", dict(T_max=5, eta_min=0.01), 5),
            ("OneCycleLR", dict(max_lr=0.5, total_steps=20), 19),
            ("OneCycleLR", dict(max_lr=[0.5, 0.2], epochs=3, steps_per_epoch=4, pct_start=0.5, anneal_strategy="linear",
                                base_momentum=0.5, div_factor=10.0), 11)]


def optimizers(make, *libraries, **settings):
    found = []
    for library, parameter in libraries:
        groups = [{"params": [parameter()]}, {"params": [parameter()], "lr": 0.05}]
        found.append(getattr(library, make)(groups, lr=0.1, **settings))
    return found


@pytest.mark.parametrize("make, momentum", [("SGD", dict(momentum=0.9)), ("Adam", {})])
@pytest.mark.parametrize("name, settings, steps", SETTINGS)
def test_beside_pytorch(name, settings, steps, make, momentum):
    torch = pytest.importorskip("torch")
    mine, theirs = optimizers(make, (nn.optim, lambda: nn.Parameter(np.zeros(2))),
                              (torch.optim, lambda: torch.nn.Parameter(torch.zeros(2))), **momentum)
    ours, other = getattr(lr_scheduler, name)(mine, **settings), getattr(torch.optim.lr_scheduler, name)(theirs, **settings)
    seen = set()
    for i in range(steps + 1):
        assert ours.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-9, abs=1e-15)
        for a, b in zip(mine.param_groups, theirs.param_groups):
            assert a.get("betas", a.get("momentum")) == pytest.approx(b.get("betas", b.get("momentum")), rel=1e-9)
        seen.add(mine.lr)
        if i < steps:
            theirs.step()
            ours.step(), other.step()
    assert len(seen) > 2
    if name == "OneCycleLR":
        end = mine.lr
        ours.step()                                 # fit does so after its last batch
        assert mine.lr == pytest.approx(end)
        with pytest.raises(ValueError, match="OneCycleLR: step"):
            ours.step()


@pytest.mark.parametrize("settings", [dict(patience=1), dict(mode="max", factor=0.5, patience=0, threshold=0.1),
                                      dict(threshold=0.3, threshold_mode="abs", cooldown=2, patience=0, min_lr=0.01)])
def test_plateau_beside_pytorch(settings):
    torch = pytest.importorskip("torch")
    mine, theirs = optimizers("SGD", (nn.optim, lambda: nn.Parameter(np.zeros(2))),
                              (torch.optim, lambda: torch.nn.Parameter(torch.zeros(2))))
    ours = lr_scheduler.ReduceLROnPlateau(mine, **settings)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **settings)
    rng, changed = np.random.default_rng(0), set()
    for metric in [1.0, 0.5, 0.7, 0.7, 0.49, 0.6, *rng.uniform(0.3, 1.0, 25), float("nan")]:
        ours.step(metric), other.step(metric)
        assert [g["lr"] for g in mine.param_groups] == pytest.approx([g["lr"] for g in theirs.param_groups], rel=1e-12)
        changed.add(mine.lr)
    assert len(changed) > 1


X, Y = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32), np.zeros((40, 1), np.float32)


def compiled():
    model = nn.Sequential(nn.Linear(3, 1))
    model.compile(nn.SGD(lr=0.1, momentum=0.9), "mse")
    return model


def test_in_fit():
    model = compiled()
    history = model.fit(X, Y, epochs=5, batch_size=10, verbose=0, callbacks=[nn.StepLR(model.optimizer, 2, gamma=0.5)]).history
    assert history["learning_rate"] == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025])
    model, rates = compiled(), []
    cycle = nn.OneCycleLR(model.optimizer, 0.3, epochs=2, steps_per_epoch=4)
    seen = nn.LambdaCallback(on_train_batch_begin=lambda batch, logs=None: rates.append(model.optimizer.lr))
    model.fit(X, Y, epochs=2, batch_size=10, verbose=0, callbacks=[cycle, seen])
    assert len(rates) == 8 and rates[0] == pytest.approx(0.3 / 25) and max(rates) > 0.25 and rates[-1] < 1e-5


def test_no_new_plan_and_the_rate_counts():
    model = compiled()
    schedule = nn.CosineAnnealingLR(model.optimizer, 4)
    model.train_on_batch(X, Y)
    native, moved = nn.backend.native, []
    if native:
        from fastnn import plan
        before = plan.compiled
    for _ in range(4):
        schedule.step()
        weight = model[0].weight.data.copy()
        model.train_on_batch(X, Y)
        moved.append(np.abs(model[0].weight.data - weight).max())
    assert moved[-1] == 0 and moved[0] > 0          # the last rate is 0
    assert not native or plan.compiled == before


def test_state_and_arguments():
    model = compiled()
    first = nn.StepLR(model.optimizer, 2)
    for _ in range(5):
        first.step()
    state = first.state_dict()
    model.optimizer.lr = 0.1
    again = nn.StepLR(model.optimizer, 2)
    again.load_state_dict(state)
    assert again.last_epoch == 5 and model.optimizer.lr == pytest.approx(0.1 * 0.01)
    for make, message in ((lambda: nn.StepLR(nn.SGD(), 3), "StepLR: an optimizer with parameters"),
                          (lambda: nn.StepLR(model.optimizer, 0), "step_size"),
                          (lambda: nn.CosineAnnealingLR(model.optimizer, 0), "T_max"),
                          (lambda: nn.OneCycleLR(model.optimizer, 1.0), "total_steps"),
                          (lambda: nn.OneCycleLR(model.optimizer, [1.0, 2.0], 10), "max_lr has 2 rates"),
                          (lambda: nn.OneCycleLR(nn.SGD(model.parameters()), 1.0, 10), "cycle_momentum"),
                          (lambda: lr_scheduler.ReduceLROnPlateau(model.optimizer, factor=1.0), "factor")):
        with pytest.raises(ValueError, match=message):
            make()
