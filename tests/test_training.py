"""compile, fit, evaluate, train_on_batch: figures, weights, losses and metrics of every kind, several outputs, and what must
not depend on how a step is asked for."""
import io

import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F
from fastnn.progress import Progress, duration

RNG = np.random.default_rng(0)
CENTRES = 2 * RNG.standard_normal((3, 5))
LABELS = RNG.integers(0, 3, 90)
X = (CENTRES[LABELS] + RNG.standard_normal((90, 5))).astype(np.float32)
TARGETS = (X @ RNG.standard_normal((5, 2))).astype(np.float32)


def classifier(*last):
    nn.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3), *last)


def compiled(loss="cross_entropy", metrics=None, optimizer=None, model=None, **more):
    model = model or classifier()
    model.compile(loss=loss, optimizer=optimizer or nn.SGD(lr=0.1), metrics=metrics, **more)
    return model


def rows_loss(model, x=X, labels=LABELS):
    return F.cross_entropy(model.predict(x), labels, reduction="none")


def weights(model):
    return [p.data.copy() for p in model.parameters()]


def assert_equal(a, b):
    for p, q in zip(a, b):
        np.testing.assert_array_equal(p, q)


def test_fit_learns_and_keeps_history():
    model = compiled(metrics=["accuracy"])
    history = model.fit(X, LABELS, batch_size=16, epochs=8, validation_split=0.2, verbose=0)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"] and history.epoch == list(range(8))
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0] and history.history["accuracy"][-1] > 0.8
    assert model.history is history and all(type(v) is float for v in history.history["loss"])
    loss, accuracy = model.evaluate(X, LABELS, batch_size=7)
    assert loss == pytest.approx(rows_loss(model).mean(), rel=1e-5)
    assert accuracy == pytest.approx((model.predict(X).argmax(1) == LABELS).mean())
    assert model.evaluate(X, LABELS, return_dict=True) == pytest.approx({"loss": loss, "accuracy": accuracy}, rel=1e-5)


def test_a_ragged_batch_counts_by_its_rows():
    model = compiled(optimizer=nn.SGD(lr=0.0), metrics=["accuracy"])
    history = model.fit(X, LABELS, batch_size=32, epochs=1, verbose=0).history
    assert history["loss"][0] == pytest.approx(rows_loss(model).mean(), rel=1e-5)
    assert history["accuracy"][0] == pytest.approx((model.predict(X).argmax(1) == LABELS).mean())


def test_one_step_however_it_is_asked_for():
    by_fit = compiled(optimizer=nn.SGD(lr=0.1, momentum=0.9))
    for epoch in range(3):
        by_fit.fit(X, LABELS, batch_size=90, epochs=1, shuffle=False, verbose=0)
    by_batch = compiled(optimizer=nn.SGD(lr=0.1, momentum=0.9))
    losses = [by_batch.train_on_batch(X, LABELS) for _ in range(3)]
    assert_equal(weights(by_fit), weights(by_batch))
    by_hand = classifier().train()
    optimizer = nn.SGD(by_hand.parameters(), lr=0.1, momentum=0.9)
    for step in range(3):
        loss = nn.CrossEntropyLoss()(by_hand(X), LABELS)
        assert loss == pytest.approx(losses[step], rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for a, b in zip(weights(by_hand), weights(by_batch)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert type(losses[0]) is float


def test_train_on_batch_gives_the_loss_before_the_update():
    model = compiled(metrics=["accuracy"])
    before = rows_loss(model).mean()
    assert model.test_on_batch(X, LABELS) == pytest.approx(before, rel=1e-5)
    assert model.train_on_batch(X, LABELS) == pytest.approx(before, rel=1e-5)
    assert model.test_on_batch(X, LABELS) < before


def test_weights_divide_by_the_count_of_rows():
    model, weight = compiled(optimizer=nn.SGD(lr=0.0)), RNG.random(90).astype(np.float32)
    wanted = (rows_loss(model) * weight).mean()
    assert model.train_on_batch(X, LABELS, sample_weight=weight) == pytest.approx(wanted, rel=1e-5)
    assert model.evaluate(X, LABELS, batch_size=31, sample_weight=weight)[0] == pytest.approx(wanted, rel=1e-5)
    assert model.fit(X, LABELS, sample_weight=weight, verbose=0).history["loss"][0] == pytest.approx(wanted, rel=1e-5)
    by_class = (rows_loss(model) * np.array([1, 5, 0.5])[LABELS]).mean()
    for y in (LABELS, LABELS[:, None], np.eye(3)[LABELS]):
        assert model.train_on_batch(X, y, class_weight={1: 5, 2: 0.5}) == pytest.approx(by_class, rel=1e-5)
    both = (rows_loss(model) * np.array([1, 5, 0.5])[LABELS] * weight).mean()
    assert model.train_on_batch(X, LABELS, weight, [1, 5, 0.5]) == pytest.approx(both, rel=1e-5)


def test_a_weight_of_zero_is_a_row_left_out():
    weight = (LABELS != 2).astype(np.float32)
    a, b = compiled(), compiled()
    a.train_on_batch(X, LABELS, sample_weight=weight)
    b.train_on_batch(X[LABELS != 2], LABELS[LABELS != 2])
    share = weight.mean()
    for p, q, start in zip(weights(a), weights(b), weights(classifier())):
        np.testing.assert_allclose(p - start, (q - start) * share, rtol=1e-3, atol=1e-6)


LOSSES = ["cross_entropy", "sparse_categorical_crossentropy", nn.CrossEntropyLoss(), nn.CrossEntropyLoss, nn.cross_entropy,
          F.cross_entropy, lambda y_pred, y_true: F.cross_entropy(y_pred, y_true),
          lambda y_true, y_pred: F.cross_entropy(y_pred, y_true, reduction="none"),
          lambda output, target: F.cross_entropy(output, target)]


@pytest.mark.parametrize("loss", LOSSES, ids=range(len(LOSSES)))
def test_losses_of_every_kind(loss):
    model, plain = compiled(loss), compiled()
    assert model.train_on_batch(X, LABELS) == pytest.approx(plain.train_on_batch(X, LABELS), rel=1e-5)
    for p, q in zip(weights(model), weights(plain)):
        np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("y", [LABELS.astype(np.uint8), LABELS.astype(np.int32)[:, None], np.eye(3)[LABELS],
                               np.eye(3, dtype=int)[LABELS], LABELS.tolist()],
                         ids=["uint8", "column", "one-hot", "integer one-hot", "list"])
def test_labels_of_every_kind(y):
    model, plain = compiled("categorical_crossentropy", ["accuracy"]), compiled(metrics=["accuracy"])
    assert model.evaluate(X, y) == pytest.approx(plain.evaluate(X, LABELS), rel=1e-5)
    assert model.train_on_batch(X, y) == pytest.approx(plain.train_on_batch(X, LABELS), rel=1e-5)


def test_formulas_and_values():
    wanted = ((nn.manual_seed(1), nn.Linear(5, 2))[1].predict(X) - TARGETS) ** 2
    for loss in ("mse", "mean_squared_error", nn.MSELoss(), nn.mse, lambda y_pred, y_true: ((y_pred - y_true) ** 2).mean(),
                 lambda y_true, y_pred: ((y_pred - y_true) ** 2).mean(1)):
        nn.manual_seed(1)
        model = compiled(loss, ["mse", "mae", lambda y_true, y_pred: (y_pred - y_true).abs().max(1)], model=nn.Linear(5, 2))
        figures = model.evaluate(X, TARGETS, return_dict=True)
        assert figures["loss"] == pytest.approx(wanted.mean(), rel=1e-5) == pytest.approx(figures["mse"], rel=1e-5)
        assert figures["mae"] == pytest.approx(np.sqrt(wanted).mean(), rel=1e-5)
        assert figures["metric"] == pytest.approx(np.sqrt(wanted).max(1).mean(), rel=1e-5)
        history = model.fit(X, TARGETS, batch_size=16, epochs=10, verbose=0).history
        assert history["loss"][-1] < 0.1 * history["loss"][0]


def test_a_softmax_at_the_end_is_not_softmaxed_twice():
    model, plain = compiled(model=classifier(nn.Softmax(1)), metrics=["accuracy"]), compiled(metrics=["accuracy"])
    assert model.evaluate(X, LABELS) == pytest.approx(plain.evaluate(X, LABELS), rel=1e-5)
    model.train_on_batch(X, LABELS), plain.train_on_batch(X, LABELS)
    for p, q in zip(weights(model), weights(plain)):
        np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6)
    nll = compiled("nll", model=classifier(nn.LogSoftmax(1)))
    assert nll.test_on_batch(X, LABELS) == pytest.approx(rows_loss(classifier()).mean(), rel=1e-5)


def test_binary_accuracy():
    y = (LABELS == 0).astype(np.float32)
    for last, threshold in (([nn.Sigmoid()], 0.5), ([], 0.0)):
        nn.manual_seed(2)
        model = compiled("mse", ["accuracy"], model=nn.Sequential(nn.Linear(5, 1), *last))
        wanted = ((model.predict(X)[:, 0] > threshold) == (y > 0.5)).mean()
        for target in (y, y[:, None], y.astype(np.int64)):
            assert model.evaluate(X, target)[1] == pytest.approx(wanted)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.kind, self.value = nn.Linear(5, 8), nn.Linear(8, 3), nn.Linear(8, 2)

    def forward(self, x):
        x = F.tanh(self.body(x))
        return {"kind": self.kind(x), "value": self.value(x)}


def test_several_outputs():
    def make(loss, **more):
        nn.manual_seed(4)
        return compiled(loss, model=Two(), **more)
    model = make({"kind": "cross_entropy", "value": "mse"}, loss_weights={"value": 0.5},
                 metrics={"kind": "accuracy", "value": ["mae"]})
    y = model.predict(X)
    wanted = F.cross_entropy(y["kind"], LABELS) + 0.5 * F.mse_loss(y["value"], TARGETS)
    targets = {"kind": LABELS, "value": TARGETS}
    assert model.train_on_batch(X, targets) == pytest.approx(float(wanted), rel=1e-5)
    assert list(model.evaluate(X, targets, return_dict=True)) == ["loss", "kind_accuracy", "value_mae"]
    one = make(lambda y_pred, y_true: F.cross_entropy(y_pred["kind"], y_true["kind"])
               + 0.5 * F.mse_loss(y_pred["value"], y_true["value"]))
    assert one.train_on_batch(X, targets) == pytest.approx(float(wanted), rel=1e-5)
    history = model.fit(X, targets, batch_size=32, epochs=3, validation_split=0.1, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    with pytest.raises(ValueError, match="loss_weights names 'other'"):
        make({"kind": "cross_entropy"}, loss_weights={"other": 1})


def test_the_same_seed_the_same_bytes():
    def run(shuffle):
        model = compiled(model=classifier(nn.Dropout(0.2)))
        nn.manual_seed(9)
        model.fit(X, LABELS, batch_size=20, epochs=2, verbose=0, shuffle=shuffle)
        return weights(model)
    assert_equal(run(True), run(True))
    assert not np.array_equal(run(True)[0], run(False)[0])


def test_epochs_steps_and_empty_callbacks():
    model = compiled()
    assert model.fit(X, LABELS, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]
    seen = []
    model.fit(X, LABELS, batch_size=10, steps_per_epoch=4, verbose=0,
              callbacks=nn.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch)))
    assert seen == [0, 1, 2, 3]


def test_validation_is_the_last_rows_and_unweighted_by_class():
    model = compiled(optimizer=nn.SGD(lr=0.0))
    history = model.fit(X, LABELS, validation_split=0.2, class_weight={0: 9.0}, verbose=0).history
    assert history["val_loss"][0] == pytest.approx(rows_loss(model)[72:].mean(), rel=1e-5)
    weight = np.linspace(0, 1, 10)
    history = model.fit(X, LABELS, validation_data=(X[:10], LABELS[:10], weight), verbose=0).history
    assert history["val_loss"][0] == pytest.approx((rows_loss(model)[:10] * weight).mean(), rel=1e-5)


def test_arrays_of_every_kind_and_unwritten():
    plain = compiled()
    wanted = plain.fit(X, LABELS, batch_size=16, shuffle=False, verbose=0).history["loss"]
    big = np.repeat(X, 2, 0)
    for x in (X.astype(np.float64), np.asfortranarray(X), big[::2], big[::-2][::-1], X.tolist()):
        frozen = np.asarray(x)
        frozen = frozen.copy() if isinstance(x, list) else frozen
        frozen.flags.writeable = False
        assert compiled().fit(frozen, LABELS, batch_size=16, shuffle=False,
                              verbose=0).history["loss"] == pytest.approx(wanted, rel=1e-6)
    for dtype in (np.float16, np.complex64):
        with pytest.raises(TypeError, match=np.dtype(dtype).name):
            plain.fit(X.astype(dtype), LABELS)


def test_scale_is_remembered_for_bytes():
    pixels = RNG.integers(0, 256, (30, 5)).astype(np.uint8)
    labels = LABELS[:30]
    model, plain = compiled(), compiled()
    a = model.fit(pixels, labels, scale=1 / 255, shuffle=False, verbose=0).history["loss"]
    b = plain.fit(pixels.astype(np.float32) / 255, labels, shuffle=False, verbose=0).history["loss"]
    assert a == pytest.approx(b, rel=1e-5)
    np.testing.assert_allclose(model.predict(pixels), plain.predict(pixels.astype(np.float32) / 255), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.predict(X), plain.predict(X), rtol=1e-4, atol=1e-5)


def test_a_learning_rate_that_changes_compiles_once():
    from fastnn import run
    model, made = compiled(optimizer=nn.Adam(lr=0.1)), []
    plain = run.Executable.__init__

    def counted(self, *args, **kwargs):
        made.append(self)
        plain(self, *args, **kwargs)
    run.Executable.__init__ = counted
    try:
        for i in range(20):
            model.optimizer.lr = 0.1 / (1 + i)
            model.train_on_batch(X[:16 + i % 4], LABELS[:16 + i % 4])
    finally:
        run.Executable.__init__ = plain
    assert len(made) == 1


def test_frozen_parameters_stay():
    model = compiled(optimizer=nn.AdamW(lr=0.1))
    model[0].weight.requires_grad = False
    before = weights(model)
    model.fit(X, LABELS, epochs=2, verbose=0)
    moved = [not np.array_equal(a, b) for a, b in zip(before, weights(model))]
    assert moved == [False, True, True, True]
    assert sorted(model.optimizer.state_dict()["state"]) == [1, 2, 3]


def test_an_error_in_a_step_changes_nothing():
    model = compiled(optimizer=nn.SGD(lr=0.1, momentum=0.9))
    model.train_on_batch(X, LABELS)
    before = weights(model)
    with pytest.raises(IndexError, match="3"):
        model.train_on_batch(X, LABELS + 1)
    assert_equal(before, weights(model))


def test_interrupted_training_leaves_a_model():
    model, whole = compiled(optimizer=nn.Adam()), compiled(optimizer=nn.Adam())

    def interrupt(batch, logs):
        if batch == 2:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, LABELS, batch_size=10, shuffle=False, verbose=0,
                  callbacks=[nn.LambdaCallback(on_train_batch_end=interrupt)])
    whole.fit(X[:30], LABELS[:30], batch_size=10, shuffle=False, verbose=0)
    assert_equal(weights(model), weights(whole))
    model.fit(X, LABELS, verbose=0)


@pytest.mark.parametrize("call, message", [
    (lambda m: m.fit(X, LABELS[:80]), r"fit: x has 90 rows, y has shape \(80,\)"),
    (lambda m: m.fit(X), "fit: y is missing"), (lambda m: m.fit(X[:0], LABELS[:0]), "fit: x has no rows"),
    (lambda m: m.fit(X, LABELS, batch_size=0), "fit: batch_size must be at least 1, got 0"),
    (lambda m: m.fit(X, LABELS, validation_split=1.5), "fit: validation_split"),
    (lambda m: m.fit(X, LABELS, validation_data=X), "fit: validation_data must be"),
    (lambda m: m.fit(X, LABELS, sample_weight=[1, 2]), r"fit: sample_weight has shape \(2,\), expected \(90,\)"),
    (lambda m: m.fit(X, LABELS, verbose=7), "verbose must be"),
    (lambda m: m.compile(loss="hinge?"), "compile: unknown loss 'hinge\\?', expected one of"),
    (lambda m: m.compile(loss="mse", metrics=["speed"]), "compile: unknown metric 'speed'"),
    (lambda m: m.compile(loss="mse", optimizer="fast"), "compile: optimizer must be one of"),
    (lambda m: m.compile(), "compile: loss is missing"),
    (lambda m: (m.compile(loss=lambda y_pred, y_true: F.cross_entropy(y_pred, y_true)),
                m.fit(X, LABELS, sample_weight=np.ones(90))),
     "one value a row"),
])
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call(compiled())


def test_before_compile():
    for call in (lambda m: m.fit(X, LABELS), lambda m: m.evaluate(X, LABELS), lambda m: m.train_on_batch(X, LABELS)):
        with pytest.raises(RuntimeError, match=r"call compile\(loss=..., optimizer=...\) first"):
            call(classifier())
    assert classifier().predict(X).shape == (90, 3)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_and_in_a_file(monkeypatch):
    file, terminal = io.StringIO(), Terminal()
    for stream in (file, terminal):
        monkeypatch.setattr("sys.stdout", stream)
        compiled(metrics=["accuracy"]).fit(X, LABELS, batch_size=1, epochs=2, validation_split=0.1)
    lines = file.getvalue().splitlines()
    assert len(lines) == 2 and lines[0].startswith("epoch 1/2  ") and "val_accuracy " in lines[1]
    assert "\r" not in file.getvalue()
    assert "[" in terminal.getvalue() and terminal.getvalue().count("\n") == 2
    clock, stream = iter(np.arange(0, 100, 0.01)), Terminal()
    monkeypatch.setattr("fastnn.progress.time.perf_counter", lambda: next(clock))
    bar = Progress(1, 1000, stream=stream)
    bar.begin(0)
    for step in range(1000):
        bar.update(step + 1, lambda: {"loss": 1.0})
    assert 90 <= stream.getvalue().count("\r") <= 101               # 10 s of steps, ten redraws a second
    assert [duration(s) for s in (0.5, 42, 185, 7800)] == ["0.5s", "42s", "3m 05s", "2h 10m"]


def test_resumed_training_gives_the_same_bytes(tmp_path):
    def make():
        return compiled(model=classifier(nn.Dropout(0.1), nn.BatchNorm1d(3)), optimizer=nn.Adam(lr=0.01))
    whole, path = make(), str(tmp_path / "state.safetensors")
    whole.fit(X, LABELS, batch_size=20, epochs=2, verbose=0)
    whole.save(path, training_state=True)
    whole.fit(X, LABELS, batch_size=20, epochs=4, initial_epoch=2, verbose=0)
    resumed = make()
    nn.load_training_state(resumed, path)
    resumed.fit(X, LABELS, batch_size=20, epochs=4, initial_epoch=2, verbose=0)
    for name, array in whole.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[name], array)


def test_compiled_anew_many_times():
    """A step belongs to one compile, whatever memory the next one's settings come to lie in."""
    x, y = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    model = nn.Sequential(nn.Linear(3, 2))
    plain = float((model.predict(x) ** 2).mean())
    for factor in range(1, 30):
        model.compile(loss=lambda y_pred, y_true: ((y_pred - y_true) ** 2).mean(1) * float(factor), optimizer=nn.SGD(lr=0.0))
        assert model.train_on_batch(x, y) == pytest.approx(factor * plain, rel=1e-5)
