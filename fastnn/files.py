"""Files: safetensors (https://github.com/huggingface/safetensors) read and written without a dependency, a graph as JSON.

A file is data from anywhere: every number in it is checked before it is used, and whatever is wrong with it is a ValueError.
Nothing in a file is ever executed."""
import os

import numpy as np

from . import graph

HEADER_LIMIT = 100_000_000                          # bytes; the format's own limit
METADATA = "__metadata__"
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
          "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1"}
NAMES = {np.dtype(code): name for name, code in DTYPES.items()}
GRAPH_VERSION = 1


# ---- safetensors

def save_file(tensors, path, metadata=None):
    """Writes {name: array} and {str: str} `metadata` to a safetensors file.

    Arrays: anything np.asarray takes of a float, integer or bool dtype, any strides. The file appears under its name only
    when it is whole: a crash or a full disk leaves what was there before. TypeError: a dtype without a place in the format,
    names or metadata that are not strings. ValueError: a header above the format's 100 MB."""
    path = os.path.realpath(os.fspath(path))
    header, arrays = _header_of(tensors, metadata or {})
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for array in arrays:
                file.write(array.reshape(-1).view(np.uint8))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _header_of(tensors, metadata):
    """The header's bytes, and the arrays in the order of the file: wide elements first, so that all lie aligned."""
    import json
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata is strings by strings, not {key!r}: {value!r}")
    header = {METADATA: dict(metadata)} if metadata else {}
    arrays = {}
    for name, tensor in tensors.items():
        if not isinstance(name, str) or name == METADATA:
            raise TypeError(f"{name!r} cannot be the name of a tensor")
        array = np.asarray(tensor)
        little = array.dtype.newbyteorder("<")
        if little not in NAMES:
            raise TypeError(f"tensor {name!r} has dtype {array.dtype}; a file holds {', '.join(d.name for d in NAMES)}")
        arrays[name] = np.asarray(array, little, order="C")
        header[name] = {"dtype": NAMES[little], "shape": list(array.shape), "data_offsets": None}
    written = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    end = 0
    for name in written:
        header[name]["data_offsets"] = [end, end + arrays[name].nbytes]
        end += arrays[name].nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > HEADER_LIMIT:
        raise ValueError(f"names and metadata take {len(text):,} bytes; a safetensors file has at most {HEADER_LIMIT:,}")
    return text, [arrays[name] for name in written]


def load_file(path):
    """Reads a safetensors file: -> ({name: array}, {str: str} metadata).

    The arrays are writeable views of one block of memory, in the header's order. ValueError, naming the file and what is
    wrong: cut short, a header that the format forbids (too long, not JSON, a name twice, offsets that overlap, leave holes or
    do not fit dtype and shape), or a dtype that NumPy does not have."""
    path = os.fspath(path)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(8)
        length = int.from_bytes(first, "little")
        if len(first) < 8:
            raise ValueError(f"{path} is no safetensors file: it has {len(first)} bytes")
        if length > HEADER_LIMIT:
            raise ValueError(f"{path} is no safetensors file: its header would have {length:,} bytes, more than the "
                             f"{HEADER_LIMIT:,} that are allowed")
        text = file.read(length)
        if len(text) < length:
            raise ValueError(f"{path} is cut short: its header has {length:,} bytes, {len(text):,} are there")
        try:
            header, metadata = _parse_header(text)
            end = _check_offsets(header)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} has a broken safetensors header: {error}") from None
        if size != 8 + length + end:
            problem = "is cut short" if size < 8 + length + end else "is too long"
            raise ValueError(f"{path} {problem}: the tensors need {end:,} bytes, {max(size - 8 - length, 0):,} are there")
        data = np.empty(end, np.uint8)
        if file.readinto(data) != end:
            raise ValueError(f"{path} is cut short: it ended while it was read")
    return {name: _tensor(path, name, data, entry) for name, entry in header.items()}, metadata


def _parse_header(text):
    """({name: (dtype, shape, begin, end)}, metadata) with every field of the right kind."""
    if text[:1] != b"{":
        raise ValueError("it does not start with '{'")
    header = parse_json(text.decode("utf-8"))
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError(f"{METADATA} is not strings by strings")
    entries = {}
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"tensor {name!r} needs dtype, shape and data_offsets, and nothing else")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise ValueError(f"tensor {name!r} has dtype {dtype!r}; {', '.join(DTYPES)} can be read")
        if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
            raise ValueError(f"tensor {name!r} has shape {shape!r} and data_offsets {offsets!r}")
        if len(shape) > 32:
            raise ValueError(f"tensor {name!r} has {len(shape)} axes; 32 are the most that can be read")
        entries[name] = np.dtype(DTYPES[dtype]), shape, *offsets
    return entries, metadata


def _are_sizes(numbers):
    return isinstance(numbers, list) and all(type(n) is int and 0 <= n < 2 ** 63 for n in numbers)


def _check_offsets(header):
    """The number of bytes of data, which the tensors must fill without holes and overlaps, each with what its shape needs."""
    reached = 0
    for name, (dtype, shape, begin, end) in sorted(header.items(), key=lambda item: item[1][2:]):
        size = dtype.itemsize
        for n in shape:
            size *= n
        if end - begin != size:
            raise ValueError(f"tensor {name!r} has {end - begin:,} bytes; {dtype.name} {tuple(shape)} needs {size:,}")
        if begin != reached:
            raise ValueError(f"tensor {name!r} starts at byte {begin:,}, the one before it ends at {reached:,}")
        reached = end
    return reached


def _tensor(path, name, data, entry):
    dtype, shape, begin, end = entry
    part = data[begin:end]
    if dtype.kind == "b" and part.size and part.max() > 1:
        raise ValueError(f"{path}: the bool tensor {name!r} has bytes that are neither 0 nor 1")
    array = np.frombuffer(part, dtype) if part.size else np.empty(0, dtype)
    try:
        array = array.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path}: tensor {name!r} cannot have shape {tuple(shape)}: {error}") from None
    if not array.flags.aligned:
        array = array.copy()
    return array.astype(dtype.newbyteorder("="), copy=False)


def parse_json(text):
    """json.loads, as strict as files from anywhere need it: an object, no key twice, no NaN, no bottomless nesting."""
    import json

    def once(pairs):
        result = dict(pairs)
        if len(result) != len(pairs):
            keys = [key for key, _ in pairs]
            raise ValueError(f"{next(k for k in keys if keys.count(k) > 1)!r} is there twice")
        for key, value in pairs:                    # a lone surrogate: a UnicodeEncodeError, which is a ValueError
            (key + value if isinstance(value, str) else key).encode()
        return result

    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    try:
        value = json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


# ---- a graph as text

def graph_to_json(made, name_of=lambda holder: holder.name):
    """A graph.Graph as JSON text: sources, nodes by op name, inputs as indices of values, outputs, updates, layer names.

    name_of(holder) gives the name under which a state's array is kept elsewhere in the file. Values are numbered: inputs,
    states, slots, constants, then each node's outputs. Tuples become lists, a Batch {"batch": ...}, arrays base64 of their
    bytes (every bit kept). TypeError: an attribute of a user's op that has no such form."""
    import json
    number = {}
    for value in made.inputs + made.states + made.slots + made.constants + [o for node in made.nodes for o in node.outputs]:
        number[value] = len(number)
    text = {
        "format": "fastnn graph", "version": GRAPH_VERSION, "rows": made.rows,
        "inputs": [{"name": v.node.attrs["name"], "late": v.node.attrs["late"], **_spec(v)} for v in made.inputs],
        "states": [{"name": name_of(v.node.attrs["holder"]), **_spec(v)} for v in made.states],
        "slots": [{"name": v.node.attrs["name"], **_spec(v)} for v in made.slots],
        "constants": [{"value": _encode(v.node.attrs["value"], v.node), **_spec(v)} for v in made.constants],
        "nodes": [{"op": node.op.name, "inputs": [None if i is None else number[i] for i in node.inputs],
                   "attrs": {key: _encode(value, node) for key, value in node.attrs.items()},
                   "outputs": [_spec(o) for o in node.outputs], "scope": node.scope} for node in made.nodes],
        "outputs": {name: number[v] for name, v in made.outputs.items()},
        "updates": [[number[state], number[v]] for state, v in made.updates],
        "layers": {path: number[v] for path, v in made.layers.items() if v in number},
    }
    return json.dumps(text, allow_nan=False, separators=(",", ":"))


def graph_from_json(text, holders):
    """The graph.Graph that graph_to_json wrote. holders: {name: Parameter or buffer}, one for each state.

    Shapes are derived again by each op's rule, at two numbers of rows, and must be those of the file. ValueError: no such text,
    a newer format, an op that is not registered (import the module that defines it), a state without a holder of its shape."""
    try:
        return _decode_graph(parse_json(text), holders)
    except ValueError:
        raise
    except (TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"the saved graph is broken: {type(error).__name__}: {error}") from error


def _decode_graph(read, holders):
    if read["format"] != "fastnn graph" or type(read["version"]) is not int:
        raise ValueError("this is no graph of fastnn")
    if read["version"] > GRAPH_VERSION:
        raise ValueError(f"the saved graph has format version {read['version']}, this fastnn reads up to {GRAPH_VERSION}: "
                         f"install a newer one")
    rows = read["rows"]
    if rows is not None and (type(rows) is not int or rows < 0):
        raise ValueError(f"the saved graph is for {rows!r} rows")
    values = []

    def source(op, entry, **attrs):
        made = graph.Node(op, (), attrs, (_read_spec(entry),), scope="", where="")
        values.extend(made.outputs)
        return made

    nodes = [source(graph.INPUT, e, name=_text(e["name"]), late=bool(e["late"])) for e in read["inputs"]]
    nodes += [source(graph.STATE, e, holder=_holder(e, holders)) for e in read["states"]]
    nodes += [source(graph.SLOT, e, name=_text(e["name"])) for e in read["slots"]]
    nodes += [source(graph.CONSTANT, e, value=_constant(e)) for e in read["constants"]]
    inputs = values[:len(read["inputs"])]
    for entry in read["nodes"]:
        op = _known_op(entry["op"])
        taken = tuple(None if i is None else _pick(values, i) for i in entry["inputs"])
        attrs = {_text(key): _decode(value) for key, value in entry["attrs"].items()}
        specs = tuple(_read_spec(o) for o in entry["outputs"])
        for n in (rows,) if rows is not None else _sample_rows([v for v in taken if v is not None], specs):
            _check_specs(op, taken, attrs, specs, n)
        nodes.append(graph.Node(op, taken, attrs, specs, scope=_text(entry["scope"]), where=""))
        values.extend(nodes[-1].outputs)
    return graph.Graph(nodes, inputs, {_text(name): _pick(values, i) for name, i in read["outputs"].items()},
                       [(_pick(values, s), _pick(values, v)) for s, v in read["updates"]], rows=rows,
                       layers={_text(path): _pick(values, i) for path, i in read["layers"].items()})


def _known_op(name):
    op = graph.OPS.get(_text(name))
    if op is None or op in graph.SOURCES:
        raise ValueError(f"the model uses the op {name!r}, which is not registered: import the module that defines it (@nn.op) "
                         f"before loading, or install a newer fastnn if the op is one of its own")
    return op


def _sample_rows(inputs, specs):
    """Two numbers of rows at which every shape is whole."""
    least = 1
    for spec in [*inputs, *specs]:
        for d in spec.shape:
            if isinstance(d, graph.Batch) and not isinstance(d.coefficient, float):
                least *= d.coefficient.denominator
    if least > 10 ** 9:
        raise ValueError("the saved graph has shapes in odd parts of the batch")
    return least, 2 * least


def _check_specs(op, inputs, attrs, specs, n):
    """Inputs and attributes must be the op's, and its own shape rule must give what the file says."""
    import inspect
    inspect.signature(op.reference).bind(*inputs, **attrs)      # a TypeError where they do not fit
    made = op.specs([None if v is None else graph.Spec(graph.at(v.shape, n), v.dtype) for v in inputs],
                    {key: graph.at(value, n) for key, value in attrs.items()})
    stored = tuple(graph.Spec(graph.at(s.shape, n), s.dtype) for s in specs)
    if made != stored:
        raise ValueError(f"the saved graph is broken: {op.name} gives {list(made)}, the file says {list(stored)}")
    from . import fits
    fits.check(op, inputs, attrs, n)


def _holder(entry, holders):
    name, spec = _text(entry["name"]), _read_spec(entry)
    if name not in holders:
        raise ValueError(f"the saved graph uses {name!r}, which the file does not hold")
    holder = holders[name]
    if tuple(holder.shape) != spec.shape or str(holder.dtype) != spec.dtype:
        held = graph.Spec(holder.shape, str(holder.dtype))
        raise ValueError(f"the saved graph wants {spec} for {name!r}, the file holds {held}")
    return holder


def _constant(entry):
    value, spec = _decode(entry["value"]), _read_spec(entry)
    shape = value.shape if isinstance(value, np.ndarray) else ()
    if isinstance(value, str) or value is None or isinstance(value, tuple) or shape != spec.shape:
        raise ValueError(f"the saved graph has a constant of shape {list(shape)} where {spec} is expected")
    return value


def _pick(values, index):
    if type(index) is not int or not 0 <= index < len(values):
        raise ValueError(f"the saved graph names value {index!r} of {len(values)}")
    return values[index]


def _text(thing):
    if not isinstance(thing, str):
        raise ValueError(f"the saved graph has {thing!r} where a name is expected")
    return thing


def _spec(value):
    return {"shape": [_encode(d, value.node) for d in value.shape], "dtype": value.dtype}


def _read_spec(entry):
    shape, dtype = _decode(entry["shape"]), _text(entry["dtype"])
    for d in shape:
        whole = type(d) is int and 0 <= d < 2 ** 48
        rows = isinstance(d, graph.Batch) and d.power == 1 and not isinstance(d.coefficient, float) and d.coefficient >= 0
        if not whole and not rows:
            raise ValueError(f"the saved graph has a shape {shape}")
    if dtype not in [known.name for known in NAMES]:
        raise ValueError(f"the saved graph has a dtype {dtype!r}")
    return graph.Spec(shape, dtype)


def _encode(thing, node):
    """An attribute as JSON. Floats that JSON lacks, batch multiples and arrays are objects of one key."""
    if isinstance(thing, np.generic):
        thing = thing.item()
    if thing is None or isinstance(thing, (bool, int, str)):
        return thing
    if isinstance(thing, float):
        return thing if np.isfinite(thing) else {"float": repr(thing)}
    if isinstance(thing, (tuple, list)):
        return [_encode(t, node) for t in thing]
    if isinstance(thing, graph.Batch):
        c = thing.coefficient
        return {"batch": c if isinstance(c, float) else str(c), "power": thing.power}
    if isinstance(thing, np.ndarray) and thing.dtype.newbyteorder("<") in NAMES:
        import base64
        little = np.asarray(thing, thing.dtype.newbyteorder("<"), order="C")
        return {"array": base64.b64encode(little.tobytes()).decode(), "dtype": NAMES[little.dtype], "shape": list(thing.shape)}
    raise TypeError(f"{node.op.name} (at {node.where or 'an unknown place'}) has an attribute {thing!r} of type "
                    f"{type(thing).__name__}: only None, bools, numbers, strings, tuples and arrays can be saved")


def _decode(thing):
    if isinstance(thing, list):
        return tuple(_decode(t) for t in thing)
    if not isinstance(thing, dict):
        return thing
    if thing.keys() == {"float"}:
        return float(thing["float"])
    if thing.keys() == {"batch", "power"} and thing["power"] in (1, -1):
        from fractions import Fraction
        c = thing["batch"]
        c = c if isinstance(c, float) else Fraction(_text(c))
        return graph.Batch(c if isinstance(c, float) or c.denominator != 1 else int(c), thing["power"])
    if thing.keys() == {"array", "dtype", "shape"} and _are_sizes(thing["shape"]):
        import base64
        data = base64.b64decode(_text(thing["array"]), validate=True)
        dtype = np.dtype(DTYPES[thing["dtype"]])
        array = np.frombuffer(data, dtype).reshape(thing["shape"]).astype(dtype.newbyteorder("="))
        array.flags.writeable = False
        return array
    raise ValueError(f"the saved graph has an attribute {str(thing)[:80]!r}")
