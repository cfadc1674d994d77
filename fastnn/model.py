"""Model: a network given by its inputs and outputs (any DAG), and the Model that nn.load returns."""
from . import graph as g
from .graph import FUNCTIONAL_ROWS, Node, Op, Session, Spec, Value, ancestors, as_value
from .module import Module
from .ops._arguments import CHANNELS_LAST

LAYER = Op("layer")             # a call of a whole layer, opened when the model is traced


def Input(*shape, name=None, dtype="float32", data_format="channels_first"):
    """A symbolic input of row shape `shape` (without the batch), for Model(inputs, outputs): Input(1, 28, 28).

    data_format="channels_last": arrays come as (N, ..., C), shape is then a row of those, Input(28, 28, 1, data_format=...); the
    value that is returned has the channels first, as layers want them. Raises ValueError for lengths below 1."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    if any(not isinstance(d, int) or d < 1 for d in shape):
        raise ValueError(f"Input: expected the lengths of a row's axes, whole numbers of at least 1, got {shape}")
    value = g.make_input(name or "", (FUNCTIONAL_ROWS, *shape), dtype)
    if data_format not in ("channels_first", "channels_last"):
        raise ValueError(f"Input: data_format must be 'channels_first' or 'channels_last', got {data_format!r}")
    return value if data_format == "channels_first" else value.permute(0, len(shape), *range(1, len(shape)))


def layer_node(module, inputs, named):
    """A layer called on values outside of any trace: one node, its shape found by tracing it aside."""
    with Session(FUNCTIONAL_ROWS) as session:
        session.flags = module._flags(False)
        values = [v if isinstance(v, Value) else as_value(v) for v in inputs]
        made = module.forward(*[g.make_input("", v.shape, v.dtype) for v in values], **named)
    results = made if isinstance(made, (tuple, list)) else (made,)
    flat = []
    _flatten(results, flat)
    node = Node(LAYER, tuple(values), {"module": module, "named": tuple(sorted(named.items())), "structure": _skeleton(made)},
                tuple(Spec(v.shape, v.dtype) for v in flat))
    return _fill(node.attrs["structure"], iter(node.outputs))


def _flatten(results, into):
    for r in results:
        if isinstance(r, (tuple, list)):
            _flatten(r, into)
        else:
            into.append(r)


def _skeleton(made):
    return tuple(_skeleton(m) for m in made) if isinstance(made, (tuple, list)) else None


def _fill(skeleton, values):
    return next(values) if skeleton is None else tuple(_fill(s, values) for s in skeleton)


class Model(Module):
    """A network from its inputs (an Input, or a list of them) to its outputs (a value, or a list, tuple or dict of them).

    Layers are named by their class (`conv2d`, `conv2d_1`, ...). Raises ValueError for outputs that do not depend on the
    inputs, or on an Input that is not among them."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self._inputs = [_source(i) for i in ([inputs] if isinstance(inputs, Value) else inputs)]
        self._result = outputs
        values = []
        _flatten(outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, (tuple, list)) else [outputs], values)
        for v in [*self._inputs, *values]:
            if not isinstance(v, Value):
                raise TypeError(f"Model: expected values (nn.Input and what layers make of it), got {type(v).__name__}")
        self._nodes = ancestors(values)
        given = {id(i.node) for i in self._inputs}
        for node in self._nodes:
            if node.op is g.INPUT and id(node) not in given:
                raise ValueError(f"Model: an output depends on an Input {list(node.outputs[0].shape[1:])} (made at {node.where}) that is "
                                 "not among the inputs")
        reached = {id(n) for n in self._nodes}
        for i in self._inputs:
            if id(i.node) not in reached:
                raise ValueError(f"Model: the Input made at {i.node.where} does not lead to any output: the two are disconnected")
        names = [i.node.attrs["name"] for i in self._inputs]
        self._input_names = names if all(names) else None
        self._values = values
        self._register()

    def _register(self):
        known, count = {id(self)}, {}
        for node in self._nodes:
            holders = [node.attrs["module"]] if node.op is LAYER else [node.attrs["holder"]] if node.op is g.STATE else []
            for thing in holders:
                if id(thing) not in known:
                    known.add(id(thing))
                    kind = type(thing).__name__.lower()
                    number = count[kind] = count.get(kind, -1) + 1
                    name = kind if number == 0 else f"{kind}_{number}"
                    if isinstance(thing, g_buffer()) and not isinstance(thing, g_parameter()):
                        self.register_buffer(name, thing)
                    else:
                        setattr(self, name, thing)

    def forward(self, *inputs):
        if len(inputs) != len(self._inputs):
            raise ValueError(f"Model: {len(inputs)} inputs given, expected {len(self._inputs)}")
        new, rows = {}, inputs[0].shape[0]
        for old, value in zip(self._inputs, inputs):
            if tuple(value.shape[1:]) != tuple(old.shape[1:]):
                raise ValueError(f"Model: input of row shape {tuple(value.shape[1:])} given, expected {tuple(old.shape[1:])}"
                                 + channels_last_hint(value.shape[1:], old.shape[1:]))
            new[old] = value
        for node in self._nodes:
            if node.op is g.INPUT:
                continue
            args = [None if v is None else new[v] for v in node.inputs]
            if node.op is LAYER:
                made = node.attrs["module"](*args, **dict(node.attrs["named"]))
                flat = []
                _flatten(made if isinstance(made, (tuple, list)) else (made,), flat)
                made = tuple(flat)
            elif node.op is g.STATE:
                made = (g.current().state(node.attrs["holder"]),)
            elif node.op is g.CONSTANT:
                made = (as_value(_at_rows(node.attrs["value"], rows)),)
            else:
                made = node.op(*args, **{k: _at_rows(v, rows) for k, v in node.attrs.items()})
                made = made if isinstance(made, tuple) else (made,)
            new.update(zip(node.outputs, made))
        return _map(self._result, new)


def _source(value):
    """The input itself, where `value` is an Input turned channels-first."""
    while isinstance(value, Value) and value.node.op is not g.INPUT and len(value.node.inputs) == 1:
        value = value.node.inputs[0]
    return value


def g_parameter():
    from .parameter import Parameter
    return Parameter


def g_buffer():
    from .parameter import Buffer
    return Buffer


def _at_rows(thing, rows):
    """An attribute written at FUNCTIONAL_ROWS, for `rows` rows."""
    return g.at(g._merge(thing, None, FUNCTIONAL_ROWS, ""), rows) if not hasattr(thing, "dtype") else thing


def _map(result, new):
    if isinstance(result, dict):
        return {k: new[v] for k, v in result.items()}
    if isinstance(result, (tuple, list)):
        return tuple(_map(r, new) for r in result)
    return new[result]


def channels_last_hint(given, expected):
    """What to say where an image looks channels-last."""
    if len(given) == 3 and len(expected) == 3 and (given[2], given[0], given[1]) == tuple(expected):
        return CHANNELS_LAST
    return ""


class LoadedModel(Model):
    """What nn.load returns: the saved graphs (inference, and training where it differs), replayed. Its parameters and buffers
    are its attributes, under their names; `state` are the names that stand in its state dict."""

    def __init__(self, graphs, holders, state):
        Module.__init__(self)
        from .parameter import Parameter
        self._graphs, self._holders, self._state = graphs, holders, tuple(state)
        for name, holder in holders.items():
            if not isinstance(holder, Parameter):
                self._buffers[name] = holder
        first = graphs["eval"]
        names = [v.node.attrs["name"] for v in first.inputs]
        self._input_names = None if names == [f"input{i}" for i in range(len(names))] else names
        self._input_shapes = [tuple(v.shape[1:]) for v in first.inputs]

    def __getattr__(self, name):
        holders = self.__dict__.get("_holders", {})
        if name in holders:
            return holders[name]
        raise AttributeError(f"the loaded model has no attribute {name!r}")

    def _own(self, kind):
        return ((name, holder) for name, holder in self._holders.items() if isinstance(holder, kind))

    def _entries(self):
        return {name: self._holders[name] for name in self._state}

    def forward(self, *inputs):
        graph = self._graphs["train"] if "train" in self._graphs and self.training else self._graphs["eval"]
        for value, saved in zip(inputs, graph.inputs):
            if tuple(value.shape[1:]) != tuple(saved.shape[1:]):
                raise ValueError(f"this model takes rows of shape {tuple(saved.shape[1:])}, got {tuple(value.shape[1:])}"
                                 + channels_last_hint(value.shape[1:], saved.shape[1:]))
        session = g.current()
        new = graph.replay(inputs, inputs[0].shape[0])
        for path, value in graph.layers.items():
            if path:
                session.layers.setdefault(path, new[value])
        session.updates.extend((new[s], new[v]) for s, v in graph.updates)
        outputs = {name: new[v] for name, v in graph.outputs.items()}
        return outputs["output"] if list(outputs) == ["output"] else outputs
