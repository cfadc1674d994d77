"""Training and evaluation steps: a network, its loss, metrics, gradients and the optimizer's updates traced into one graph and run
as one plan, the picking of the mini-batch by index included."""
import numpy as np

from . import graph as g
from . import run
from .graph import functions
from .module import outputs_of, structure


def _flat(y):
    return list(y.values()) if isinstance(y, dict) else list(y) if isinstance(y, (list, tuple)) else [y]


def _like(y, values):
    return dict(zip(y, values)) if isinstance(y, dict) else list(values) if isinstance(y, (list, tuple)) and len(y) != 1 else values[0]


class Step:
    """A compiled step of `model` for arrays like these; `optimizer` None: evaluation."""

    def __init__(self, model, graph, optimizer):
        self.model, self.optimizer, self.executable = model, optimizer, run.Executable(graph, model.dtype())
        self.params = graph.moved if optimizer is not None else []
        self.rows = graph.rows                      # None: any number

    def __call__(self, x, y, index=None, weights=None):
        """One step on the rows `index` of the arrays (all of them where None) -> (sum of the row losses, rows, [sums of metrics]).
        An error leaves the model as it was."""
        inputs = [*x, *_flat(y), *(() if weights is None else (weights,))]
        n = len(index) if index is not None else inputs[0].shape[0]
        model, optimizer = self.model, self.optimizer
        with model._lock():
            numbers = model.numbers(advance=optimizer is not None)
            if optimizer is not None:
                numbers.update(optimizer.slot_values(self.params))
            loss, *metrics = self.executable.results(inputs, n, numbers, index)
            if optimizer is not None:
                optimizer.advance(self.params)
        return float(loss) * n, n, [float(m) * n for m in metrics]


def _make(model, x, y, weighted, train, rows):
    compiled = model._compiled
    flat = _flat(y)
    shapes = tuple((a.shape[1:], model.input_dtype(a)) for a in x) + \
        tuple((a.shape[1:], "int64" if a.dtype.kind in "iu" else "float32") for a in flat) + ((((), "float32"),) if weighted else ())
    n = x[0].shape[0] if rows is None else rows
    optimizer = compiled.optimizer if train else None
    structure = optimizer.structure(model.known_parameters()) if train else None
    entry = model.cached(("step", compiled, train, shapes, structure), lambda: {})
    found = entry.get("free") or entry.get(n)
    moved = []

    def build():
        return model.build(lambda session, inputs: _body(model, compiled, optimizer, session, inputs, len(x), y, weighted, moved),
                           shapes, n, train)
    if found is not None:
        model.check_trace(found.executable.graph, build)
    else:
        graph = build()
        graph.moved = moved
        found = entry["free" if graph.rows is None else n] = Step(model, graph, optimizer)
    return found


def _body(model, compiled, optimizer, session, inputs, n_x, y, weighted, moved):
    rows, session.labelled = inputs[0].shape[0], True
    n_y = len(_flat(y))
    outputs = outputs_of(model(*inputs[:n_x]))
    y_pred = structure(list(outputs), list(outputs.values()))
    y_true = _like(y, inputs[n_x:n_x + n_y])
    loss = compiled.loss(y_pred, y_true)
    if not isinstance(loss, g.Value) or loss.shape not in ((), (rows,)):
        raise ValueError(f"compile: the loss gave {loss!r}, expected one value a row, shape ({rows},), or a scalar")
    if weighted and loss.shape == ():
        raise ValueError("sample_weight and class_weight need a loss of one value a row, this one is a scalar")
    if weighted:
        loss = loss * inputs[-1]
    results = {"loss": loss if loss.shape == () else functions["mean"](loss)}
    for name, metric in compiled.metrics:
        value = metric(y_pred, y_true)
        results[f"metric {name}"] = value if value.shape == () else functions["mean"](value)
    if optimizer is None:
        return results, []
    moved[:], updates = descent(model, optimizer, session, results["loss"])
    return results, updates


def descent(model, optimizer, session, loss):
    """One step of the optimizer down the gradient of `loss`, a scalar value -> (the parameters that move, the updates)."""
    params = [p for p in model.parameters() if p.requires_grad and p in optimizer]
    states = [session.state(p) for p in params]
    one = g.as_value(np.ones((), np.float32))
    found = g.gradients([loss], [one], states)
    pairs = [(p, d) for p, d in zip(params, found) if d is not None]
    return [p for p, _ in pairs], [*session.updates, *optimizer.updates(pairs)]

def train_step(model, x, y, weighted=False, rows=None):
    """The training Step for arrays like x (a list) and y (a list, or a dict by output name). rows: of a batch, where the arrays hold more than one."""
    return _make(model, x, y, weighted, True, rows)


def eval_step(model, x, y, weighted=False):
    """The same without gradients and updates, in inference mode."""
    return _make(model, x, y, weighted, False, None)
