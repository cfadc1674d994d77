"""Every op inside a plan, value and gradients, against the reference of the same graph in float64: batches in the lanes and few
rows, several images a row (leading length m N), sums over the batch, operands without a batch. One line a case."""
import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F
from fastnn import run
from fastnn.graph import Session, finish, gradients, make_input
from fastnn.reference import Reference

pytestmark = pytest.mark.skipif(nn.backend.native is None, reason="the extension is not built")
RNG = np.random.default_rng(11)
CASES = []


def case(name, function, *rows, weights=(), gradient=True):
    """`function` of inputs with these row shapes (an int: integer labels below it), then of parameters of shapes `weights`."""
    CASES.append(pytest.param(function, rows, weights, gradient, id=name))


def build(function, rows, parameters, gradient, n):
    """The trace at n rows: outputs y, then dx of each input and parameter that has one."""
    with Session(n) as session:
        inputs = [make_input(f"x{i}", (n,), "int64") if isinstance(r, int) else make_input(f"x{i}", (n, *r))
                  for i, r in enumerate(rows)]
        states = [session.state(p) for p in parameters]
        y = function(*inputs, *states)
        outputs = {"y": y}
        if gradient:
            wrt = [v for v in [*inputs, *states] if v.dtype != "int64"]
            factor = F.square(F.add(y, 0.5))        # a gradient that differs everywhere, of any shape
            found = gradients([y], [factor], wrt)
            outputs.update({f"d{i}": d for i, d in enumerate(found) if d is not None})
    return inputs, outputs, [], {}


def arrays_for(rows, n):
    return [RNG.integers(0, r, n) if isinstance(r, int) else RNG.standard_normal((n, *r)).astype(np.float32) for r in rows]


IMAGES = (3, 7, 8)
case("add", lambda a, b: a + b, (3, 4), (3, 4))
case("add-broadcast", lambda a, b: a * b + a, (3, 4), (1, 4))
case("add-weight", lambda a, w: a * w - w, (3, 4), weights=[(4,)])
case("add-weight-wide", lambda a, w: a * w, (3, 4), weights=[(3, 1)])
case("add-weight-leading-1", lambda a, w: a * w, (3, 4), weights=[(1, 3, 4)])
case("add-scalar-weight", lambda a, w: a * w, (3, 4), weights=[()])
case("scale-by-total", lambda a: a / (a * a).sum(), (3, 4))
case("scale-by-mean", lambda a: a - a.mean(0), (3, 4))
case("normalise", lambda a: (a - a.mean(1, keepdim=True)) / F.sqrt((a * a).mean(1, keepdim=True) + 1.0), (5,))
for _name in "exp abs square sigmoid tanh relu neg sign reciprocal".split():
    case(_name, getattr(F, _name), (3, 4))
case("log-sqrt", lambda a: F.log(a * a + 1.0) + F.sqrt(a * a + 1.0), (3, 4))
case("pow", lambda a: (a * a + 0.5) ** 1.5 + a ** 3 + 2.0 ** a, (3, 4))
case("pow-value", lambda a, b: (a * a + 0.5) ** b, (3, 4), (3, 4))
case("leaky_relu", lambda a: F.leaky_relu(a, 0.1), (5,))
case("clip", lambda a: F.clip(a, -0.5, 0.5), (5,))
case("where", lambda a, b: F.where(a > b, a * 2.0, b), (5,), (5,))
case("maximum", lambda a, b: F.maximum(a, b) - F.minimum(a, b), (5,), (5,))
case("cast", lambda a, t: a * F.expand(F.unsqueeze(t, 1), a.shape), (5,), 4)
for _dim in (1, 2):
    case(f"softmax-{_dim}", lambda a, d=_dim: F.softmax(a, d), (3, 4))
    case(f"log_softmax-{_dim}", lambda a, d=_dim: F.log_softmax(a, d), (3, 4))
case("softmax-0", lambda a: F.softmax(a, 0), (3,))

case("flatten", lambda a: F.flatten(a, 1), (3, 4))
case("fold", lambda a: a.reshape(-1, 4) * 2.0, (3, 4))
case("fold-and-back", lambda a: (a.reshape(-1, 4) * 2.0).reshape(-1, 12), (3, 4))
case("permute", lambda a: F.permute(a, 0, 3, 1, 2), (3, 4, 5))
case("permute-batch", lambda a: F.permute(a, 1, 0, 2), (3, 4))
case("transpose-and-back", lambda a: F.transpose(F.transpose(a, 0, 1) * 2.0, 0, 1), (3, 4))
for _index in ((slice(None), 0), (slice(None), -1, slice(None, None, -2)), (slice(None), slice(1, 3)), (..., None, slice(2)),
               (slice(None), slice(2, 2))):
    case(f"index-{_index}", lambda a, i=_index: a[i], (3, 4), gradient=_index != (slice(None), slice(2, 2)))
case("cat", lambda a, b: F.cat([a, b, a], 1), (3, 4), (2, 4))
case("cat-inner", lambda a, b: F.cat([a, b], 2), (3, 4), (3, 1))
case("index-rows", lambda a, b: F.cat([a, b], 0)[a.shape[0]:, 1:], (3, 4), (3, 4))
case("cat-batch", lambda a, b: F.cat([a, b], 0), (3,), (3,))
case("stack", lambda a, b: F.stack([a, b], 1), (3,), (3,))
for _axes in ((0,), (1,), (2,), (3,), (0, 1), (1, 3), (0, 2, 3), (0, 2), (0, 1, 2, 3)):
    for _kind in ("sum", "mean", "max", "min"):
        case(f"{_kind}-{_axes}", lambda a, k=_kind, x=_axes: getattr(F, k)(a, x), (2, 3, 4))
case("sum-folded", lambda a: a.reshape(-1, 4).sum(0), (3, 4))
case("mean-folded", lambda a: a.reshape(-1, 4).mean(), (3, 4))
case("sum-folded-rows", lambda a: a.reshape(-1, 4).sum(1), (3, 4))

case("matmul-weight", lambda a, w: a @ w, (4,), weights=[(4, 5)])
case("matmul-weight-3", lambda a, w: a @ w, (3, 4), weights=[(4, 5)])
case("matmul-weight-first", lambda a, w: w @ a, (4, 3), weights=[(5, 4)])
case("matmul-rows", lambda a, b: a @ b, (3, 4), (4, 2))
case("matmul-heads", lambda a, b: a @ b, (2, 3, 4), (2, 4, 3))
case("matmul-transposed", lambda a, b: a @ F.transpose(b, 1, 2), (3, 4), (2, 4))
case("matmul-weights", lambda a, w, v: a @ (w @ v), (4,), weights=[(4, 5), (5, 2)])
case("matmul-over-batch", lambda a, b: F.transpose(a, 0, 1) @ b, (4,), (3,))

case("conv2d", lambda x, w, b: F.conv2d(x, w, b, padding=1), IMAGES, weights=[(5, 3, 3, 3), (5,)])
case("conv2d-relu", lambda x, w, b: F.relu(F.conv2d(x, w, b)), IMAGES, weights=[(5, 3, 3, 3), (5,)])
case("conv2d-residual", lambda x, w: F.relu(x + F.conv2d(x, w, None, padding=1)), IMAGES, weights=[(3, 3, 3, 3)])
case("conv2d-all", lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 2), (1, 2), 2), (4, 9, 8), weights=[(6, 2, 3, 2), (6,)])
case("conv2d-depthwise", lambda x, w: F.conv2d(x, w, None, 1, "same", 1, 3), IMAGES, weights=[(6, 1, 3, 3)])
case("conv2d-folded", lambda x, w, b: F.conv2d(x.reshape(-1, 1, 7, 8), w, b, padding=1), IMAGES, weights=[(2, 1, 3, 3), (2,)])
case("linear", F.linear, (6,), weights=[(5, 6), (5,)])
case("linear-3", F.linear, (3, 6), weights=[(5, 6), (5,)])
case("linear-relu-residual", lambda x, w: F.relu(F.linear(x, w) + x), (6,), weights=[(6, 6)])
case("linear-folded", lambda x, w, b: F.linear(x.reshape(-1, 6), w, b), (3, 6), weights=[(5, 6), (5,)])
case("linear-of-weights", lambda x, w, v: F.linear(x, F.linear(v, w)), (4,), weights=[(4, 6), (5, 6)])
for _id, _window in (("plain", (2,)), ("overlap", (3, 2, 1)), ("uneven", ((2, 3), (1, 2), (1, 1)))):
    for _kind in ("max", "avg"):
        case(f"{_kind}_pool2d-{_id}", lambda x, k=_kind, w=_window: getattr(F, f"{k}_pool2d")(x, *w, ceil_mode=True), IMAGES)
case("max_pool2d-folded", lambda x: F.max_pool2d(x.reshape(-1, 1, 7, 8), 2), IMAGES)
case("avg_pool2d-exclude", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), IMAGES)
case("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (3, 5)), IMAGES)
case("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), IMAGES, weights=[(3,), (3,)])
case("batch_norm-2", lambda x: F.batch_norm(x, training=True), (3,))
case("batch_norm-folded", lambda x, w, b: F.batch_norm(x.reshape(-1, 4, 3), None, None, w, b, training=True), (2, 4, 3),
     weights=[(4,), (4,)])
case("batch_norm-eval", lambda x, m, v, w, b: F.batch_norm(x, m, v * v + 1.0, w, b), IMAGES, weights=[(3,)] * 4)
case("dropout", lambda x: F.dropout(x, 0.3, seed=3, step=4), (3, 5))
case("dropout-folded", lambda x: F.dropout(x.reshape(-1, 5), 0.3, seed=3, step=4), (3, 5))

case("cross_entropy", F.cross_entropy, (4,), 4)
case("cross_entropy-rows", lambda x, t: F.cross_entropy(x, t, reduction="none"), (4,), 4)
case("cross_entropy-weight", lambda x, t, w: F.cross_entropy(x, t, w * w, 2, "mean", 0.1), (4,), 4, weights=[(4,)])
case("cross_entropy-probabilities", lambda x, p: F.cross_entropy(x, F.softmax(p, 1)), (4,), (4,))
case("cross_entropy-pixels", lambda x, t: F.cross_entropy(x, F.expand(F.float(t).reshape(-1, 1, 1), x.shape)), (4, 3), 4)
case("cross_entropy-folded", lambda x, p: F.cross_entropy(x.reshape(-1, 4), F.softmax(p.reshape(-1, 4), 1), reduction="sum"),
     (3, 4), (3, 4))
case("nll_loss", lambda x, t: F.nll_loss(F.log_softmax(x, 1), t), (4,), 4)
case("mse_loss", F.mse_loss, (3, 4), (3, 4))
case("mse_rows", F.mse_rows, (3, 4), (3, 4))
case("mse_rows-folded", lambda x, y: F.mse_rows(x.reshape(-1, 4), y.reshape(-1, 4)), (3, 4), (3, 4))
case("accuracy", F.accuracy, (4,), 4, gradient=False)
case("accuracy-probabilities", lambda x, p: F.accuracy(x.reshape(-1, 2), p.reshape(-1, 2)), (4,), (4,), gradient=False)


@pytest.mark.parametrize("function, rows, weights, gradient", CASES)
def test_plan(function, rows, weights, gradient):
    parameters = [nn.Parameter(RNG.standard_normal(s)) for s in weights]
    traced = finish(build(function, rows, parameters, gradient, 6), build(function, rows, parameters, gradient, 12), 6)
    executable, reference = run.Executable(traced), Reference(traced, np.float64)
    for n in (1, 3, 16, 21):
        arrays = arrays_for(rows, n)
        expected = reference.start(arrays, n, {})
        found = executable.start(arrays, n).results()
        for (name, value), array in zip(traced.outputs.items(), found):
            want = np.asarray(expected[value], np.float64)
            assert array.shape == want.shape, f"{name} of {n} rows"
            if n > 1 or np.isfinite(want).all():
                np.testing.assert_allclose(array, want, rtol=1e-4, atol=1e-4 * max(1.0, abs(want).max(initial=0)),
                                           err_msg=f"{name} of {n} rows")


def test_first_layers_input_gradient_is_not_computed():
    """Only what is asked for becomes a step."""
    parameters = [nn.Parameter(RNG.standard_normal((5, 3, 3, 3)))]

    def trace(n):
        with Session(n) as session:
            x, w = make_input("x", (n, *IMAGES)), session.state(parameters[0])
            y = F.conv2d(x, w)
            return [x], {"dw": gradients([y], [F.square(y)], [w])[0]}, [], {}
    names = {node.op.name for node in finish(trace(2), trace(4), 2).nodes}
    assert "conv2d_backward_weight" in names and "conv2d_backward_input" not in names
