"""The workloads in fastnn and in other libraries, where those are installed: what a training step and a prediction are in each.

A training step is forward, loss, backward and SGD with momentum; fastnn reads a NumPy batch inside the time, PyTorch's tensors
are ready before it. Predictions are of NumPy arrays too, but for PyTorch."""
import contextlib
import functools
import importlib.util
import os
import warnings

import numpy as np

import fastnn as nn
import workloads


def data(name, rows):
    rng = np.random.default_rng(0)
    return rng.random((rows, *workloads.SHAPES[name]), dtype=np.float32), rng.integers(0, 10, rows)


def ours(name):
    nn.manual_seed(0)
    return getattr(workloads, name)(nn)


def theirs(name, last=False):
    """PyTorch's network with the parameters of ours, in channels-last memory or not."""
    import torch
    torch.set_grad_enabled(True)
    model = getattr(workloads, name)(torch.nn)
    with torch.no_grad():
        for p, q in zip(model.parameters(), ours(name).parameters()):
            p.copy_(torch.from_numpy(q.data.copy()))
    return model.to(memory_format=torch.channels_last) if last else model


def our_training_step(name, rows):
    """A call that trains on a batch of `rows`, NumPy arrays read inside."""
    model, (x, t) = ours(name), data(name, rows)
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=1e-3, momentum=0.9))
    return lambda: model.train_on_batch(x, t)


def their_training_step(name, rows, last=False):
    """The same in PyTorch; the tensors are ready before."""
    import torch
    model, (x, t) = theirs(name, last), (torch.from_numpy(a) for a in data(name, rows))
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), t).backward()
        optimizer.step()
    return step


def our_prediction(name, rows):
    model, x = ours(name), data(name, rows)[0]
    return lambda: model.predict_on_batch(x)


def their_prediction(name, rows, last=False):
    import torch
    model, x = theirs(name, last).eval(), torch.from_numpy(data(name, rows)[0])
    x = x.contiguous(memory_format=torch.channels_last) if last else x

    def run():
        with torch.inference_mode():
            return model(x)
    return run


def onnx_file(name, rows, folder):
    """The network as ONNX, written by PyTorch -> path"""
    import torch
    path = os.path.join(folder, f"{name}-{rows}.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(theirs(name).eval(), (torch.from_numpy(data(name, rows)[0]),), path, dynamo=False, input_names=["x"])
    return path


def onnxruntime_prediction(name, rows, folder, threads=None):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or nn.get_num_threads()
    session = onnxruntime.InferenceSession(onnx_file(name, rows, folder), options, providers=["CPUExecutionProvider"])
    x = data(name, rows)[0]
    return lambda: session.run(None, {"x": x})[0]


def openvino_prediction(name, rows, folder):
    import openvino
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": nn.get_num_threads()}
    request = openvino.Core().compile_model(onnx_file(name, rows, folder), "CPU", config).create_infer_request()
    x = data(name, rows)[0]
    return lambda: request.infer({0: x}, share_inputs=True, share_outputs=True)[0]


@contextlib.contextmanager
def quiet():
    """What C and child processes print goes nowhere."""
    kept = os.dup(1), os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        for number, old in zip((1, 2), kept):
            os.dup2(old, number)
            os.close(old)


def ncnn_prediction(name, rows, folder):
    """ncnn takes one image at a time: a batch is a loop."""
    import ncnn
    import pnnx
    import torch
    x = data(name, rows)[0]
    wrapped = torch.nn.ModuleDict({"net": theirs(name)})           # pnnx cannot write modules named by digits
    wrapped.forward = wrapped["net"].forward
    with quiet():
        pnnx.export(wrapped.eval(), os.path.join(folder, f"{name}.pt"), (torch.from_numpy(x[:1]),), fp16=False)
    net = ncnn.Net()
    net.opt.num_threads = nn.get_num_threads()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    net.load_param(os.path.join(folder, f"{name}.ncnn.param"))
    net.load_model(os.path.join(folder, f"{name}.ncnn.bin"))
    images = [ncnn.Mat(image).clone() for image in x]               # a Mat of an array does not keep it alive

    def run():
        results = []
        for image in images:
            with net.create_extractor() as extractor:
                extractor.input("in0", image)
                results.append(np.array(extractor.extract("out0")[1]))
        return np.stack(results)
    return run


SERVERS = {"onnxruntime": (onnxruntime_prediction, ("onnxruntime", "onnx", "torch")),
           "onnxruntime_1": (functools.partial(onnxruntime_prediction, threads=1), ("onnxruntime", "onnx", "torch")),
           "openvino": (openvino_prediction, ("openvino", "onnx", "torch")),
           "ncnn": (ncnn_prediction, ("ncnn", "pnnx", "torch"))}


def installed(*modules):
    return all(importlib.util.find_spec(module) for module in modules)


def training_steps(name, rows):
    """{engine: function} of all that train here."""
    made = {"fastnn": our_training_step(name, rows)}
    if installed("torch"):
        made |= {"torch": their_training_step(name, rows), "torch_last": their_training_step(name, rows, last=True)}
    return made


def predictions(name, rows, folder):
    """{engine: function} of all that predict here, held to the same results, and {engine: why it is left out}."""
    made, missing = {"fastnn": our_prediction(name, rows)}, {}
    if installed("torch"):
        made |= {"torch": their_prediction(name, rows), "torch_last": their_prediction(name, rows, last=True)}
    expected = made["fastnn"]()
    for engine, (make, modules) in SERVERS.items():
        if installed(*modules):
            try:
                made[engine] = make(name, rows, folder)
                np.testing.assert_allclose(np.asarray(made[engine]()).reshape(expected.shape), expected, atol=1e-3)
            except Exception as why:                # a peer's failure is told, and costs only its own column
                made.pop(engine, None)
                missing[engine] = (str(why).strip().splitlines() or [repr(why)])[0]
    return made, missing
