"""Training: compile, fit, evaluate, train_on_batch, test_on_batch. A step (gather the rows, forward, loss, metrics, backward,
update) is one run of a plan that steps.py makes; here is the loop around it, with Keras's arguments and meanings."""
import numpy as np

from . import random

__all__ = ["Trainable"]


def run_epochs(model, rows, steps, one_epoch, *, epochs, batch_size, verbose, callbacks, shuffle, initial_epoch=0):
    """Calls one_epoch(epoch, the rows' order, calls, progress) -> logs for each pass of so many steps, with callbacks and
    progress -> History. A callback ends it by model.stop_training."""
    from . import callbacks as cb
    from .progress import Progress
    history = cb.History()
    given = [callbacks] if isinstance(callbacks, cb.Callback) else list(callbacks or ())
    calls = cb.CallbackList([*given, history], model, {"epochs": epochs, "steps": steps, "batch_size": batch_size,
                                                       "verbose": verbose})
    progress = Progress(epochs, steps, verbose)
    model.__dict__["stop_training"], model.__dict__["history"], logs = False, history, {}
    calls.call("on_train_begin", {})
    try:
        for epoch in range(initial_epoch, epochs):
            calls.call("on_epoch_begin", epoch, {})
            progress.begin(epoch)
            order = random.permutation(rows) if shuffle else np.arange(rows, dtype=np.int64)
            logs = one_epoch(epoch, order, calls, progress)
            calls.call("on_epoch_end", epoch, logs)
            progress.end(logs)
            if model.stop_training:
                break
    finally:
        progress.close()
    calls.call("on_train_end", logs)
    return history


class Compiled:
    """What compile was told, in the form that a step's graph is built from: `loss`(y_pred, y_true), `metrics`
    [(name, function of the same)], `optimizer`."""

    def __init__(self, model, loss, optimizer, wanted, loss_weights):
        from . import metrics, objectives, optimizers
        self.loss, self.metrics = objectives.resolve(loss, loss_weights), metrics.resolve_all(wanted, loss)
        self.optimizer = optimizers.resolve(optimizer).bind(model.parameters())
        self.names = [name for name, _ in self.metrics]
        self.several = isinstance(loss, (dict, list, tuple))
        self.fingerprint, self.steps = None, {}     # steps already made for the network as it is, see _plain_step


class Data:
    """The arrays of one call: xs (a list), ys (a list, or a dict by output name), weights (float32, one a row, or None),
    rows."""

    def __init__(self, where, model, x, y, sample_weight=None, class_weight=None):
        from .module import input_arrays, rows_of
        self.xs = input_arrays(model, x)
        self.rows = rows_of(model, self.xs)
        self.ys = target_arrays(where, model._compiled, y, self.rows)
        self.weights = None
        if sample_weight is not None:
            weights = np.asarray(sample_weight, np.float32)
            if weights.shape == (self.rows, 1):
                weights = weights[:, 0]
            if weights.shape != (self.rows,):
                raise ValueError(f"{where}: sample_weight has shape {weights.shape}, expected ({self.rows},): one a row")
            self.weights = np.ascontiguousarray(weights)
        if class_weight is not None:
            by_class = class_weights(where, class_weight, self.ys)
            self.weights = by_class if self.weights is None else self.weights * by_class

    def cut(self, start, stop):
        """The rows from start to stop, as views."""
        part = object.__new__(Data)
        part.xs, part.ys = [a[start:stop] for a in self.xs], _each(self.ys, lambda _, a: a[start:stop])
        part.weights, part.rows = None if self.weights is None else self.weights[start:stop], stop - start
        return part


def _each(ys, function):
    """function(name for messages, array) over a list or dict of arrays."""
    if isinstance(ys, dict):
        return {name: function(f"y[{name!r}]", a) for name, a in ys.items()}
    return [function("y" if len(ys) == 1 else f"y[{i}]", a) for i, a in enumerate(ys)]


def target_arrays(where, compiled, y, rows):
    """The targets as a list, or a dict by output name, of arrays of `rows` rows."""
    from .run import check_array
    if y is None:
        raise ValueError(f"{where}: y is missing (an autoencoder's is x again)")
    several = isinstance(y, (list, tuple)) and len(y) > 0 and all(hasattr(a, "shape") and len(a.shape) for a in y) and \
        (compiled.several or all(len(a) == rows for a in y))

    def checked(name, a):
        a = check_array(where, name, a)
        if a.ndim == 0 or a.shape[0] != rows:
            raise ValueError(f"{where}: x has {rows} rows, {name} has shape {a.shape}")
        return a
    return _each(y if isinstance(y, dict) or several else [y], checked)


def class_weights(where, class_weight, ys):
    """One weight a row from {class: weight} or an array of weights by class; classes that are not named weigh 1."""
    if len(ys) != 1:
        raise ValueError(f"{where}: class_weight is for one target, there are {len(ys)}: use sample_weight")
    y = ys[0] if isinstance(ys, list) else next(iter(ys.values()))
    labels = y.reshape(len(y), -1).argmax(1) if y.ndim > 1 and y.shape[1] > 1 else y.reshape(len(y)).astype(np.int64)
    if y.ndim > 2:
        raise ValueError(f"{where}: class_weight needs labels (N,) or one-hot (N, C), y has shape {y.shape}")
    table = dict(class_weight) if isinstance(class_weight, dict) else dict(enumerate(class_weight))
    weights = np.ones(len(labels), np.float32)
    for label, weight in table.items():
        weights[labels == label] = weight
    return weights


class Totals:
    """Sums over rows of the loss and the metrics."""
    __slots__ = ("names", "rows", "sums")

    def __init__(self, names):
        self.names, self.rows, self.sums = names, 0, [0.0] * (1 + len(names))

    def add(self, loss, rows, others):
        """One step's sums."""
        sums = self.sums
        self.rows += rows
        sums[0] += loss
        for i, value in enumerate(others, 1):
            sums[i] += value

    def means(self):
        """[loss, metrics...]: the sums over the row count, so that a ragged batch counts by its rows."""
        return [s / self.rows if self.rows else float("nan") for s in self.sums]

    def logs(self):
        """{"loss": ..., metric: ...}."""
        return dict(zip(["loss", *self.names], self.means()))


def _batches(rows, batch_size):
    return [(start, min(start + batch_size, rows)) for start in range(0, rows, batch_size)]


def _check_batch_size(where, batch_size):
    import operator
    size = operator.index(batch_size)
    if size < 1:
        raise ValueError(f"{where}: batch_size must be at least 1, got {batch_size!r}")
    return size


class Trainable:
    """The training half of Module."""

    def compile(self, optimizer="sgd", loss=None, loss_weights=None, metrics=None):
        """Says how the network is trained.

        optimizer="sgd": a name ("sgd", "adam", "adamw", "rmsprop") or an optimizer like nn.SGD(); made without parameters, it
        gets the model's. loss: a name ("cross_entropy", "nll", "mse", "l1", "huber", "smooth_l1", "binary_cross_entropy",
        "binary_cross_entropy_with_logits", "hinge", "multi_margin", Keras's names), a loss class like nn.CrossEntropyLoss(), a
        formula of (y_pred, y_true) that returns one value a row or a scalar, or for several outputs a dict of these by output
        name with loss_weights (a dict of numbers). metrics: a name ("accuracy", "mse", "mae"), a formula, or a list of them.
        Raises ValueError or TypeError for what it does not know."""
        if loss is None:
            raise ValueError("compile: loss is missing, for example loss=\"cross_entropy\"")
        self.__dict__["_compiled"] = Compiled(self, loss, optimizer, metrics, loss_weights)
        self.__dict__["stop_training"] = False
        return self

    @property
    def optimizer(self):
        """The optimizer that compile was given."""
        return self._need_compiled("optimizer").optimizer

    def _need_compiled(self, where):
        compiled = self.__dict__.get("_compiled")
        if compiled is None:
            raise RuntimeError(f"{where}: call compile(loss=..., optimizer=...) first")
        return compiled

    def fit(self, x, y=None, batch_size=64, epochs=1, verbose="auto", callbacks=None, validation_split=0.0,
            validation_data=None, shuffle=True, class_weight=None, sample_weight=None, initial_epoch=0, steps_per_epoch=None,
            scale=None):
        """Trains for epochs initial_epoch .. epochs-1 -> History, whose `history` is a dict of lists ("loss", "val_loss", ...).

        x, y: arrays whose first axis counts the rows; lists or dicts of arrays for several inputs and targets. y: integer
        labels, one-hot or probabilities, or values. batch_size=64: the last batch may be smaller. verbose="auto": a bar on a
        terminal, a line an epoch elsewhere; 0 nothing, 2 lines. callbacks: Callbacks. validation_data: (x, y) or (x, y,
        sample_weight); validation_split: the share of the rows, the last ones, kept apart for it. shuffle=True: a new order
        each epoch.
        class_weight: {class: weight}; sample_weight: (N,); losses are multiplied by them and divided by the count of rows.
        steps_per_epoch=None: so many batches an epoch at most. scale: multiplies uint8 inputs (1/255); the model remembers it.
        Raises ValueError for arrays that do not fit, RuntimeError before compile. A KeyboardInterrupt ends it between two
        steps."""
        compiled, batch_size = self._need_compiled("fit"), _check_batch_size("fit", batch_size)
        if scale is not None:
            self._set_scale(scale)
        data, validation = self._training_data(x, y, sample_weight, class_weight, validation_split, validation_data)
        batches = _batches(data.rows, batch_size)[:steps_per_epoch]

        def one_epoch(epoch, order, calls, progress):
            logs = self._pass(compiled, data, batches, order, calls, progress)
            if validation is not None:
                calls.call("on_test_begin", {})
                found = self._test(compiled, validation, batch_size).logs()
                calls.call("on_test_end", found)
                logs.update({f"val_{name}": value for name, value in found.items()})
            self.__dict__["_epoch"] = epoch + 1             # for save(training_state=True)
            return logs

        return run_epochs(self, data.rows, len(batches), one_epoch, epochs=epochs, batch_size=batch_size, verbose=verbose,
                          callbacks=callbacks, shuffle=shuffle, initial_epoch=initial_epoch)

    def _set_scale(self, scale):
        """Remembers fit's `scale` for uint8 inputs, as if nn.Rescaling(scale) came first."""
        if self.__dict__.get("_byte_scale") != float(scale):
            from .module import changed
            self.__dict__["_byte_scale"] = float(scale)
            self.__dict__["_version"] += 1
            changed()

    def _training_data(self, x, y, sample_weight, class_weight, split, validation_data):
        """-> (Data to train on, Data to validate on or None)."""
        data, validation = Data("fit", self, x, y, sample_weight, class_weight), None
        if data.rows == 0:
            raise ValueError("fit: x has no rows")
        if validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
                raise ValueError("fit: validation_data must be (x, y) or (x, y, sample_weight)")
            validation = Data("fit: validation_data", self, *validation_data)
        elif split:
            if not 0 < split < 1:
                raise ValueError(f"fit: validation_split must be in [0, 1), got {split!r}")
            cut = int(data.rows * (1 - split))
            if cut in (0, data.rows):
                raise ValueError(f"fit: validation_split={split!r} of {data.rows} rows leaves a part empty")
            if class_weight is not None:            # class weights shape the training, not the figure it is judged by
                plain = Data("fit", self, x, y, sample_weight)
                return data.cut(0, cut), plain.cut(cut, data.rows)
            data, validation = data.cut(0, cut), data.cut(cut, data.rows)
        return data, validation

    def _pass(self, compiled, data, batches, order, calls, progress):
        """One pass over the rows in the given order -> logs."""
        totals, begin, end = Totals(compiled.names), calls.on_train_batch_begin, calls.on_train_batch_end
        step = None
        for i, (start, stop) in enumerate(batches):
            if begin is not None:
                begin(i, {})
            if step is None or begin is not None or end is not None or step.rows not in (None, stop - start):
                step = self._training_step(data, stop - start)
            totals.add(*step(data.xs, data.ys, order[start:stop], data.weights))
            if end is not None:
                end(i, totals.logs())
                if self.stop_training == "now":
                    break
            progress.update(i + 1, totals.logs)
        return totals.logs()

    def _training_step(self, data, rows):
        """What trains on batches of so many rows of data: a function of (xs, ys, indices of the rows, weights) like steps.Step."""
        from . import steps
        return steps.train_step(self, data.xs, data.ys, data.weights is not None, rows)

    def _test(self, compiled, data, batch_size):
        """The figures on data, without training -> Totals."""
        from . import steps
        totals = Totals(compiled.names)
        for start, stop in _batches(data.rows, batch_size):
            part = data.cut(start, stop)
            step = steps.eval_step(self, part.xs, part.ys, part.weights is not None)
            totals.add(*step(part.xs, part.ys, None, part.weights))
        return totals

    def evaluate(self, x, y=None, batch_size=64, verbose=0, sample_weight=None, return_dict=False):
        """The loss and metrics on data, in inference mode -> [loss, metrics...], or a dict of them with return_dict=True.
        verbose=1 prints them. Raises RuntimeError before compile, ValueError for arrays that do not fit."""
        compiled, size = self._need_compiled("evaluate"), _check_batch_size("evaluate", batch_size)
        totals = self._test(compiled, Data("evaluate", self, x, y, sample_weight), size)
        if verbose and verbose != "auto":
            from .progress import figures
            print(figures(totals.logs()))
        return totals.logs() if return_dict else totals.means()

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None):
        """One step on one batch -> the loss before the update, a float: the (weighted) sum over rows by the count of rows."""
        compiled = self._need_compiled("train_on_batch")
        if sample_weight is None and class_weight is None and type(x) is np.ndarray and type(y) is np.ndarray:
            return self._plain_step(compiled, x, y)
        return self._on_batch("train_on_batch", x, y, sample_weight, class_weight)

    def test_on_batch(self, x, y=None, sample_weight=None):
        """The loss of one batch in inference mode, a float."""
        return self._on_batch("test_on_batch", x, y, sample_weight, None)

    def _plain_step(self, compiled, x, y):
        """train_on_batch of two arrays, the short way where the same step was made before."""
        fingerprint = self.fingerprint()
        if compiled.fingerprint is not fingerprint:
            compiled.fingerprint = fingerprint
            compiled.steps.clear()
        key = (x.shape[1:], x.dtype, y.shape[1:], y.dtype, compiled.optimizer.structure())
        step = compiled.steps.get(key)
        if step is not None and y.shape and x.shape[:1] == y.shape[:1]:
            loss, rows, _ = step((x,), (y,))
            return loss / rows if rows else float("nan")
        from . import steps
        data = Data("train_on_batch", self, x, y)
        step = steps.train_step(self, data.xs, data.ys)
        if step.executable.graph.rows is None and data.xs[0] is x and data.ys[0] is y:
            compiled.steps[key] = step
        loss, rows, _ = step(data.xs, data.ys)
        return loss / rows if rows else float("nan")

    def _on_batch(self, where, x, y, sample_weight, class_weight):
        from . import steps
        self._need_compiled(where)
        data = Data(where, self, x, y, sample_weight, class_weight)
        make = steps.train_step if where == "train_on_batch" else steps.eval_step
        loss, rows, _ = make(self, data.xs, data.ys, data.weights is not None)(data.xs, data.ys, None, data.weights)
        return loss / rows if rows else float("nan")
