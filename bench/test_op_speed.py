"""Every op: forward and backward, by the functions of fastnn.functional (a plan of one node; reading and writing the arrays is
within the time)."""
import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F
from convolutions import PASSES, SHAPES, Convolution
from engines import ENGINES, TARGETS

OURS = [*TARGETS, "reference"]
full = pytest.mark.full


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def tensors(engine, *arrays):
    """The arrays as this engine takes them."""
    if not engine.startswith("torch"):
        return arrays
    import torch
    made = [None if a is None else torch.from_numpy(a) for a in arrays]
    if engine == "torch_last":
        made = [t.contiguous(memory_format=torch.channels_last) if t is not None and t.ndim == 4 else t for t in made]
    return made


def engines(*names):
    """Parametrizes over engines; the reference runs small cases alone."""
    return pytest.mark.parametrize("engine", names or [e for e in ENGINES if e in (*OURS, "torch")], indirect=True)


# ---- convolution

QUICK = {*list(SHAPES)[:2], "1 image 28x28x1 to 6", "stride 2"}


@engines(*[e for e in ENGINES if e != "onnxruntime"])
@pytest.mark.parametrize("part", PASSES)
@pytest.mark.parametrize("shape", [pytest.param(s, marks=() if s in QUICK else full) for s in SHAPES])
def test_conv2d(shape, part, engine, measure):
    convolution = Convolution(*SHAPES[shape])
    if engine == "reference" and convolution.flops > 5e7:
        pytest.skip("too large for the reference")
    if engine.startswith("torch"):
        import torch
        torch.set_grad_enabled(False)
        run = convolution.theirs(part, last=engine == "torch_last")
    else:
        run = convolution.ours(part)
    measure(f"conv2d {part} {shape}", run, flops=convolution.flops)


# ---- transposed convolution: N, H, C, O, k, stride, padding

TRANSPOSED = [(64, 14, 16, 1, 4, 2, 1), (64, 7, 128, 64, 4, 2, 1), (64, 14, 64, 32, 3, 1, 1), (1, 7, 128, 64, 4, 2, 1)]


@engines(*[e for e in ENGINES if e != "onnxruntime"])
@pytest.mark.parametrize("part", ["forward", "backward_input", "backward_weight"])
@pytest.mark.parametrize("shape", [TRANSPOSED[0], *(pytest.param(s, marks=full) for s in TRANSPOSED[1:])], ids=str)
def test_conv_transpose2d(shape, part, engine, measure):
    n, h, c, o, k, stride, padding = shape
    out = (h - 1) * stride - 2 * padding + k
    flops = 2 * n * h * h * c * o * k * k
    if engine == "reference" and flops > 5e7:
        pytest.skip("too large for the reference")
    rng = np.random.default_rng(0)
    x, weight, dy = normal(rng, n, c, h, h), normal(rng, c, o, k, k), normal(rng, n, o, out, out)
    x, weight, dy = tensors(engine, x, weight, dy)
    if engine.startswith("torch"):
        import torch
        torch.set_grad_enabled(False)
        mask = [part == "backward_input", part == "backward_weight", False]

        def run():
            if part == "forward":
                return torch.nn.functional.conv_transpose2d(x, weight, None, stride, padding)
            return torch.ops.aten.convolution_backward(dy, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], True, [0, 0], 1,
                                                       mask)[0 if mask[0] else 1]
    elif part == "forward":
        def run():
            return F.conv_transpose2d(x, weight, None, stride, padding)
    else:
        function = getattr(F, f"conv_transpose2d_{part}")

        def run():
            return function(dy, x, weight, stride, padding)
    measure(f"conv_transpose2d {part} {n}x{c}x{h}x{h} to {o} by {k}", run, flops=flops)


# ---- sequences: N, C, L, O, k

SEQUENCES = [(64, 16, 64, 32, 5), (64, 64, 256, 64, 3), (1, 64, 256, 64, 3)]


@engines()
@pytest.mark.parametrize("part", ["forward", "backward_input", "backward_weight"])
@pytest.mark.parametrize("shape", [SEQUENCES[0], *(pytest.param(s, marks=full) for s in SEQUENCES[1:])], ids=str)
def test_conv1d(shape, part, engine, measure):
    n, c, length, o, k = shape
    rng = np.random.default_rng(0)
    x, weight, dy = tensors(engine, normal(rng, n, c, length), normal(rng, o, c, k), normal(rng, n, o, length - k + 1))
    if engine == "torch":
        import torch
        torch.set_grad_enabled(False)
        mask = [part == "backward_input", part == "backward_weight", False]

        def run():
            return torch.nn.functional.conv1d(x, weight) if part == "forward" else torch.ops.aten.convolution_backward(
                dy, x, weight, None, [1], [0], [1], False, [0], 1, mask)[0 if mask[0] else 1]
    elif part == "forward":
        def run():
            return F.conv1d(x, weight)
    else:
        function = getattr(F, f"conv1d_{part}")

        def run():
            return function(dy, x, weight)
    measure(f"conv1d {part} {n}x{c}x{length} to {o} by {k}", run, flops=2 * n * o * (length - k + 1) * c * k)


# ---- layer norm: shape, normalized length

LAYER_NORMS = [(64, 64), (64, 128, 128), (64, 64, 512), (1, 512)]


@engines()
@pytest.mark.parametrize("part", ["forward", "backward"])
@pytest.mark.parametrize("shape", [LAYER_NORMS[0], *(pytest.param(s, marks=full) for s in LAYER_NORMS[1:])], ids=str)
def test_layer_norm(shape, part, engine, measure):
    rng = np.random.default_rng(0)
    count, (x, dy, weight, bias) = shape[-1], tensors(engine, normal(rng, *shape), normal(rng, *shape), *normal(rng, 2, shape[-1]))
    if engine == "torch":
        import torch
        torch.set_grad_enabled(False)
        _, mean, rstd = torch.ops.aten.native_layer_norm(x, [count], weight, bias, 1e-5)

        def run():
            return torch.nn.functional.layer_norm(x, (count,), weight, bias) if part == "forward" else \
                torch.ops.aten.native_layer_norm_backward(dy, x, [count], mean, rstd, weight, bias, [True, True, True])
    elif part == "forward":
        def run():
            return F.layer_norm(x, count, weight, bias)
    else:
        def run():
            return F.layer_norm_backward(dy, x, count, weight)
    measure(f"layer_norm {part} {shape}", run, bytes=4 * int(np.prod(shape)) * (2 if part == "forward" else 3))


# ---- embedding: indices, rows of the table, numbers a row

EMBEDDINGS = [((64, 64), 65, 64), ((64, 128), 10_000, 128), ((256, 32), 50_000, 300)]


@engines()
@pytest.mark.parametrize("part", ["forward", "backward"])
@pytest.mark.parametrize("shape", [EMBEDDINGS[0], *(pytest.param(s, marks=full) for s in EMBEDDINGS[1:])], ids=str)
def test_embedding(shape, part, engine, measure):
    indices, rows, dim = shape
    rng = np.random.default_rng(0)
    x, weight = rng.integers(0, rows, indices), normal(rng, rows, dim)
    x, weight, dy = tensors(engine, x, weight, normal(rng, *indices, dim))
    if engine == "torch":
        import torch
        torch.set_grad_enabled(False)

        def run():
            return torch.nn.functional.embedding(x, weight) if part == "forward" else \
                torch.ops.aten.embedding_dense_backward(dy, x, rows, -1, False)
    elif part == "forward":
        def run():
            return F.embedding(x, weight)
    else:
        def run():
            return F.embedding_backward(dy, x, weight)
    count = int(np.prod(indices)) * dim
    measure(f"embedding {part} {indices} of {rows}x{dim}", run, bytes=4 * (2 * count + (part == "backward") * rows * dim))


# ---- linear: rows, inputs, outputs

LINEAR = [(64, 400, 120), (1, 400, 120), (64, 784, 256), (1, 784, 256), (64, 9216, 128), (1, 9216, 128), (256, 1024, 1024)]


@engines()
@pytest.mark.parametrize("part", ["forward", "backward_input", "backward_weight"])
@pytest.mark.parametrize("shape", [*LINEAR[:2], *(pytest.param(s, marks=full) for s in LINEAR[2:])], ids=str)
def test_linear(shape, part, engine, measure):
    n, inside, outside = shape
    rng = np.random.default_rng(0)
    x, weight, dy = normal(rng, n, inside), normal(rng, outside, inside), normal(rng, n, outside)
    x, weight, dy = tensors(engine, x, weight, dy)
    if engine == "torch":
        import torch
        run = {"forward": lambda: torch.nn.functional.linear(x, weight), "backward_input": lambda: dy @ weight,
               "backward_weight": lambda: dy.T @ x}[part]
    elif part == "forward":
        def run():
            return F.linear(x, weight)
    else:
        function = getattr(F, f"linear_{part}")

        def run():
            return function(dy, x, weight)
    measure(f"linear {part} {n}x{inside} to {outside}", run, flops=2 * n * inside * outside)


# ---- what memory bounds: name, ours, PyTorch's, floats read and written an element of x

IMAGES = {"in cache": (64, 16, 14, 14), "out of cache": (64, 64, 56, 56)}
sizes = pytest.mark.parametrize("size", ["in cache", pytest.param("out of cache", marks=full)])


def torch_backward(name, *arguments):
    import torch
    return getattr(torch.ops.aten, name)(*arguments)


ELEMENTWISE = {
    "relu forward": (lambda x, dy: F.relu(x), lambda t, x, dy: t.relu(x), 2),
    "relu backward": (lambda x, dy: F.relu_backward(dy, x), lambda t, x, dy: torch_backward("threshold_backward", dy, x, 0), 3),
    "leaky_relu forward": (lambda x, dy: F.leaky_relu(x), lambda t, x, dy: t.nn.functional.leaky_relu(x), 2),
    "sigmoid forward": (lambda x, dy: F.sigmoid(x), lambda t, x, dy: t.sigmoid(x), 2),
    "tanh forward": (lambda x, dy: F.tanh(x), lambda t, x, dy: t.tanh(x), 2),
    "elu forward": (lambda x, dy: F.elu(x), lambda t, x, dy: t.nn.functional.elu(x), 2),
    "gelu forward": (lambda x, dy: F.gelu(x), lambda t, x, dy: t.nn.functional.gelu(x), 2),
    "gelu backward": (lambda x, dy: F.gelu_backward(dy, x), lambda t, x, dy: torch_backward("gelu_backward", dy, x), 3),
    "gelu tanh forward": (lambda x, dy: F.gelu(x, "tanh"), lambda t, x, dy: t.nn.functional.gelu(x, approximate="tanh"), 2),
    "silu forward": (lambda x, dy: F.silu(x), lambda t, x, dy: t.nn.functional.silu(x), 2),
    "silu backward": (lambda x, dy: F.silu_backward(dy, x), lambda t, x, dy: torch_backward("silu_backward", dy, x), 3),
    "softplus forward": (lambda x, dy: F.softplus(x), lambda t, x, dy: t.nn.functional.softplus(x), 2),
    "binary_cross_entropy_with_logits rows": (
        lambda x, dy: F.binary_cross_entropy_with_logits(x, dy, reduction="none"),
        lambda t, x, dy: t.nn.functional.binary_cross_entropy_with_logits(x, dy, reduction="none"), 3),
    "huber_loss rows": (lambda x, dy: F.huber_loss(x, dy, "none"),
                        lambda t, x, dy: t.nn.functional.huber_loss(x, dy, "none"), 3),
    "softmax forward": (lambda x, dy: F.softmax(x, 1), lambda t, x, dy: t.softmax(x, 1), 2),
    "softmax backward": (lambda x, dy: F.softmax_backward(dy, x, 1),
                         lambda t, x, dy: torch_backward("_softmax_backward_data", dy, x, 1, t.float32), 3),
    "log_softmax forward": (lambda x, dy: F.log_softmax(x, 1), lambda t, x, dy: t.log_softmax(x, 1), 2),
    "add": (lambda x, dy: F.add(x, dy), lambda t, x, dy: x + dy, 3),
    "max_pool2d forward": (lambda x, dy: F.max_pool2d(x, 2), lambda t, x, dy: t.nn.functional.max_pool2d(x, 2), 1.25),
    "avg_pool2d forward": (lambda x, dy: F.avg_pool2d(x, 2), lambda t, x, dy: t.nn.functional.avg_pool2d(x, 2), 1.25),
    "adaptive_avg_pool2d forward": (lambda x, dy: F.adaptive_avg_pool2d(x, 1),
                                    lambda t, x, dy: t.nn.functional.adaptive_avg_pool2d(x, 1), 1),
    "interpolate nearest": (lambda x, dy: F.interpolate(x, scale_factor=2),
                            lambda t, x, dy: t.nn.functional.interpolate(x, scale_factor=2), 5),
    "interpolate bilinear": (lambda x, dy: F.interpolate(x, scale_factor=2, mode="bilinear"),
                             lambda t, x, dy: t.nn.functional.interpolate(x, scale_factor=2, mode="bilinear"), 5),
    "batch_norm training": (lambda x, dy: F.batch_norm(x, training=True),
                            lambda t, x, dy: t.nn.functional.batch_norm(x, None, None, training=True), 3),
    "random_window": (lambda x, dy: F.random_window(x, padding=2, flip=0.5), None, 2),
    "bernoulli": (lambda x, dy: F.bernoulli(x), lambda t, x, dy: t.bernoulli(x.clamp(0, 1)), 2),
    "randn_like": (lambda x, dy: F.randn_like(x), lambda t, x, dy: t.randn_like(x), 1),
    "dropout": (lambda x, dy: F.dropout(x, 0.5), lambda t, x, dy: t.nn.functional.dropout(x, 0.5), 2),
    "sum": (lambda x, dy: F.sum(x), lambda t, x, dy: x.sum(), 1),
}
RANDOM = ("dropout", "randn_like", "bernoulli", "random_window")     # their results are their own


@engines()
@sizes
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_memory_bound(name, size, engine, measure):
    if engine == "reference" and size == "out of cache":
        pytest.skip("too large for the reference")
    ours, theirs, traffic = ELEMENTWISE[name]
    if engine == "torch" and theirs is None:
        pytest.skip("PyTorch has no such function")
    rng = np.random.default_rng(0)
    x, dy = normal(rng, *IMAGES[size]), normal(rng, *IMAGES[size])
    count, (x, dy) = x.size, tensors(engine, x, dy)
    if engine == "torch":
        import torch
        torch.set_grad_enabled(False)
        measure(f"{name} {size}", lambda: theirs(torch, x, dy), bytes=4 * traffic * count, check=name not in RANDOM)
    else:
        measure(f"{name} {size}", lambda: ours(x, dy), bytes=4 * traffic * count, check=name not in (*RANDOM, "sum"))


@engines()
@sizes
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_pooling_backward(kind, size, engine, measure):
    if engine == "reference" and size == "out of cache":
        pytest.skip("too large for the reference")
    n, c, h, w = IMAGES[size]
    rng = np.random.default_rng(0)
    x, dy = normal(rng, n, c, h, w), normal(rng, n, c, h // 2, w // 2)
    traffic, (x, dy) = 4 * (2.25 if kind == "max" else 1.25) * x.size, tensors(engine, x, dy)
    if engine == "torch":
        import torch
        if kind == "max":
            index = torch.nn.functional.max_pool2d(x, 2, return_indices=True)[1]

            def run():
                return torch_backward("max_pool2d_with_indices_backward", dy, x, [2, 2], [2, 2], [0, 0], [1, 1], False, index)
        else:
            def run():
                return torch_backward("avg_pool2d_backward", dy, x, [2, 2], [2, 2], [0, 0], False, True, None)
    else:
        function = F.max_pool2d_backward if kind == "max" else F.avg_pool2d_backward

        def run():
            return function(dy, x, 2)
    measure(f"{kind}_pool2d backward {size}", run, bytes=traffic)


@engines()
@pytest.mark.parametrize("rows", [64, pytest.param(4096, marks=full)])
def test_cross_entropy(rows, engine, measure):
    rng = np.random.default_rng(0)
    x, target = tensors(engine, normal(rng, rows, 1000), rng.integers(0, 1000, rows))
    if engine == "torch":
        import torch
        torch.set_grad_enabled(True)
        leaf = x.requires_grad_()

        def run():
            leaf.grad = None
            torch.nn.functional.cross_entropy(leaf, target).backward()
            return leaf.grad
    else:
        def run():
            return nn.cross_entropy(x, target)[1]
    measure(f"cross_entropy and gradient {rows}x1000", run, bytes=4 * 2 * rows * 1000)


@engines(*[e for e in ENGINES if e in OURS])
@pytest.mark.parametrize("rows, visible, hidden", [(10, 64, 256), pytest.param(100, 784, 256, marks=full)])
def test_contrastive_divergence(rows, visible, hidden, engine, measure):
    """Data of which a fifth is not 0; the products of a dense step are counted."""
    rng = np.random.default_rng(0)
    v, chains = (rng.random((rows, visible)) < 0.2).astype(np.float32), (rng.random((rows, hidden)) < 0.2).astype(np.float32)
    weight, *biases = (0.1 * normal(rng, *shape) for shape in ((hidden, visible), (hidden,), (visible,)))
    measure(f"contrastive_divergence {rows}x{visible}-{hidden}", lambda: F.contrastive_divergence(v, weight, *biases, chains, seed=1)[0],
            flops=2 * 5 * rows * visible * hidden)


# ---- optimizers over many parameters, the mini-batch's way in

OPTIMIZERS = {"SGD": (dict(lr=1e-4), 3), "SGD momentum": (dict(lr=1e-4, momentum=0.9), 5), "Adam": (dict(lr=1e-4), 7),
              "RMSprop": (dict(lr=1e-4), 5)}


@engines(*[e for e in ENGINES if e in (*TARGETS, "torch")])
@pytest.mark.parametrize("count", [60_000, pytest.param(10_000_000, marks=full)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_step(name, count, engine, measure):
    """One step over ten parameters, `count` numbers in all."""
    settings, traffic = OPTIMIZERS[name]
    arrays = [np.full(count // 10, 0.5, np.float32) for _ in range(10)]
    if engine == "torch":
        import torch
        params = [torch.nn.Parameter(torch.from_numpy(a.copy())) for a in arrays]
        for p in params:
            p.grad = torch.full_like(p, 1e-3)
        best = {"foreach" if name == "RMSprop" else "fused": True}
        optimizer = getattr(torch.optim, name.split()[0])(params, **best, **settings)
    else:
        params = [nn.Parameter(a, name=f"p{i}") for i, a in enumerate(arrays)]
        for p in params:
            p.grad = np.full(p.shape, 1e-3, np.float32)
        optimizer = getattr(nn, name.split()[0])(params, **settings)
    measure(f"{name} step {count}", optimizer.step, bytes=4 * traffic * count, check=False)


@engines(*TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_gather(dtype, engine, measure):
    """Reading 64 images of 3x32x32 into the plan's layout and writing them back, bytes scaled on the way."""
    x = (255 * np.random.default_rng(0).random((64, 3, 32, 32))).astype(dtype)
    model = nn.Sequential(nn.Rescaling(1 / 255))
    measure(f"gather {dtype}", lambda: model.predict_on_batch(x), bytes=x.nbytes + 4 * x.size)
