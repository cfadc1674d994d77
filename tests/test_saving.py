"""Saving and loading: every kind of network, in this process and in a fresh one without its class; resuming; damage."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F
from fastnn import files
from fastnn.parameter import Parameter

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((7, 4)).astype(np.float32)
IMAGES = RNG.standard_normal((7, 1, 8, 8)).astype(np.float32)
ROOT = str(Path(nn.__file__).parents[1])


@nn.op("tests::half")
def half(x):
    return x * np.float32(0.5)


@half.gradient
def _(dy, x, out):
    return dy * np.float32(0.5)


class Subclass(nn.Module):
    """Parameters, buffers and constants in arithmetic, plain lists, control flow on shapes."""

    def __init__(self):
        super().__init__()
        self.conv, self.layers = nn.Conv2d(1, 3, 3, padding=1), [nn.Linear(192, 6), nn.Linear(6, 4)]
        self.scale = nn.Parameter(np.linspace(0.5, 1.5, 4))
        self.register_buffer("shift", np.arange(4.0))

    def forward(self, x):
        x = F.relu(self.conv(x)).view(x.size(0), -1)
        for layer in self.layers:
            x = F.tanh(layer(x))
        return F.where(x > 0.1, x * self.scale, x * np.float32(0.1)) + self.shift


class TwoModes(nn.Module):
    """Python reads the mode."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return self.linear(x) * 2.0 if self.training else self.linear(x)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(4, 3, bias=False)
        self.decode = nn.Linear(3, 4, bias=False)
        self.output = nn.Linear(4, 4, bias=False)
        self.output.weight = self.other = nn.Parameter(np.eye(4))

    def forward(self, x):
        return self.output(self.decode(self.encode(x))) @ self.encode.weight.T @ self.encode.weight @ self.other


class UserOp(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return half(self.linear(x))


class WithScalar(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Scalar(0.25)

    def forward(self, x):
        return x * self.slope


def residual():
    body = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2), nn.ReLU())
    return nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.Residual(body), nn.ReLU(), nn.Dropout(0.3),
                         nn.Concat(nn.AvgPool2d(2), nn.MaxPool2d(2)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4),
                         nn.Softmax(1))


def lstm():
    return nn.Sequential(nn.Reshape(8, 8), nn.LSTM(8, 6, num_layers=2, batch_first=True, dropout=0.2, return_sequences=False),
                         nn.Linear(6, 4))


def functional():
    x = nn.Input(1, 8, 8, name="image")
    y = F.relu(nn.Conv2d(1, 2, 3)(x))
    return nn.Model(x, nn.Linear(72, 4)(y.flatten(1)) + y.mean())


def two_and_two():
    a, b = nn.Input(4, name="left"), nn.Input(4, name="right")
    return nn.Model([a, b], {"sum": nn.Linear(4, 3)(a) + b.sum(1, keepdim=True), "product": a * b})


def channels_last():
    x = nn.Input(8, 8, 1, data_format="channels_last")
    return nn.Model(x, nn.Conv2d(1, 2, 3)(x).flatten(1))


KINDS = {"sequential": (lambda: nn.Sequential(nn.Linear(4, 5), nn.LeakyReLU(0.2), nn.Linear(5, 4)), ROWS),
         "residual": (residual, IMAGES),
         "rescaling": (lambda: nn.Sequential(nn.Rescaling(1 / 255, -0.5), nn.Conv2d(1, 2, 3), nn.Flatten()),
                       RNG.integers(0, 256, (7, 1, 8, 8)).astype(np.uint8)),
         "functional": (functional, IMAGES), "two inputs, two outputs": (two_and_two, [ROWS, ROWS * 2]),
         "channels last": (channels_last, np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1))), "subclass": (Subclass, IMAGES),
         "two modes": (TwoModes, ROWS), "lstm": (lstm, IMAGES), "tied": (Tied, ROWS),
         "user op": (UserOp, ROWS), "scalar": (WithScalar, ROWS)}


def flat(outputs):
    return outputs if isinstance(outputs, dict) else {"output": outputs}


def assert_same(a, b):
    a, b = flat(a), flat(b)
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind, path):
    make, x = KINDS[kind]
    nn.manual_seed(0)
    model = make()
    expected = model.predict(x)
    model.save(path)
    loaded = nn.load(path)
    assert isinstance(loaded, nn.Model)
    assert_same(loaded.predict(x), expected)
    assert_same(loaded(x) if not isinstance(x, list) else loaded(*x), expected)
    names = {n for n, e in model._entries().items() if isinstance(e, Parameter)}
    state = model.state_dict()
    for name, array in loaded.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
        assert array.dtype == state[name].dtype
    assert list(loaded.state_dict()) == [n for n in state if n in files.load_file(path)[0]]
    assert [n for n, _ in loaded.named_parameters()] == [n for n in loaded.state_dict() if n in names]
    again = path.with_name("again.safetensors")
    loaded.save(again)
    assert_same(nn.load(str(again)).predict(x), expected)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("rescaling", "two inputs, two outputs", "scalar")])
def test_a_loaded_model_trains_as_the_first(kind, path):
    make, x = KINDS[kind]
    model = make()
    model.predict(x)
    model.save(path)
    loaded = nn.load(path)
    t, found = RNG.standard_normal(flat(model.predict(x))["output"].shape).astype(np.float32), []
    for m in (model, loaded):
        nn.manual_seed(5)
        m.compile(loss="mse", optimizer=nn.SGD(lr=0.05, momentum=0.9))
        found.append(([m.train_on_batch(x, t) for _ in range(3)], m.predict(x).tobytes(), m(x, training=True).tobytes()))
    assert found[0] == found[1]


def test_scalars_and_names_that_methods_have(path):
    model = WithScalar()
    model.predict(ROWS)
    model.save(path)
    loaded = nn.load(path)
    assert not loaded.state_dict() and loaded.slope.value == 0.25
    loaded.slope.value = 2.0
    assert_same(loaded.predict(ROWS), 2 * ROWS)
    first, second = nn.Scalar(1.0), nn.Scalar(3.0)          # which no module holds

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4, bias=False)
            self.inner.graph = nn.Parameter(np.ones(4))
            self.predictor = nn.Parameter(np.ones(4))
            self.register_buffer("_graphs", np.ones(4))
            self.register_buffer("hidden", np.full(4, 2.0), persistent=False)

        def forward(self, x):
            return self.inner(x) * self.inner.graph + self.predictor * first - self._graphs * second * self.hidden
    model = Odd()
    expected = model.predict(ROWS)
    model.save(path)
    loaded = nn.load(path)
    assert_same(loaded.predict(ROWS), expected)
    assert list(loaded.state_dict()) == list(model.state_dict()) == ["predictor", "_graphs", "inner.weight", "inner.graph"]


def test_layer_names_are_kept(path):
    model = residual()
    model.save(path, input_shape=(1, 8, 8))
    loaded = nn.load(path)
    assert list(loaded.activations(IMAGES)) == list(model.activations(IMAGES))
    assert_same(loaded.activations(IMAGES, ["1.body.1"]), model.activations(IMAGES, ["1.body.1"]))
    text = str(loaded.graph().svg())
    assert "1.body" in text and loaded.input_shapes() == [(1, 8, 8)]


def test_before_any_call_the_shape_is_needed(path):
    model = nn.Sequential(nn.Linear(4, 2))
    with pytest.raises(ValueError, match="input_shape"):
        model.save(path)
    model.save(path, input_shape=(4,))
    assert_same(nn.load(path).predict(ROWS), model.predict(ROWS))


SCRIPT = """
import sys
import numpy as np
import fastnn as nn
assert "pytest" not in sys.modules
model = nn.load(sys.argv[1])
x = np.load(sys.argv[2])
if nn.backend.native:
    from fastnn import plan
    before = plan.compiled
    counts = []
    for rows in (64, 1, 5, 1000):
        model.predict(np.resize(x, (rows, *x.shape[1:])), batch_size=1000)
        counts.append(plan.compiled - before)
    assert counts[-1] <= 2 and counts[1:] == [counts[1]] * 3, counts        # one for batches, one for few rows
y = model.predict(x)
np.save(sys.argv[3], y)
model.compile(loss="mse", optimizer="sgd")
print(model.train_on_batch(x, np.zeros_like(y)))
"""


def fresh(*arguments, cwd):
    """stdout of SCRIPT in a process of its own that knows no class of ours."""
    environment = {**os.environ, "PYTHONPATH": ROOT}
    done = subprocess.run([sys.executable, "-P", "-c", SCRIPT, *map(str, arguments)], cwd=cwd, capture_output=True, text=True,
                          timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_subclass_loads_without_its_class_in_a_fresh_process(path):
    model = Subclass()
    expected = model.predict(IMAGES)
    model.save(path)
    np.save(path.with_name("x.npy"), IMAGES)
    loss = fresh(path, path.with_name("x.npy"), path.with_name("y.npy"), cwd=path.parent)
    np.testing.assert_array_equal(np.load(path.with_name("y.npy")), expected)
    model.compile(loss="mse", optimizer="sgd")
    assert float(loss) == model.train_on_batch(IMAGES, np.zeros_like(expected))


@pytest.mark.skipif(nn.backend.native is None, reason="the extension is not built: there are no plans to count")
def test_a_loaded_model_compiles_no_more(path):
    from fastnn import plan
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 6))
    x = RNG.standard_normal((1000, 1, 8, 8)).astype(np.float32)
    expected = model.predict(x[:64])
    model.predict(x[:1])
    model.save(path)
    before = plan.compiled
    loaded = nn.load(path)
    for rows in (1, 5, 1000):
        assert_same(loaded.predict(x[:rows], batch_size=1000)[:64], expected[:rows])
    assert plan.compiled == before


def test_an_unknown_user_op_is_named(path):
    name = "tests::passing"

    @nn.op(name)
    def passing(x):
        return x

    class Uses(nn.Module):
        def forward(self, x):
            return passing(x)
    model = Uses()
    model.predict(ROWS)
    model.save(path)
    from fastnn import graph
    del graph.OPS[name]
    with pytest.raises(ValueError, match="tests::passing.*not registered"):
        nn.load(path)


def test_activations_with_arguments(path):
    model = nn.Sequential(nn.Linear(4, 8), nn.ELU(0.7), nn.LeakyReLU(0.3), nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Softplus(3.0))
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    before = model.predict(x)
    model.save(path)
    np.testing.assert_array_equal(nn.load(path).predict(x), before)


def test_tied_weights_are_saved_once(path):
    model = Tied()
    model.predict(ROWS)
    model.save(path)
    assert set(model.state_dict()) == {"encode.weight", "decode.weight", "output.weight", "other"}
    tensors, _ = files.load_file(path)
    assert len(tensors) == 3 and len(set(tensors) & {"output.weight", "other"}) == 1
    loaded = nn.load(path)
    loaded.compile(loss="mse", optimizer=nn.SGD(lr=0.1))
    loaded.train_on_batch(ROWS, ROWS)
    fresh_model = Tied()
    fresh_model.load_state_dict(tensors)
    assert_same(fresh_model.predict(ROWS), model.predict(ROWS))
    fresh_model.load_state_dict(loaded.state_dict())
    assert fresh_model.output.weight is fresh_model.other
    assert_same(fresh_model.predict(ROWS), loaded.predict(ROWS))


def test_state_dicts():
    model = residual()
    state = model.state_dict()
    assert list(state)[:4] == ["0.weight", "0.bias", "1.body.0.weight", "1.body.1.weight"]
    assert state["1.body.1.num_batches_tracked"].dtype == np.int64 and state["1.body.1.num_batches_tracked"].shape == ()
    state["0.weight"][...] = 0                                      # copies
    assert model.state_dict()["0.weight"].any()
    bad = {**model.state_dict(), "0.weight": np.zeros((1, 2)), "7.bias": np.zeros(9), "more": np.zeros(1)}
    del bad["0.bias"]
    before = model.state_dict()
    with pytest.raises(KeyError, match=r"missing \['0.bias'\], unexpected \['more'\]"):
        model.load_state_dict(bad)
    with pytest.raises(ValueError, match=r"0.weight: \(1, 2\) given, expected \(2, 1, 3, 3\); 7.bias"):
        model.load_state_dict(bad, strict=False)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    missing, unexpected = model.load_state_dict({"0.bias": [1.0, 2.0], "more": [1]}, strict=False)
    assert "0.weight" in missing and unexpected == ["more"]
    assert model.state_dict()["0.bias"].tolist() == [1, 2]


# ---- resuming

def dropout_net():
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, 3))


OPTIMIZERS = {"sgd": lambda: nn.SGD(lr=0.05), "momentum": lambda: nn.SGD(lr=0.05, momentum=0.9, dampening=0.1),
              "adam": lambda: nn.Adam(lr=0.01), "adamw": lambda: nn.AdamW(lr=0.01)}


@pytest.mark.parametrize("from_file", [False, True], ids=["own class", "nn.load"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumed_training_gives_the_same_bytes(name, from_file, path):
    x, t = RNG.standard_normal((50, 4)).astype(np.float32), RNG.integers(0, 3, 50)

    def compiled(model):
        model.compile(loss="cross_entropy", optimizer=OPTIMIZERS[name]())
        return model
    nn.manual_seed(7)
    whole = compiled(dropout_net())
    history = whole.fit(x, t, batch_size=16, epochs=4, verbose=0).history["loss"]

    nn.manual_seed(7)
    first = compiled(dropout_net())
    begun = first.fit(x, t, batch_size=16, epochs=2, verbose=0).history["loss"]
    first.save(path, training_state=True)
    nn.manual_seed(99)                              # the file knows better
    resumed = compiled(nn.load(path) if from_file else dropout_net())
    epoch = nn.load_training_state(resumed, path)
    assert epoch == 2
    rest = resumed.fit(x, t, batch_size=16, epochs=4, initial_epoch=epoch, verbose=0).history["loss"]
    assert begun + rest == history
    for (n, a), b in zip(whole.state_dict().items(), resumed.state_dict().values()):
        np.testing.assert_array_equal(a, b, err_msg=n)


def test_training_state_needs_an_optimizer_and_a_file_with_it(path):
    model = dropout_net()
    with pytest.raises(ValueError, match="call compile first"):
        model.save(path, input_shape=(4,), training_state=True)
    model.save(path, input_shape=(4,))
    model.compile(loss="cross_entropy", optimizer="adam")
    with pytest.raises(ValueError, match="without training_state"):
        nn.load_training_state(model, path)
    model.train_on_batch(ROWS, RNG.integers(0, 3, 7))
    model.save(path, training_state=True)
    assert set(nn.load(path).state_dict()) == set(model.state_dict())


def test_fits_scale_is_remembered(path):
    x, t = RNG.integers(0, 256, (40, 1, 8, 8)).astype(np.uint8), RNG.integers(0, 3, 40)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.01))
    model.fit(x, t, batch_size=16, epochs=1, scale=1 / 255, verbose=0)
    expected = model.predict(x)
    np.testing.assert_allclose(expected, model.predict(x.astype(np.float32) * np.float32(1 / 255)), rtol=1e-5, atol=1e-6)
    model.save(path)
    loaded = nn.load(path)
    assert_same(loaded.predict(x), expected)
    np.testing.assert_allclose(loaded.predict(x[:1]), expected[:1], rtol=1e-5, atol=1e-6)


def test_frozen_parameters_stay_frozen(path):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model[0].requires_grad_(False)
    model.save(path, input_shape=(4,))
    assert {n for n, p in nn.load(path).named_parameters() if p.requires_grad} == {"1.weight", "1.bias"}


# ---- damage

@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    model = dropout_net()
    model.compile(loss="cross_entropy", optimizer="adam")
    model.train_on_batch(ROWS, RNG.integers(0, 3, 7))
    model.save(path, training_state=True)
    return path.read_bytes()


def split(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8:8 + length]), data[8 + length:]


def joined(header, tensors):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + tensors


def test_files_that_are_cut_short(saved, path):
    for length in [*range(0, 40), *np.random.default_rng(0).integers(40, len(saved), 60)]:
        path.write_bytes(saved[:length])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            nn.load(path)


def test_flipped_bytes_in_the_header(saved, path):
    """Whatever it makes of the text, the answer is a ValueError or a model: never another error."""
    rng, length = np.random.default_rng(1), int.from_bytes(saved[:8], "little")
    refused = 0
    for _ in range(300):
        data = bytearray(saved)
        for at in rng.integers(0, 8 + length, rng.integers(1, 4)):
            data[at] = rng.integers(0, 256) if rng.random() < 0.5 else data[at] ^ (1 << rng.integers(0, 8))
        path.write_bytes(data)
        try:
            nn.load(path)
        except ValueError:
            refused += 1
    assert refused > 200


def test_damaged_metadata(saved, path):
    header, tensors = split(saved)
    metadata = header["__metadata__"]
    for key in ("fastnn.graph.eval", "fastnn.names"):
        for value in (None, "", "{}", "[]", "null", "{\"state\": 3}", "x" * 1000):
            changed = {**metadata, key: value}
            if value is None:
                del changed[key]
            path.write_bytes(joined({**header, "__metadata__": changed}, tensors))
            with pytest.raises(ValueError):
                nn.load(path)
    model = dropout_net()
    model.compile(loss="cross_entropy", optimizer="adam")
    for key in ("fastnn.optimizer", "fastnn.random", "fastnn.epoch"):
        for value in ("", "{}", "null", "[1]"):
            path.write_bytes(joined({**header, "__metadata__": {**metadata, key: value}}, tensors))
            before = model.state_dict()
            with pytest.raises(ValueError):
                nn.load_training_state(model, path)
            for name, array in model.state_dict().items():
                np.testing.assert_array_equal(array, before[name])


def test_format_version_and_foreign_files(saved, path):
    header, tensors = split(saved)
    header["__metadata__"]["fastnn.format"] = "7"
    path.write_bytes(joined(header, tensors))
    with pytest.raises(ValueError, match="format '7', this fastnn reads '1'"):
        nn.load(path)
    files.save_file({"weight": np.ones(3, np.float32)}, path)
    with pytest.raises(ValueError, match="holds tensors but no fastnn model"):
        nn.load(path)
    with pytest.raises(FileNotFoundError):
        nn.load(path.with_name("nothing"))


def test_no_pickle_anywhere(saved):
    assert b"pickle" not in saved and not saved.startswith(b"\x80")
    for source in Path(nn.__file__).parent.rglob("*.py"):
        assert not re.search(r"^\s*(import|from) (pickle|marshal|shelve)", source.read_text(), re.M), source


def test_the_file_is_plain_safetensors(saved):
    header, tensors = split(saved)
    assert header["0.weight"]["dtype"] == "F32" and header["0.weight"]["shape"] == [16, 4]
    assert header["1.num_batches_tracked"]["dtype"] == "I64" and header["1.num_batches_tracked"]["shape"] == []
    assert max(e["data_offsets"][1] for n, e in header.items() if n != "__metadata__") == len(tensors)
