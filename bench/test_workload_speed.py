"""Whole networks: a training step of 64 images (forward, loss, backward, SGD with momentum; fastnn reads a NumPy array inside
the time, PyTorch's tensors are ready before it), predictions of 64 and of 1."""
import functools

import numpy as np
import pytest

import fastnn as nn
import workloads
from engines import ENGINES, TARGETS
from fastnn.summary import flops

NAMES = [pytest.param(name, marks=() if name == "lenet5" else pytest.mark.full) for name in workloads.SHAPES]
engines = pytest.mark.parametrize("engine", [e for e in ENGINES if e != "reference"], indirect=True)


def data(name, rows):
    rng = np.random.default_rng(0)
    return rng.random((rows, *workloads.SHAPES[name]), dtype=np.float32), rng.integers(0, 10, rows)


def theirs(name, engine):
    """PyTorch's network with the parameters of ours."""
    import torch
    torch.set_grad_enabled(True)
    model = getattr(workloads, name)(torch.nn)
    with torch.no_grad():
        for p, q in zip(model.parameters(), ours(name).parameters()):
            p.copy_(torch.from_numpy(q.data.copy()))
    return model.to(memory_format=torch.channels_last) if engine == "torch_last" else model


@functools.cache
def forward_flops(name):
    """Of one image, multiply-adds counted as two."""
    return sum(flops(node) for node in ours(name).graph(workloads.SHAPES[name]).nodes)


def ours(name):
    nn.manual_seed(0)
    return getattr(workloads, name)(nn)


@engines
@pytest.mark.parametrize("name", NAMES)
def test_training_step(name, engine, measure):
    x, t = data(name, 64)
    work = 3 * forward_flops(name) * 64             # the first layer's input gradient, which nobody needs, counted
    if engine in TARGETS:
        model = ours(name)
        model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=1e-3, momentum=0.9))
        measure(f"{name} training step of 64", lambda: model.train_on_batch(x, t), flops=work, check=False)
        return
    if not engine.startswith("torch"):
        pytest.skip("does not train")
    import torch
    model, x, t = theirs(name, engine), torch.from_numpy(x), torch.from_numpy(t)
    x = x.contiguous(memory_format=torch.channels_last) if engine == "torch_last" else x
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), t).backward()
        optimizer.step()
    measure(f"{name} training step of 64", step, flops=work, check=False)


@engines
@pytest.mark.parametrize("rows", [64, 1])
@pytest.mark.parametrize("name", NAMES)
def test_predict(name, rows, engine, measure, tmp_path):
    x, work = data(name, rows)[0], forward_flops(name) * rows
    if engine in TARGETS:
        model = ours(name)
        run = lambda: model.predict_on_batch(x)                                     # noqa: E731
    elif engine == "onnxruntime":
        session = inference_session(name, x, str(tmp_path / "model.onnx"))
        run = lambda: session.run(None, {"x": x})[0]                                # noqa: E731
    else:
        import torch
        model, tensor = theirs(name, engine).eval(), torch.from_numpy(x)
        tensor = tensor.contiguous(memory_format=torch.channels_last) if engine == "torch_last" else tensor

        def run():
            with torch.inference_mode():
                return model(tensor)
    measure(f"{name} predict {rows}", run, flops=work)


def inference_session(name, x, path):
    import warnings

    import onnxruntime
    import torch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(theirs(name, "torch").eval(), (torch.from_numpy(x),), path, dynamo=False, input_names=["x"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = nn.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


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
