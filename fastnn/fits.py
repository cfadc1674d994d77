"""Does a saved graph's node fit together? A file is data from anywhere, and kernels trust what they are told: each node is described
again by the public function of its op, whose checks are those that every network passes, and must come out the same."""
from . import graph as g
from .graph import Spec, functions

# name of an op -> how its public function is called for (inputs, attributes)
PUBLIC = {
    "reshape": lambda f, v, a: f["reshape"](v[0], a["shape"]),
    "permute": lambda f, v, a: f["permute"](v[0], *a["dims"]),
    "expand": lambda f, v, a: f["expand"](v[0], *a["shape"]),
    "cast": lambda f, v, a: f["cast"](v[0], a["dtype"]),
    "cat": lambda f, v, a: f["cat"](v, a["dim"]),
    "slice": lambda f, v, a: f["getitem"](v[0], tuple(slice(b, None if b + s * n < 0 else b + s * n, s)
                                                      for b, s, n in zip(a["start"], a["step"], a["size"]))),
    "reduce": lambda f, v, a: f[a["kind"]](v[0], dim=a["axes"]),
    "matmul": lambda f, v, a: f["matmul"](*v),
    "softmax": lambda f, v, a: f["softmax"](v[0], a["dim"]),
    "log_softmax": lambda f, v, a: f["log_softmax"](v[0], a["dim"]),
    "leaky_relu": lambda f, v, a: f["leaky_relu"](v[0], **a),
    "gelu_tanh": lambda f, v, a: f["gelu"](v[0], "tanh"),
    "conv2d": lambda f, v, a: f["conv2d"](*v, **a),
    "layer_norm": lambda f, v, a: f["layer_norm"](v[0], v[0].shape[v[0].ndim - a["axes"]:], *v[1:], a["eps"]),
    "interpolate": lambda f, v, a: f["interpolate"](v[0], None if a["factors"] else a["out_size"], a["factors"], a["mode"],
                                                    a["align_corners"]),
    "embedding": lambda f, v, a: f["embedding"](*v, **a),
    "conv_transpose2d": lambda f, v, a: f["conv_transpose2d"](*v, **a),
    "linear": lambda f, v, a: f["linear"](*v),
    "adaptive_avg_pool2d": lambda f, v, a: f["adaptive_avg_pool2d"](v[0], a["out_size"]),
    "lstm": lambda f, v, a: f["lstm"](v[0], *v[4:], *v[1:3], lengths=v[3], **a),
    "gru": lambda f, v, a: f["gru"](v[0], *v[3:], v[1], lengths=v[2], **a),
    "rnn": lambda f, v, a: f["rnn"](v[0], *v[3:], v[1], a["reverse"], "relu" if a["relu"] else "tanh", v[2]),
}
POOLS = {"max_pool2d": ("dilation",), "avg_pool2d": ("count_include_pad",)}
PER_CHANNEL = {"batch_norm_apply": 1, "batch_norm_statistics": 1}           # inputs after the first are (channels,)
# by numbers drawn: what their public functions take beside x
DRAWN = {"dropout": (), "bernoulli": (), "randn_like": ("shape",), "random_window": ("size", "padding", "flip", "degrees")}


def check(op, inputs, attrs, n):
    """Raises ValueError where the op's inputs (values or None) and attributes do not fit, at n rows. Ops of the user's run in NumPy,
    which checks for itself."""
    if not op.native or op.lower_rule is None:
        return
    attrs = {key: g.at(value, n) for key, value in attrs.items()}
    shapes = [None if v is None else g.at(v.shape, n) for v in inputs]
    if op.name in PER_CHANNEL or op.name == "batch_norm_update":
        return _channels(op, shapes)
    if op.name in DRAWN:
        return _drawn(op, shapes, attrs, n)
    with g.Session(n) as session:
        values = [None if v is None else _number(session, v, i) if g.is_number(v) else g.make_input(str(i), s, v.dtype)
                  for i, (v, s) in enumerate(zip(inputs, shapes))]
        _same(op, values, attrs, n)


def _drawn(op, shapes, attrs, n):
    """x of any shape that the arguments allow; the others are numbers."""
    broken = any(s != () for s in shapes[1:]) or not 0 <= attrs.get("p", 0) < 1 or \
        attrs["images"] not in (None, shapes[0][:1] and attrs["images"])
    if DRAWN[op.name] and not broken:
        with g.Session(n):
            made = functions[op.name](g.make_input("0", shapes[0]), **{k: attrs[k] for k in DRAWN[op.name]}, seed=0, step=0)
        broken = any(made.node.attrs[k] != attrs[k] for k in DRAWN[op.name])
    if broken:
        raise ValueError(f"the saved graph is broken: {op.name} of {shapes}")


def _number(session, value, i):
    return g.Node(g.CONSTANT, (), {"value": 1.0}, (Spec((), value.dtype),)).outputs[0]


def _same(op, values, attrs, n):
    for made in _described(op, values, attrs):
        made = made[0] if isinstance(made, tuple) else made
        if op.name == "reshape" and made is values[0]:          # to the shape it has
            return
        node = made.node
        if node.op is op and len(node.inputs) == len(values) and all(a is b for a, b in zip(node.inputs, values)) and \
                {k: g.at(v, n) for k, v in node.attrs.items()} == attrs:
            return
    raise ValueError(f"the saved graph is broken: {op.name} of {[v and list(v.shape) for v in map(_plain, values)]} with {attrs}")


def _plain(value):
    return None if value is None else Spec(value.shape, value.dtype)


def _described(op, values, attrs):
    """What the op's public function makes of them: one result, or one for each setting that is not an attribute."""
    if op.name in POOLS:
        for ceil_mode in (False, True):
            yield functions[op.name](values[0], attrs["kernel"], attrs["stride"], attrs["padding"], ceil_mode=ceil_mode,
                                     **{k: attrs[k] for k in POOLS[op.name]})
    elif op.name in PUBLIC:
        yield PUBLIC[op.name](functions, values, attrs)
    elif op.name in functions and not attrs:
        yield functions[op.name](*values)
    else:
        raise ValueError(f"the op {op.name!r} is not one that a saved network holds")


def _channels(op, shapes):
    """Per-channel arrays beside x (N, C, ...), or, in an update, beside each other."""
    update = op.name == "batch_norm_update"
    if not update and len(shapes[0]) < 2 or update and shapes[2] != ():
        raise ValueError(f"the saved graph is broken: {op.name} of {shapes}")
    channels = shapes[0] if update else shapes[0][1:2]
    others = [s for i, s in enumerate(shapes[1:], 1) if s is not None and not (update and i == 2)]
    if len(channels) != 1 or any(s != channels for s in others):
        raise ValueError(f"the saved graph is broken: {op.name} of {shapes}, expected ({', '.join(map(str, channels))},) a channel")
