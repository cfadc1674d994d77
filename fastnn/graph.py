"""The graph: values, the nodes that make them, the ops that nodes apply, gradients, and freeing a traced graph of its batch size.

Imports nothing of the package. Python code builds nodes by calling ops on values while it sees concrete shapes; a `Graph` is
what two such traces, at n and at 2n rows, have in common: every number that differs between them is kept as a multiple of N
(`Batch`). The reference backend walks a Graph; a plan is a Graph compiled."""
import itertools
import os
import sys
import threading

import numpy as np

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
FUNCTIONAL_ROWS = 9973          # the rows of an nn.Input, written once and read as "N": a prime that no layer's sizes contain


class TraceError(TypeError):
    """Python asked a symbolic value for something that only data has."""


class Batch:
    """A number that is coefficient * N (power 1) or coefficient / N (power -1), N the number of rows. coefficient: int, Fraction
    (never a whole one) or float."""
    __slots__ = ("coefficient", "power")

    def __init__(self, coefficient, power=1):
        self.coefficient, self.power = coefficient, power

    def at(self, n):
        """The number for n rows: an int where it is one."""
        if isinstance(self.coefficient, float) or self.power < 0:
            return float(self.coefficient) * n if self.power > 0 else float(self.coefficient) / n if n else float("inf")
        value = self.coefficient * n
        if value.denominator != 1:
            raise ValueError(f"{n} rows cannot be cut into {self!r}")
        return value.numerator

    @staticmethod
    def ratio(a, b):
        """a / b, exactly: an int where it is one, else a Fraction (imported then only: it costs time)."""
        if a % b == 0:
            return a // b
        from fractions import Fraction
        return Fraction(a, b)

    def __mul__(self, other):
        return NotImplemented if isinstance(other, Batch) else Batch(self.coefficient * other, self.power)

    __rmul__ = __mul__

    def __eq__(self, other):
        return isinstance(other, Batch) and (self.coefficient, self.power) == (other.coefficient, other.power)

    def __hash__(self):
        return hash((Batch, self.coefficient, self.power))

    def __repr__(self):
        factor = "" if self.coefficient == 1 else f"{self.coefficient}*"
        return f"{factor}N" if self.power > 0 else f"{self.coefficient}/N"


def at(thing, n):
    """`thing` (a number, a tuple, anything) with every Batch in it replaced by its number for n rows."""
    if isinstance(thing, Batch):
        return thing.at(n)
    if isinstance(thing, tuple):
        return tuple(at(t, n) for t in thing)
    return thing


class Spec:
    """Shape and dtype of a value."""
    __slots__ = ("shape", "dtype")

    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype = tuple(shape), dtype

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def size(self):
        total = 1
        for d in self.shape:
            total = d * total if isinstance(d, Batch) else total * d
        return total

    def __eq__(self, other):
        return isinstance(other, Spec) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self):
        return hash((self.shape, self.dtype))

    def __repr__(self):
        return f"{self.dtype}{list(self.shape)}"


OPS = {}                        # name -> Op, the built-in ones and the user's
functions = {}                  # name -> public function of ops/, for the operators and methods of Value


class Op:
    """One operation: `reference` (NumPy arrays in, array or tuple out), `shape` (specs in, spec or tuple out; left out: the
    first input's), `gradient` (dy, *inputs, out, **attrs -> a gradient or None an input, as values; tuples for several
    outputs), `lower` (emit, *inputs, out, **attrs: the steps of a plan). `mode` says how a plan may run it: "row" (a row's
    result depends on that row alone), "reduce" (sums over the rows), "flat" (mixes them), or a function of the node.
    `check` and `update` mark ops that may fail on data and ops that write their first inputs in place. `rows`: how many of the
    first inputs have one row an image, for ops that know images (convolution); 0: called on arrays, all axes are alike. `few`: of
    a "reduce", that its kernels are written for few rows too. `costs` (inputs, out, **attrs): see plan.lanes_of."""

    def __init__(self, name, shape=None, mode="row", check=False, update=False, rows=0, few=False):
        self.name, self.shape, self.mode, self.check, self.update, self.rows = name, shape, mode, check, update, rows
        self.few = few
        self.reference = self.gradient_rule = self.lower_rule = self.costs_rule = None
        self.native = True                          # False: an op of the user's, in NumPy
        OPS[name] = self

    def __repr__(self):
        return f"<op {self.name}>"

    def lower(self, rule):
        """Decorator: the op's lowering."""
        self.lower_rule = rule
        return rule

    def costs(self, rule):
        """Decorator: what the op costs a row alone, and a group of 16."""
        self.costs_rule = rule
        return rule

    def gradient(self, rule):
        """Decorator: the op's gradient rule."""
        self.gradient_rule = rule
        return rule

    def specs(self, inputs, attrs):
        """The outputs' specs, always a tuple."""
        given = [None if i is None else Spec(i.shape, i.dtype) for i in inputs]
        result = given[0] if self.shape is None else self.shape(*given, **attrs)
        return result if isinstance(result, tuple) and not isinstance(result, Spec) else (result,)

    def __call__(self, *inputs, **attrs):
        if not any(is_symbolic(i) for i in inputs):
            return evaluate(self, inputs, attrs)
        node = Node(self, tuple(None if i is None else as_value(i) for i in inputs), attrs)
        return node.outputs[0] if len(node.outputs) == 1 else node.outputs


def op(name, shape=None, mode="row", check=False, update=False, rows=0, few=False):
    """Decorator over an op's NumPy reference: makes the Op. See Op."""
    def wrap(reference):
        made = Op(name, shape, mode, check, update, rows, few)
        made.reference = reference
        return made
    return wrap


def evaluate(op, inputs, attrs):
    """Runs one op on arrays. run.py takes this over: ops reach it late, so that they import nothing but this file."""
    raise RuntimeError("fastnn.run is not loaded")


INPUT, STATE, CONSTANT, SLOT = (Op(name) for name in ("input", "state", "constant", "slot"))
SOURCES = (INPUT, STATE, CONSTANT, SLOT)
_order = itertools.count()


class Node:
    """One application of an op. `scope` is the path of the layer that made it, `where` the user's file and line."""
    __slots__ = ("op", "inputs", "attrs", "outputs", "scope", "where", "order", "fused")

    def __init__(self, op, inputs, attrs, specs=None, scope=None, where=None):
        self.op, self.inputs, self.attrs, self.fused = op, inputs, attrs, None
        session = current()
        self.scope = (session.path() if session else "") if scope is None else scope
        self.where = user_line() if where is None else where
        self.order = next(_order)
        specs = op.specs(inputs, attrs) if specs is None else specs
        self.outputs = tuple(Value(self, i, s.shape, s.dtype) for i, s in enumerate(specs))

    def __repr__(self):
        return f"<{self.op.name} {[o.shape for o in self.outputs]}>"


def user_line():
    """file:line of the innermost frame outside the package."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""


def _data_error(what, instead):
    def method(self, *_):
        made = f"made by {self.node.op.name}" + (f" at {self.node.where}" if self.node.where else "")
        raise TraceError(f"{what} of a symbolic value ({made}) at {user_line()}: the network is being described, there is no "
                         f"data yet. {instead}")
    return method


def _method(name, doc=None):
    def method(self, *args, **kwargs):
        return functions[name](self, *args, **kwargs)
    method.__name__, method.__doc__ = name, doc or f"See fastnn.functional.{name}."
    return method


UFUNCS = dict(add="add", subtract="sub", multiply="mul", divide="div", power="pow", matmul="matmul", negative="neg", exp="exp",
              log="log", sqrt="sqrt", absolute="abs", square="square", reciprocal="reciprocal", sign="sign", maximum="maximum",
              minimum="minimum", tanh="tanh", greater="gt", greater_equal="ge", less="lt", less_equal="le", equal="eq",
              not_equal="ne")             # NumPy's name -> ours


class Value:
    """A symbolic array: what flows through a network while it is described. Has a shape and a dtype, arithmetic, reductions
    and shape operations like NumPy's and PyTorch's; asking for its data (`if`, `float`, `np.asarray`) is a TraceError."""
    __slots__ = ("node", "index", "shape", "dtype", "__weakref__")
    contiguous = lambda self: self                  # noqa: E731 (PyTorch's; there is no memory yet)

    def __init__(self, node, index, shape, dtype):
        self.node, self.index, self.shape, self.dtype = node, index, tuple(shape), dtype

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def T(self):
        return functions["transpose"](self, 0, 1)

    def dim(self):
        """The number of axes."""
        return len(self.shape)

    def size(self, dim=None):
        """The shape, or the length of one axis (PyTorch's `size`)."""
        return self.shape if dim is None else self.shape[dim]

    def __repr__(self):
        shape = tuple("N" if d == FUNCTIONAL_ROWS else d for d in self.shape)
        return f"<Value {self.dtype}{list(shape)} of {self.node.op.name}>"

    def __radd__(self, other):
        return functions["add"](other, self)

    def __rsub__(self, other):
        return functions["sub"](other, self)

    def __rmul__(self, other):
        return functions["mul"](other, self)

    def __rtruediv__(self, other):
        return functions["div"](other, self)

    def __rpow__(self, other):
        return functions["pow"](other, self)

    def __rmatmul__(self, other):
        return functions["matmul"](other, self)

    def __array_ufunc__(self, ufunc, method, *inputs, **settings):
        """array + value, np.exp(value): the function of the same name."""
        name = UFUNCS.get(ufunc.__name__)
        if method != "__call__" or settings or name is None:
            raise TraceError(f"np.{ufunc.__name__} of a symbolic value at {user_line()}: use F.* functions, or write an op of your "
                             "own with @nn.op.")
        return functions[name](*inputs)

    __setitem__ = _data_error("writing into a part", "Values do not change: use F.where or F.cat to make a new one.")
    __hash__ = object.__hash__
    __bool__ = _data_error("the truth", "Use F.where(condition, a, b) for a choice that depends on data.")
    __float__ = _data_error("float()", "Keep it a value: arithmetic and F.* functions work on it.")
    __int__ = __index__ = _data_error("int()", "Shapes are known here: use x.shape or x.size(dim).")
    __iter__ = _data_error("iteration", "Index it with constant slices: x[:, i].")
    __len__ = lambda self: self.shape[0] if self.shape else _data_error("len()", "It has no axes.")(self)
    __array__ = _data_error("a NumPy array", "Use F.* functions, or write an op of your own with @nn.op.")
    item = _data_error("item()", "Keep it a value.")


for _name, _function in dict(__add__="add", __sub__="sub", __mul__="mul", __truediv__="div", __pow__="pow", __matmul__="matmul",
                             __neg__="neg", __abs__="abs", __gt__="gt", __ge__="ge", __lt__="lt", __le__="le", __eq__="eq",
                             __ne__="ne", __getitem__="getitem").items():
    setattr(Value, _name, _method(_function))
for _name in ("reshape view flatten transpose permute squeeze unsqueeze mean sum max min exp log sqrt abs clip clamp pow "
              "matmul relu sigmoid tanh softmax log_softmax square argmax float expand").split():
    setattr(Value, _name, _method(_name))


# ---- sessions: where values of parameters come from while a network is traced

_local = threading.local()


class Session:
    """One trace: the values of parameters and slots, so that each has one, and the path of the layer being traced."""

    def __init__(self, rows, training=False, dtype="float32"):
        self.rows, self.training, self.dtype = rows, training, dtype
        self.sources, self.scopes, self.layers, self.updates = {}, [], {}, []
        self.names, self.flags = {}, {}             # id of a module -> its path, its training flag
        self.streams = itertools.count()            # numbers the random nodes
        self.read_training = False                  # did Python read a module's `training`?
        self.labelled = False                       # is this fit's or evaluate's step, each row with a target of its own?

    def __enter__(self):
        stack = _local.__dict__.setdefault("sessions", [])
        stack.append(self)
        return self

    def __exit__(self, *_):
        _local.sessions.pop()

    def path(self):
        return self.scopes[-1] if self.scopes else ""

    def source(self, kind, key, spec, **attrs):
        """The one value of this session for the parameter, buffer or slot known by `key`."""
        if key not in self.sources:
            self.sources[key] = Node(kind, (), attrs, (spec,)).outputs[0]
        return self.sources[key]

    def state(self, holder):
        """The value of a Parameter or buffer (anything with shape, dtype and name)."""
        return self.source(STATE, id(holder), Spec(holder.shape, str(holder.dtype)), holder=holder)

    def slot(self, name, dtype="float32"):
        """A number read anew at every run."""
        return self.source(SLOT, ("slot", name), Spec((), dtype), name=name)


def current():
    """The innermost session of this thread, or None."""
    stack = _local.__dict__.get("sessions")
    return stack[-1] if stack else None


def is_symbolic(thing):
    """Is it a value, or does it stand for one (a Parameter inside a trace)?"""
    return isinstance(thing, Value) or (hasattr(type(thing), "__fastnn_value__") and current() is not None)


def as_value(thing):
    """`thing` as a value: values as they are, parameters' values, arrays and numbers as constants."""
    if isinstance(thing, Value):
        return thing
    session = current()
    if hasattr(type(thing), "__fastnn_value__"):
        return thing.__fastnn_value__() if session else \
            Node(STATE, (), {"holder": thing}, (Spec(thing.shape, str(thing.dtype)),)).outputs[0]
    if isinstance(thing, (bool, int, float)):
        return Node(CONSTANT, (), {"value": thing}, (Spec((), session.dtype if session else "float32"),)).outputs[0]
    array = np.asarray(thing)
    if array.dtype.kind == "f" and session is not None or array.dtype == np.float64:
        array = array.astype(session.dtype if session else np.float32)
    if array.dtype.kind in "iu":
        array = array.astype(np.int64)
    array = array.copy()
    array.flags.writeable = False
    return Node(CONSTANT, (), {"value": array}, (Spec(array.shape, str(array.dtype)),)).outputs[0]


def is_number(value):
    """A constant or slot without axes: elementwise ops take it as a number, unexpanded."""
    return value.node.op in (CONSTANT, SLOT) and value.shape == ()


def make_input(name, shape, dtype="float32", late=False):
    """A new input. `late`: given only when the second half of the graph runs (the gradient that a backward starts from)."""
    return Node(INPUT, (), {"name": name, "late": late}, (Spec(shape, dtype),)).outputs[0]


# ---- gradients

def ancestors(values):
    """The nodes that `values` depend on, themselves included, in the order they were made."""
    seen, stack = {}, [v.node for v in values if v is not None]
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen[id(node)] = node
            stack.extend(i.node for i in node.inputs if i is not None)
    return sorted(seen.values(), key=lambda node: node.order)


def gradients(outputs, output_gradients, wrt):
    """The gradient of sum(outputs * output_gradients) with respect to each of `wrt`: a value, or None where nothing flows.
    The chain rule, one rule an op, in reverse order; a value used twice adds its gradients in the order of its uses."""
    nodes = ancestors(outputs)
    wanted = {id(w.node) for w in wrt}
    for node in nodes:
        if any(i is not None and id(i.node) in wanted for i in node.inputs):
            wanted.add(id(node))
    flowing = {}

    def add(value, gradient):
        if gradient is not None and id(value.node) in wanted:
            key = (id(value.node), value.index)
            flowing[key] = functions["add"](flowing[key], gradient) if key in flowing else gradient

    for value, gradient in zip(outputs, output_gradients):
        add(value, gradient)
    for node in reversed(nodes):
        dys = tuple(flowing.get((id(node), o.index)) for o in node.outputs)
        if node.op in SOURCES or id(node) not in wanted or all(dy is None for dy in dys):
            continue
        if node.op.gradient_rule is None:
            raise TypeError(f"{node.op.name} has no gradient (used at {node.where})")
        one = len(node.outputs) == 1
        given = node.op.gradient_rule(dys[0] if one else dys, *node.inputs, node.outputs[0] if one else node.outputs, **node.attrs)
        given = given if isinstance(given, tuple) else (given,)
        if len(given) != sum(i is not None for i in node.inputs) and len(given) != len(node.inputs):
            raise TypeError(f"the gradient of {node.op.name} gave {len(given)} results for {len(node.inputs)} inputs")
        inputs = node.inputs if len(given) == len(node.inputs) else [i for i in node.inputs if i is not None]
        for value, gradient in zip(inputs, given):
            if value is not None:
                add(value, gradient)
    return [flowing.get((id(w.node), w.index)) for w in wrt]


# ---- a finished graph

class DependsOnRows(Exception):
    """Two traces differ in more than multiples of the batch size."""


def _merge_number(a, b, n, where):
    """The Batch that is `a` at n rows and `b` at 2n."""
    if isinstance(a, bool) or isinstance(b, bool) or not isinstance(a, (int, float)) or not isinstance(b, (int, float)):
        raise DependsOnRows(where)
    if b == 2 * a:
        return Batch(Batch.ratio(a, n)) if isinstance(a, int) else Batch(a / n)
    if a == 2 * b:
        return Batch(a * n, -1)
    raise DependsOnRows(where)


def _merge_attr(a, b, n, where, odd):
    """_merge, but an attribute that depends on the rows in another way stays as it is at n; the place is noted in `odd`."""
    try:
        return _merge(a, b, n, where)
    except DependsOnRows:
        if odd is None or isinstance(a, np.ndarray) and (not isinstance(b, np.ndarray) or a.shape != b.shape):
            raise
        odd.append(where)
        return a


def _merge(a, b, n, where):
    """What `a` (traced at n rows) and `b` (at 2n) have in common; b None: a was written at FUNCTIONAL_ROWS, once."""
    if b is None:
        if isinstance(a, tuple):
            return tuple(_merge(x, None, n, where) for x in a)
        rows = isinstance(a, int) and not isinstance(a, bool) and a and a % FUNCTIONAL_ROWS == 0
        return Batch(a // FUNCTIONAL_ROWS) if rows else a
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple(_merge(x, y, n, where) for x, y in zip(a, b))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            return a
        raise DependsOnRows(where)
    if type(a) is type(b) and (a == b or a != a and b != b):
        return a
    if a is b:
        return a
    return _merge_number(a, b, n, where)


def _attr_key(value):
    if isinstance(value, np.ndarray):
        return (value.shape, str(value.dtype), value.tobytes())
    return (type(value).__name__, value)


class Graph:
    """A finished graph: `nodes` in order, sources apart. `inputs`, `states`, `slots` are source values, `holders` the objects
    behind the states, `outputs` {name: value}, `updates` [(state value, new value)]. `rows`: None where the graph is free of
    the batch size, else the one number of rows it is for. `key` is equal for equal graphs."""

    def __init__(self, nodes, inputs, outputs, updates, rows=None, layers=()):
        self.nodes = [n for n in nodes if n.op not in SOURCES]
        self.inputs, self.outputs, self.updates, self.rows = list(inputs), dict(outputs), list(updates), rows
        self.states = [n.outputs[0] for n in nodes if n.op is STATE]
        self.holders = [v.node.attrs["holder"] for v in self.states]
        self.slots = [n.outputs[0] for n in nodes if n.op is SLOT]
        self.constants = [n.outputs[0] for n in nodes if n.op is CONSTANT]
        self.layers = dict(layers)                  # path of a layer -> its output value
        self.key = self._key()

    def _key(self):
        number = {}
        for i, value in enumerate(self.inputs + self.states + self.slots + self.constants):
            number[value] = i
        parts = [self.rows, tuple((v.shape, v.dtype, v.node.attrs["late"]) for v in self.inputs),
                 tuple((v.shape, v.dtype) for v in self.states), tuple((v.node.attrs["name"], v.dtype) for v in self.slots),
                 tuple((v.shape, v.dtype, _attr_key(v.node.attrs["value"])) for v in self.constants)]
        for node in self.nodes:
            parts.append((node.op.name if node.op.native else node.op, tuple(None if i is None else number[i] for i in node.inputs),
                          tuple(sorted((k, _attr_key(v)) for k, v in node.attrs.items()))))
            for value in node.outputs:
                number[value] = len(number)
        parts.append(tuple((name, number[v]) for name, v in self.outputs.items()))
        parts.append(tuple((number[s], number[v]) for s, v in self.updates))
        return tuple(parts)

    def svg(self):
        """A picture of the graph, as the text of an SVG file."""
        from .drawing import svg
        return svg(self)

    _repr_svg_ = svg

    def replay(self, inputs, rows, holder=lambda h: h):
        """Builds the graph's nodes again in the current session, for `rows` rows: -> {old value: new value}."""
        session, new = current(), {}
        for value, given in zip(self.inputs, inputs):
            new[value] = given
        for value in self.states:
            new[value] = session.state(holder(value.node.attrs["holder"]))
        for value in self.slots:
            new[value] = session.slot(value.node.attrs["name"], value.dtype)
        for value in self.constants:
            new[value] = as_value(at(value.node.attrs["value"], rows))
        for node in self.nodes:
            session.scopes.append(".".join(s for s in (session.path(), node.scope) if s))
            try:
                made = node.op(*[None if i is None else new[i] for i in node.inputs],
                               **{k: at(v, rows) for k, v in node.attrs.items()})
            finally:
                session.scopes.pop()
            for old, value in zip(node.outputs, made if isinstance(made, tuple) else (made,)):
                new[old] = value
        return new


def _places(values, number):
    return [None if v is None else (number[id(v.node)], v.index) for v in values]


def finish(trace, second=None, rows=None, odd=None):
    """A Graph from `trace` = (inputs, outputs, updates, layers) made at `rows` rows and `second`, the same at 2 * rows (None: made at
    FUNCTIONAL_ROWS, once). Raises DependsOnRows, with the user's line, where they do not fit together. odd: a list for the places of
    numbers that depend on the rows in another way; the graph is then for `rows` rows alone."""
    def parts(made):
        inputs, outputs, updates, layers = made
        values = [*outputs.values(), *(v for _, v in updates), *(s for s, _ in updates)]
        nodes = ancestors(values)
        known = {id(n) for n in nodes}
        return nodes + [i.node for i in inputs if id(i.node) not in known], made

    nodes, (inputs, outputs, updates, layers) = parts(trace)
    others = parts(second)[0] if second is not None else [None] * len(nodes)
    if len(nodes) != len(others):
        raise DependsOnRows(nodes[-1].where)
    new, number, other_number = {}, {}, {}
    states = {}
    for i, (node, other) in enumerate(zip(nodes, others)):
        number[id(node)] = i
        if other is not None:
            other_number[id(other)] = i
            if node.op is not other.op or node.attrs.keys() != other.attrs.keys() or \
                    _places(node.inputs, number) != _places(other.inputs, other_number):
                raise DependsOnRows(node.where)
        if node.op is STATE:                        # one value a holder, however often it was mentioned
            first = states.setdefault(id(node.attrs["holder"]), node)
            if first is not node:
                new[node.outputs[0]] = new[first.outputs[0]]
                continue
        attrs = {k: _merge_attr(v, other and other.attrs[k], rows, node.where, odd) for k, v in node.attrs.items()}
        specs = tuple(Spec(_merge(a.shape, other and b.shape, rows, node.where), a.dtype)
                      for a, b in zip(node.outputs, other.outputs if other is not None else node.outputs))
        made = Node(node.op, tuple(None if x is None else new[x] for x in node.inputs), attrs, specs, node.scope, node.where)
        new.update(zip(node.outputs, made.outputs))
    made_nodes = sorted({id(v.node): v.node for v in new.values()}.values(), key=lambda n: n.order)
    return Graph(made_nodes, [new[i] for i in inputs], {k: new[v] for k, v in outputs.items()},
                 [(new[s], new[v]) for s, v in updates], rows if odd else None, {k: new[v] for k, v in layers.items() if v in new})


def finish_fixed(trace, rows):
    """A Graph for exactly `rows` rows, for models that depend on their number in another way than by multiples."""
    inputs, outputs, updates, layers = trace
    nodes = ancestors([*outputs.values(), *(v for _, v in updates), *(s for s, _ in updates)])
    known = {id(n) for n in nodes}
    nodes += [i.node for i in inputs if id(i.node) not in known]
    return Graph(nodes, inputs, outputs, updates, rows=rows, layers={k: v for k, v in layers.items() if id(v.node) in known})
