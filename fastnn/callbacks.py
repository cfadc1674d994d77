"""Callbacks: what `fit` calls between epochs and batches, with Keras's names and arguments.

`logs` is a dict of the figures so far: "loss", the metrics by name, and after an epoch the same with "val_" in front."""
import math
import warnings

__all__ = ["Callback", "History", "LambdaCallback", "EarlyStopping", "ModelCheckpoint", "LearningRateScheduler",
           "ReduceLROnPlateau", "CSVLogger", "TerminateOnNaN"]


class Callback:
    """To subclass: override what is needed. `self.model` is the model; `self.params` a dict of "epochs", "steps", "batch_size",
    "verbose". `self.model.stop_training = True` ends the training after the epoch. Epochs and batches are counted from 0."""
    model, params = None, {}

    def set_model(self, model):
        """Told the model before the training begins."""
        self.model = model

    def set_params(self, params):
        """Told the numbers of epochs and steps before the training begins."""
        self.params = params

    def on_train_begin(self, logs=None):
        """Before the first epoch."""

    def on_train_end(self, logs=None):
        """After the last epoch, with its logs."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch, logs=None):
        """Before a step."""

    def on_train_batch_end(self, batch, logs=None):
        """After a step, with the epoch's figures so far."""

    def on_test_begin(self, logs=None):
        """Before a validation."""

    def on_test_end(self, logs=None):
        """After a validation, with its figures."""


HOOKS = [name for name in vars(Callback) if name.startswith("on_")]


class CallbackList:
    """Several callbacks called as one. A hook that no callback overrides is None: it costs nothing."""

    def __init__(self, callbacks, model, params):
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not all(hasattr(callback, name) for name in ("set_model", *HOOKS)):
                raise TypeError(f"fit: callbacks must be Callbacks, got {callback!r}")
            callback.set_params(params)
            callback.set_model(model)
        for name in HOOKS:
            setattr(self, name, self._joined(name))

    def _joined(self, name):
        hooks = [getattr(c, name) for c in self.callbacks]
        hooks = [h for h in hooks if getattr(h, "__func__", None) is not getattr(Callback, name)]
        if not hooks:
            return None
        return hooks[0] if len(hooks) == 1 else lambda *args: [hook(*args) for hook in hooks] and None

    def call(self, name, *args):
        """Calls one hook of all callbacks."""
        hook = getattr(self, name)
        if hook is not None:
            hook(*args)


class History(Callback):
    """What `fit` returns: `history` {"loss": [a number an epoch], "val_loss": [...], ...}, `epoch` [numbers of the epochs]."""

    def __init__(self):
        self.history, self.epoch = {}, []

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self):
        return f"History({', '.join(self.history)}; {len(self.epoch)} epochs)"


class LambdaCallback(Callback):
    """A callback of functions: LambdaCallback(on_epoch_end=lambda epoch, logs: ..., ...), by the names of Callback's hooks."""

    def __init__(self, **hooks):
        for name, function in hooks.items():
            if name not in HOOKS:
                raise ValueError(f"LambdaCallback: unknown hook {name!r}, expected one of {', '.join(HOOKS)}")
            if function is not None:
                setattr(self, name, function)


class _Monitor:
    """Watches one figure: which direction is better, and whether it has become better by more than min_delta."""

    def __init__(self, owner, monitor, mode, min_delta=0.0):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{owner}: mode must be 'auto', 'min' or 'max', got {mode!r}")
        if mode == "auto":
            mode = "max" if "acc" in monitor else "min"
        self.owner, self.name, self.sign, self.min_delta = owner, monitor, 1.0 if mode == "max" else -1.0, abs(min_delta)
        self.worst, self.warned = -self.sign * math.inf, False

    def read(self, logs):
        """The figure, or None (and one warning) where there is none."""
        value = (logs or {}).get(self.name)
        if value is None and not self.warned:
            self.warned = True
            warnings.warn(f"{self.owner}: there is no {self.name!r} to monitor, the figures are {list(logs or {})}"
                          + (" (give fit validation_data)" if self.name.startswith("val_") else ""), stacklevel=2)
        return value

    def better(self, value, best):
        """Is `value` better than `best` by more than min_delta? NaN never is."""
        return self.sign * (value - best) > self.min_delta


class EarlyStopping(Callback):
    """Stops when a figure no longer gets better.

    monitor="val_loss"; min_delta=0: less is no improvement; patience=0: epochs without improvement to wait; verbose=0;
    mode="auto" ("max" for accuracies, else "min"); baseline=None: what must be surpassed; restore_best_weights=False: at the
    end, go back to the best epoch's state; start_from_epoch=0. Afterwards: stopped_epoch (0: not stopped), best, best_epoch."""

    def __init__(self, monitor="val_loss", min_delta=0, patience=0, verbose=0, mode="auto", baseline=None,
                 restore_best_weights=False, start_from_epoch=0):
        self.monitor, self._monitor = monitor, _Monitor("EarlyStopping", monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.on_train_begin()

    def on_train_begin(self, logs=None):
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best, self.best_weights = self._monitor.worst, None

    def on_epoch_end(self, epoch, logs=None):
        value = self._monitor.read(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep(epoch)                       # in case no epoch ever is better
        self.wait += 1
        if self._monitor.better(value, self.best):
            self.best = value
            self._keep(epoch)
            if self.baseline is None or self._monitor.better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch, self.model.stop_training = epoch, True

    def _keep(self, epoch):
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.state_dict()

    def on_train_end(self, logs=None):
        if self.stopped_epoch and self.verbose:
            print(f"EarlyStopping: {self.monitor} got no better for {self.wait} epochs, stopped after epoch "
                  f"{self.stopped_epoch + 1}")
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)
            if self.verbose:
                print(f"EarlyStopping: went back to the state of epoch {self.best_epoch + 1}")


class ModelCheckpoint(Callback):
    """Saves the model after epochs.

    filepath: may hold {epoch} (from 1) and figures: "m-{epoch:02d}-{val_loss:.3f}.safetensors"; monitor="val_loss"; verbose=0;
    save_best_only=False: True saves when the figure got better; save_weights_only: accepted, the network's graph goes along all
    the same; mode="auto"; save_freq="epoch", or a number of steps; initial_value_threshold=None: the best so far;
    training_state=False: True adds what resuming needs (optimizer, epoch, seed)."""

    def __init__(self, filepath, monitor="val_loss", verbose=0, save_best_only=False, save_weights_only=False, mode="auto",
                 save_freq="epoch", initial_value_threshold=None, training_state=False):
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            raise ValueError(f"ModelCheckpoint: save_freq must be 'epoch' or a number of steps, got {save_freq!r}")
        self.filepath, self.monitor, self._monitor = str(filepath), monitor, _Monitor("ModelCheckpoint", monitor, mode)
        self.verbose, self.save_best_only = verbose, save_best_only
        self.save_freq, self.training_state = save_freq, training_state
        self.best = self._monitor.worst if initial_value_threshold is None else initial_value_threshold
        self.epoch = self.steps = 0
        if save_freq != "epoch":
            self.on_train_batch_end = self._after_step

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def _after_step(self, batch, logs=None):
        self.steps += 1
        if self.steps % self.save_freq == 0:
            self._save(logs)

    def on_epoch_end(self, epoch, logs=None):
        if self.save_freq == "epoch":
            self._save(logs)

    def _save(self, logs):
        path = self.filepath.format(epoch=self.epoch + 1, **(logs or {}))
        if self.save_best_only:
            value = self._monitor.read(logs)
            if value is None or not self._monitor.better(value, self.best):
                return
            self.best = value
        self.model.save(path, **({"training_state": True} if self.training_state else {}))
        if self.verbose:
            print(f"ModelCheckpoint: epoch {self.epoch + 1} saved to {path}")


class LearningRateScheduler(Callback):
    """Sets the learning rate before every epoch: schedule(epoch, lr) -> lr, or schedule(epoch). A change compiles nothing
    anew."""

    def __init__(self, schedule, verbose=0):
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.model.optimizer
        try:
            rate = self.schedule(epoch, optimizer.lr)
        except TypeError:                           # Keras's older form, of the epoch alone
            rate = self.schedule(epoch)
        optimizer.lr = float(rate)
        if self.verbose:
            print(f"LearningRateScheduler: epoch {epoch + 1}: lr = {optimizer.lr:g}")

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.lr


class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by `factor` when a figure has not got better for `patience` epochs.

    monitor="val_loss", factor=0.1, patience=10, verbose=0, mode="auto", min_delta=1e-4, cooldown=0 (epochs to rest after a
    change), min_lr=0."""

    def __init__(self, monitor="val_loss", factor=0.1, patience=10, verbose=0, mode="auto", min_delta=1e-4, cooldown=0,
                 min_lr=0.0):
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be in [0, 1), got {factor!r}")
        self._monitor, self.factor, self.patience = _Monitor("ReduceLROnPlateau", monitor, mode, min_delta), factor, patience
        self.verbose, self.cooldown, self.min_lr = verbose, cooldown, min_lr
        self.on_train_begin()

    def on_train_begin(self, logs=None):
        self.best, self.wait, self.resting = self._monitor.worst, 0, 0

    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer
        if logs is not None:
            logs["learning_rate"] = optimizer.lr
        value = self._monitor.read(logs)
        if value is None:
            return
        if self.resting > 0:
            self.resting, self.wait = self.resting - 1, 0
        if self._monitor.better(value, self.best):
            self.best, self.wait = value, 0
        elif self.resting <= 0:
            self.wait += 1
            if self.wait >= self.patience and optimizer.lr > self.min_lr:
                optimizer.lr = max(optimizer.lr * self.factor, self.min_lr)
                self.resting, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"ReduceLROnPlateau: epoch {epoch + 1}: lr = {optimizer.lr:g}")


class CSVLogger(Callback):
    """Writes a line of figures an epoch to a CSV file with a header. filename; separator=","; append=False: goes on in an
    existing file, without a second header."""

    def __init__(self, filename, separator=",", append=False):
        self.filename, self.separator, self.append = str(filename), separator, append
        self.file = self.names = None

    def on_train_begin(self, logs=None):
        self.file, self.names = open(self.filename, "a" if self.append else "w", newline=""), None
        if self.file.tell():                        # appending: the columns are those of the header
            with open(self.filename, newline="") as old:
                self.names = old.readline().rstrip("\r\n").split(self.separator)[1:] or None

    def on_epoch_end(self, epoch, logs=None):
        if self.names is None:
            self.names = list(logs)
            self._line(["epoch", *self.names])
        self._line([epoch, *[logs.get(name, "") for name in self.names]])

    def _line(self, cells):
        self.file.write(self.separator.join(map(str, cells)) + "\n")
        self.file.flush()

    def on_train_end(self, logs=None):
        self.file.close()
        self.file = None


class TerminateOnNaN(Callback):
    """Stops the training as soon as the loss is NaN or infinite."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            print(f"TerminateOnNaN: the loss is {logs['loss']} at batch {batch}, training stops")
            self.model.stop_training = "now"
