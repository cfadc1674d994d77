"""Callbacks: when each hook is called, and what the ready-made ones do to a training."""
import csv

import numpy as np
import pytest

import fastnn as nn
from fastnn.callbacks import HOOKS

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3)).astype(np.float32)
Y = (X @ RNG.standard_normal((3, 1))).astype(np.float32)


def model(lr=0.1):
    nn.manual_seed(0)
    net = nn.Linear(3, 1)
    net.compile(loss="mse", optimizer=nn.SGD(lr=lr))
    return net


class Figures(nn.Callback):
    """Puts made-up figures into the logs."""

    def __init__(self, **series):
        self.series = series

    def on_epoch_end(self, epoch, logs=None):
        logs.update({name: values[epoch] for name, values in self.series.items()})


class Recorder(nn.Callback):
    def __init__(self):
        self.calls = []


for _name in HOOKS:
    setattr(Recorder, _name, lambda self, *args, _name=_name: self.calls.append((_name, args[0] if len(args) > 1 else None)))


def test_the_order_of_calls():
    recorder, net = Recorder(), model()
    net.fit(X, Y, batch_size=20, epochs=2, validation_data=(X, Y), callbacks=[recorder], verbose=0)

    def epoch(i):
        return [("on_epoch_begin", i), ("on_train_batch_begin", 0), ("on_train_batch_end", 0), ("on_train_batch_begin", 1),
                ("on_train_batch_end", 1), ("on_test_begin", None), ("on_test_end", None), ("on_epoch_end", i)]
    assert recorder.calls == [("on_train_begin", None), *epoch(0), *epoch(1), ("on_train_end", None)]
    assert recorder.model is net and recorder.params == {"epochs": 2, "steps": 2, "batch_size": 20, "verbose": 0}


def test_logs():
    seen = {}
    model().fit(X, Y, batch_size=20, validation_split=0.25, verbose=0, callbacks=[nn.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.update(batch=logs),
        on_epoch_end=lambda epoch, logs: seen.update(epoch=logs),
        on_test_end=lambda logs: seen.update(test=logs))])
    assert list(seen["batch"]) == ["loss"] == list(seen["test"]) and list(seen["epoch"]) == ["loss", "val_loss"]
    assert seen["batch"]["loss"] == seen["epoch"]["loss"]
    with pytest.raises(ValueError, match="unknown hook 'on_epoch'"):
        nn.LambdaCallback(on_epoch=print)
    with pytest.raises(TypeError, match="callbacks must be Callbacks"):
        model().fit(X, Y, callbacks=[print], verbose=0)


def test_stop_training_and_own_figures_in_history():
    class Stop(nn.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["mine"] = epoch * 2.0
            self.model.stop_training = epoch == 1
    history = model().fit(X, Y, epochs=9, callbacks=[Stop()], verbose=0)
    assert history.epoch == [0, 1] and history.history["mine"] == [0.0, 2.0]


@pytest.mark.parametrize("settings, epochs", [
    (dict(patience=0), 3), (dict(patience=2), 4), (dict(patience=1, min_delta=0.5), 3), (dict(patience=1, start_from_epoch=3),
                                                                                         7),
    (dict(patience=1, baseline=0.1), 3), (dict(patience=2, mode="max"), 3),
])
def test_early_stopping(settings, epochs):
    series = [5.0, 4.0, 4.6, 4.5, 4.4, 3.0, 3.5, 3.4, 3.3]
    stop = nn.EarlyStopping(monitor="val_made", **settings)
    history = model().fit(X, Y, epochs=9, callbacks=[Figures(val_made=series), stop], verbose=0)
    assert len(history.epoch) == epochs and stop.stopped_epoch == epochs - 1


def test_early_stopping_goes_back_to_the_best():
    net, kept = model(), []
    stop = nn.EarlyStopping(monitor="made", patience=2, restore_best_weights=True)
    keep = nn.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(net.state_dict()))
    net.fit(X, Y, epochs=9, callbacks=[keep, Figures(made=[3, 1, 2, 2, 2, 2, 2, 2, 2]), stop], verbose=0)
    assert len(kept) == 4 and stop.best_epoch == 1 and stop.best == 1
    np.testing.assert_array_equal(net.weight.data, kept[1]["weight"])


def test_a_missing_figure_is_said_once():
    with pytest.warns(UserWarning, match="no 'val_loss' to monitor.*give fit validation_data") as found:
        model().fit(X, Y, epochs=3, callbacks=[nn.EarlyStopping()], verbose=0)
    assert len(found) == 1
    with pytest.raises(ValueError, match="EarlyStopping: mode"):
        nn.EarlyStopping(mode="up")


def test_model_checkpoint(tmp_path):
    net = model()
    path = str(tmp_path / "m-{epoch:02d}-{made:.1f}.safetensors")
    net.fit(X, Y, epochs=4, verbose=0,
            callbacks=[Figures(made=[3, 1, 2, 0.5]), nn.ModelCheckpoint(path, "made", save_best_only=True)])
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["m-01-3.0.safetensors", "m-02-1.0.safetensors", "m-04-0.5.safetensors"]
    np.testing.assert_array_equal(nn.load(str(tmp_path / names[-1])).predict(X), net.predict(X))
    net.fit(X, Y, batch_size=10, epochs=2, verbose=0,
            callbacks=[nn.ModelCheckpoint(str(tmp_path / "s-{epoch}.safetensors"), save_freq=3)])
    assert (tmp_path / "s-1.safetensors").exists() and (tmp_path / "s-2.safetensors").exists()
    with pytest.raises(ValueError, match="save_freq"):
        nn.ModelCheckpoint("m", save_freq="week")


def test_learning_rate_scheduler():
    net = model(lr=0.8)
    history = net.fit(X, Y, epochs=3, verbose=0, callbacks=[nn.LearningRateScheduler(lambda epoch, lr: lr / 2)]).history
    assert history["learning_rate"] == [0.4, 0.2, 0.1] and net.optimizer.lr == 0.1
    net.fit(X, Y, epochs=2, verbose=0, callbacks=[nn.LearningRateScheduler(lambda epoch: 1e-3 * (epoch + 1))])
    assert net.optimizer.lr == 2e-3


def test_reduce_on_plateau():
    net = model(lr=1e-2)
    rates = net.fit(X, Y, epochs=8, verbose=0, callbacks=[Figures(made=[5, 4, 4, 4, 4, 4, 4, 4]), nn.ReduceLROnPlateau(
        "made", factor=0.1, patience=2, min_lr=5e-4, cooldown=1)]).history["learning_rate"]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-2, 1e-2, 1e-3, 1e-3, 5e-4, 5e-4], rel=1e-6) and net.optimizer.lr == 5e-4
    with pytest.raises(ValueError, match="factor"):
        nn.ReduceLROnPlateau(factor=1.0)


def test_csv_logger(tmp_path):
    net, path = model(), tmp_path / "log.csv"
    for epochs, append in ((2, False), (1, True)):
        net.fit(X, Y, epochs=epochs, validation_split=0.2, verbose=0, callbacks=[nn.CSVLogger(path, append=append)])
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [r["epoch"] for r in rows] == ["0", "1", "0"] and list(rows[0]) == ["epoch", "loss", "val_loss"]
    assert all(float(r["val_loss"]) > 0 for r in rows)


def test_terminate_on_nan(capsys):
    x = X.copy()
    x[25] = np.nan
    net = model()
    history = net.fit(x, Y, batch_size=10, epochs=5, shuffle=False, verbose=0, callbacks=[nn.TerminateOnNaN()])
    assert len(history.epoch) == 1 and np.isnan(history.history["loss"][0]) and "at batch 2" in capsys.readouterr().out
