"""Learning by a formula of the inputs alone, in place of a loss of predictions and targets. A step (formula, its gradient, the
optimizer's update) is one plan; here are the step, and the loop of epochs around it."""
from .. import steps
from ..graph import as_value


class Step:
    """Steps of `model` by `formula`(*input values) -> ({name: value} to be returned, what to descend: a loss, a scalar value,
    or gradients [(parameter, value)]; and maybe {Buffer: the value that it gets}).

    step(*arrays), each with one row an example -> {name: array}; index: the rows of the arrays that count (all where None).
    Raises what the model's graph raises; nothing moves then."""

    def __init__(self, model, optimizer, formula):
        self.model, self.optimizer, self.formula, self.moved = model, optimizer, formula, []
        self.fingerprint = self.executable = None

    def body(self, session, inputs):
        """The graph of one step."""
        results, loss, *buffers = self.formula(*inputs)
        if isinstance(loss, list):
            self.moved, updates = [p for p, _ in loss], self.optimizer.updates(loss)
        else:
            self.moved, updates = steps.descent(self.model, self.optimizer, session, loss)
        return results, updates + [(as_value(b), value) for moved in buffers for b, value in moved.items()]

    def __call__(self, *arrays, index=None):
        model = self.model
        self._prepare(arrays, index)
        with model._lock():
            numbers = {**self.optimizer.slot_values(self.moved), **model.numbers(advance=True)}
            results = self.executable.results(arrays, len(arrays[0] if index is None else index), numbers, index)
            self.optimizer.advance(self.moved)
        return dict(zip(self.executable.names, results))

    def many(self, *arrays, indexes):
        """step(*arrays, index=i) for each row i of `indexes` (k, rows), where the formula returns nothing: in one call of the
        core where the optimizer's numbers stay as they are."""
        if not self.optimizer.steady():
            for index in indexes:
                self(*arrays, index=index)
            return
        self._prepare(arrays, indexes[0])
        model = self.model
        with model._lock():
            numbers = {**self.optimizer.slot_values(self.moved), **model.numbers(advance=len(indexes))}
            self.executable.results_of_steps(arrays, indexes, numbers)
            self.optimizer.advance(self.moved)

    def _prepare(self, arrays, index):
        """Makes the executable for these rows where there is none, or the model has changed."""
        model, fingerprint, rows = self.model, self.model.fingerprint(), len(arrays[0] if index is None else index)
        if self.fingerprint is not fingerprint or self.executable.graph.rows not in (None, rows):
            some = list(arrays) if index is None else [a[index] for a in arrays]
            self.executable, _ = model.executable(("learning", self), self.body, some, True)
            self.fingerprint = fingerprint


SOME = 32                                   # steps in one call of `many`


def learn(model, rows, step, *, batch_size, epochs, verbose="auto", callbacks=None, shuffle=True, after=None, many=None):
    """Calls step(which rows, an index array) -> {name: mean over them} or None for every mini-batch of `epochs` passes over
    `rows` rows, and after() -> {name: figure} after each pass, with fit's callbacks and progress -> History, of each figure's
    mean over an epoch's rows. many(indexes): the same as step(index) for each of them, where step returns None; used where no
    callback looks at batches."""
    from ..training import run_epochs
    starts = range(0, rows, batch_size)

    def one_epoch(epoch, order, calls, progress):
        sums, seen = {}, 0

        def means():
            return {name: total / seen for name, total in sums.items()}
        watched = calls.on_train_batch_begin is not None or calls.on_train_batch_end is not None
        done = 0 if many is None or watched else rows // batch_size                 # batches that `many` makes
        whole = order[:done * batch_size].reshape(done, batch_size)
        for i in range(0, done, SOME):
            many(whole[i:i + SOME])
            progress.update(min(i + SOME, done), means)
        for i in range(done, len(starts)):
            calls.call("on_train_batch_begin", i, {})
            index = order[starts[i]:starts[i] + batch_size]
            for name, value in (step(index) or {}).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(index)
            seen += len(index)
            if calls.on_train_batch_end is not None:
                calls.on_train_batch_end(i, means())
            if model.stop_training == "now":
                break
            progress.update(i + 1, means)
        return {**means(), **(after() if after is not None else {})}

    return run_epochs(model, rows, len(starts), one_epoch, epochs=epochs, batch_size=batch_size, verbose=verbose,
                      callbacks=callbacks, shuffle=shuffle)
