"""Plans: a graph compiled into a program of native kernel calls. Each op's lowering emits steps; elementwise steps in a row are
fused; steps are scheduled into phases, buffers placed by lifetime; and every argument is written as how to fill it for N rows
(execute.c), so that one program serves every batch size of its layout regime (`lanes`)."""
import struct
from collections import OrderedDict

import numpy as np

from . import native
from .graph import CONSTANT, INPUT, SLOT, SOURCES, STATE, Batch, Value, is_number

KERNELS = {name: (i, space, tuple(f.split() for f in fields.split(";") if f))
           for i, (name, space, fields) in enumerate(native.kernels())}
OPCODES = {name: i for i, (name, _) in enumerate(native.elementwise_ops())}
ROW_REGIME = 16                 # from this many rows on, images lie in the lanes, if nothing is known of costs (lanes_of)
PROGRAM, CONSTANTS, INPUTS = 8, 8, 6        # an elementwise program's limits (kernels.def)
LINE = 64


def product(shape):
    """The number of elements; a Batch where N is among the lengths."""
    total = 1
    for d in shape:
        total = d * total if isinstance(d, Batch) else total * d
    return total


def is_batch(value):
    """Has it N among its lengths?"""
    return any(isinstance(d, Batch) for d in value.shape)


def is_rows(value):
    """Is it a whole number of elements a row, N leading?"""
    head = value.shape[0] if value.shape else None
    return isinstance(head, Batch) and head.power == 1 and getattr(head.coefficient, "denominator", 0) == 1 and \
        not any(isinstance(d, Batch) for d in value.shape[1:])


class Buffer:
    """A piece of memory of the plan. `region`: "group" (size in floats an image), "flat" (bytes a row), "fixed" (bytes),
    "constant" (bytes), "external" (bytes of a state, else 0; offset: its index)."""
    __slots__ = ("region", "size", "offset", "first", "last", "readers")

    def __init__(self, region, size, offset=None):
        self.region, self.size, self.offset, self.first, self.last, self.readers = region, size, offset, None, None, 0


class Step:
    """One kernel call: its fields by name, the buffers it reads and writes, where and when it may run."""
    __slots__ = ("kernel", "fields", "mode", "level", "reads", "writes", "cost", "check", "update", "program", "node")

    def __init__(self, kernel, fields, mode, level, node, check=False, update=False, program=None):
        self.kernel, self.fields, self.mode, self.level, self.node = kernel, fields, mode, level, node
        self.check, self.update, self.program, self.reads, self.writes, self.cost = check, update, program, [], [], 0


class Item:
    """A node on its way through the rewrites: `extra` are arguments that fusions add to its lowering."""
    __slots__ = ("node", "op", "inputs", "outputs", "attrs", "extra")

    def __init__(self, node):
        self.node, self.op, self.inputs, self.outputs = node, node.op, list(node.inputs), list(node.outputs)
        self.attrs, self.extra = dict(node.attrs), {}


# ---- rewrites of the graph: each a function of (items, kept values); the result is the same, bit for bit

def uses(items, kept):
    """{value: [items that read it]}; a kept value (an output, an update) has one reader more."""
    readers = {}
    for item in items:
        for value in [*item.inputs, *(v for v in item.extra.values() if isinstance(v, Value))]:
            if value is not None:
                readers.setdefault(value, []).append(item)
    for value in kept:
        readers.setdefault(value, []).append(None)
    return readers


def fuse_gather(items, kept, inputs):
    """Turning an input's axes, scaling and shifting it move into the gather that reads it.
    -> (items left, {value: (input, order of its axes, scale, offset)})"""
    readers, imported, gone = uses(items, kept), {}, set()
    for source in inputs:
        if not is_rows(source) or source.shape[0].coefficient != 1 or source.dtype == "int64":
            continue
        value, axes, scale, offset = source, tuple(range(len(source.shape))), 1.0, -0.0     # x + -0.0 is x, whatever x's sign
        while len(readers.get(value, ())) == 1 and readers[value][0] is not None:
            item = readers[value][0]
            if item.op.name == "permute" and item.attrs["dims"][0] == 0 and (scale, offset) == (1.0, 0.0):
                axes = tuple(axes[d] for d in item.attrs["dims"])
            elif item.op.name == "mul" and (scale, offset) == (1.0, 0.0) and _constant_beside(item, value) is not None:
                scale = _constant_beside(item, value)
            elif item.op.name == "add" and offset == 0.0 and _constant_beside(item, value) is not None:
                offset = _constant_beside(item, value)
            else:
                break
            gone.add(id(item))
            value = item.outputs[0]
        if value is not source:
            imported[value] = (source, axes, scale, offset)
    return [i for i in items if id(i) not in gone], imported


def _constant_beside(item, value):
    """The number that an operation of two joins to `value`, or None."""
    others = [v for v in item.inputs if v is not value]
    number = others[0].node.attrs.get("value") if len(others) == 1 and others[0].node.op is CONSTANT and others[0].shape == () else None
    return float(number) if number is not None and not isinstance(number, Batch) else None


ENDS = ("norm", "residual", "relu", "mask", "pool")     # what a kernel may do to its results before it stores them, in order


def ends(item):
    """The ends that this item may become: (name, value that it is applied to, argument)."""
    if item.op.name == "add" and len(item.inputs) == 2:
        a, b = item.inputs
        return [] if a is b or a.shape != b.shape or is_number(a) else [("residual", a, b), ("residual", b, a)]
    if item.op.name == "relu":
        return [("relu", item.inputs[0], 1)]
    if item.op.name == "batch_norm_apply" and not item.attrs["training"] and all(map(is_parameter, item.inputs[1:])):
        return [("norm", item.inputs[0], (*item.inputs[1:], item.attrs["eps"]))]
    if item.op.name == "max_pool2d" and item.attrs["kernel"] == item.attrs["stride"] == (2, 2) and \
            (item.attrs["padding"], item.attrs["dilation"]) == ((0, 0), (1, 1)) and not _is_rounded_up(item):
        return [("pool", item.inputs[0], 1)]
    return [("mask", *item.inputs)] if item.op.name == "relu_backward" else []


def _is_rounded_up(pool):
    """Does a window reach beyond the image (ceil_mode)?"""
    return any(2 * out > size for out, size in zip(pool.attrs["out_size"], pool.inputs[0].shape[2:]))


def is_parameter(value):
    """Is it there before anything runs (None is)?"""
    return value is None or value.node.op in (STATE, CONSTANT)


def unshaped(value):
    """The value that this one is a reshape of, or itself."""
    while value is not None and value.node.op.name == "reshape":
        value = value.node.inputs[0]
    return value


def fuse_ends(items, kept):
    """Batch norm by running statistics, the addition of a residual, ReLU, the mask of ReLU's gradient, and max pooling of 2x2
    move into the kernel that makes their operand, and it moves to their place, where the other operand is there too."""
    readers = uses(items, kept)
    maker = {v: item for item in items for v in item.outputs}
    position = {id(item): i for i, item in enumerate(items)}
    gone = set()
    for item in items:
        for name, value, argument in ends(item):
            first = maker.get(value)
            if first and name in takes(first.op) and len(readers[value]) == 1 and is_rows(value) and \
                    not any(n in first.extra for n in ENDS[ENDS.index(name):]):
                first.extra[name], first.outputs = argument, list(item.outputs)
                gone.add(id(item))
                maker[item.outputs[0]] = first
                position[id(first)] = position[id(item)]
                break
    return sorted((i for i in items if id(i) not in gone), key=lambda i: position[id(i)])


def fuse_coefficients(items, kept):
    """What batch norm multiplies by and adds comes with the batch's statistics."""
    maker = {v: item for item in items for v in item.outputs}
    for item in items:
        if item.op.name != "batch_norm_apply" or not item.attrs["training"] or "scale" in item.extra:
            continue
        _, mean, variance, weight, bias = item.inputs
        first = maker.get(mean)
        if first and first.op.name == "batch_norm_statistics" and first is maker.get(variance) and not first.extra and \
                is_parameter(weight) and is_parameter(bias):
            scale, shift = (Value(item.node, -1, mean.shape, "float32") for _ in range(2))
            first.extra.update(weight=weight, bias=bias, eps=item.attrs["eps"])
            first.outputs += [scale, shift]
            item.extra.update(scale=scale, shift=shift)
    return items


REWRITES = [fuse_ends, fuse_coefficients]
_takes = {}


def takes(op):
    """The extra arguments that an op's lowering accepts from fusions."""
    if op not in _takes:
        code = op.lower_rule.__code__ if op.lower_rule else None
        names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount] if code else ()
        _takes[op] = tuple(n for n in ENDS if n in names)
    return _takes[op]


# ---- lowering

class Emit:
    """What a lowering sees: appends steps for one item."""

    def __init__(self, builder, item, mode, level):
        self.builder, self.item, self.mode, self.level = builder, item, mode, level
        self.lanes = builder.lanes

    def __call__(self, name, /, **fields):
        """One step: a kernel with its fields."""
        return self.builder.step(name, fields, self.mode, self.level, self.item)

    def shape(self, value):
        """The value's shape; where a row at a time is worked on, that of one row (N counted as 1)."""
        if self.mode != "flat" and is_rows(value):
            return (int(value.shape[0].coefficient), *value.shape[1:])
        return value.shape

    prod = staticmethod(product)

    @staticmethod
    def pad6(values, fill=1):
        """A tuple of at most six, padded in front (shapes with 1, strides with fill=0)."""
        values = tuple(values)
        if len(values) > 6:
            raise ValueError(f"more than six axes: {values}")
        return (fill,) * (6 - len(values)) + values

    def elementwise(self, opcode, out, *operands):
        """out = opcode(operands): values of out's shape, or numbers."""
        self.builder.elementwise(opcode, out, operands, self.mode, self.level, self.item)

    def alias(self, out, x):
        """out is x's memory under another shape."""
        self.builder.alias(out, x, self.mode)

    def temp(self, shape, like=None):
        """A temporary of this shape (as `shape()` gives shapes)."""
        value = Value(self.item.node, -1, (Batch(shape[0]), *shape[1:]) if self.mode != "flat" else shape, "float32")
        self.builder.level[value] = self.level
        return value

    def plain(self, shape):
        """A temporary plain array."""
        return Value(self.item.node, -1, shape, "float32")

    def wanted(self, value):
        """Does anything read this output of the node?"""
        return value in self.builder.read

    def packed(self, packer, weight, floats, /, **fields):
        """The weight packed by the kernel `packer`, made once and kept while the weight stays as it is; None where lanes hold images."""
        return self.prepared(packer, weight, floats, **fields) if self.lanes == 1 else None

    def prepared(self, packer, weight, floats, /, **fields):
        """The same, whatever the lanes hold: made anew in every run of a plan that moves the weight."""
        return self.once(packer, {"weight": weight}, {"packed": floats}, **fields)[0]

    def once(self, kernel, sources, sizes, /, **fields):
        """What a kernel makes of `sources` ({field: value}), in new buffers of `sizes` ({field: floats}): made once, and kept
        while parameters stay as they are; in every run of a plan that moves them, or where they are no parameters."""
        return self.builder.once(kernel, sources, sizes, fields, self.level, self.item)


class Builder:
    """Lowers the items of one graph: values get memory on demand, in rows or plain, with conversions between."""

    def __init__(self, graph, lanes):
        self.graph, self.lanes = graph, lanes
        self.rows, self.plains, self.steps, self.level, self.packs, self.imported = {}, {}, [], {}, {}, {}
        self.n_inputs, self.n_outputs = len(graph.inputs) + 1, len(graph.outputs)
        self.index_external = len(graph.inputs)                    # the last input: which rows to gather, or nothing
        first_state = self.n_inputs + self.n_outputs
        arrays = [c for c in graph.constants if c.shape != ()]
        self.constant_arrays = [np.array(c.node.attrs["value"]) for c in arrays]     # writable, as a binding's states are
        for i, value in enumerate([*graph.states, *arrays]):
            self.plains[value] = Buffer("external", 4 * product(value.shape), first_state + i)
        self.input_index = {v: i for i, v in enumerate(graph.inputs)}
        self.slot_index = {v: 8 * (self.n_inputs + self.n_outputs) + i for i, v in enumerate(graph.slots)}
        self.updated = {s for s, _ in graph.updates}
        self.calls = []                                            # user ops: (level, item, mode)

    # -- memory of values

    def features(self, value):
        return int(product((value.shape[0].coefficient, *value.shape[1:])))

    def row_buffer(self, value, level=None):
        """The value's memory with images in groups; converted from its plain array where only that exists."""
        if value not in self.rows:
            buffer = self.rows[value] = Buffer("group", self.features(value))
            if self.gathers_rows(value):
                self.gather(value, buffer)
            elif value in self.plains or value in self.input_index:
                self.convert("gather", value, x=self.plain_buffer(value), y=buffer, scale=1.0, offset=0.0, index=None)
        return self.rows[value]

    def gathers_rows(self, value):
        """Can its rows be gathered from an input: one row of the array an image?"""
        return value in self.imported or value in self.input_index and value.shape[0].coefficient == 1

    def plain_buffer(self, value):
        """The value's memory as one array in C order."""
        if value not in self.plains:
            size = product(value.shape) * (8 if value.dtype == "int64" else 4)
            buffer = Buffer("flat", int(-(-size.coefficient // 1))) if isinstance(size, Batch) else Buffer("fixed", size)
            self.plains[value] = buffer
            if value in self.imported or value in self.input_index:
                self.gather_plain(value, buffer)
            elif value in self.rows:
                self.convert("export", value, x=self.rows[value], y=buffer)
        return self.plains[value]

    def _slots(self, i, shape):
        """(dtype, row stride, strides of the six axes of a row) of external i, read at every run."""
        return ("slot", 8 * i), ("slot", 8 * i + 1), tuple(("slot", 8 * i + 2 + k) for k in range(6))

    def gather(self, value, buffer):
        """Input rows, picked by index, cast, scaled and laid out in one pass."""
        source, axes, scale, offset = self.imported.get(value) or (value, tuple(range(len(value.shape))), 1.0, 0.0)
        i = self.input_index[source]
        dtype, row_stride, strides = self._slots(i, source.shape)
        inner = strides[7 - len(axes):]
        fields = dict(y=buffer, x=Buffer("external", 0, i), index=Buffer("external", 0, self.index_external), dtype=dtype,
                      row_stride=row_stride, strides=Emit.pad6([inner[a - 1] for a in axes[1:]], 0), shape=Emit.pad6(value.shape[1:]),
                      scale=scale, offset=offset)
        self.append(Step("gather", fields, "row", self.level.get(source, 0), value.node))

    def gather_plain(self, value, buffer):
        if value in self.imported:
            self.row_buffer(value)
            return self.convert("export", value, x=self.rows[value], y=buffer)
        i = self.input_index[value]
        dtype, row_stride, strides = self._slots(i, value.shape)
        x, level = Buffer("external", 0, i), self.level.get(value, 0)
        if value.dtype == "int64" and value.shape and isinstance(value.shape[0], Batch):
            fields = dict(y=buffer, x=x, index=Buffer("external", 0, self.index_external), dtype=dtype, row_stride=row_stride,
                          strides=strides, shape=Emit.pad6(value.shape[1:]))
            self.append(Step("gather_int", fields, "flat", level, value.node))
        elif is_rows(value) and self.gathers_rows(value):
            self.row_buffer(value)
            self.convert("export", value, x=self.rows[value], y=buffer)
        else:
            fields = dict(y=buffer, x=x, index=None, dtype=dtype, row_stride=0,
                          strides=self.whole_strides(row_stride, strides, len(value.shape)), shape=Emit.pad6(value.shape))
            integers = value.dtype == "int64"
            fields.update({} if integers else {"scale": 1.0, "offset": 0.0})
            self.append(Step("gather_int" if integers else "gather", fields, "flat", level, value.node))

    @staticmethod
    def whole_strides(row_stride, strides, axes):
        """The strides of all axes, the first included, where an array is taken as one row."""
        return ((0,) * (6 - axes) + (row_stride, *strides[6 - axes + 1:])) if axes else (0,) * 6

    def convert(self, kernel, value, **fields):
        shape = (int(value.shape[0].coefficient), *value.shape[1:])
        strides, step = [], 4
        for d in reversed(shape):
            strides.insert(0, step)
            step *= d
        fields.update(dtype=0, row_stride=step, strides=Emit.pad6(strides, 0), shape=Emit.pad6(shape))
        self.append(Step(kernel, fields, "row", self.level.get(value, 0), value.node))

    def alias(self, out, x, mode):
        if mode != "flat" and is_rows(x):
            self.rows[out] = self.row_buffer(x)
        else:
            self.plains[out] = self.plain_buffer(x)
        self.level[out] = self.level.get(x, 0)

    # -- steps

    def step(self, kernel, fields, mode, level, item):
        space = KERNELS[kernel][1]
        if space == "FLAT":
            mode = "flat"
        kinds = {f[1]: f[0] for f in KERNELS[kernel][2]}
        placed = {}
        for name, value in fields.items():
            if name not in kinds:
                raise TypeError(f"{kernel} has no field {name}")
            if isinstance(value, Value) and kinds[name] in ("ROWS_IN", "ROWS_OUT") and mode != "flat":
                value = self.row_buffer(value)
            elif isinstance(value, Value) and not is_number(value):
                value = self.plain_buffer(value)
            placed[name] = value
        return self.append(Step(kernel, placed, mode, level, item.node, item.op.check, item.op.update))

    def elementwise(self, opcode, out, operands, mode, level, item):
        memory = self.plain_buffer if mode == "flat" else self.row_buffer
        program = [(OPCODES[opcode], tuple(memory(o) if isinstance(o, Value) and not is_number(o) else o for o in operands))]
        count = product(out.shape) if mode == "flat" else self.features(out)
        self.append(Step("elementwise", {"y": memory(out), "count": count}, mode, level, item.node, program=program))

    def append(self, step):
        if step.program is not None:
            step.reads = list({id(o): o for _, operands in step.program for o in operands if isinstance(o, Buffer)}.values())
            step.writes = [step.fields["y"]]
        else:
            kinds = {f[1]: f[0] for f in KERNELS[step.kernel][2]}
            for name, value in step.fields.items():
                if isinstance(value, Buffer):
                    if kinds[name] in ("ROWS_OUT", "OUT", "INOUT"):
                        step.writes.append(value)
                    if kinds[name] in ("ROWS_IN", "IN", "INOUT"):
                        step.reads.append(value)
        self.steps.append(step)
        return step

    def once(self, kernel, sources, sizes, fields, level, item):
        key = (kernel, *sources.values(), *fields.values())
        if key not in self.packs:
            once = all(v is None or v.node.op in (STATE, CONSTANT) and v not in self.updated for v in map(unshaped, sources.values()))
            made = {name: Buffer("constant" if once else "fixed", 4 * floats) for name, floats in sizes.items()}
            given = {name: v if v is None else self.plain_buffer(v) for name, v in sources.items()}
            self.append(Step(kernel, {**fields, **given, **made}, "flat", -1 if once else level, item.node))
            self.packs[key] = tuple(made.values())
        return self.packs[key]

    # -- the walk

    def levels(self, items):
        """When each item may run: 0 from the start; one more behind each op of the user's; then those that wait for late
        inputs; last those that only the inputs' gradients need ("dx:" outputs)."""
        level = self.level
        early = [v for v in self.graph.inputs if not v.node.attrs["late"]]
        late = {v for v in self.graph.inputs if v.node.attrs["late"]}
        for v in [*early, *self.graph.states, *self.graph.slots, *self.graph.constants]:
            level[v] = 0
        level.update({v: 0 for v in self.imported})
        waits = set(late)
        for item in items:
            reads = [v for v in self.reads(item) if v is not None]
            if any(v in waits for v in reads):
                waits.update(item.outputs)
                continue
            self._set_level(item, max([level[v] for v in reads], default=0))
        self.early_levels = max([level[v] for v in level], default=0) + 1
        for v in late:
            level[v] = self.early_levels
        for item in items:
            if item.outputs[0] in waits:
                self._set_level(item, max(level[v] for v in self.reads(item) if v is not None))
        self.levels_before_dx = max([level[v] for v in level], default=0) + 1
        needed, wanted = set(), {v for k, v in self.graph.outputs.items() if not k.startswith("dx:")} | \
            {v for _, v in self.graph.updates}
        for item in reversed(items):
            if any(v in wanted for v in item.outputs):
                needed.add(id(item))
                wanted.update(v for v in self.reads(item) if v is not None)
        for item in items:
            if id(item) not in needed:
                reads = [level[v] for v in self.reads(item) if v is not None]
                self._set_level(item, max([self.levels_before_dx, *reads]))

    @staticmethod
    def reads(item):
        return [*item.inputs, *(v for v in item.extra.values() if isinstance(v, Value))]

    def _set_level(self, item, level):
        for v in item.outputs:
            self.level[v] = level if item.op.native else level + 1
        if not item.op.native:
            self.level[item.outputs[0], "call"] = level

    def mode(self, item):
        values = [v for v in [*item.inputs, *item.outputs] if v is not None and not is_number(v) and v.dtype != "int64"]
        if not any(is_batch(v) for v in values):
            return "flat"
        mode = item.op.mode(item.node) if callable(item.op.mode) else item.op.mode
        if mode == "row" and not all(is_rows(v) for v in values if is_batch(v)):
            return "flat"
        if mode == "row" and not all(is_rows(v) for v in item.outputs):
            return "flat"
        if mode == "reduce" and not all(is_rows(v) for v in item.inputs if v is not None and is_batch(v) and v.dtype != "int64"):
            return "flat"
        return mode

    def lower(self):
        kept = [*self.graph.outputs.values(), *(v for _, v in self.graph.updates)]
        items = [Item(n) for n in self.graph.nodes]
        for rewrite in REWRITES:
            items = rewrite(items, kept)
        items, self.imported = fuse_gather(items, kept, [v for v in self.graph.inputs if not v.node.attrs["late"]])
        self.levels(items)
        self.read = {v for item in items for v in self.reads(item)}.union(kept)
        for item in items:
            mode = self.mode(item)
            level = self.level[item.outputs[0]]
            if not item.op.native:
                self.call(item, mode, level)
                continue
            if item.op.lower_rule is None:
                raise TypeError(f"{item.op.name} has no native kernel (used at {item.node.where})")
            fold = mode == "flat" and not item.op.check and not item.op.update and self.foldable(item)
            emit = Emit(self, item, mode, -1 if fold else level)
            if fold:
                for v in item.outputs:
                    self.level[v] = -1
                    size = product(v.shape)
                    self.plains.setdefault(v, Buffer("constant", 4 * size))
            out = item.outputs[0] if len(item.outputs) == 1 else tuple(item.outputs)
            item.op.lower_rule(emit, *item.inputs, out=out, **item.attrs, **item.extra)
        self.write_outputs()
        return self

    def foldable(self, item):
        """Does it depend on parameters alone, none of which this plan moves?"""
        if self.lanes != 1 or self.graph.updates or item.extra:
            return False
        kept = set(self.graph.outputs.values())
        return all(v is None or v in self.plains and (v.node.op in (STATE, CONSTANT) or self.plains[v].region == "constant")
                   or v.node.op is CONSTANT for v in item.inputs) and not any(v in kept or is_batch(v) for v in item.outputs)

    def call(self, item, mode, level):
        """An op of the user's: a seam between two levels, on plain arrays."""
        for v in item.inputs:
            if v is not None and not is_number(v):
                self.plain_buffer(v)
        for v in item.outputs:
            self.plain_buffer(v)
        self.calls.append((self.level[item.outputs[0], "call"], item))

    def write_outputs(self):
        for i, value in enumerate(self.graph.outputs.values()):
            external = self.n_inputs + i
            _, row_stride, strides = self._slots(external, value.shape)
            y, level = Buffer("external", 0, external), max(self.level.get(value, 0), 0)
            if is_rows(value) and (value in self.rows or value not in self.plains) and value.dtype != "int64":
                row = tuple(value.shape[1:]) if value.shape[0].coefficient == 1 else None
                if row is not None and len(row) <= 6:
                    fields = dict(x=self.row_buffer(value), y=y, dtype=0, row_stride=row_stride, strides=strides, shape=Emit.pad6(row))
                    self.append(Step("export", fields, "row", level, value.node))
                    continue
            fields = dict(x=self.plain_buffer(value), y=y, dtype=0, row_stride=0, shape=Emit.pad6(value.shape),
                          strides=self.whole_strides(row_stride, strides, len(value.shape)))
            self.append(Step("export", fields, "flat", level, value.node))
        for state, value in self.graph.updates:
            if not value.node.op.update:
                shape = Emit.pad6(value.shape)
                strides, run = [], 1
                for d in reversed(shape):
                    strides.insert(0, run)
                    run *= d
                fields = dict(y=self.plains[state], x=self.plain_buffer(value), y_offset=0, x_offset=0, y_strides=tuple(strides),
                              x_strides=tuple(strides), shape=shape)
                self.append(Step("copy", fields, "flat", self.level.get(value, 0), value.node, update=True))


# ---- fusing elementwise steps

def fuse_elementwise(steps, kept=()):
    """A chain of elementwise steps becomes one program: the values between stay in registers and L1. `kept`: buffers that
    are read by more than steps."""
    writer, readers = {}, {id(b): 2 for b in kept}
    for step in steps:
        for b in step.writes:
            writer.setdefault(id(b), []).append(step)
        for b in step.reads:
            readers[id(b)] = readers.get(id(b), 0) + 1
    gone = set()
    for step in steps:
        if step.program is None:
            continue
        for buffer in list(step.reads):
            made = writer.get(id(buffer), ())
            first = made[0] if len(made) == 1 else None
            if first is None or first.program is None or first is step or readers[id(buffer)] != 1 or first.mode != step.mode or \
                    first.level != step.level or first.fields["count"] != step.fields["count"]:
                continue
            merged = _inline(first.program, step.program, buffer)
            if merged is None:
                continue
            step.program = merged
            step.reads = list({id(o): o for _, ops in merged for o in ops if isinstance(o, Buffer)}.values())
            for b in first.reads:                   # its readers are this step's now
                readers[id(b)] -= 0 if b in step.reads else 1
            gone.add(id(first))
    return [s for s in steps if id(s) not in gone]


def _inline(first, second, buffer):
    """`second` with `buffer` replaced by `first`'s result, or None where the limits of a program would be passed."""
    shift = len(first)
    program = list(first) + [(code, tuple(("result", shift - 1) if o is buffer else
                                          ("result", o[1] + shift) if isinstance(o, tuple) and o[0] == "result" else o for o in ops))
                             for code, ops in second]
    inputs = {id(o) for _, ops in program for o in ops if isinstance(o, Buffer)}
    constants = sum(not isinstance(o, (Buffer, tuple)) for _, ops in program for o in ops)
    return program if len(program) <= PROGRAM and len(inputs) <= INPUTS and constants <= CONSTANTS else None


UPDATED = {("linear_backward_weight", "sgd"): "linear_backward_weight_sgd"}


def fuse_updates(steps, kept=()):
    """A gradient that only an update reads never lies in memory: what sums it changes the weights. `kept` as above."""
    uses = {id(b): 2 for b in kept}
    for step in steps:
        for b in step.reads + step.writes:
            uses[id(b)] = uses.get(id(b), 0) + 1
    maker = {id(b): s for s in steps for b in s.writes}
    gone = set()
    for step in steps:
        gradient = step.fields.get("gradient")
        first = maker.get(id(gradient)) if step.update and isinstance(gradient, Buffer) else None
        kernel = UPDATED.get((first.kernel, step.kernel)) if first else None
        if not kernel or first.mode != "reduce" or first.level != step.level or uses[id(gradient)] != 2 or \
                gradient.region == "external":
            continue
        fields = {**first.fields, **step.fields}
        step.fields = {name: fields[name] for _, name, *_ in KERNELS[kernel][2]}
        step.kernel, step.mode = kernel, first.mode
        step.reads = [*first.reads, *(b for b in step.reads if b is not gradient)]
        gone.add(id(first))
    return [s for s in steps if id(s) not in gone]


# ---- scheduling and placement

def schedule(steps):
    """Steps of one level -> phases [(kind, steps)]: chains of row steps, each group going through all of them, and sets of
    independent other steps; updates last, after everything that reads what they write and everything that can fail."""
    updates = [s for s in steps if s.update]
    waiting = [s for s in steps if not s.update]
    phases = []
    for pending in (waiting, updates):
        needs, last_write, reads_since = {}, {}, {}
        for step in pending:
            needs[id(step)] = {id(s) for b in step.reads + step.writes for s in last_write.get(_key(b), ())} | \
                {id(s) for b in step.writes for s in reads_since.get(_key(b), ())}
            for b in step.reads:
                reads_since.setdefault(_key(b), []).append(step)
            for b in step.writes:
                last_write.setdefault(_key(b), []).append(step)
        phases += _phases(pending, needs, _stay_in_cache(steps))
    return phases


def _phases(pending, needs, whole):
    """Steps in phases by what each needs: first what waits for no chain (labels), then chains and sums in turn. whole: chains are
    not cut around heavy layers."""
    phases, done = [], set()

    def chain():
        taken, reached = [], set(done)
        for step in pending:
            if step.mode == "row" and needs[id(step)] <= reached:
                taken.append(step)
                reached.add(id(step))
        return taken

    def independent():
        return [s for s in pending if s.mode != "row" and needs[id(s)] <= done]

    def take(kind, members):
        if members:
            phases.extend(_apart(members) if kind == CHAIN and not whole else [(kind, members)])
            done.update(id(s) for s in members)
            pending[:] = [s for s in pending if id(s) not in done]
        return members

    while take(EACH, independent()):
        pass
    while pending:
        if not take(CHAIN, chain()) + take(EACH, independent()):
            raise AssertionError("the steps of a plan wait for each other")
    return phases


CHAIN, EACH, SHARED = range(3)       # kinds of phases (execute.h)
HEAVY = 200_000                 # bytes of a linear layer's weights from which on all groups use them before they go on


def _weights(step):
    """Bytes of a linear layer's weights; 0 of other steps."""
    return 4 * step.fields["in_features"] * step.fields["out_features"] if step.kernel.startswith("linear_") else 0


def _apart(chain):
    """A chain of row steps, cut around those whose weights would be fetched into L2 anew by every group of images: -> phases."""
    parts = [(CHAIN, [])]
    for step in chain:
        if _weights(step) >= HEAVY:
            parts += [(SHARED, [step]), (CHAIN, [])]
        else:
            parts[-1][1].append(step)
    return [(kind, part) for kind, part in parts if part]


def _stay_in_cache(steps):
    """Are these steps rows' alone, and do the weights of their linear layers stay in L2 from group to group and from run to run?
    Gradients and updates would drive them out."""
    return all(s.mode == "row" for s in steps) and sum(_weights(s) for s in steps) <= native.l2_bytes() * 15 / 16


def _key(buffer):
    return ("external", buffer.offset) if buffer.region == "external" else id(buffer)


def place(buffers, align=LINE, skew=0):
    """Offsets by lifetime: the largest first, each at the lowest place free while it lives. -> bytes in all."""
    placed, total = [], 0
    for buffer in sorted(buffers, key=lambda b: -b.size):
        size = -(-buffer.size // align) * align + skew
        taken = sorted((b.offset, b.offset + s) for b, s in placed if not (b.last < buffer.first or buffer.last < b.first))
        offset = 0
        for start, end in taken:
            if offset + size <= start:
                break
            offset = max(offset, end)
        buffer.offset = offset
        placed.append((buffer, size))
        total = max(total, offset + size)
    return total


def estimate(step, lanes):
    """Roughly how many float operations a step is: a group for row steps, 64 images for the others."""
    f, images = step.fields, lanes if step.mode == "row" else 64
    if step.kernel.startswith("conv2d_") and "out_height" in f:
        taps = f["channels"] // f["groups"] * f["kernel"][0] * f["kernel"][1]
        return 2 * images * f["filters"] * f["out_height"] * f["out_width"] * taps
    if step.kernel.startswith("winograd_") and "out_height" in f:
        tiles = -(-f["out_height"] // 4) * -(-f["out_width"] // 4)
        return 2 * images * tiles * (36 * f["filters"] * f["channels"] + 220 * (f["filters"] + f["channels"]))
    if step.kernel == "winograd_pack":
        return 36 * 16 * f["filters"] * f["channels"]
    if step.kernel.startswith("linear_") and "positions" in f:
        return 2 * images * f["positions"] * f["in_features"] * f["out_features"]
    if step.kernel.startswith("contrastive_divergence_"):       # a third is not dark; and weights had better stay on a core
        return 64 * f["hidden"] * f["visible"] * (f["k"] + 1 if "k" in f else 2) // 3
    if "hidden" in f and isinstance(f["steps"], int):
        weights = sum(f[name].size // 4 for name in ("packed_ih", "packed_hh") if f.get(name))
        return 2 * images * f.get("count", f["steps"]) * weights * (2 if lanes == 1 else 1)     # one image: as fast as L2 is
    total = 0                                       # of a state that is read, a part alone may count
    for b in step.writes + [b for b in step.reads if b.region != "external"]:
        total += images * b.size * 2 if b.region == "group" else b.size * (16 if b.region == "flat" else 1)
    return int(total) + 64


LARGE = 4_000_000               # float operations of one image from which on its steps share their work throughout


def _is_batched(step):
    """Has a plain step a size that follows the batch?"""
    return any(isinstance(v, Batch) for v in step.fields.values())


def cost(step, lanes):
    """What the executor (execute.c) goes by: float operations at 50 a nanosecond, and more for a convolution of which the op
    knows that what it does besides products, such as copies, takes longer."""
    least = estimate(step, lanes)
    if not step.kernel.startswith("conv2d_") or "out_height" not in step.fields or not step.node.op.costs_rule:
        return least
    nanoseconds = node_costs(step.node)[lanes == 16] * (1 if step.mode == "row" else 64 // lanes)
    return max(least, int(50 * nanoseconds))


def share_costs(steps, lanes):
    """{id of step: (its cost, the part of it by which its work is split)}. In a large network the halves of a single image stay
    on their cores from step to step. In a small one a split step pays twice, since the other core works beside: they meet, it
    fetches its part and gives back its results: measured, 2 us for a linear layer, whose limit is reading its weights (80 bytes
    a nanosecond), 8 us for others."""
    costs = {id(s): (cost(s, lanes),) * 2 for s in steps}
    single = [s for s in steps if s.mode == "row"] if lanes == 1 else ()
    if sum(costs[id(s)][0] for s in single) < LARGE:
        for s in single:
            whole, linear = costs[id(s)][0], s.kernel == "linear_forward"
            least = 4 * s.fields["in_features"] * s.fields["out_features"] if linear else 0
            costs[id(s)] = whole, max(64, int(max(whole, least) * 0.55) - 100 * (2000 if linear else 8000))
    return costs


# ---- encoding

def _bits(number):
    return struct.unpack("q", struct.pack("d", float(number)))[0]


class Encoder:
    """Writes a step's fields as words: see execute.c for the kinds."""

    def __init__(self, builder, group_bytes):
        self.builder, self.group_bytes = builder, group_bytes

    def pointer(self, buffer):
        if buffer is None:
            return (0, 0, 0, 0)
        if buffer.region == "external":
            return (3, buffer.offset, 0, 0)
        kind = {"fixed": 4, "flat": 5, "group": 6, "constant": 8}[buffer.region]
        return (kind, buffer.offset, 0, 0)

    def number(self, value, real):
        if isinstance(value, tuple):                # ("slot", index)
            return (7, value[1], 0, 0)
        if isinstance(value, Value):
            if value.node.op is SLOT:
                return (7, self.builder.slot_index[value], 0, 0)
            value = value.node.attrs["value"]
            value = value.item() if hasattr(value, "item") else value
        if isinstance(value, Batch):
            if real:
                return (2, _bits(value.coefficient), value.power, 0)
            return (1, value.coefficient.numerator, value.coefficient.denominator, 0)
        return (0, _bits(value) if real else int(value), 0, 0)

    def words(self, step):
        fields = self.elementwise(step) if step.program is not None else step.fields
        words = []
        for kind, name, *count in KERNELS[step.kernel][2]:
            value = fields.get(name, None)
            if kind in ("ROWS_IN", "ROWS_OUT"):
                words.append(self.pointer(value))
                words.append((9, 0, 0, 0) if value is not None and value.region == "group" else (0, 0, 0, 0))
            elif kind in ("IN", "OUT", "INOUT"):
                words.append(self.pointer(value))
            elif kind in ("INT", "NUM"):
                if value is None:
                    raise TypeError(f"{step.kernel}: field {name} is missing")
                words.append(self.number(value, kind == "NUM"))
            else:
                if value is None or len(value) != int(count[0]):
                    raise TypeError(f"{step.kernel}: field {name} wants {count[0]} numbers, got {value}")
                words.extend(self.number(v, kind == "NUMS") for v in value)
        return np.array(words, np.int64)

    def elementwise(self, step):
        inputs, constants, program = [], [], []
        for code, operands in step.program:
            places = []
            for o in operands:
                if isinstance(o, Buffer):
                    if o not in inputs:
                        inputs.append(o)
                    places.append(inputs.index(o))
                elif isinstance(o, tuple):
                    places.append(16 + o[1])
                else:
                    constants.append(o)
                    places.append(8 + len(constants) - 1)
            program += [code, *places, *[-1] * (3 - len(places))]
        fields = dict(step.fields, inputs=len(inputs), length=len(step.program), program=tuple(program + [-1] * (32 - len(program))),
                      constants=tuple(constants + [0.0] * (8 - len(constants))))
        for i in range(6):
            fields[f"x{i}"] = inputs[i] if i < len(inputs) else None
        return fields


class Plan:
    """A compiled graph: `program`, what the user's ops need (`calls`), and for reading: `listing`, its phases and steps."""

    def __init__(self, graph, lanes):
        self.graph = graph
        builder = Builder(graph, lanes)
        self.lanes = lanes
        builder.lower()
        kept = [builder.plains[v] for _, item in builder.calls for v in item.inputs if v is not None and not is_number(v)]
        steps = fuse_updates(fuse_elementwise(builder.steps, kept), kept)
        levels = max([s.level for s in steps] + [builder.early_levels - 1] + [lv for lv, _ in builder.calls], default=0)
        self.early_segments = builder.early_levels              # levels that run at once; the rest waits for late inputs
        self.before_dx = builder.levels_before_dx
        phases_of = [schedule([s for s in steps if s.level == level]) for level in range(-1, levels + 1)]
        sizes = self.arrange(phases_of, builder)
        encoder = Encoder(builder, sizes[2])
        encoded, segments, costs = [], [], share_costs(steps, lanes)
        for phases in phases_of:
            segment = []
            for kind, members in phases:
                first = len(encoded)
                for s in members:
                    space = KERNELS[s.kernel][1]
                    wide = lanes if s.mode == "row" or space == "SUM" else 16 if space == "REDUCE" and s.mode == "reduce" else 1
                    grows = s.mode != "row" and any(sizes[1:3]) and (space != "FLAT" or _is_batched(s))
                    encoded.append((KERNELS[s.kernel][0], wide, s.mode == "row", *costs[id(s)], grows, s.check,
                                    encoder.words(s)))
                segment.append((kind, first, len(encoded)))
            segments.append(segment)
        self.listing = [[(("chain", "each", "shared")[kind], members) for kind, members in phases] for phases in phases_of]
        self.steps = [s for phases in phases_of for _, members in phases for s in members]
        self.segments, self.encoded, self.counts = segments, encoded, (
            builder.n_inputs, builder.n_outputs, len(graph.states) + len(builder.constant_arrays), len(graph.slots))
        self.calls = {}
        for level, item in builder.calls:
            self.calls.setdefault(level, []).append((item, [self.where(builder, v) for v in item.inputs],
                                                     [self.where(builder, v) for v in item.outputs]))
        self.constant_arrays = builder.constant_arrays
        self.input_levels = [builder.level.get(v, 0) for v in graph.inputs]
        self.output_levels = [max(builder.level.get(v, 0), 0) for v in graph.outputs.values()]
        self.sizes = sizes
        self.program = native.Program(lanes, encoded, segments, *sizes, *self.counts)

    @staticmethod
    def where(builder, value):
        """Where a user op finds a value: a number, or a plain buffer."""
        return value if value is None or is_number(value) else (value, builder.plains[value])

    def arrange(self, phases_of, builder):
        """Lifetimes, then places: -> bytes of the fixed region, a row of the flat region, a group, and of the constants."""
        time, buffers = 0, {}
        for level, phases in enumerate(phases_of):
            for kind, members in phases:
                begin, end = time, time + (0 if kind == EACH else len(members))
                for step in members:
                    for b in step.reads + step.writes:  # one group may be at a chain's end where another begins it
                        buffers[id(b)] = b
                        b.first = (time if b.region == "group" else begin) if b.first is None else b.first
                        b.last = time if b.region == "group" else end
                    time += kind != EACH
                time = end + 1
            for lv, item in builder.calls:
                if lv == level - 1:
                    for v in [*item.inputs, *item.outputs]:
                        if v is not None and not is_number(v):
                            b = builder.plains[v]
                            buffers[id(b)] = b
                            b.first = time if b.first is None else b.first
                            b.last = time
            time += 1
        by_region = {r: [b for b in buffers.values() if b.region == r] for r in ("fixed", "flat", "group", "constant")}
        for b in by_region["constant"]:
            b.first, b.last = 0, time
        for b in by_region["group"]:
            b.size *= 4 * self.lanes
        sizes = [place(by_region[r]) for r in ("fixed", "flat", "group", "constant")]
        for b in by_region["group"]:
            b.size //= 4 * self.lanes
        if sizes[2] % 4096 == 0 and sizes[2]:
            sizes[2] += LINE                        # power-of-two strides between groups would share cache sets
        return sizes


_cache = OrderedDict()
CACHE_SIZE = 256
compiled = 0                    # how many plans were compiled in this process


def compile(graph, lanes):
    """The plan of a graph, from the cache where an equal graph has been compiled."""
    global compiled
    key = (graph.key, lanes)
    plan = _cache.get(key)
    if plan is None:
        plan = _cache[key] = Plan(graph, lanes)
        compiled += 1
        if len(_cache) > CACHE_SIZE:
            _cache.popitem(last=False)
    else:
        _cache.move_to_end(key)
    return plan


def node_costs(node):
    """Nanoseconds that a node takes for a row alone, and for a group of 16."""
    if node.op.costs_rule:
        return node.op.costs_rule(*node.inputs, out=node.outputs[0], **node.attrs)
    size = sum(product(v.shape[1:]) for v in node.outputs if is_rows(v))
    return 60 + 0.05 * size, 60 + 0.6 * size


def lanes_of(graph):
    """-> a function: rows -> lanes. Images lie in the lanes always where a sum over the batch is only written for that; where
    there are ops that know what they cost, if groups of 16, the last maybe not full, take less time than the rows one by one;
    else from ROW_REGIME rows on."""
    modes = [(node.op.mode(node) if callable(node.op.mode) else node.op.mode, node) for node in graph.nodes]
    if any(mode == "reduce" and not node.op.few for mode, node in modes):
        return lambda n: 16
    if not any(node.op.costs_rule for node in graph.nodes):
        return lambda n: 16 if n >= ROW_REGIME else 1
    one, group = (sum(costs) for costs in zip(*map(node_costs, graph.nodes)))
    return lambda n: 16 if n > 1 and -(-n // 16) * group < n * one else 1
