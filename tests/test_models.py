"""Describing a network and calling it: one tracer for every way of writing one, and what it says where Python asks too much."""
import copy
import gc
import pickle
import warnings

import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F
from fastnn import run
from fastnn.graph import TraceError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 4)).astype(np.float32)
IMAGES = RNG.standard_normal((5, 1, 8, 8)).astype(np.float32)
LABELS = RNG.integers(0, 3, 6)
native = pytest.mark.skipif(nn.backend.native is None, reason="the extension is not built: there are no plans to count")


def plans():
    from fastnn import plan
    return plan.compiled


class Function(nn.Module):
    """A module around a function of (self, x)."""

    def __init__(self, function, **attributes):
        super().__init__()
        self._function = function
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, *inputs):
        return self._function(self, *inputs)


def mlp():
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))


def close(a, b, **more):
    np.testing.assert_allclose(a, b, **{"rtol": 1e-5, "atol": 1e-6, **more})


def numeric_gradient(f, x, eps=1e-5):
    """Central differences of a float function of a float64 array."""
    x, g = x.astype(np.float64), np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[at] += eps
        down[at] -= eps
        g[at] = (f(up) - f(down)) / (2 * eps)
    return g


# ---- control flow on data

@pytest.mark.parametrize("function, what, instead", [
    (lambda self, x: x if x.sum() > 0 else -x, "the truth of a symbolic value", "F.where"),
    (lambda self, x: x * float(x.sum()), r"float\(\) of", "Keep it a value"),
    (lambda self, x: x[:, :int(x.max())], r"int\(\) of", "x.shape"),
    (lambda self, x: sum(row for row in x), "iteration of", "constant slices"),
    (lambda self, x: np.maximum(np.asarray(x), 0), "a NumPy array of", "@nn.op"),
    (lambda self, x: x * x.mean().item(), r"item\(\) of", "Keep it a value"),
    (lambda self, x: x * [1, 2][x.argmax(1)], r"int\(\) of", "x.shape"),
    (lambda self, x: x.__setitem__(0, 1.0), "writing into a part of", "F.where"),
])
def test_control_flow_on_data(function, what, instead):
    with pytest.raises(TraceError, match=what) as caught:
        Function(function)(X)
    text = str(caught.value)
    assert instead in text and "made by" in text
    assert text.count("test_models.py:") == 2, "the line that asks, and the line where the value came from"


def test_control_flow_on_shapes_is_python():
    def forward(self, x):
        for _ in range(x.size(1) // 2):
            x = x + 1
        return x.view(x.size(0), -1) if x.dim() == 2 and len(x) > 0 else x
    close(Function(forward)(X), X + 2)


def test_parameters_and_layers_made_in_forward():
    with pytest.raises(TraceError, match=r"made inside forward.*test_models.py:\d+.*Make it in __init__"):
        Function(lambda self, x: x * nn.Parameter(np.ones(4)))(X)

    def forward(self, x):
        self.late = nn.ReLU()
        return self.late(x)
    with pytest.raises(TraceError, match="a layer was made inside forward"):
        Function(forward)(X)
    with pytest.raises(TraceError, match="made inside forward"):
        Function(lambda self, x: nn.Linear(4, 2)(x))(X)


def test_what_forward_may_return():
    for bad in (lambda self, x: None, lambda self, x: 3.0, lambda self, x: np.ones((6, 4))):
        with pytest.raises(TypeError, match="forward returned .*, expected a value"):
            Function(bad)(X)
    with pytest.raises(NotImplementedError, match="has no forward"):
        nn.Module()(X)


# ---- inputs and outputs

def test_disconnected_inputs():
    a, b = nn.Input(4), nn.Input(4)
    with pytest.raises(ValueError, match="disconnected"):
        nn.Model([a, b], nn.Linear(4, 2)(a))
    with pytest.raises(ValueError, match="not among the inputs"):
        nn.Model(a, nn.Linear(4, 2)(a + b))
    with pytest.raises(TypeError, match="expected values"):
        nn.Model(a, X)
    with pytest.raises(ValueError, match="Input: expected"):
        nn.Input(0, 3)


def test_several_inputs_and_outputs():
    a, b = nn.Input(4, name="left"), nn.Input(2, name="right")
    shared = nn.Linear(4, 3)(a)
    model = nn.Model([a, b], {"sum": shared.sum(1) + b.sum(1), "joined": F.cat([shared, b], 1)})
    right = X[:, :2]
    out = model.predict([X, right])
    hidden = X @ model.linear.weight.data.T + model.linear.bias.data
    close(out["sum"], hidden.sum(1) + right.sum(1))
    close(out["joined"], np.concatenate([hidden, right], 1))
    by_name = model.predict_on_batch({"left": X, "right": right})
    for name in out:
        close(by_name[name], out[name])
    with pytest.raises(ValueError, match="inputs named"):
        model.predict_on_batch({"left": X})
    with pytest.raises(ValueError, match="different numbers of rows"):
        model.predict_on_batch([X, right[:3]])
    model.compile(loss={"sum": "mse", "joined": lambda y_pred, y_true: ((y_pred - y_true) ** 2).mean()},
                  loss_weights={"sum": 0.5, "joined": 2.0}, optimizer=nn.SGD(lr=0.05))
    targets = {"sum": np.zeros(6, np.float32), "joined": np.zeros((6, 5), np.float32)}
    expected = 0.5 * (out["sum"] ** 2).mean() + 2 * (out["joined"] ** 2).mean()
    assert model.train_on_batch([X, right], targets) == pytest.approx(expected, rel=1e-5)
    assert model.train_on_batch([X, right], targets) < expected
    history = model.fit([X, right], targets, epochs=3, batch_size=4, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.evaluate([X, right], targets)[0] < expected


def test_a_module_with_several_inputs_and_outputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x, scale):
            y = self.linear(x)
            return y * scale, y
    model, scale = Two(), np.full((6, 1), 3.0, np.float32)
    out = model.predict([X, scale])
    assert type(out) is tuple and len(out) == 2
    close(out[0], 3 * out[1])
    for part, whole in zip(model.predict([X, scale], batch_size=4), out):
        close(part, whole)
    scaled, plain = model(X, scale, training=True)
    close(scaled, out[0])
    ones = np.ones_like(plain)
    both = model.backward((ones, 2 * ones))
    scaled, plain = model(X, scale, training=True)
    for given, wanted in zip(both, model.backward({"0": ones, "1": 2 * ones})):
        close(given, wanted)
    model.compile(loss=lambda y_pred, y_true: ((y_pred[0] - y_true) ** 2).mean() + (y_pred[1] ** 2).mean())
    expected = ((out[0] - 1) ** 2).mean() + (out[1] ** 2).mean()
    assert model.train_on_batch([X, scale], np.ones((6, 2), np.float32)) == pytest.approx(expected, rel=1e-5)


def test_channels_last_input():
    x = nn.Input(8, 8, 1, data_format="channels_last")
    conv = nn.Conv2d(1, 2, 3)
    model = nn.Model(x, conv(x))
    close(model.predict(IMAGES.transpose(0, 2, 3, 1)), nn.Sequential(conv).predict(IMAGES))
    with pytest.raises(ValueError, match="data_format"):
        nn.Input(8, 8, 1, data_format="NHWC")


# ---- sharing

def test_a_shared_layer_is_one_parameter_and_two_nodes():
    x = nn.Input(4)
    layer = nn.Linear(4, 4)
    model = nn.Model(x, layer(layer(x)))
    twice = nn.Sequential(layer, layer)
    assert len(list(model.parameters())) == len(list(twice.parameters())) == 2
    w, b = layer.weight.data.astype(np.float64), layer.bias.data.astype(np.float64)
    close(model.predict(X), (X @ w.T + b) @ w.T + b)
    gradients = []
    for m in (model, twice):
        m.zero_grad()
        y = m(X, training=True)
        m.backward(np.ones_like(y))
        gradients.append(layer.weight.grad.copy())
    expected = numeric_gradient(lambda v: ((X @ v.T + b) @ v.T + b).sum(), w)
    close(gradients[0], expected, rtol=1e-4)
    np.testing.assert_array_equal(*gradients)
    assert [n.op.name for n in model.graph().nodes].count("linear") == 2
    assert len(model.graph().holders) == 2


def test_tied_weights():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(4, 3, bias=False), nn.Linear(3, 4, bias=False)
            self.scale = nn.Parameter(np.ones(3))
            self.also = self.scale

        def forward(self, x):
            h = self.encode(x) * self.scale
            return h @ self.encode.weight + self.decode(h) * self.also.sum()
    model = Tied()
    assert [n for n, _ in model.named_parameters()] == ["scale", "encode.weight", "decode.weight"]
    assert {"scale", "also"} <= set(model.state_dict())
    state = model.state_dict()
    del state["scale"]
    state["also"] = np.full(3, 2.0)
    model.load_state_dict(state)
    assert (model.scale.data == 2).all()
    w, v, s = (p.data.astype(np.float64) for p in (model.encode.weight, model.decode.weight, model.scale))
    close(model.predict(X), (X @ w.T * s) @ w + (X @ w.T * s) @ v.T * s.sum(), rtol=1e-4)
    y = model(X, training=True)
    model.backward(np.ones_like(y))
    for p, formula, at in ((model.encode.weight, lambda a: ((X @ a.T * s) @ a + (X @ a.T * s) @ v.T * s.sum()).sum(), w),
                           (model.scale, lambda a: ((X @ w.T * a) @ w + (X @ w.T * a) @ v.T * a.sum()).sum(), s)):
        close(p.grad, numeric_gradient(formula, at), rtol=1e-3, atol=1e-4)


# ---- containers

def test_residual_and_concat():
    body, shortcut = nn.Linear(4, 3), nn.Linear(4, 3)
    model = nn.Residual(body, shortcut)
    assert list(model.state_dict()) == ["body.weight", "body.bias", "shortcut.weight", "shortcut.bias"]
    close(model.predict(X), nn.Sequential(body).predict(X) + nn.Sequential(shortcut).predict(X))
    close(nn.Residual(nn.Tanh()).predict(X), np.tanh(X) + X)
    model = nn.Concat(body, shortcut, nn.Identity())
    assert list(model.state_dict())[:3] == ["0.weight", "0.bias", "1.weight"]
    close(model.predict(X)[:, 6:], X)
    with pytest.raises(ValueError, match=r"Residual: body gives shape .*expected equal ones"):
        nn.Residual(nn.Linear(4, 5)).predict(X)


def test_lists_dicts_and_module_lists():
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.many = nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])
            self.plain = [nn.Linear(4, 4), nn.Linear(4, 4)]
            self.named = {"up": nn.Linear(4, 4)}

        def forward(self, x):
            for layer in [*self.many, *self.plain, self.named["up"]]:
                x = layer(x)
            return x
    model = Holder()
    names = [n for n, _ in model.named_parameters() if n.endswith("weight")]
    assert names == ["many.0.weight", "many.1.weight", "plain.0.weight", "plain.1.weight", "named.up.weight"]
    before = model.state_dict()
    model.compile(loss="mse", optimizer=nn.SGD(lr=0.1))
    model.train_on_batch(X, np.zeros((6, 4), np.float32))
    assert all((before[n] != model.state_dict()[n]).any() for n in names)
    model.many.append(nn.Linear(4, 2))
    model.plain.append(nn.Linear(2, 4))
    assert "many.2.weight" in model.state_dict() and "plain.2.weight" in model.state_dict()


def test_names_with_an_underscore():
    class Private(nn.Module):
        def __init__(self):
            super().__init__()
            self._fc, self._scale = nn.Linear(4, 3), nn.Parameter(np.ones(3))

        def forward(self, x):
            return self._fc(x) * self._scale
    model = Private()
    assert list(model.state_dict()) == ["_scale", "_fc.weight", "_fc.bias"]
    model.predict(X)
    model._fc = nn.Linear(4, 3)
    close(model.predict(X), nn.Sequential(model._fc).predict(X))


def test_append_and_assignment_retrace():
    model = nn.Sequential(nn.Linear(4, 3))
    assert model.predict(X).shape == (6, 3)
    model.append(nn.Linear(3, 2))
    assert model.predict(X).shape == (6, 2)
    model[1] = nn.Tanh()
    close(model.predict(X), np.tanh(model[:1].predict(X)))

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = 2.0

        def forward(self, x):
            return x * self.factor
    model = Scaled()
    close(model(X), 2 * X)
    model.factor = 3.0
    close(model(X), 3 * X)


# ---- formulas on values

FORMULAS = {
    "arithmetic": (lambda x: (1 - x) * 2 / (x * x + 3) - x ** 3 + 2 ** x - -x,
                   lambda x: (1 - x) * 2 / (x * x + 3) - x ** 3 + 2 ** x + x),
    "numpy constants": (lambda x: x * np.arange(4.0) + np.ones(4, np.float32), lambda x: x * np.arange(4.0) + 1),
    "constants on the left": (lambda x: np.arange(4.0) - x, lambda x: np.arange(4.0) - x),
    "broadcast": (lambda x: x - x.mean(1, keepdim=True) + x.mean(0), lambda x: x - x.mean(1, keepdims=True) + x.mean(0)),
    "reductions": (lambda x: x.sum(1) + x.max(1) * x.min(1) + x.mean(), lambda x: x.sum(1) + x.max(1) * x.min(1) + x.mean()),
    "elementwise": (lambda x: (x.abs() + 1).log() + x.exp() + (x * x + 1).sqrt() + x.clip(-0.5, 0.5),
                    lambda x: np.log(abs(x) + 1) + np.exp(x) + np.sqrt(x * x + 1) + x.clip(-0.5, 0.5)),
    "where": (lambda x: F.where(x > 0, x, 0.1 * x), lambda x: np.where(x > 0, x, 0.1 * x)),
    "comparison": (lambda x: F.where(x >= x.mean(), x * 1.0, x * 0.0), lambda x: np.where(x >= x.mean(), x, 0)),
    "shapes": (lambda x: x.reshape(x.size(0), 2, 2).transpose(1, 2).permute(0, 2, 1).flatten(1).unsqueeze(1).squeeze(1),
               lambda x: x),
    "view -1": (lambda x: x.view(-1, 2, 2).sum(2), lambda x: x.reshape(-1, 2, 2).sum(2)),
    "slices": (lambda x: x[:, 1:] * x[:, :-1] + x[:, 0:1] + x[..., -1:], lambda x: x[:, 1:] * x[:, :-1] + x[:, :1] + x[:, -1:]),
    "every other": (lambda x: x[:, ::2] + x[:, 1::2], lambda x: x[:, ::2] + x[:, 1::2]),
    "one column": (lambda x: x[:, 2] * x[:, -1], lambda x: x[:, 2] * x[:, -1]),
    "joined": (lambda x: F.cat([x, x * 2], 1) - F.stack([x, x], 1).flatten(1),
               lambda x: np.concatenate([x, 2 * x], 1) - np.tile(x, 2)),
    "matmul": (lambda x: (x.unsqueeze(1) @ x.unsqueeze(2)).flatten(1), lambda x: (x * x).sum(1, keepdims=True)),
    "matmul constant": (lambda x: x @ np.eye(4, 3, dtype=np.float32), lambda x: x[:, :3]),
    "maximum": (lambda x: F.maximum(x, 0.2) - F.minimum(x, -0.2), lambda x: np.maximum(x, 0.2) - np.minimum(x, -0.2)),
}


@pytest.mark.parametrize("rows", [1, 6, 33])
@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name, rows):
    """Values, and the gradient against finite differences of the NumPy formula."""
    ours, theirs = FORMULAS[name]
    x = np.random.default_rng(rows).standard_normal((rows, 4)).astype(np.float32)
    model = Function(lambda self, v: ours(v))
    wide = x.astype(np.float64)
    close(model.predict_on_batch(x), theirs(wide), rtol=1e-4, atol=1e-5)
    if rows == 6:
        y = model(x, training=True)
        dy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
        dx = model.backward(dy)
        close(dx, numeric_gradient(lambda v: (theirs(v) * dy).sum(), wide), rtol=2e-3, atol=2e-3)


def test_predictions_that_draw():
    """A forward with random numbers of its own: the same for the same seed, whatever the batch, until a step is made."""
    nn.manual_seed(3)
    model, x = Function(lambda self, v: F.bernoulli(F.sigmoid(v))), np.zeros((40, 4), np.float32)
    drawn = model.predict_on_batch(x)
    assert set(np.unique(drawn)) == {0, 1}
    assert np.array_equal(model.predict_on_batch(x), drawn) and np.array_equal(model.predict_on_batch(x[:7]), drawn[:7])


def test_numpy_functions_of_values():
    close(Function(lambda self, x: np.float32(2) * x + np.ones((1, 4)) * x)(X), 3 * X)
    close(Function(lambda self, x: np.exp(x) - np.maximum(x, 0.5) / np.sqrt(np.square(x) + 1))(X),
          np.exp(X) - np.maximum(X, 0.5) / np.sqrt(np.square(X) + 1))
    with pytest.raises(TraceError, match=r"np.arctan of a symbolic value at .*test_models.py:\d+: use F"):
        Function(lambda self, x: np.arctan(x))(X)


def test_pytorchs_small_words():
    """Arguments and methods of PyTorch's that mean nothing here, and do no harm."""
    def forward(self, x):
        x = F.dropout(F.leaky_relu(F.relu(x, inplace=True), 0.1, inplace=True), 0.5, self.training, inplace=True)
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    close(Function(forward)(X), np.maximum(X, 0))


def test_parameters_and_buffers_in_arithmetic():
    class Affine(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(np.full(4, 2.0))
            self.register_buffer("shift", np.arange(4.0))

        def forward(self, x):
            return x * self.scale + self.shift
    model = Affine()
    close(model(X), 2 * X + np.arange(4))
    assert list(model.state_dict()) == ["scale", "shift"] and [n for n, _ in model.named_parameters()] == ["scale"]
    model.scale.data[0] = 5
    model.shift = np.zeros(4)
    close(model(X), X * [5, 2, 2, 2])
    y = model(X, training=True)
    model.backward(np.ones_like(y))
    close(model.scale.grad, X.sum(0))
    with pytest.raises(ValueError, match="shape"):
        model.scale.data = np.zeros(3)


@native
def test_a_scalar_changes_without_compiling():
    class Leaning(nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = nn.Scalar(0.5)

        def forward(self, x):
            return x * self.slope
    model = Leaning()
    close(model(X), 0.5 * X)
    before = plans()
    for value in (0.25, 2.0):
        model.slope.value = value
        close(model(X), value * X)
    assert plans() == before
    assert not list(model.parameters())

    strength, network = nn.Scalar(0.0), nn.Sequential(nn.Linear(4, 3))
    w = network[0].weight
    network.compile(loss=lambda y_pred, y_true: ((y_pred - y_true) ** 2).mean() + strength * (w ** 2).sum(),
                    optimizer=nn.SGD(lr=0.0))
    t = np.zeros((6, 3), np.float32)
    plain = network.train_on_batch(X, t)
    before = plans()
    strength.value = 0.1
    assert network.train_on_batch(X, t) == pytest.approx(plain + 0.1 * float((w.data ** 2).sum()), rel=1e-5)
    assert plans() == before


# ---- own losses

def test_own_losses_by_name_and_by_order():
    def keras_order(y_true, y_pred):
        return ((y_pred - 2 * y_true) ** 2).mean()

    def any_names(out, target):
        return ((out - 2 * target) ** 2).mean()
    t = RNG.standard_normal((6, 3)).astype(np.float32)
    model = mlp()
    expected = ((model.predict(X) - 2 * t) ** 2).mean()
    for loss in (keras_order, any_names, lambda y_pred, y_true: ((y_pred - 2 * y_true) ** 2).mean(1)):
        model.compile(loss=loss, optimizer=nn.SGD(lr=0.0))
        assert model.train_on_batch(X, t) == pytest.approx(expected, rel=1e-5)
    model.compile(loss=lambda y_pred, y_true: (y_pred - y_true) ** 2, optimizer=nn.SGD(lr=0.0))
    with pytest.raises(ValueError, match="expected one value a row"):
        model.train_on_batch(X, t)


def test_softmax_at_the_end_is_not_softmaxed_twice():
    model, t = mlp(), LABELS
    ended = nn.Sequential(*model, nn.Softmax(1))
    losses = []
    for m in (model, ended):
        m.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.0))
        losses.append(m.train_on_batch(X, t))
    assert losses[0] == losses[1]
    close(ended.predict(X).sum(1), np.ones(6))


# ---- operations of the user's

@pytest.fixture(scope="module")
def swish():
    @nn.op("tests::swish", shape=lambda x, *, beta: x)
    def swish(x, *, beta=1.0):
        return x / (1 + np.exp(-beta * x))

    @swish.gradient
    def _(dy, x, out, *, beta):
        s = 1 / (1 + np.exp(-beta * x))
        return dy * (s + beta * out * (1 - s))
    return swish


@pytest.mark.parametrize("rows", [6, 40])
def test_user_op_in_a_compiled_plan(swish, rows):
    x = RNG.standard_normal((rows, 4)).astype(np.float32)
    model = nn.Sequential(nn.Linear(4, 5), Function(lambda self, v: swish(v, beta=2.0)), nn.Linear(5, 3))
    h = x.astype(np.float64) @ model[0].weight.data.T + model[0].bias.data
    a = h / (1 + np.exp(-2 * h))
    close(model.predict(x, batch_size=rows), a @ model[2].weight.data.T + model[2].bias.data, rtol=1e-4, atol=1e-5)
    y = model(x, training=True)
    dx = model.backward(np.ones_like(y))
    dh = model[2].weight.data.sum(0) * (1 / (1 + np.exp(-2 * h)) + 2 * a * (1 - 1 / (1 + np.exp(-2 * h))))
    close(dx, dh @ model[0].weight.data, rtol=1e-3, atol=1e-5)
    close(model[0].weight.grad, dh.T @ x, rtol=1e-3, atol=1e-4)
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.1))
    t = RNG.integers(0, 3, rows)
    losses = [model.train_on_batch(x, t) for _ in range(5)]
    assert losses[-1] < losses[0]


def test_user_op_on_arrays(swish):
    close(swish(X, beta=2.0), X / (1 + np.exp(-2 * X)))
    close(swish([1.0, 2.0], beta=1.0), [0.7310586, 1.7615942])


def test_user_op_on_images(swish):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), Function(lambda self, v: swish(v, beta=1.0)), nn.Flatten(), nn.Linear(108, 2))
    for rows in (2, 37):
        x = RNG.standard_normal((rows, 1, 8, 8)).astype(np.float32)
        h = F.conv2d(x, model[0].weight.data, model[0].bias.data)
        flat = (h / (1 + np.exp(-h))).reshape(rows, -1)
        close(model.predict_on_batch(x), F.linear(flat, model[3].weight.data, model[3].bias.data), rtol=1e-4, atol=1e-5)


def test_user_op_with_several_inputs_and_outputs_and_a_shape_rule():
    @nn.op("tests::polar", shape=lambda a, b: (a, b))
    def polar(a, b):
        return np.hypot(a, b), np.arctan2(b, a)

    @polar.gradient
    def _(dys, a, b, outs):
        (dr, dphi), (r, _) = dys, outs
        return dr * a / r - dphi * b / r ** 2, dr * b / r + dphi * a / r ** 2
    nn.check_op(polar, X + 3, X - 3)

    @nn.op("tests::pairs", shape=lambda x: (x.shape[0], x.shape[1] // 2))
    def pairs(x):
        return x[:, ::2] + x[:, 1::2]

    def forward(self, x):
        radius, angle = polar(x + 3.0, x - 3.0)
        return pairs(radius * angle)
    y = np.hypot(X + 3, X - 3) * np.arctan2(X - 3, X + 3)
    close(Function(forward)(X), y[:, ::2] + y[:, 1::2], rtol=1e-4)
    with pytest.raises(TypeError, match="tests::pairs has no gradient"):
        Function(forward)(X, training=True)


def test_user_op_that_fails_leaves_the_parameters(swish):
    @nn.op("tests::fragile")
    def fragile(x):
        if x[0, 0] > 100:
            raise ZeroDivisionError("too large")
        return x * 2

    @fragile.gradient
    def _(dy, x, out):
        return 2 * dy
    model = nn.Sequential(nn.Linear(4, 3), Function(lambda self, x: fragile(x)))
    model.compile(loss="mse", optimizer=nn.SGD(lr=0.1, momentum=0.9))
    t = np.zeros((6, 3), np.float32)
    model.train_on_batch(X, t)
    before = model.state_dict()
    big = np.full((6, 4), 1e6, np.float32) * np.sign(model[0].weight.data[0])
    with pytest.raises(ZeroDivisionError, match="too large"):
        model.train_on_batch(big, t)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    model.train_on_batch(X, t)


def test_user_op_whose_result_does_not_fit():
    @nn.op("tests::liar", shape=lambda x: (x.shape[0], 7))
    def liar(x):
        return x
    with pytest.raises(ValueError, match=r"tests::liar: returned an array of shape \(6, 4\), its shape rule says \(6, 7\)"):
        Function(lambda self, x: liar(x) * 1.0)(X)
    with pytest.raises(ValueError, match="built-in op"):
        nn.op("conv2d")


def test_check_op_finds_what_is_wrong(swish):
    nn.check_op(swish, X, beta=1.5)

    def made(name, function, gradient=None, shape=None):
        op = nn.op(f"tests::{name}", shape=shape)(function)
        if gradient:
            op.gradient(gradient)
        return op

    def spoils(x):
        x[0] = 1
        return x * 2
    state = iter(range(100))
    for op, message in (
            (made("wrong-gradient", lambda x: x * x, lambda dy, x, out: dy * x), "the gradient for input 0"),
            (made("wrong-shape", lambda x: x[:, :2]), "its shape rule says"),
            (made("random", lambda x: x + next(state)), "differs between two runs"),
            (made("spoils", spoils), "writes to an input"),
            (made("count", lambda a, b: a + b, lambda dy, a, b, out: dy), "returned 1 results for 2 inputs")):
        with pytest.raises(AssertionError, match=message):
            nn.check_op(op, *([X, X] if "count" in op.name else [X]))


# ---- looking inside

def test_activations():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    found = model.activations(IMAGES)
    assert {k: v.shape for k, v in found.items()} == {"0": (5, 2, 6, 6), "1": (5, 2, 6, 6), "2": (5, 72), "3": (5, 3)}
    np.testing.assert_array_equal(found["3"], model.predict(IMAGES))
    np.testing.assert_array_equal(found["1"], np.maximum(found["0"], 0))
    assert list(model.activations(IMAGES, ["1"])) == ["1"]
    with pytest.raises(KeyError, match="nothing"):
        model.activations(IMAGES, ["nothing"])
    twice = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    twice.append(twice[0])
    assert list(twice.activations(X)) == ["0", "1", "0#2"]


def test_summary_and_graph(capsys):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    with pytest.raises(ValueError, match="input_shape"):
        model.summary()
    model.summary((1, 8, 8))
    text = capsys.readouterr().out
    for expected in ("Conv2d", "2, 6, 6", "MFLOPs", "239 parameters", "0.002"):
        assert expected in text, text
    model[0].weight.requires_grad = False
    model.summary((1, 8, 8))
    assert "239 parameters, 221 of them trained" in capsys.readouterr().out
    long = nn.Sequential({"a_very_long_name_that_goes_on_and_on_and_on_" * 3: nn.Linear(4, 2)})
    long.summary((4,))
    assert "a_very_long_name_that_goes_on_and_on_and_on_" * 3 in capsys.readouterr().out
    graph = model.graph((1, 8, 8))
    assert [n.op.name for n in graph.nodes] == ["conv2d", "relu", "reshape", "linear"]
    import xml.etree.ElementTree
    svg = graph.svg()
    root = xml.etree.ElementTree.fromstring(svg)
    assert root.tag.endswith("svg") and "conv2d" in svg and svg == graph._repr_svg_()


# ---- calling, by hand

def test_modes_and_calls():
    nn.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 200), nn.Dropout(0.5))
    served = model(X)
    np.testing.assert_array_equal(served, model.predict(X))
    assert not model.training
    trained = model(X, training=True)
    assert (trained == 0).any() and not model.training
    model.train()
    assert model.training and (model(X) == 0).any()
    assert (model(X) != model(X)).any(), "another mask a call"
    np.testing.assert_array_equal(model(X, training=False), served)
    np.testing.assert_array_equal(model.predict(X), served)
    model.eval()
    np.testing.assert_array_equal(model(X), served)


def test_backward_by_hand():
    model = mlp()
    y = model(X, training=True)
    loss, dy = nn.cross_entropy(y, LABELS)
    assert model[0].weight.grad is None
    dx = model.backward(dy)
    w1, b1, w2, b2 = (p.data.astype(np.float64) for p in model.parameters())

    def loss_of(x, w):
        z = np.maximum(x @ w.T + b1, 0) @ w2.T + b2
        z = z - z.max(1, keepdims=True)
        return (np.log(np.exp(z).sum(1)) - z[np.arange(6), LABELS]).mean()
    assert loss == pytest.approx(loss_of(X, w1), rel=1e-5)
    close(dx, numeric_gradient(lambda v: loss_of(v, w1), X), rtol=1e-3, atol=1e-5)
    close(model[0].weight.grad, numeric_gradient(lambda v: loss_of(X, v), w1), rtol=1e-3, atol=1e-5)


def test_several_runs_wait_for_their_backward():
    model = mlp()
    first, second, third = model(X, training=True), model(2 * X, training=True), model(3 * X, training=True)
    ones = np.ones_like(first)
    alone = []
    for factor in (1, 2, 3):
        fresh = networks_copy(model)
        y = fresh(factor * X, training=True)
        alone.append((fresh.backward(ones), [p.grad.copy() for p in fresh.parameters()]))
    np.testing.assert_array_equal(model.backward(ones, second), alone[1][0])
    np.testing.assert_array_equal(model.backward(ones), alone[2][0])            # the newest not yet used
    np.testing.assert_array_equal(model.backward(ones), alone[0][0])
    for i, p in enumerate(model.parameters()):
        close(p.grad, sum(g[i] for _, g in alone), rtol=1e-5)
    with pytest.raises(RuntimeError, match="no run in training mode waits"):
        model.backward(ones)
    with pytest.raises(RuntimeError, match="has had its backward already"):
        model.backward(ones, third)
    assert y is not None


def networks_copy(model):
    copy = mlp()
    copy.load_state_dict(model.state_dict())
    return copy


def test_a_run_is_freed_with_its_array():
    model = mlp()
    gc.collect()
    before = len(run._waiting)
    for _ in range(3):
        y = model(X, training=True)
    assert len(run._waiting) == before + 1
    del y
    assert len(run._waiting) == before
    with pytest.raises(RuntimeError, match="no run"):
        model.backward(np.ones((6, 3), np.float32))


def test_gradients_accumulate_until_zeroed():
    model = mlp()
    optimizer = nn.SGD(model.parameters(), lr=0.1)

    def once():
        y = model(X, training=True)
        model.backward(np.ones_like(y), input_gradient=False)
    once()
    single = [p.grad.copy() for p in model.parameters()]
    once()
    for p, g in zip(model.parameters(), single):
        close(p.grad, 2 * g)
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    once()
    for p, g in zip(model.parameters(), single):
        np.testing.assert_array_equal(p.grad, g)
    optimizer.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    kept = []
    for _ in range(2):
        once()
        kept.append(model[0].weight.grad)
        optimizer.zero_grad()
    np.testing.assert_array_equal(kept[0], single[0])           # a gradient that the user keeps is the user's


def test_input_gradient_false_and_integer_inputs():
    model = mlp()
    y = model(X, training=True)
    assert model.backward(np.ones_like(y), input_gradient=False) is None
    y = model(X.astype(np.int64), training=True)
    model.backward(np.ones_like(y))
    with pytest.raises(ValueError, match="a gradient of shape"):
        y = model(X, training=True)
        model.backward(np.ones((6, 2), np.float32))


def test_the_loss_knows_its_run():
    model = mlp().train()
    loss_fn = nn.CrossEntropyLoss()
    loss = loss_fn(model(X), LABELS)
    assert isinstance(loss, float) and loss.item() == float(loss)
    loss.backward()
    single = [p.grad.copy() for p in model.parameters()]
    with pytest.raises(RuntimeError):
        loss.backward()
    model.zero_grad()
    total = (loss_fn(model(X), LABELS) + 2 * loss_fn(model(X), LABELS)) / 3
    total.backward()
    for p, g in zip(model.parameters(), single):
        close(p.grad, g, rtol=1e-4, atol=1e-6)
    y = model(X)
    with pytest.raises(RuntimeError, match="NumPy operations"):
        nn.CrossEntropyLoss()(np.asarray(y) * 1.0, LABELS).backward()
    with nn.no_grad():
        y = model(X)
    with pytest.raises(RuntimeError, match="training mode"):
        F.cross_entropy(y, LABELS).backward()
    model.eval()
    with pytest.raises(RuntimeError, match=r"model.train\(\)"):
        F.cross_entropy(model(X), LABELS).backward()


def test_no_grad_keeps_nothing():
    model = mlp().train()
    before = len(run._waiting)
    with nn.no_grad():
        kept = model(X)
    assert len(run._waiting) == before and kept.shape == (6, 3)

    @nn.no_grad()
    def evaluate(x):
        return model(x)
    close(evaluate(X), kept)
    assert len(run._waiting) == before


def test_a_gan():
    """Generator and discriminator by hand, the discriminator's runs on real and fake waiting together, against the sum of two
    single runs; the generator's gradient comes through the discriminator."""
    nn.manual_seed(0)
    generator = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 4))
    discriminator = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 2))
    g_step, d_step = nn.Adam(generator.parameters(), lr=0.01), nn.Adam(discriminator.parameters(), lr=0.01)
    rng = np.random.default_rng(0)
    ones, zeros = np.ones(16, np.int64), np.zeros(16, np.int64)
    for step in range(30):
        real, noise = rng.standard_normal((16, 4)).astype(np.float32) + 2, rng.standard_normal((16, 2)).astype(np.float32)
        fake = generator(noise, training=True)
        on_real, on_fake = discriminator(real, training=True), discriminator(fake, training=True)
        d_step.zero_grad()
        d_loss = 0.0
        for y, t in ((on_real, ones), (on_fake, zeros)):
            loss, dy = nn.cross_entropy(y, t)
            d_loss += loss
            discriminator.backward(dy, y, input_gradient=False)
        before = generator.state_dict()
        d_step.step()
        for name, array in generator.state_dict().items():
            np.testing.assert_array_equal(array, before[name])
        g_step.zero_grad()
        loss, dy = nn.cross_entropy(discriminator(fake, training=True), ones)
        generator.backward(discriminator.backward(dy), fake)
        discriminator.zero_grad()
        g_step.step()
        if step == 0:
            first = (d_loss, loss)
    assert np.isfinite([d_loss, loss]).all() and d_loss < first[0]

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.generator, self.discriminator = generator, discriminator

        def forward(self, z):
            return self.discriminator(self.generator(z))
    both = Both()
    discriminator.requires_grad_(False)
    both.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.1))
    before = both.state_dict()
    both.train_on_batch(noise, ones)
    moved = {n for n, a in both.state_dict().items() if (a != before[n]).any()}
    assert moved == {n for n in before if n.startswith("generator")}


def test_requires_grad():
    model = mlp()
    model[0].weight.requires_grad = False
    y = model(X, training=True)
    model.backward(np.ones_like(y))
    assert model[0].weight.grad is None and model[0].bias.grad is not None
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.1, momentum=0.9, weight_decay=0.1))
    before = model.state_dict()
    model.train_on_batch(X, LABELS)
    after = model.state_dict()
    assert (before["0.weight"] == after["0.weight"]).all() and (before["0.bias"] != after["0.bias"]).any()
    model[0].weight.requires_grad_(True)
    model.train_on_batch(X, LABELS)
    assert (before["0.weight"] != model.state_dict()["0.weight"]).any()


def test_a_frozen_batch_norm():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 3))
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.01))
    t = RNG.integers(0, 3, 5)
    model.train_on_batch(IMAGES, t)
    assert (model[1].running_mean.data != 0).any() and model.state_dict()["1.num_batches_tracked"] == 1
    model[1].eval()
    before = model.state_dict()
    model.train_on_batch(IMAGES, t)
    model.train_on_batch(IMAGES, t)
    after = model.state_dict()
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        np.testing.assert_array_equal(before[name], after[name])
    assert (before["1.weight"] != after["1.weight"]).any()
    model.train()
    model.train_on_batch(IMAGES, t)
    assert model.state_dict()["1.num_batches_tracked"] == 2


def test_train_and_eval_retrace():
    model = nn.Sequential(nn.BatchNorm1d(4))
    close(model(X), X / np.sqrt(1 + 1e-5))
    model.train()
    y = model(X)
    close(y, (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5), rtol=1e-4, atol=1e-5)
    close(model[0].running_mean.data, 0.1 * X.mean(0), rtol=1e-4)
    model.eval()
    close(model(X), (X - 0.1 * X.mean(0)) / np.sqrt(model[0].running_var.data + 1e-5), rtol=1e-4, atol=1e-5)

    class Reads(nn.Module):
        def forward(self, x):
            return x * 2.0 if self.training else x
    model = Reads()
    np.testing.assert_array_equal(model(X), X)
    np.testing.assert_array_equal(model.train()(X), 2 * X)
    np.testing.assert_array_equal(model.eval()(X), X)
    np.testing.assert_array_equal(model(X, training=True), 2 * X)


def test_written_parameters_count_from_the_next_step_on():
    model = nn.Sequential(nn.Linear(4, 3))
    for rows in (1, 6, 40):
        x = RNG.standard_normal((rows, 4)).astype(np.float32)
        model.predict_on_batch(x)
        model[0].weight.data[...] = rows
        model[0].bias.data = np.zeros(3)
        close(model.predict_on_batch(x), np.repeat(rows * x.sum(1, keepdims=True), 3, 1), rtol=1e-4, atol=1e-4)
    held = model[0].weight.data                     # a live view, kept
    model.predict_on_batch(X)
    held[...] = 0
    np.testing.assert_array_equal(model.predict_on_batch(X), np.zeros((6, 3), np.float32))


# ---- arrays

def test_double_runs_in_float64():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(72, 3)).double()
    wide = IMAGES.astype(np.float64)
    y = model(wide, training=True)
    assert y.dtype == np.float64 and all(p.dtype == np.float64 for p in model.parameters())
    t = RNG.integers(0, 3, 5)
    loss, dy = nn.cross_entropy(y, t)
    dx = model.backward(dy)
    assert dx.dtype == np.float64 and model[0].weight.grad.dtype == np.float64
    kept = model[0].weight.data.copy()

    def loss_at(w):
        model[0].weight.data[...] = w
        return float(nn.cross_entropy(model(wide, training=True), t)[0])
    close(model[0].weight.grad, numeric_gradient(loss_at, kept), rtol=1e-6, atol=1e-9)
    model[0].weight.data[...] = kept
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.1, momentum=0.9))
    losses = [model.train_on_batch(wide, t) for _ in range(5)]
    assert losses[-1] < losses[0]
    assert model.float().predict(IMAGES).dtype == np.float32


def test_float32_functions_on_float64_arrays():
    x = RNG.standard_normal((3, 2, 5, 5))
    assert F.conv2d(x, RNG.standard_normal((4, 2, 3, 3))).dtype == np.float64
    assert F.relu(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.uint8, np.int8, np.int64, bool, ">f4", ">f8"])
def test_data_of_other_types_is_cast(dtype):
    x = (10 * np.abs(X)).astype(dtype)
    model = mlp()
    y = model.predict(x)
    assert y.dtype == np.float32
    close(y, model.predict(x.astype(np.float32)))


def test_types_that_are_refused():
    for dtype in (np.complex64, np.float16, object, "U3"):
        with pytest.raises(TypeError, match=r"input 0 has dtype .*expected float32"):
            mlp().predict(np.ones((6, 4), np.float32).astype(dtype))
    with pytest.raises(TypeError, match="relu: x has dtype complex64"):
        F.relu(X.astype(np.complex64))
    with pytest.raises(TypeError, match="float16"):
        nn.Parameter(np.ones(3, np.float16))


def test_any_strides_and_no_writes():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    expected = model.predict(IMAGES)
    wide = np.zeros((10, 1, 8, 16), np.float32)
    wide[::2, :, :, ::2] = IMAGES
    raw = np.zeros(IMAGES.nbytes + 1, np.uint8)
    unaligned = np.frombuffer(raw, np.float32, IMAGES.size, 1).reshape(IMAGES.shape)
    raw[1:] = np.frombuffer(IMAGES.tobytes(), np.uint8)
    readonly = IMAGES.copy()
    readonly.flags.writeable = False
    flipped = np.ascontiguousarray(IMAGES[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]
    last = np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for x in (wide[::2, :, :, ::2], unaligned, readonly, flipped, last, IMAGES.tolist(), IMAGES.astype(np.float64)):
        before = np.array(x)
        np.testing.assert_array_equal(model.predict(x), expected)
        np.testing.assert_array_equal(np.array(x), before)


def test_shape_errors():
    conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))
    with pytest.raises(ValueError, match="looks channels-last.*data_format=\"channels_last\""):
        conv.predict(IMAGES.transpose(0, 2, 3, 1))
    x = nn.Input(1, 8, 8)
    with pytest.raises(ValueError, match="looks channels-last.*data_format=\"channels_last\""):
        nn.Model(x, nn.Conv2d(1, 2, 3)(x)).predict(IMAGES.transpose(0, 2, 3, 1))
    with pytest.raises(ValueError, match="in layer '2'.*Linear"):
        conv.predict(np.zeros((2, 1, 9, 9), np.float32))
    with pytest.raises(ValueError, match="in layer '0'"):
        mlp().predict(np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match="single number"):
        mlp().predict(3.0)
    with pytest.raises(ValueError, match="broadcast|shape"):
        Function(lambda self, v: v + np.ones(3))(X)
    with pytest.raises(ValueError, match="batch_size"):
        mlp().predict(X, batch_size=0)


def test_an_empty_batch():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3), nn.Softmax(1))
    empty = IMAGES[:0]
    for y in (model.predict(empty), model(empty), model.predict_on_batch(empty)):
        assert y.shape == (0, 3) and y.dtype == np.float32
    y = model(empty, training=True)
    assert y.shape == (0, 3)
    dx = model.backward(y)
    assert dx.shape == (0, 1, 8, 8) and not model[0].weight.grad.any()
    assert {k: v.shape[0] for k, v in model.activations(empty).items()} == {str(i): 0 for i in range(6)}


def test_nan_propagates():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3))
    x = IMAGES.copy()
    x[1, 0, 4, 4] = np.nan
    y = model.predict(x)
    assert np.isnan(y[1]).all() and not np.isnan(y[[0, 2, 3, 4]]).any()


# ---- compiling

@native
def test_predicting_other_numbers_of_rows_does_not_compile():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4))
    x = RNG.standard_normal((1000, 1, 8, 8)).astype(np.float32)
    whole = model.predict(x[:64])
    single = model.predict(x[:1])                   # the layout for few rows is a plan of its own
    before = plans()
    for rows in (1, 5, 64, 100, 1000):
        y = model.predict(x[:rows])
        assert y.shape == (rows, 4)
        np.testing.assert_array_equal(y[:64], whole[:rows])
    y = model.predict(x, batch_size=1000)
    np.testing.assert_array_equal(y[:64], whole)
    assert plans() == before
    np.testing.assert_array_equal(single, whole[:1])


@native
def test_equal_networks_share_a_plan():
    first, second = mlp(), mlp()
    first.predict(X)
    before = plans()
    second.predict(X)
    assert plans() == before


@native
def test_a_schedule_of_a_hundred_steps_compiles_once():
    model = nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 3))      # in no other test
    optimizer = nn.SGD(lr=0.1, momentum=0.9)
    model.compile(loss="cross_entropy", optimizer=optimizer)
    before = plans()
    for step in range(100):
        optimizer.lr = 0.1 / (1 + step)
        model.train_on_batch(X, LABELS)
    assert plans() == before + 1
    history = model.fit(X, LABELS, batch_size=6, epochs=3, verbose=0,
                        callbacks=[nn.LearningRateScheduler(lambda epoch, lr: lr * 0.5)])
    assert len(history.history["loss"]) == 3
    assert plans() <= before + 2                    # fit picks rows by index: one more where the plan differs


@native
def test_a_hand_made_loop_compiles_no_more():
    model = mlp().train()
    optimizer = nn.Adam(model.parameters(), lr=0.01)

    def step(lr):
        optimizer.lr = lr
        loss = F.cross_entropy(model(X), LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    step(0.01)
    step(0.01)
    before = plans()
    for i in range(20):
        step(0.01 / (1 + i))
    assert plans() == before


def test_a_failed_step_changes_nothing():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=0.1))
    model.train_on_batch(X, LABELS)
    before, moments = model.state_dict(), model.optimizer.state_dict()
    bad = LABELS.copy()
    bad[4] = 3
    with pytest.raises(IndexError, match=r"target\[4\] is 3, labels must be from 0 to 2"):
        model.train_on_batch(X, bad)
    with pytest.raises(ValueError):
        model.train_on_batch(X, LABELS[:3])
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    for place, entries in model.optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            np.testing.assert_array_equal(value, moments["state"][place][name])


def test_a_network_that_depends_on_the_rows_in_another_way():
    model = Function(lambda self, x: x * float(x.size(0) ** 2))
    np.testing.assert_array_equal(model.predict_on_batch(X), 36 * X)
    np.testing.assert_array_equal(model.predict_on_batch(X[:4]), 16 * X[:4])
    with pytest.raises(ValueError, match="depends on the number of rows.*test_models.py"):
        model.save("nowhere.safetensors")


def test_devices_are_the_cpu_alone():
    model = mlp()
    assert model.to("cpu") is model and model.cpu() is model
    with pytest.raises(ValueError, match="CPU"):
        model.to("cuda")


def test_threads_predict_at_once():
    import threading
    model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 3))
    expected, wrong = model.predict(X), []

    def work():
        for _ in range(50):
            if not np.array_equal(model.predict_on_batch(X), expected):
                wrong.append(1)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_nothing_is_warned():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
        model.predict(np.full((3, 4), np.inf, np.float32))


@native
def test_the_steady_state_allocates_nothing():
    """A training step allocates nothing, a prediction the array it returns: counted in the C core; NumPy and Python
    keep next to nothing after fifty steps."""
    import tracemalloc
    from fastnn.backend import native as core
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(108, 3))
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=1e-3), metrics=["accuracy"])
    x, t = RNG.standard_normal((40, 1, 8, 8)).astype(np.float32), RNG.integers(0, 3, 40)
    optimizer = nn.SGD(model.parameters(), lr=1e-3)

    def by_hand():
        loss = F.cross_entropy(model(x, training=True), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for step in (lambda: model.train_on_batch(x, t), lambda: model.predict_on_batch(x), lambda: model.predict_on_batch(x[:1]),
                 by_hand):
        for _ in range(20):
            step()
        before = core.allocations()
        grown = []
        for _ in range(3):                          # what NumPy and Python keep for reuse is there after the first time
            gc.collect()
            tracemalloc.start()
            for _ in range(50):
                step()
            gc.collect()
            grown.append(tracemalloc.get_traced_memory()[0])
            tracemalloc.stop()
        assert core.allocations() == before and min(grown) < 30_000, (core.allocations() - before, grown)


# ---- copies

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies_stand_alone(how, dtype):
    """Joblib, multiprocessing and grid searches copy models: trained, with gradients, weights in two places."""
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 3)).to(dtype=dtype)
    model[3].weight = model[0].weight
    model.compile("sgd", "cross_entropy")
    model.fit(X, LABELS, verbose=0)
    y = model(X, training=True)
    model.backward(np.ones_like(y))
    before, made = model.predict(X), COPIES[how](model)
    np.testing.assert_array_equal(made.predict(X), before)
    for (name, p), q in zip(model.named_parameters(), made.parameters()):
        np.testing.assert_array_equal(q.grad, p.grad, err_msg=name)
        assert q.dtype == p.dtype == dtype and not np.shares_memory(q.data, p.data) and not np.shares_memory(q.grad, p.grad)
    assert made[3].weight is made[0].weight and made[0].weight is not model[0].weight
    assert isinstance(made[1].running_mean, nn.parameter.Buffer)
    made.compile("sgd", "cross_entropy")
    made.fit(X, LABELS, verbose=0)
    np.testing.assert_array_equal(model.predict(X), before)
    assert np.any(made.predict(X) != before)
    model.zero_grad()
    assert COPIES[how](model)[0].weight.grad is None
