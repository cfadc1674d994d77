"""Running graphs: an Executable is a graph with its parameters, run by native plans or by the reference; a Run is one forward
whose backward may still come. Also how an op called on arrays, and a Loss, find their way here."""
import struct
import weakref
from collections import OrderedDict

import numpy as np

from . import graph as g
from .backend import native
from .graph import Batch, at
from .reference import Reference, checked

SUPPORTED = frozenset(np.dtype(c) for c in "fdBbhHiIlLqQ?")


def check_array(where, argument, x):
    """x as an array of a dtype that can be read; TypeError naming the argument otherwise."""
    array = np.asarray(x)
    if array.dtype in SUPPORTED:
        return array
    if array.dtype.newbyteorder("=") in SUPPORTED:
        return array.astype(array.dtype.newbyteorder("="))
    raise TypeError(f"{where}: {argument} has dtype {array.dtype}, expected float32, float64, an integer type or bool")


def _rows(shape, n):
    return tuple([d.at(n) if isinstance(d, Batch) else d for d in shape])


class Executable:
    """A graph bound to its parameters. `outputs` are returned in the graph's order."""

    def __init__(self, graph, dtype="float32"):
        self.graph, self.dtype = graph, dtype
        self.shapes = [v.shape for v in graph.outputs.values()]
        self.names = list(graph.outputs)
        self.storages = [h.storage for h in graph.holders]
        native_states = native and all(isinstance(s, native.Storage) for s in self.storages)
        self.native = bool(native_states and dtype == "float32")
        self.reference = None if self.native else Reference(graph, dtype)
        self.bindings, self.quick, self.slots = {}, {}, [v.node.attrs["name"] for v in graph.slots]
        self.pack_slots = struct.Struct("".join("q" if v.dtype == "int64" else "d" for v in graph.slots)).pack
        self.late = [v.node.attrs["late"] for v in graph.inputs]
        self.whole = graph.rows is not None and not any(isinstance(d, Batch) for v in graph.inputs for d in v.shape)
        self.written = [s.node.attrs["holder"].storage for s, _ in graph.updates]
        if self.native:
            from . import plan                      # compiling is not needed before the first run: import stays quick
            self.compile, self.lanes_of = plan.compile, plan.lanes_of(graph)

    def bound(self, n):
        """(plan, binding) for n rows."""
        lanes = self.lanes_of(n)
        pair = self.bindings.get(lanes)
        if pair is None:
            plan = self.compile(self.graph, lanes)
            pair = self.bindings[lanes] = plan, native.Binding(plan.program, [*self.storages, *(c.copy() for c in plan.constant_arrays)])
        return pair

    def slot_values(self, numbers):
        """The slots' numbers as 8-byte words."""
        return self.pack_slots(*[numbers[name] for name in self.slots]) if self.slots else None

    def predict(self, x, out=None):
        """One input, one output, no slots, nothing late: the short way."""
        n = x.shape[0]
        run, shapes = self.quick.get(n) or self.quick_for(n)
        if run is None:
            return self.start([x], n).results()[0]
        if out is None:
            out = np.empty(shapes[0], np.float32)
        try:
            run(1, n, (x, None), (out,), None, None)
        except native.StepError:
            self.start([x], n)                      # fails again, and says where
            raise
        return out

    def results(self, inputs, n, numbers=None, index=None):
        """start(...).results(), the short way too."""
        run, shapes = self.quick.get(n) or self.quick_for(n)
        if run is None:
            return self.start(inputs, n, numbers, index).results()
        outputs = [np.empty(shape, np.float32) for shape in shapes]
        try:
            run(1, n, (*inputs, index), tuple(outputs), self.slot_values(numbers), None)
        except native.StepError:
            self.start(inputs, n, numbers, index)   # fails again, and says where
            raise
        for storage in self.written:
            storage.bump()
        return outputs

    def results_of_steps(self, inputs, indexes, numbers):
        """results(inputs, rows, numbers, indexes[i]) for each i, of a graph without outputs; indexes int64 (k, rows), numbers one
        for all or (k,)."""
        steps, n = indexes.shape
        run, _ = self.quick.get(n) or self.quick_for(n)
        plan, binding = self.bound(n) if run is not None else (None, None)
        if plan is None or self.names or any([step.check for step in plan.steps]):
            for i, index in enumerate(indexes):
                self.results(inputs, n, {name: np.broadcast_to(x, steps)[i] for name, x in numbers.items()}, index)
            return
        words = np.empty((steps, len(self.slots)), np.int64)
        for i, slot in enumerate(self.graph.slots):
            words.view("int64" if slot.dtype == "int64" else "float64")[:, i] = numbers[self.slots[i]]
        try:
            binding.run_steps(1, n, (*inputs, indexes), words)
        finally:                                    # some steps may have been made
            for storage in self.written:
                storage.bump()

    def quick_for(self, n):
        """(what runs n rows in one call, the outputs' shapes), or (None, None) where it takes more than a call."""
        quick = None, None
        if self.native and not self.whole and not any(self.late):
            plan, binding = self.bound(n)
            if not plan.calls and len(plan.segments) <= 2:
                quick = binding.run, [_rows(shape, n) for shape in self.shapes]
        if len(self.quick) >= 1024:
            self.quick.clear()
        self.quick[n] = quick
        return quick

    def start(self, inputs, n, numbers=None, index=None):
        """Runs everything that needs no late input -> a Run. index: the rows of the inputs that count (all where None)."""
        if index is not None and self.whole:        # such a plan takes its inputs as they lie
            inputs, index = [np.asarray(a)[index] for a in inputs], None
        return Run(self, inputs, n, numbers or {}, index)


class Run:
    """One run of an Executable: its results, and, where late inputs are to come, the memory of the forward."""

    def __init__(self, executable, inputs, n, numbers, index):
        self.executable, self.spent = executable, False
        self.n = 1 if executable.whole and executable.native else n         # one array is one row to it
        self.numbers, self.index, self.arena = numbers, index, None
        given = iter(inputs)
        self.inputs = [None if late else next(given) for late in executable.late]
        graph = executable.graph
        self.outputs = [None] * len(graph.outputs)
        if not executable.native:
            self.env = executable.reference.start(self.inputs, n, numbers, index)
            executable.reference.commit(self.env, late=False)
            for i, v in enumerate(graph.outputs.values()):
                if v not in executable.reference.waits:
                    self.outputs[i] = np.array(self.env[v], copy=True)
            return
        n = self.n
        self.plan, self.binding = executable.bound(n)
        self.words = executable.slot_values(numbers)
        if any(executable.late) or self.plan.calls or len(self.plan.segments) > 2:
            self.arena = self.plan.program.lease(n)
        try:
            self.levels(0, self.plan.early_segments)
        except BaseException:
            self.release()
            raise
        for storage in executable.written:
            storage.bump()
        if not any(executable.late):
            self.release()

    def results(self):
        return self.outputs

    def release(self):
        """Gives the memory back."""
        if self.arena is not None:
            self.arena.release()
            self.arena = None

    def __del__(self):
        if getattr(self, "arena", None) is not None:
            self.release()

    def levels(self, first, last):
        """Runs levels first .. last-1: a native segment each, then the user's ops behind it."""
        plan, shapes = self.plan, self.executable.shapes
        for i, level in enumerate(plan.output_levels):
            if first <= level < last and self.outputs[i] is None:
                self.outputs[i] = np.empty(_rows(shapes[i], self.n), np.float32)
        given = (*self.inputs, self.index)
        for level in range(first, min(last, len(plan.segments) - 1)):
            if plan.segments[level + 1] or level == 0:
                try:
                    self.binding.run(level + 1, self.n, given, tuple(self.outputs), self.words, self.arena)
                except native.StepError as error:
                    raise explain(plan, error, self) from None
            for item, inputs, outputs in plan.calls.get(level, ()):
                self.call(item, inputs, outputs)

    def call(self, item, inputs, outputs):
        """A user's op on views of the plan's memory: read-only inputs, results copied in."""
        def view(place):
            value, buffer = place
            shape = _rows(value.shape, self.n)
            if buffer.region == "external":
                return self.binding_array(value)
            sizes = self.plan.sizes
            start = buffer.offset if buffer.region == "fixed" else sizes[0] + buffer.offset * self.n
            return np.frombuffer(self.arena, value.dtype, int(np.prod(shape)), start).reshape(shape)

        arrays = []
        for place in inputs:
            if place is None or not isinstance(place, tuple):
                number = None if place is None else place.node.attrs.get("value", self.numbers.get(place.node.attrs.get("name")))
                arrays.append(at(number, self.n))
            else:
                array = view(place).view()
                array.flags.writeable = False
                arrays.append(array)
        made = item.op.reference(*arrays, **{k: at(v, self.n) for k, v in item.attrs.items()})
        for place, result in zip(outputs, made if isinstance(made, tuple) else (made,)):
            into = view(place)
            into[...] = checked(item.op, result, into.shape)

    def binding_array(self, value):
        if value.node.op is g.STATE:
            return value.node.attrs["holder"].array()
        return np.asarray(value.node.attrs["value"])

    def finish(self, late, input_gradient=True):
        """Gives the late inputs and runs the rest -> outputs (those of "dx:" only with input_gradient)."""
        if self.spent:
            raise RuntimeError("backward of a run that has had its backward: call the model again first")
        self.spent = True
        executable, graph = self.executable, self.executable.graph
        if not executable.native:
            env = executable.reference.finish(self.env, late, self.n)
            executable.reference.commit(env, late=True)
            for i, v in enumerate(graph.outputs.values()):
                self.outputs[i] = np.asarray(env[v]) if self.outputs[i] is None else self.outputs[i]
            self.env = None
            return self.outputs
        places = [i for i, is_late in enumerate(executable.late) if is_late]
        for i, array in zip(places, late):
            self.inputs[i] = array
        try:
            self.levels(self.plan.early_segments, len(self.plan.segments) if input_gradient else self.plan.before_dx)
        finally:
            self.release()
        for storage in executable.written:
            storage.bump()
        return self.outputs


def explain(plan, error, run):
    """A failed check of a kernel as an error for people: the reference looks at the array again, and says which element it is."""
    failed, n = plan.steps[error.step], run.n
    node = failed.node
    if not node.op.check:
        return RuntimeError(f"{failed.kernel} failed with code {error.code}")
    source, on_the_way = node.inputs[0], []
    while source.node.op is not g.INPUT and len(source.node.inputs) == 1:           # (N, 1) squeezed to (N,), say
        on_the_way.insert(0, source.node)
        source = source.node.inputs[0]
    for value, array in zip(plan.graph.inputs, run.inputs):             # (equal graphs share a plan: the node is its own)
        if value is source:
            array = np.asarray(array) if run.index is None else np.asarray(array)[run.index]
            others = [np.zeros(at(v.shape, n), np.float32) for v in node.inputs[1:]]
            try:
                for step in on_the_way:
                    array = step.op.reference(array, **{k: at(v, n) for k, v in step.attrs.items()})
                array = array.astype(np.int64) if node.inputs[0].dtype == "int64" else array
                node.op.reference(array, *others, **{k: at(v, n) for k, v in node.attrs.items()})
            except IndexError as found:
                return found
    return IndexError(f"{node.op.name}: element {error.code - 1} of the batch is out of range")


# ---- an op called on arrays: a plan of one node, through the same cache

_single = OrderedDict()


def evaluate(op, inputs, attrs):
    """Runs one op on arrays and numbers. float64 anywhere: the reference, in float64."""
    arrays = [check_array(op.name, f"input {i}", x) if x is not None and not isinstance(x, (bool, int, float)) else x
              for i, x in enumerate(inputs)]
    wide = any(isinstance(a, np.ndarray) and a.dtype == np.float64 for a in arrays)
    if wide or not native or not op.native or any(isinstance(a, np.ndarray) and (a.size == 0) for a in arrays):
        return _by_reference(op, arrays, attrs, np.float64 if wide else np.float32)
    key = (op, tuple(None if a is None else (a.shape[1 if i < op.rows else 0:], a.dtype.kind in "iu" and a.ndim, a.ndim)
                     if isinstance(a, np.ndarray) else type(a) for i, a in enumerate(arrays)), tuple(sorted(attrs.items())))
    executable = _single.get(key)
    n = arrays[0].shape[0] if op.rows else 1
    if executable is None:
        executable = _single[key] = Executable(_single_graph(op, arrays, attrs, n))
        if len(_single) > 256:
            _single.popitem(last=False)
    numbers = {f"input{i}": a for i, a in enumerate(arrays) if isinstance(a, (bool, int, float))}
    outputs = executable.start([a for a in arrays if isinstance(a, np.ndarray)], n, numbers).results()
    outputs = [like(arrays[0], o) for o in outputs]
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def like(x, y):
    """y laid out as x was: channels-last where x was."""
    if isinstance(x, np.ndarray) and x.ndim == 4 and y.ndim == 4 and not x.flags.c_contiguous and \
            x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return np.ascontiguousarray(y.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return y


def _by_reference(op, arrays, attrs, dtype):
    arrays = [a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype.kind in "fb" and a.dtype != dtype else
              a.astype(np.int64) if isinstance(a, np.ndarray) and a.dtype.kind in "iu" and a.dtype != np.int64 else a for a in arrays]
    with np.errstate(all="ignore"):
        made = op.reference(*arrays, **attrs)
    return made if isinstance(made, tuple) else np.asarray(made)


def _single_graph(op, arrays, attrs, n):
    def trace(rows):
        with g.Session(rows) as session:
            values = []
            for i, a in enumerate(arrays):
                if isinstance(a, np.ndarray):
                    shape = (rows, *a.shape[1:]) if i < op.rows else a.shape
                    values.append(g.make_input(f"input{i}", shape, "int64" if a.dtype.kind in "iu" else "float32"))
                elif a is None:
                    values.append(None)
                else:
                    values.append(session.slot(f"input{i}", "int64" if isinstance(a, int) else "float32"))
            made = op(*values, **attrs)
            made = made if isinstance(made, tuple) else (made,)
        inputs = [v for v in values if v is not None and v.node.op is g.INPUT]
        return inputs, {str(i): v for i, v in enumerate(made)}, [], {}
    if not op.rows:
        return g.finish_fixed(trace(n), n)
    rows = max(n, 2)
    return g.finish(trace(rows), trace(2 * rows), rows)


g.evaluate = evaluate


# ---- runs that wait for their backward, found by the array they returned

_waiting = {}


def remember(array, waiting):
    """Ties a waiting run to the array that its forward returned; freed with the array."""
    key = id(array)
    _waiting[key] = (weakref.ref(array, lambda _, _waiting=_waiting: _waiting.pop(key, None)), waiting)


def owner(array):
    """The remembered array that this one is, or is a reshaped view of, and what waits for it; (None, None) where none."""
    while isinstance(array, np.ndarray):
        entry = _waiting.get(id(array))
        if entry is not None and entry[0]() is array:
            return array, entry[1]
        base = array.base
        array = base if isinstance(base, np.ndarray) and base.size == array.size else None
    return None, None


def backward_of(pairs):
    """Backward from [(array that a model returned, gradient of the loss with respect to it)]: once for each run among them."""
    runs = {}
    for array, gradient in pairs:
        found, waiting = owner(array)
        if waiting is None:
            raise RuntimeError("backward: this array was not returned by a model in training mode (call model.train() first), its run is "
                               "spent, or it came through NumPy operations, which lose the run: compute the loss on what the model "
                               "returned")
        gradient = np.asarray(gradient)
        gradients = runs.setdefault(id(waiting), (waiting, {}))[1]
        gradients[id(found)] = gradients[id(found)] + gradient if id(found) in gradients else gradient
    for waiting, gradients in runs.values():
        waiting.backward(gradients)


# ---- optimizer.step() by hand

def apply_updates(optimizer, params):
    """One plan that updates every parameter in `params` from its grad; nothing changes if anything fails."""
    params = [p for p in params if p.grad is not None]
    if not params:
        return
    key = (optimizer.structure(), tuple((id(p), id(p.storage), id(p._gradient)) for p in params))
    cache = optimizer.__dict__.setdefault("_plans", OrderedDict())
    executable = cache.get(key)
    if executable is None:
        with g.Session(1) as session:
            pairs = [(p, session.state(_Gradient(p))) for p in params]
            updates = optimizer.updates(pairs)
        dtype = str(params[0].dtype)
        executable = cache[key] = Executable(g.finish_fixed(([], {}, updates, {}), 1), dtype)
        if len(cache) > 8:
            cache.popitem(last=False)
    executable.start([], 1, optimizer.slot_values(params))
    optimizer.advance(params)


class _Gradient:
    """A parameter's gradient as a state of a graph."""

    def __init__(self, parameter):
        self.storage, self.shape, self.dtype = parameter._gradient, parameter.shape, parameter.dtype
        self.name = f"{parameter.name}.grad"

    def array(self):
        return np.asarray(self.storage)
