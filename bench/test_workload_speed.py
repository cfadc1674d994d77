"""Whole networks: a training step of 64 images, predictions of 64 and of 1, by what peers.py has of each."""
import functools

import pytest

import fastnn as nn
import peers
import workloads
from engines import ENGINES, TARGETS
from fastnn.summary import flops
from peers import data, ours

NAMES = [pytest.param(name, marks=() if name == "lenet5" else pytest.mark.full) for name in workloads.SHAPES]
engines = pytest.mark.parametrize("engine", [e for e in ENGINES if e != "reference"], indirect=True)


@functools.cache
def forward_flops(name):
    """Of one image, multiply-adds counted as two."""
    return sum(flops(node) for node in ours(name).graph(workloads.SHAPES[name]).nodes)


@engines
@pytest.mark.parametrize("name", NAMES)
def test_training_step(name, engine, measure):
    if engine not in TARGETS and not engine.startswith("torch"):
        pytest.skip("does not train")
    step = peers.our_training_step(name, 64) if engine in TARGETS else \
        peers.their_training_step(name, 64, engine == "torch_last")
    work = 3 * forward_flops(name) * 64             # the first layer's input gradient, which nobody needs, counted
    measure(f"{name} training step of 64", step, flops=work, check=False)


@engines
@pytest.mark.parametrize("rows", [64, 1])
@pytest.mark.parametrize("name", NAMES)
def test_predict(name, rows, engine, measure, tmp_path):
    if engine in TARGETS:
        run = peers.our_prediction(name, rows)
    elif engine.startswith("torch"):
        run = peers.their_prediction(name, rows, engine == "torch_last")
    else:
        run = peers.onnxruntime_prediction(name, rows, str(tmp_path))
    measure(f"{name} predict {rows}", run, flops=forward_flops(name) * rows)


@pytest.mark.parametrize("engine", TARGETS[:1], indirect=True)
def test_compiling_a_plan(engine, benchmark):
    """From a new network to its first training step: two traces, the plan, the step."""
    x, t = data("lenet5", 64)
    first = nn.get_num_threads()                    # reads the configuration before the clock starts
    from fastnn import plan

    def compile():
        plan._cache.clear()
        model = ours("lenet5")
        model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=1e-3, momentum=0.9))
        return model.train_on_batch(x, t)
    assert first
    benchmark.group = "compiling"
    benchmark.pedantic(compile, rounds=3)
