"""LSTM, GRU and RNN: the ops against naive loops and finite differences, the layers against PyTorch's (values, every gradient,
training), the same bits over threads, targets and batch sizes, and what a Sequential makes of them."""
import math

import numpy as np
import pytest
from test_reference import numeric_gradient, run, trace

import fastnn as nn
import fastnn.functional as F

native = nn.backend.native
RNG = np.random.default_rng(5)
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def normal(*shape, dtype=np.float64):
    return (RNG.standard_normal(shape) * 0.7).astype(dtype)


# ---- the ops

def sigmoid(a):
    return 1 / (1 + math.exp(-a))


def naive(kind, x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, c0=None, reverse=False, nonlinearity="tanh",
          lengths=None):
    """One number at a time."""
    (n, steps, features), hidden = x.shape, weight_hh.shape[1]
    y, last = np.zeros((n, steps, hidden)), [np.zeros((n, hidden)) for _ in range(2 if kind == "lstm" else 1)]
    for image in range(n):
        h = [0.0] * hidden if h0 is None else list(h0[image])
        c = [0.0] * hidden if c0 is None else list(c0[image])
        own = range(steps if lengths is None else int(lengths[image]))
        for t in reversed(own) if reverse else own:
            from_x = [sum(weight_ih[r, k] * x[image, t, k] for k in range(features)) + (0 if bias_ih is None else bias_ih[r])
                      for r in range(weight_ih.shape[0])]
            from_h = [sum(weight_hh[r, k] * h[k] for k in range(hidden)) + (0 if bias_hh is None else bias_hh[r])
                      for r in range(weight_hh.shape[0])]
            for u in range(hidden):
                a, b = from_x[u::hidden], from_h[u::hidden]
                if kind == "lstm":
                    i, f, g, o = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1]), math.tanh(a[2] + b[2]), sigmoid(a[3] + b[3])
                    c[u] = f * c[u] + i * g
                    y[image, t, u] = o * math.tanh(c[u])
                elif kind == "gru":
                    r, z = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
                    new = math.tanh(a[2] + r * b[2])
                    y[image, t, u] = (1 - z) * new + z * h[u]
                else:
                    y[image, t, u] = math.tanh(a[0] + b[0]) if nonlinearity == "tanh" else max(a[0] + b[0], 0.0)
            h = list(y[image, t])
        for into, values in zip(last, (h, c)):
            into[image] = values
    return (y, *last)


def arguments(kind, n=3, steps=4, features=3, hidden=2, biases=True, states=True):
    """Arrays in the order of F's arguments, leaving out what comes last."""
    rows = GATES[kind] * hidden
    arrays = [normal(n, steps, features), normal(rows, features), normal(rows, hidden)]
    if biases:
        arrays += [normal(rows), normal(rows)]
    if states:
        arrays += [normal(n, hidden) for _ in range(2 if kind == "lstm" else 1)]
    return arrays


LENGTHS = np.array([4, 1, 2])
OPS = [("lstm", {}), ("lstm", dict(reverse=True)), ("gru", {}), ("gru", dict(reverse=True)), ("rnn", {}),
       ("rnn", dict(reverse=True, nonlinearity="relu")), *[(kind, dict(reverse=reverse, lengths=LENGTHS)) for kind in GATES
                                                           for reverse in (False, True)]]


@pytest.mark.parametrize("kind, options", OPS)
@pytest.mark.parametrize("more", [{}, dict(states=False), dict(states=False, biases=False)])
def test_formulas(kind, options, more):
    arrays = arguments(kind, **more)
    expected = naive(kind, *arrays, **options)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 2e-6)):
        found = getattr(F, kind)(*[a.astype(dtype) for a in arrays], **options)
        assert len(found) == len(expected)
        for a, b in zip(found, expected):
            assert a.dtype == dtype and a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    out, inputs = trace(lambda *values: getattr(F, kind)(*values, **options), arrays)
    for a, b in zip(run(out, dict(zip(inputs, arrays))), expected):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind, options", OPS)
@pytest.mark.parametrize("more", [{}, dict(states=False, biases=False)])
def test_finite_differences(kind, options, more):
    arrays = arguments(kind, n=3, steps=4, **more)
    function = lambda *values: getattr(F, kind)(*values, **options)                                    # noqa: E731
    out, inputs = trace(function, arrays)
    factors = [normal(*v.shape) for v in out]
    found, inputs = trace(function, arrays, factors)
    for i, dx in enumerate(run(found, dict(zip(inputs, arrays)))):
        expected = numeric_gradient(function, arrays, i, factors)
        np.testing.assert_allclose(dx, expected, rtol=1e-6, atol=1e-7, err_msg=f"input {i}")
    if len(arrays) > 5:
        states = dict(zip(("grad_h", "grad_c"), factors[1:]))
        by_function = getattr(F, f"{kind}_backward")(factors[0], *arrays, **options, **states)
        for a, b in zip(by_function, run(found, dict(zip(inputs, arrays)))):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_wrong_arguments():
    x, w, u, *_ = arguments("lstm", features=3, hidden=2)
    for given, message in (((x[0], w, u), r"lstm: x must have shape \(N, steps, in_features\), it has shape \(4, 3\)"),
                           ((x, w, u[:6]), r"lstm: weight_hh must have shape \(4 \* hidden, hidden\), it has shape \(6, 2\)"),
                           ((x, w[:, :2], u), r"lstm: weight_ih must have shape \(8, 3\)"),
                           ((x, w, u, normal(3)), r"lstm: bias_ih must have shape \(8,\)"),
                           ((x, w, u, None, None, normal(2, 2)), r"lstm: h0 must have shape \(3, 2\)")):
        with pytest.raises(ValueError, match=message):
            F.lstm(*given)
    for lengths, message in (([4, 1], r"lstm: lengths must have shape \(3,\), \(N,\), it has shape \(2,\)"),
                             ([4, 5, 1], r"lstm: lengths must be whole numbers from 0 to 4, lengths\[1\] is 5"),
                             ([4, 1, 1.5], r"lengths\[2\] is 1.5"), ([4, np.nan, 1], "is nan"), ([-1, 1, 1], "is -1")):
        with pytest.raises(ValueError, match=message):
            F.lstm(x, w, u, lengths=lengths)
    with pytest.raises(ValueError, match="rnn: nonlinearity must be 'tanh' or 'relu', it is 'sine'"):
        F.rnn(*arguments("rnn")[:3], nonlinearity="sine")


def test_no_steps_and_no_rows():
    x, w, u, *_ = arguments("lstm")
    h0 = normal(3, 2, dtype=np.float32)
    y, h, c = F.lstm(x[:, :0].astype(np.float32), w, u, h0=h0)
    assert y.shape == (3, 0, 2) and np.array_equal(h, h0) and not c.any()
    assert F.lstm(x[:0], w, u)[0].shape == (0, 4, 2)


# ---- the layers beside PyTorch's

LAYERS = [("LSTM", {}), ("LSTM", dict(num_layers=2, bidirectional=True)), ("LSTM", dict(bias=False)), ("GRU", {}),
          ("GRU", dict(num_layers=2, bidirectional=True)), ("GRU", dict(num_layers=3, bias=False)), ("RNN", {}),
          ("RNN", dict(num_layers=2, bidirectional=True, nonlinearity="relu"))]


def opened(state):
    return list(state) if isinstance(state, tuple) else [state]


def check_gradients(torch, layer, twin, found, expected, tensors):
    """Those of a random weighting of all outputs are PyTorch's: of the inputs and of every parameter."""
    factors = [normal(*a.shape, dtype=np.float32) for a in found]
    twin.zero_grad()
    sum((v * torch.tensor(f)).sum() for v, f in zip(expected, factors)).backward()
    layer.zero_grad()
    dxs = layer.backward({str(i): f for i, f in enumerate(factors)})
    for a, b in zip(dxs, tensors):
        np.testing.assert_allclose(a, b.grad.numpy(), rtol=2e-5, atol=2e-5)
    for name, b in twin.named_parameters():
        np.testing.assert_allclose(layer.__dict__[name].grad, b.grad.numpy(), rtol=2e-5, atol=5e-5, err_msg=name)


@pytest.mark.parametrize("kind, options", LAYERS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("n", [3, 20])
def test_like_torch(kind, options, batch_first, n):
    torch = pytest.importorskip("torch")
    layer = getattr(nn, kind)(5, 7, batch_first=batch_first, **options)
    twin = getattr(torch.nn, kind)(5, 7, batch_first=batch_first, **options)
    assert {k: a.shape for k, a in layer.state_dict().items()} == {k: tuple(v.shape) for k, v in twin.state_dict().items()}
    assert list(layer.state_dict()) == list(twin.state_dict())
    twin.load_state_dict({name: torch.tensor(a) for name, a in layer.state_dict().items()})
    x = normal(*((n, 6) if batch_first else (6, n)), 5, dtype=np.float32)
    rows = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    states = [normal(rows, n, 7, dtype=np.float32) for _ in layer.states]

    for given in ((), tuple(states)):
        tensors = [torch.tensor(a, requires_grad=True) for a in (x, *given)]
        there = twin(tensors[0], *([tuple(tensors[1:]) if kind == "LSTM" else tensors[1]] if given else []))
        here = layer(x, *([given if kind == "LSTM" else given[0]] if given else []), training=True)
        expected, found = [there[0], *opened(there[1])], [here[0], *opened(here[1])]
        for a, b in zip(found, expected):
            np.testing.assert_allclose(a, b.detach().numpy(), rtol=2e-5, atol=2e-6)
        check_gradients(torch, layer, twin, found, expected, tensors)
        quiet = layer(x, *([given if kind == "LSTM" else given[0]] if given else []))
        for a, b in zip([quiet[0], *opened(quiet[1])], found):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind, options", LAYERS)
@pytest.mark.parametrize("batch_first", [True, False])
def test_lengths_like_torch(kind, options, batch_first):
    """Values and every gradient are those of PyTorch's packed sequences, whatever lies behind a sequence's end."""
    torch = pytest.importorskip("torch")
    pack, unpack = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
    n, steps = 19, 6
    layer = getattr(nn, kind)(5, 7, batch_first=batch_first, **options)
    twin = getattr(torch.nn, kind)(5, 7, batch_first=batch_first, **options)
    twin.load_state_dict({name: torch.tensor(a) for name, a in layer.state_dict().items()})
    lengths = np.array([6, 1, 3, *RNG.integers(1, 7, n - 3)])
    x = normal(*((n, steps) if batch_first else (steps, n)), 5, dtype=np.float32)
    behind = np.arange(steps) >= lengths[:, None]
    spoilt = x.copy()
    (spoilt if batch_first else spoilt.swapaxes(0, 1))[behind] = np.nan
    rows = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    states = [normal(rows, n, 7, dtype=np.float32) for _ in layer.states]
    for given in ((), tuple(states)):
        tensors = [torch.tensor(a, requires_grad=True) for a in (x, *given)]
        packed = pack(tensors[0], torch.tensor(lengths), batch_first=batch_first, enforce_sorted=False)
        output, last = twin(packed, *([tuple(tensors[1:]) if kind == "LSTM" else tensors[1]] if given else []))
        expected = [unpack(output, batch_first=batch_first, total_length=steps)[0], *opened(last)]
        here = layer(spoilt, *([given if kind == "LSTM" else given[0]] if given else []), lengths=lengths, training=True)
        found = [here[0], *opened(here[1])]
        for a, b in zip(found, expected):
            np.testing.assert_allclose(a, b.detach().numpy(), rtol=2e-5, atol=2e-6)
        assert not (found[0] if batch_first else found[0].swapaxes(0, 1))[behind].any()
        check_gradients(torch, layer, twin, found, expected, tensors)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_lengths_of_all_and_of_none(kind):
    """Full lengths change nothing; a sequence of no steps leaves its state as it was."""
    layer = getattr(nn, kind)(3, 5, batch_first=True, bidirectional=True)
    x, states = normal(20, 4, 3, dtype=np.float32), [normal(2, 20, 5, dtype=np.float32) for _ in layer.states]
    (plain, end), (y, last) = layer(x, states), layer(x, states, lengths=np.full(20, 4))
    np.testing.assert_array_equal(plain, y)
    for a, b in zip(opened(end), opened(last)):
        np.testing.assert_array_equal(a, b)
    y, last = layer(x, states, lengths=np.zeros(20, np.int64))
    assert not y.any()
    for a, b in zip(states, opened(last)):
        np.testing.assert_array_equal(a, b)
    for rows in (1, 5):
        some = np.arange(20) % 5
        many, one = layer(x, lengths=some)[0], layer(x[:rows], lengths=some[:rows])[0]
        np.testing.assert_array_equal(many[:rows], one)
    with pytest.raises(ValueError, match=rf"{kind}: lengths must be whole numbers from 0 to 4, lengths\[0\] is 5"):
        layer(x, lengths=np.full(20, 5))


def classifier(kind, **options):
    width = 16 * (2 if options.get("bidirectional") else 1)
    return nn.Sequential(getattr(nn, kind)(4, 16, batch_first=True, return_sequences=False, **options), nn.Linear(width, 3))


def sequences(n, seed=0):
    """Rows of three kinds, each with a drift of its own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    drift = np.array([[1, 0, 0, 0], [0, 1, 0, -1], [0, 0, -1, 0]])[labels]
    return (rng.standard_normal((n, 9, 4)) + drift[:, None]).astype(np.float32), labels


@pytest.mark.parametrize("kind, options", [("LSTM", {}), ("GRU", {}), ("RNN", {}),
                                           ("LSTM", dict(num_layers=2, bidirectional=True))])
def test_twenty_steps_like_torch(kind, options):
    torch = pytest.importorskip("torch")
    model = classifier(kind, **options)
    cell, linear = getattr(torch.nn, kind)(4, 16, batch_first=True, **options), torch.nn.Linear(model[1].in_features, 3)
    cell.load_state_dict({k: torch.tensor(v) for k, v in model[0].state_dict().items()})
    linear.load_state_dict({k: torch.tensor(v) for k, v in model[1].state_dict().items()})
    optimizer = torch.optim.SGD([*cell.parameters(), *linear.parameters()], lr=0.1, momentum=0.9)
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.1, momentum=0.9))
    for step in range(20):
        x, labels = sequences(32, step)
        h = cell(torch.tensor(x))[1]
        h = h[0] if kind == "LSTM" else h
        y = linear(torch.cat(list(h[-2:] if options else h[-1:]), 1))
        loss = torch.nn.functional.cross_entropy(y, torch.tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert model.train_on_batch(x, labels) == pytest.approx(loss.item(), rel=2e-4, abs=2e-5)
    for name, value in cell.state_dict().items():
        np.testing.assert_allclose(model[0].state_dict()[name], value.numpy(), rtol=1e-3, atol=1e-4)


# ---- native: the reference's values, and the same bits

needs_native = pytest.mark.skipif(native is None, reason="FASTNN_BACKEND=reference: there are no native kernels to test")


@needs_native
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("features, hidden", [(28, 37), (270, 16), (3, 70), (5, 260)])
def test_native_like_reference(kind, features, hidden, target):
    layer, n = getattr(nn, kind)(features, hidden, batch_first=True, bidirectional=True), 19
    x = normal(n, 5, features, dtype=np.float32)

    def results():
        output, state = layer(x, training=True)
        layer.zero_grad()
        dx = layer.backward(np.cos(output), output)[0]
        return [output, *opened(state), dx, *(p.grad.copy() for p in layer.parameters())]
    found = results()
    layer.double()
    for a, b in zip(found, results()):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=3e-6 * max(1.0, abs(b).max()))


@needs_native
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_same_bits(kind, threads):
    """Rows alone and in batches, threads and targets; of training steps too."""
    x, labels = sequences(64)
    start, before = classifier(kind, bidirectional=True).state_dict(), native.get_target()
    seen = {}
    for target in native.targets():
        native.set_target(target)
        for count in (1, 2):
            threads(count)
            model = classifier(kind, bidirectional=True)
            model.load_state_dict(start)
            y = model.predict(x)
            for rows in (1, 5, 17):
                np.testing.assert_array_equal(model.predict_on_batch(x[:rows]), y[:rows])
            model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.1, momentum=0.9))
            losses = [model.train_on_batch(x, labels) for _ in range(3)]
            key = target if target == "sse2" else "with FMA"
            results = [y, np.array(losses), *model.state_dict().values()]
            for a, b in zip(seen.setdefault(key, results), results):
                np.testing.assert_array_equal(a, b, err_msg=f"{target}, {count} threads")
    native.set_target(before)


def test_nan_stays_in_its_row():
    layer, x = nn.LSTM(3, 5, batch_first=True), normal(20, 4, 3, dtype=np.float32)
    expected = layer(x)[0].copy()
    x[7, 2, 1] = np.nan
    found = layer(x)[0]
    assert np.isnan(found[7, 2:]).all() and not np.isnan(found[7, :2]).any()
    np.testing.assert_array_equal(np.delete(found, 7, 0), np.delete(expected, 7, 0))
    x[7, 2, 1] = 3e38                               # saturated gates, no overflow
    assert np.isfinite(layer(x)[0]).all()


# ---- arguments, Sequential, models

def test_bad_arguments():
    for make, message in ((lambda: nn.LSTM(0, 3), "LSTM: input_size must be an integer >= 1, got 0"),
                          (lambda: nn.GRU(3, 3, num_layers=0), "GRU: num_layers"),
                          (lambda: nn.GRU(3, 3, dropout=2), "GRU: dropout must be"),
                          (lambda: nn.RNN(3, 3, nonlinearity="sine"), "RNN: nonlinearity must be 'tanh' or 'relu'")):
        with pytest.raises(ValueError, match=message):
            make()
    layer, x = nn.LSTM(3, 5, batch_first=True), normal(2, 4, 3)
    for call, message in ((lambda: layer(x[0]), "LSTM: expected a 3-D input, got 2-D"),
                          (lambda: layer(x[..., :2]), "LSTM: expected input_size=3 features, got 2"),
                          (lambda: layer(x, normal(1, 2, 5)), "LSTM: expected h0 and c0 as the initial state, got 1 of them"),
                          (lambda: layer(x, (normal(1, 3, 5),) * 2), r"LSTM: expected h0 of shape .* = \(1, 2, 5\), got")):
        with pytest.raises(ValueError, match=message):
            call()


def test_initialisation():
    layer = nn.GRU(40, 100)
    for p in layer.parameters():
        assert abs(p.data).max() <= 0.1 and abs(p.data).max() > 0.09
    assert repr(nn.LSTM(3, 5, 2, batch_first=True)) == "LSTM(3, 5, num_layers=2, batch_first=True)"


def test_in_sequential():
    x = normal(6, 4, 3, dtype=np.float32)
    layer = nn.LSTM(3, 5, 2, batch_first=True, bidirectional=True)
    output, (h, _) = layer(x)
    np.testing.assert_array_equal(nn.Sequential(layer)(x), output)
    layer.return_sequences = False
    model = nn.Sequential(layer)
    np.testing.assert_array_equal(model(x), np.concatenate([h[2], h[3]], 1))
    assert model.activations(x)["0"].shape == (6, 10)
    time_first = nn.LSTM(3, 5)
    np.testing.assert_array_equal(nn.Sequential(time_first)(x), time_first(x)[0])


def test_batch_first_is_needed_for_fit():
    model = nn.Sequential(nn.LSTM(4, 5, return_sequences=False), nn.Linear(5, 3))
    model.compile(loss="cross_entropy", optimizer="sgd")
    with pytest.raises(ValueError, match="LSTM: batch_first=False, and fit cuts rows along axis 0, which here is time"):
        model.fit(*sequences(12), verbose=0)
    with pytest.raises(ValueError, match="LSTM: batch_first=False, and predict cuts rows"):
        nn.LSTM(4, 5).predict(sequences(3)[0])


def test_dropout_between_layers():
    nn.manual_seed(1)
    layer, x = nn.RNN(3, 8, 2, batch_first=True, dropout=0.5), normal(6, 4, 3, dtype=np.float32)
    quiet = layer(x)[0]
    np.testing.assert_array_equal(quiet, layer(x)[0])
    assert not np.array_equal(layer(x, training=True)[0], quiet)
    one = nn.RNN(3, 8, batch_first=True, dropout=0.5)
    np.testing.assert_array_equal(one(x, training=True)[0], one(x)[0])


class Tagger(nn.Module):
    """Time first inside, a state of its own, several layers of several kinds."""

    def __init__(self):
        super().__init__()
        self.lstm, self.gru, self.linear = nn.LSTM(4, 6), nn.GRU(6, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        output, (h, c) = self.lstm(x.transpose(0, 1))
        again, _ = self.lstm(x.transpose(0, 1), (h, c))
        output, h = self.gru((output + again).transpose(0, 1))
        return self.linear(output[:, -1] + h[0])


def test_inside_a_module(tmp_path):
    model = Tagger()
    x, labels = sequences(21)
    output, state = model.lstm(x.swapaxes(0, 1))
    again, _ = model.lstm(x.swapaxes(0, 1), state)
    output, h = model.gru((output + again).swapaxes(0, 1))
    expected = model.linear(output[:, -1] + h[0])
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.1))
    before = model.evaluate(x, labels, verbose=0)
    model.fit(x, labels, batch_size=8, epochs=3, verbose=0)
    assert np.ravel(model.evaluate(x, labels, verbose=0))[0] < np.ravel(before)[0]
    model.save(tmp_path / "tagger.safetensors")
    np.testing.assert_array_equal(nn.load(tmp_path / "tagger.safetensors").predict(x), model.predict(x))


def test_as_a_node():
    x = nn.Input(9, 4)
    output, (h, c) = nn.LSTM(4, 6, batch_first=True)(x)
    again, _ = nn.LSTM(6, 6, batch_first=True)(output, (h, c))
    model = nn.Model(x, again[:, -1])
    rows = sequences(5)[0]
    assert model(rows).shape == (5, 6)
    np.testing.assert_array_equal(model(rows)[:1], model(rows[:1]))


def test_learns():
    nn.manual_seed(0)
    model = classifier("LSTM")
    x, labels = sequences(300)
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=0.02), metrics=["accuracy"])
    model.fit(x, labels, batch_size=32, epochs=6, verbose=0)
    assert model.evaluate(*sequences(100, seed=9), verbose=0)[1] > 0.9
