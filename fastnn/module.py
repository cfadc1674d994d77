"""Module: what every layer and network is. Called on values it adds ops to the graph being traced; called on arrays it runs."""
import os
import threading
import time
from collections import OrderedDict

import numpy as np

from . import backend, run
from . import graph as g
from .byhand import ByHand
from .parameter import Buffer, Parameter
from .training import Trainable

CHECK_TRACE = os.environ.get("FASTNN_CHECK_TRACE", "0") not in ("", "0")
_changes = 0                    # grows with every change to any module: one comparison tells that nothing changed


LEFT_BEHIND = {"_cache", "_predictors", "_rwlock", "_fingerprint", "_checked", "_known_parameters", "_waiting", "_compiled", "history"}


def changed():
    """Something that a trace depends on was changed."""
    global _changes
    if g.current() is None:
        _changes += 1


class Lock:
    """Readers and writer: predicts share a model, a step (`with lock:`) has it alone. Entering as a reader costs two list
    operations, which the GIL makes atomic: a reader announces itself, then looks for a writer; a writer the other way round."""

    def __init__(self):
        self.readers, self.writing, self.writer = [], False, threading.Lock()

    def acquire_read(self):
        self.readers.append(None)
        while self.writing:
            self.readers.pop()
            with self.writer:
                pass
            self.readers.append(None)

    def release_read(self):
        self.readers.pop()

    def __enter__(self):
        self.writer.acquire()
        self.writing = True
        while self.readers:
            time.sleep(2e-5)

    def __exit__(self, *_):
        self.writing = False
        self.writer.release()


class Module(Trainable, ByHand):
    """Base of layers and networks, PyTorch's way: set layers and Parameters as attributes in `__init__` (after
    `super().__init__()`), describe the computation in `forward` with layers and `fastnn.functional`."""

    def __init__(self):
        self.__dict__.setdefault("_version", 0)
        self.__dict__.setdefault("_mode", None)             # None: follows its network; True, False: train(), eval() was called
        self.__dict__.setdefault("_frozen", False)          # eval() was called on this very module
        self.__dict__.setdefault("_buffers", {})
        self.__dict__.setdefault("_transient", set())

    # -- attributes

    def __setattr__(self, name, value):
        if "_version" not in self.__dict__:
            Module.__init__(self)
        if name == "training":
            self.__dict__["_mode"] = bool(value)
            return changed()
        if name in self._buffers and not isinstance(value, Buffer):
            if value is not None:
                self._buffers[name].data = value
                return
        if (name[:1] != "_" or isinstance(value, (Module, Buffer))) and g.current() is None:
            self.__dict__["_version"] += 1
            changed()
        if isinstance(value, Module) and g.current() is not None:
            raise g.TraceError(f"{type(self).__name__}: a layer was made inside forward (attribute {name!r}) at {g.user_line()}: its "
                               "parameters would be new at every call. Make it in __init__.")
        self.__dict__[name] = value

    def __delattr__(self, name):
        self.__dict__["_version"] += 1
        changed()
        if name in self._buffers:
            del self._buffers[name]
        object.__delattr__(self, name)

    def register_buffer(self, name, array, persistent=True):
        """An array that belongs to the state but is not trained. persistent=False keeps it out of state_dict."""
        buffer = array if isinstance(array, Buffer) or array is None else Buffer(array, name)
        if buffer is not None:
            self._buffers[name] = buffer
        if not persistent:
            self._transient.add(name)
        self.__dict__[name] = buffer

    def register_parameter(self, name, parameter):
        """The same as assigning the attribute; None is kept as a missing parameter."""
        setattr(self, name, parameter)

    def register_module(self, name, module):
        """The same as assigning the attribute."""
        setattr(self, name, module)

    add_module = register_module

    def _children(self):
        """(name, module) of every module held by an attribute, a plain list, tuple or dict included."""
        for name, value in self.__dict__.items():
            if name[:1] != "_" or isinstance(value, Module):
                yield from _modules_in(name, value)

    def named_children(self):
        """Pairs of name and module, the direct ones."""
        return list(self._children())

    def children(self):
        """The modules directly inside."""
        return [m for _, m in self._children()]

    def named_modules(self, prefix="", _seen=None):
        """Pairs of path and module: this one (path "") and all inside, each once."""
        seen = set() if _seen is None else _seen
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, module in self._children():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self):
        """This module and all inside, each once."""
        return [m for _, m in self.named_modules()]

    def _own(self, kind):
        for name, value in self.__dict__.items():
            if isinstance(value, kind):
                yield name, value
            elif name[:1] != "_" and isinstance(value, (list, tuple)) and kind is Parameter:
                yield from ((f"{name}.{i}", v) for i, v in enumerate(value) if isinstance(v, kind))

    def _all(self, kind):
        """(path, parameter or buffer), duplicates included, in PyTorch's order."""
        for path, module in self.named_modules():
            for name, value in module._own(kind):
                yield f"{path}.{name}" if path else name, value

    def named_parameters(self):
        """Pairs of name and Parameter, each Parameter once (under its first name)."""
        seen = set()
        for name, parameter in self._all(Parameter):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                if not parameter.name:
                    parameter.name = name
                yield name, parameter

    def parameters(self):
        """Every Parameter, once."""
        return [p for _, p in self.named_parameters()]

    def named_buffers(self):
        """Pairs of name and Buffer."""
        for path, module in self.named_modules():
            for name, buffer in module._buffers.items():
                yield f"{path}.{name}" if path else name, buffer

    def buffers(self):
        """Every buffer."""
        return [b for _, b in self.named_buffers()]

    def get_submodule(self, path):
        """The module at a dotted path."""
        for name, module in self.named_modules():
            if name == path:
                return module
        raise AttributeError(f"{type(self).__name__} has no module {path!r}")

    def requires_grad_(self, flag=True):
        """Sets requires_grad of every parameter; returns self."""
        for p in self.parameters():
            p.requires_grad = flag
        return self

    def apply(self, function):
        """Calls function(module) on every module inside, then on this one; returns self."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # -- state

    def _entries(self):
        """{name: parameter or persistent buffer}, tied ones under each of their names, in PyTorch's order."""
        entries = {}
        for path, module in self.named_modules():
            prefix = f"{path}." if path else ""
            for name, value in module._own(Parameter):
                entries[prefix + name] = value
            for name, value in module._buffers.items():
                if name not in module._transient:
                    entries[prefix + name] = value
        return entries

    def state_dict(self):
        """{name: array}: copies of all parameters and persistent buffers, under PyTorch's names."""
        return {name: np.array(entry.array()) for name, entry in self._entries().items()}

    def load_state_dict(self, state, strict=True):
        """Copies arrays (anything np.asarray takes) in by name. Nothing changes unless all fit.

        Raises KeyError with the missing and unexpected names (strict), ValueError with every shape that does not fit."""
        entries = self._entries()
        known = {id(e) for n, e in entries.items() if n in state}
        missing = [n for n, e in entries.items() if n not in state and id(e) not in known]
        unexpected = [n for n in state if n not in entries]
        if strict and (missing or unexpected):
            raise KeyError(f"{type(self).__name__}.load_state_dict: missing {missing or 'nothing'}, unexpected {unexpected or 'nothing'}")
        arrays = {n: run.check_array("load_state_dict", n, state[n]) for n in entries if n in state}
        wrong = [f"{n}: {a.shape} given, expected {entries[n].shape}" for n, a in arrays.items() if a.shape != entries[n].shape]
        if wrong:
            raise ValueError(f"{type(self).__name__}.load_state_dict: wrong shapes: " + "; ".join(wrong))
        with self._lock():
            for name, array in arrays.items():
                entries[name].array()[...] = array
        return missing, unexpected

    def zero_grad(self, set_to_none=True):
        """Forgets all gradients."""
        for p in self.parameters():
            p.zero_grad()

    def double(self):
        """Parameters become float64; the model then runs on the NumPy reference, slowly, for gradient checks."""
        return self._to_dtype(np.float64)

    def float(self):
        """Parameters become float32 (the native type)."""
        return self._to_dtype(np.float32)

    def _to_dtype(self, dtype):
        for holder in [*self.parameters(), *self.buffers()]:
            if holder.dtype.kind == "f":
                holder.to_dtype(dtype)
        self.__dict__["_version"] += 1
        changed()
        return self

    def to(self, device=None, dtype=None):
        """Accepted for PyTorch's loops: "cpu" is where everything is. Anything else is an error."""
        if isinstance(device, type) or isinstance(device, np.dtype):
            device, dtype = None, device
        if device is not None and str(device).split(":")[0] != "cpu":
            raise ValueError(f"{type(self).__name__}.to({device!r}): fastnn runs on the CPU alone")
        return self if dtype is None else self._to_dtype(dtype)

    def cpu(self):
        """Accepted; returns self."""
        return self

    # -- modes

    @property
    def training(self):
        session = g.current()
        if session is None:
            return bool(self._mode)
        session.read_training = True
        return session.flags.get(id(self), session.training)

    def train(self, mode=True):
        """Training mode for this module and all inside: dropout is on, batch norm uses the batch's statistics. Returns self."""
        for module in self.modules():
            module.__dict__["_mode"], module.__dict__["_frozen"] = bool(mode), False
        self.__dict__["_frozen"] = not mode
        changed()
        return self

    def eval(self):
        """Inference mode. Called on a part of a network it freezes that part's mode. Returns self."""
        return self.train(False)

    def _flags(self, override):
        """{id of module: its flag} for a trace: the modules' own modes, or the override, frozen parts excepted."""
        flags = {}

        def walk(module, frozen, inherited):
            own = module._mode if module._mode is not None else inherited
            frozen = frozen or (module._frozen and module is not self)
            flags[id(module)] = own if override is None else override and not frozen
            for child in module.children():
                if id(child) not in flags:
                    walk(child, frozen, own)
        walk(self, False, bool(self._mode))
        return flags

    # -- calling

    def forward(self, *inputs):
        """The computation, on values: layers and fastnn.functional. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *inputs, training=None, **named):
        session = g.current()
        if session is not None:
            return self._trace(session, inputs, named)
        if any(isinstance(i, g.Value) for i in inputs):
            from .model import layer_node
            return layer_node(self, inputs, named)
        if named:
            raise TypeError(f"{type(self).__name__}: unexpected arguments {sorted(named)}")
        return self._run(inputs, training)

    def _trace(self, session, inputs, named):
        path = session.names.get(id(self), session.path())
        session.scopes.append(path)
        try:
            out = self.forward(*inputs, **named)
        except g.TraceError:
            raise
        except (ValueError, TypeError, IndexError) as error:
            if path and not getattr(error, "_placed", False):
                error._placed = True
                error.args = (f"in layer {path!r} ({type(self).__name__}): {error.args[0] if error.args else ''}", *error.args[1:])
            raise
        finally:
            session.scopes.pop()
        if isinstance(out, g.Value):
            count = 1
            while (key := path if count == 1 else f"{path}#{count}") in session.layers:
                count += 1
            session.layers[key] = out
        return out

    def _lock(self):
        lock = self.__dict__.get("_rwlock")
        if lock is None:
            lock = self.__dict__.setdefault("_rwlock", Lock())
        return lock

    def fingerprint(self):
        """What traces depend on: every module and its version, modes, which parameters train, the algorithm of convolutions."""
        if self.__dict__.get("_checked") != _changes:
            self.__dict__["_checked"] = _changes
            self.__dict__["_fingerprint"] = tuple((id(m), m._version, m._mode, m._frozen) for m in self.modules()) + \
                tuple((id(p), p.requires_grad, id(p.storage)) for p in self.parameters()) + (backend.conv_algorithm,)
            self.__dict__["_predictors"] = {}
            self.__dict__["_known_parameters"] = self.parameters()
        return self._fingerprint

    def known_parameters(self):
        """parameters(), from memory while nothing has changed."""
        self.fingerprint()
        return self._known_parameters

    def cached(self, key, make):
        """make()'s result, kept while the network stays as it is; a few dozen are kept."""
        cache = self.__dict__.setdefault("_cache", OrderedDict())
        key = (self.fingerprint(), key)
        found = cache.get(key)
        if found is None:
            found = cache[key] = make()
            if len(cache) > 64:
                cache.popitem(last=False)
        else:
            cache.move_to_end(key)
        return found

    def dtype(self):
        """"float64" after double(), else "float32"."""
        return "float64" if any(p.dtype == np.float64 for p in self.parameters()) else "float32"

    def session(self, rows, override=None):
        """A session to trace this network in."""
        session = g.Session(rows, bool(override if override is not None else self._mode), self.dtype())
        session.flags = self._flags(override)
        session.names = {id(m): path for path, m in self.named_modules() if path}
        for name, parameter in self.named_parameters():
            parameter.name = parameter.name or name
        return session

    def build(self, body, shapes, n, override):
        """The Graph of `body(session, values)` -> (outputs, updates), traced at two sizes. shapes: (row shape, dtype) an input; of
        dtype uint8: float32 times what fit's `scale` was."""
        def trace(rows):
            with self.session(rows, override) as session:
                names = self.__dict__.get("_input_names") or [f"input{i}" for i in range(len(shapes))]
                inputs = [g.make_input(names[i] if i < len(names) else f"input{i}", (rows, *shape), self.value_dtype(dtype))
                          for i, (shape, dtype) in enumerate(shapes)]
                given, inputs = inputs, [v * self._byte_scale if dtype == "uint8" else v for v, (_, dtype) in zip(inputs, shapes)]
                outputs, updates, *more = body(session, inputs)
                self.__dict__["_read_training"] = session.read_training
                return [*given, *(more[0] if more else ())], outputs, updates, session.layers
        rows, odd = max(n, 2), []
        try:
            graph = g.finish(trace(rows), trace(2 * rows), rows, odd)
            if odd and n < 2:                       # numbers were read at 2 rows
                odd = []
                graph = g.finish(trace(n), trace(2 * n), n, odd)
            self.__dict__["_depends_on_rows"] = odd[0] if odd else None
            return graph
        except g.DependsOnRows as line:
            self.__dict__["_depends_on_rows"] = str(line)
        except (ValueError, TypeError, IndexError):
            trace(n)                                # the error for the rows that were given
            self.__dict__["_depends_on_rows"] = "a shape that only fits this number of rows"
        return g.finish_fixed(trace(n), n)

    @staticmethod
    def value_dtype(dtype):
        """The type of an input's value."""
        return "float32" if dtype == "uint8" else dtype

    def input_dtype(self, array):
        """How an input array is taken: "uint8" where fit's `scale` is to be applied to it."""
        return "uint8" if array.dtype == np.uint8 and self.__dict__.get("_byte_scale") is not None else "float32"

    def executable(self, key, body, arrays, override):
        """The Executable of `body` for inputs like `arrays`, cached by `key` and their shapes."""
        n = rows_of(self, arrays)
        shapes = tuple((a.shape[1:], self.input_dtype(a)) for a in arrays)
        entry = self.cached((key, shapes, override), lambda: {})
        found = entry.get("free") or entry.get(n)
        if found is None:
            graph = self.build(body, shapes, n, override)
            if len(entry) > 64:
                entry.clear()
            found = entry["free" if graph.rows is None else n] = run.Executable(graph, self.dtype())
        else:
            self.check_trace(found.graph, lambda: self.build(body, shapes, n, override))
        return found, n

    def check_trace(self, graph, build):
        """With FASTNN_CHECK_TRACE=1: describes the network anew, and raises RuntimeError where that gives another graph, because
        forward read something that a trace does not know of (a global, a parameter's data, the number of rows in an `if`)."""
        if CHECK_TRACE and build().key != graph.key:
            raise RuntimeError(f"{type(self).__name__}: forward describes another network than when it was first traced: it reads "
                               "something that is neither an attribute of a module nor a value (FASTNN_CHECK_TRACE=1 found it). Make "
                               "it an attribute, a Parameter, a buffer or an nn.Scalar")

    def predict_body(self, session, inputs):
        """Outputs alone."""
        return outputs_of(self(*inputs)), session.updates

    def predict_on_batch(self, x, out=None):
        """Inference on one batch: x (rows, ...) -> array, or a dict by output name where there are several. out: an array to write into."""
        if self.__dict__.get("_checked") == _changes and type(x) is np.ndarray and x.ndim:
            found = self._predictors.get(x.shape[1:])
            if found is not None and x.dtype in run.SUPPORTED:
                lock = self._rwlock
                lock.acquire_read()
                try:
                    return found.predict(x, out)
                finally:
                    lock.release_read()
        arrays = input_arrays(self, x)
        executable, n = self.executable("predict", self.predict_body, arrays, False)
        simple = len(arrays) == 1 and len(executable.names) == 1 and executable.graph.rows is None and not executable.slots and \
            tuple(executable.graph.inputs[0].shape[1:]) == arrays[0].shape[1:]
        lock = self._lock()
        if simple and self.__dict__.get("_byte_scale") is None and not CHECK_TRACE:
            self._predictors[arrays[0].shape[1:]] = executable
        lock.acquire_read()
        try:
            if simple:
                return executable.predict(arrays[0], out)
            results = executable.start(arrays, n, self.numbers()).results()
        finally:
            lock.release_read()
        return structure(executable.names, results)

    def predict(self, x, batch_size=64, verbose=0):
        """Inference on any number of rows, batch_size at a time -> array (or dict by output name)."""
        arrays = input_arrays(self, x)
        n = rows_of(self, arrays)
        if batch_size < 1:
            raise ValueError(f"predict: batch_size is {batch_size}, expected at least 1")
        single = len(arrays) == 1
        parts = [self.predict_on_batch(arrays[0][i:i + batch_size] if single else [a[i:i + batch_size] for a in arrays])
                 for i in range(0, max(n, 1), batch_size)]
        if len(parts) == 1:
            return parts[0]
        if isinstance(parts[0], dict):
            return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        return tuple(map(np.concatenate, zip(*parts))) if isinstance(parts[0], tuple) else np.concatenate(parts)

    def numbers(self, advance=0):
        """The numbers that dropout reads at a run: seed and step. advance: the steps to be made; of several, step is an array."""
        state = self.__dict__.setdefault("_random", {"seed": None, "step": 0})
        if state["seed"] is None:
            from . import random
            state["seed"] = random.next_seed()
        state["step"] += advance
        last = state["step"]
        return {"seed": state["seed"], "step": last if advance <= 1 else np.arange(last - advance + 1, last + 1)}

    def _run(self, inputs, training):
        mixed = training is None and any(self._flags(None).values())        # parts may be in training mode alone
        training = training if training is not None else bool(self._mode)
        from .grad import enabled
        arrays = input_arrays(self, list(inputs) if len(inputs) != 1 else inputs[0])
        if not training or not enabled():
            if training or mixed:
                executable, n = self.executable("modes", self.predict_body, arrays, training or None)
                with self._lock():
                    results = executable.start(arrays, n, self.numbers(advance=True)).results()
                return structure(executable.names, results)
            if len(arrays) == 1:
                return self.predict_on_batch(arrays[0])
            return self.predict_on_batch(arrays)
        return self.run_by_hand(arrays)

    # -- looking inside

    def activations(self, x, layers=None):
        """{path of a layer: its output} for an input, in inference mode: the feature maps. layers: the paths wanted (default all).

        Raises KeyError for a path that is not a layer's."""
        arrays = input_arrays(self, x)
        found = {}

        def body(session, inputs):
            self(*inputs)
            names = {k: v for k, v in session.layers.items() if k}
            if layers is not None:
                unknown = [k for k in layers if k not in names]
                if unknown:
                    raise KeyError(f"activations: no layers {unknown}; there are {list(names)}")
                names = {k: names[k] for k in layers}
            return names, session.updates
        executable, n = self.executable(("activations", None if layers is None else tuple(layers)), body, arrays, False)
        results = executable.start(arrays, n, self.numbers()).results()
        found.update(zip(executable.names, results))
        return found

    def graph(self, input_shape=None):
        """The Graph (inference). input_shape: a row's shape, needed before the first call; a list of shapes for several inputs."""
        shapes = self.input_shapes(input_shape)
        return self.build(self.predict_body, tuple((s, "float32") for s in shapes), 2, False)

    def input_shapes(self, given=None):
        """Row shapes of the inputs: as given, or those of the last call."""
        if given is not None:
            several = given and isinstance(given[0], (tuple, list))
            return [tuple(s) for s in given] if several else [tuple(given)]
        known = self.__dict__.get("_input_shapes")
        if known is None:
            raise ValueError(f"{type(self).__name__}: give input_shape=(...), a row's shape without the batch, or call the model once first")
        return known

    def summary(self, input_shape=None, file=None):
        """Prints a table: layer, output shape, parameters, MFLOPs (2 per multiply-add, per row)."""
        from .summary import table
        print(table(self, self.input_shapes(input_shape)), file=file)

    def save(self, path, input_shape=None, training_state=False):
        """Writes a safetensors file with the tensors, and the graph in its metadata. See fastnn.load.

        Raises ValueError before any call without input_shape, or where the graph depends on the batch size."""
        from .saving import save
        save(self, path, input_shape, training_state)

    def __getstate__(self):
        """What copy.deepcopy and pickling take along: everything but what was compiled, and waiting runs."""
        return {name: value for name, value in self.__dict__.items() if name not in LEFT_BEHIND}

    def __setstate__(self, state):
        self.__dict__.update(state)
        changed()

    # -- printing

    def extra_repr(self):
        """What stands in the brackets of the printed layer."""
        return ""

    def __repr__(self):
        children = self.named_children()
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        inside = "\n".join(f"  ({name}): " + repr(m).replace("\n", "\n  ") for name, m in children)
        return f"{type(self).__name__}(\n{inside}\n)"


def _modules_in(name, value):
    if isinstance(value, Module):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            yield from _modules_in(f"{name}.{i}", v)
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from _modules_in(f"{name}.{k}", v)


def outputs_of(result):
    """{name: value} of what a forward returned: one value, a tuple or list ("0", "1", ...; tuples in it are opened), or a dict."""
    if isinstance(result, g.Value):
        return {"output": result}
    if isinstance(result, dict):
        return {str(k): v for k, v in result.items()}
    if isinstance(result, (tuple, list)):
        values = _opened(result)
        if all(isinstance(v, g.Value) for v in values):
            return {str(i): v for i, v in enumerate(values)}
    raise TypeError(f"forward returned {type(result).__name__}, expected a value, or a tuple, list or dict of values")


def _opened(result):
    return [v for r in result for v in _opened(r)] if isinstance(result, (tuple, list)) else [result]


def structure(names, results):
    """What a forward returned, of the same outputs: one of them, a tuple, or a dict by output name."""
    if names == ["output"]:
        return results[0]
    return tuple(results) if names == [str(i) for i in range(len(names))] else dict(zip(names, results))


def input_arrays(module, x):
    """The inputs as a list of arrays: x is an array, a list or tuple of arrays (several inputs), or a dict by input name."""
    where = type(module).__name__
    names = module.__dict__.get("_input_names")
    if isinstance(x, dict):
        if names is None or set(x) != set(names):
            raise ValueError(f"{where}: inputs named {sorted(x)} given, expected {list(names or ['one array'])}")
        x = [x[name] for name in names]
    several = isinstance(x, (list, tuple)) and len(x) and all(isinstance(a, np.ndarray) or hasattr(a, "__array__") for a in x)
    arrays = [run.check_array(where, f"input {i}", a) for i, a in enumerate(x if several else [x])]
    for i, a in enumerate(arrays):
        if a.ndim == 0:
            raise ValueError(f"{where}: input {i} is a single number, expected an array whose first axis counts the rows")
    module.__dict__["_input_shapes"] = [a.shape[1:] for a in arrays]
    return arrays


def rows_of(module, arrays):
    """The number of rows, the same for every input."""
    counts = {a.shape[0] for a in arrays}
    if len(counts) != 1:
        raise ValueError(f"{type(module).__name__}: inputs have different numbers of rows: {[a.shape[0] for a in arrays]}")
    return counts.pop()
