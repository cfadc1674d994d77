"""One line a case: an op, how to call it, the shapes it is called with. test_ops.py holds every plan of every case to the
reference, test_kernels.py runs the same plans kernel by kernel between guard pages. An op or kernel that no case reaches fails
a test.

`case(name, function, *inputs, ...)`: the function takes values (or arrays) for the inputs, and the keyword arguments.
    rows(3, 4)          an input with one row an image: (N, 3, 4)
    labels(5, ...)      integers below 5, (N, ...)
    indices(5, ...)     the same as floats, as networks get them
    weight(5, 4)        a parameter
exact=True: on small integers the float32 result is exact (sums and products); "forward": the gradient is not.
bits=True: the result has the bits of NumPy's float32 (one correctly rounded operation an element).
gradient=False: it has none. special=False: NaN and infinities are not in its rules. least: as many rows as it needs.
plan=False: the function takes arrays only.
`update(name, op, states, numbers, ...)`: an op that writes its first inputs, states, in place; its numbers are read anew at
every run."""
import numpy as np

import fastnn.functional as F
from fastnn.graph import OPS

CASES, UPDATES = {}, {}


class Input:
    """What a case is called with: how many axes behind the batch's, and which numbers it may hold."""

    def __init__(self, kind, shape, values="normal", classes=0):
        self.kind, self.shape, self.values, self.classes = kind, shape, values, classes

    def array(self, rng, n, integers=False):
        """Random numbers of the kind; small integers where the results shall be exact."""
        shape = self.shape if self.kind == "weight" else (n, *self.shape)
        if self.kind == "count":
            return np.array(7)
        if self.kind in ("labels", "indices"):
            return rng.integers(0, self.classes, shape).astype(np.int64 if self.kind == "labels" else np.float32)
        if self.values == "probabilities":
            p = rng.uniform(0.1, 1.0, shape)
            return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
        if self.values == "positive":
            x = rng.integers(1, 5, shape) if integers else rng.uniform(0.3, 2.0, shape)
        else:
            x = rng.integers(-3, 4, shape) if integers else rng.standard_normal(shape)
        return x.astype(np.float32)


class Case:
    """See above."""

    def __init__(self, name, function, inputs, arguments, exact, bits, gradient, special, plan, least):
        self.name, self.function, self.inputs, self.arguments = name, function, inputs, arguments
        self.exact, self.bits, self.gradient, self.special, self.plan, self.least = exact, bits, gradient, special, plan, least

    def __call__(self, *values):
        return self.function(*values, **self.arguments)

    def arrays(self, rng, n, integers=False):
        return [i.array(rng, n, integers) for i in self.inputs]


def rows(*shape, values="normal"):
    return Input("rows", shape, values)


def labels(classes, *shape):
    return Input("labels", shape, classes=classes)


def indices(classes, *shape):
    return Input("indices", shape, classes=classes)


def weight(*shape, values="normal"):
    return Input("weight", shape, values)


def count():
    return Input("count", ())


def case(name, function, *inputs, exact=False, bits=False, gradient=True, special=True, plan=True, least=1, **arguments):
    assert name not in CASES, name
    CASES[name] = Case(name, function, inputs, arguments, exact, bits, gradient, special, plan, least)


def update(name, op, states, numbers, **attrs):
    assert name not in UPDATES, name
    UPDATES[name] = (OPS[op], states, numbers, attrs)


IMAGES = (3, 7, 8)
POSITIVE = "positive"

# ---- elementwise: one operation, operands of equal shape, then broadcasting and numbers
for _name in "add sub mul".split():
    case(_name, getattr(F, _name), rows(3, 4), rows(3, 4), exact=True, bits=True)
case("div", F.div, rows(3, 4), rows(3, 4, values=POSITIVE), bits=True)
case("neg", F.neg, rows(5), exact=True, bits=True)
case("abs", F.abs, rows(5), exact=True, bits=True)
case("square", F.square, rows(5), exact=True, bits=True)
case("sign", F.sign, rows(5), exact=True, bits=True)
case("sqrt", F.sqrt, rows(5, values=POSITIVE), bits=True)
case("reciprocal", F.reciprocal, rows(5, values=POSITIVE), bits=True)
case("exp", F.exp, rows(5))
case("log", F.log, rows(5, values=POSITIVE))
case("pow", F.pow, rows(5, values=POSITIVE), rows(5))
case("pow-number", F.pow, rows(5, values=POSITIVE), b=1.5)
case("pow-whole", F.pow, rows(5), b=5, exact=True)
case("pow-inverse", F.pow, rows(5, values=POSITIVE), b=-3)
case("pow-zero", F.pow, rows(5), b=0, exact=True, bits=True)
case("pow-of-number", lambda a: F.pow(2.0, a), rows(5))
for _name in "maximum minimum".split():
    case(_name, getattr(F, _name), rows(3, 4), rows(3, 4), exact=True, bits=True)
    case(f"{_name}-number", getattr(F, _name), rows(5), b=0.5, exact=True, bits=True)
for _name in "gt ge lt le eq ne".split():
    case(_name, getattr(F, _name), rows(3, 4), rows(3, 4), exact=True, bits=True)
case("where", F.where, rows(5), rows(5), rows(5), exact=True, bits=True)
case("clip", F.clip, rows(5), min=-0.5, max=0.75, exact=True, bits=True)
case("clamp-low", F.clamp, rows(5), min=0.25, exact=True, bits=True)
case("float", F.float, labels(5, 3), gradient=False, exact=True, bits=True)
case("cast", lambda a, t: F.mul(a, F.float(t)), rows(3), labels(4, 3), exact=True, bits=True)
case("broadcast-row", lambda a, b: a * b + a, rows(3, 4), rows(1, 4), exact=True)
case("broadcast-weight", lambda a, w: a * w - w, rows(3, 4), weight(4), exact=True)
case("broadcast-column", lambda a, w: a * w, rows(3, 4), weight(3, 1), exact=True)
case("broadcast-scalar", lambda a, w: a * w, rows(3, 4), weight(), exact=True)
case("expand", lambda a: F.expand(a, -1, 3, 4), rows(1, 4), exact=True, bits=True)
case("sum_to", lambda a: F.sum_to(a, (a.shape[0], 1, 4)), rows(3, 4), exact=True)
case("chain", lambda a, b: F.exp(a * -0.5) * F.tanh(b) + F.sqrt(a * a + 1.0) / (b * b + 2.0) - F.sigmoid(a), rows(5), rows(5))
case("chain-long", lambda a, b: sum((F.sigmoid(a * float(k)) * b for k in range(1, 9)), a), rows(5), rows(5))
case("wide", lambda a, b: a * 3.0 + b, rows(2, 9, 21), rows(2, 9, 21), exact=True)     # longer than a strip of elementwise
case("scale-and-shift", lambda a: F.permute(a, 0, 2, 1) * 2.0 + 3.0, rows(3, 4), exact=True)      # part of the gather
case("shift", lambda a: F.exp(a + 0.5), rows(21))
case("scale-by-mean", lambda a: a - a.mean(0), rows(3, 4))
case("scale-by-total", lambda a: a / (a * a).sum(), rows(3, 4))

# ---- activations
case("relu", F.relu, rows(3, 4), exact=True, bits=True)
case("leaky_relu", F.leaky_relu, rows(7), negative_slope=0.25, exact=True, bits=True)
for _name in "sigmoid tanh gelu silu softplus".split():
    case(_name, getattr(F, _name), rows(7))
case("gelu-tanh", F.gelu, rows(7), approximate="tanh")
case("softplus-beta", F.softplus, rows(7), beta=2.0)
case("elu", F.elu, rows(7), alpha=0.75)
for _dim in (1, 2, -1):
    case(f"softmax-{_dim}", F.softmax, rows(3, 5), dim=_dim)
    case(f"log_softmax-{_dim}", F.log_softmax, rows(3, 5), dim=_dim)
case("softmax-rows", F.softmax, rows(3), dim=0)
case("log_softmax-rows", F.log_softmax, rows(3), dim=0)
case("softmax-wide", F.softmax, rows(70))
case("log_softmax-middle", F.log_softmax, rows(3, 37, 2), dim=2)

# ---- shapes
case("reshape", lambda a: F.reshape(a, a.shape[0], 4, 3) * 2.0, rows(3, 4), exact=True)
case("reshape-fold", lambda a: F.reshape(a, -1, 4) * 2.0, rows(3, 4), exact=True)
case("reshape-back", lambda a: F.view(F.reshape(a, -1, 4) * 2.0, -1, 12), rows(3, 4), exact=True)
case("flatten", lambda a: F.flatten(a, 1), rows(3, 4), exact=True, bits=True)
case("squeeze", lambda a: F.squeeze(F.unsqueeze(a, 1), 1) * 2.0, rows(4), exact=True)
case("permute", lambda a: F.permute(a, 0, 3, 1, 2), rows(3, 4, 5), exact=True, bits=True)
case("permute-batch", lambda a: F.permute(a, 1, 0, 2), rows(3, 4), exact=True, bits=True)
_around = lambda a: F.transpose(F.transpose(a, 0, 1), 0, 1)        # plain arrays, beside a chain of groups    # noqa: E731
case("permute-batch-around", lambda a, w: _around(F.linear(_around(a), w)), rows(9, 4), weight(6, 4), exact=True)
case("transpose", lambda a: F.transpose(a, 1, 2), rows(3, 4), exact=True, bits=True)
for _id, _index in (("column", (slice(None), 0)), ("backwards", (slice(None), -1, slice(None, None, -2))),
                    ("range", (slice(None), slice(1, 3))), ("rest", (Ellipsis, None, slice(2)))):
    case(f"getitem-{_id}", F.getitem, rows(3, 4), index=_index, exact=True, bits=True)
case("getitem-rows", lambda a, b: F.cat([a, b], 0)[a.shape[0]:, 1:], rows(3, 4), rows(3, 4), exact=True)
case("cat", lambda a, b: F.cat([a, b, a], 1), rows(3, 4), rows(2, 4), exact=True)
case("cat-inner", lambda a, b: F.concat([a, b], 2), rows(3, 4), rows(3, 1), exact=True, bits=True)
case("cat-rows", lambda a, b: F.cat([a, b], 0), rows(3), rows(3), exact=True, bits=True)
case("stack", lambda a, b: F.stack([a, b], 1), rows(3), rows(3), exact=True, bits=True)

# ---- reductions: inside a row, over the batch, over both
for _kind, _exact in (("sum", True), ("mean", False), ("max", "forward"), ("min", "forward")):      # ties share a gradient
    for _axes in ((1,), (2,), (1, 3), (0,), (0, 1), (0, 2, 3), (0, 1, 2, 3)):
        case(f"{_kind}-{''.join(map(str, _axes))}", getattr(F, _kind), rows(2, 3, 4), dim=_axes, exact=_exact)
    case(f"{_kind}-long", getattr(F, _kind), rows(3, 300), dim=2, exact=_exact)        # longer than a chain
    case(f"{_kind}-folded", lambda a, k=_kind: getattr(F, k)(a.reshape(-1, 4), 0), rows(3, 4), exact=_exact)
for _dim in (1, 2):
    case(f"argmax-{_dim}", F.argmax, rows(3, 4), dim=_dim, gradient=False, exact=True, bits=True)
case("sum-keepdim", F.sum, rows(2, 3), dim=1, keepdim=True, exact=True)

# ---- products
case("matmul-weight", F.matmul, rows(5), weight(5, 7), exact=True)
case("matmul-weight-3", F.matmul, rows(3, 5), weight(5, 2), exact=True)
case("matmul-weight-first", lambda a, w: F.matmul(w, a), rows(4, 3), weight(5, 4), exact=True)
case("matmul-rows", F.matmul, rows(5, 4), rows(4, 7), exact=True)
case("matmul-heads", F.matmul, rows(2, 3, 4), rows(2, 4, 3), exact=True)
case("matmul-transposed", lambda a, b: F.matmul(a, F.transpose(b, 1, 2)), rows(3, 4), rows(2, 4), exact=True)
case("matmul-weights", lambda a, w, v: F.matmul(a, F.matmul(w, v)), rows(4), weight(4, 5), weight(5, 2), exact=True)
case("matmul-over-batch", lambda a, b: F.matmul(F.transpose(a, 0, 1), b), rows(4), rows(3), exact=True)
case("matmul-long", F.matmul, rows(2, 270), rows(270, 3), exact=True)                           # longer than a chain
case("linear", F.linear, rows(6), weight(5, 6), weight(5), exact=True)
case("linear-plain", F.linear, rows(6), weight(5, 6), exact=True)
case("linear-wide", F.linear, rows(9), weight(37, 9), weight(37), exact=True)
case("linear-long", F.linear, rows(270), weight(19, 270), weight(19), exact=True)
case("linear-many", F.linear, rows(3), weight(270, 3), weight(270), exact=True)
case("linear-positions", F.linear, rows(3, 6), weight(5, 6), weight(5), exact=True)
case("linear-folded", lambda x, w, b: F.linear(x.reshape(-1, 6), w, b), rows(3, 6), weight(5, 6), weight(5), exact=True)
case("linear-relu", lambda x, w, b: F.relu(F.linear(x, w, b)), rows(6), weight(20, 6), weight(20), exact=True)
case("linear-residual", lambda x, w: F.relu(F.linear(x, w) + x), rows(6), weight(6, 6), exact=True)
case("linear-of-weights", lambda x, w, v: F.linear(x, F.linear(v, w)), rows(4), weight(4, 6), weight(5, 6), exact=True)

# ---- convolution
for _id, _shape, _weight, _arguments in (
        ("plain", IMAGES, (5, 3, 3, 3), {}), ("pad", IMAGES, (5, 3, 3, 3), dict(padding=1)), ("1x1", IMAGES, (18, 3, 1, 1), {}),
        ("same", IMAGES, (4, 3, 2, 4), dict(padding="same")), ("sides", (2, 5, 6), (3, 2, 3, 3), dict(padding=(0, 2, 1, 0))),
        ("stride", (2, 9, 8), (4, 2, 3, 3), dict(stride=(2, 3), padding=1)),
        ("stride-1x1", (3, 7, 7), (4, 3, 1, 1), dict(stride=2)),
        ("dilation", (2, 9, 8), (3, 2, 3, 2), dict(dilation=(2, 3), padding=(1, 2))),
        ("groups", (6, 5, 6), (4, 3, 3, 3), dict(groups=2, padding=1)),
        ("depthwise", (5, 6, 7), (5, 1, 3, 3), dict(groups=5, padding=1)),
        ("depthwise-double", (3, 7, 8), (6, 1, 3, 3), dict(groups=3, stride=2)),
        ("everything", (4, 11, 9), (6, 2, 3, 2), dict(stride=(2, 1), padding=(2, 1), dilation=(1, 2), groups=2)),
        ("5x5", (2, 9, 10), (3, 2, 5, 5), dict(padding=2)), ("7x7", (1, 13, 12), (2, 1, 7, 7), dict(padding=3, stride=2)),
        ("blocks", (37, 5, 4), (19, 37, 3, 3), dict(padding=1, algorithm="direct")),
        ("blocks-5x5", (18, 6, 5), (17, 18, 5, 5), dict(padding=2)),
        ("blocks-1x1", (270, 2, 2), (3, 270, 1, 1), {}), ("pointwise", (19, 5, 7), (21, 19, 1, 1), {}), ("filters", (2, 4, 5), (49, 2, 3, 3), dict(padding=1)),
        ("many-groups", (19, 6, 7), (19, 1, 3, 3), dict(groups=19, padding=1)),
        ("many-groups-whole", (16, 4, 6), (16, 1, 2, 1), dict(groups=16)),
        ("many-groups-blocks", (26, 20, 19), (39, 2, 2, 3), dict(groups=13, padding=(1, 2))),
        ("many-groups-everything", (39, 11, 9), (26, 3, 3, 2), dict(groups=13, stride=(2, 3), padding=2, dilation=(1, 2))),
        ("filters-groups", (6, 4, 5), (42, 3, 5, 5), dict(groups=2, padding=3)),
        ("filters-far", (9, 3, 3), (30, 9, 3, 3), dict(padding=4, dilation=3)),
        ("wide", (2, 3, 41), (3, 2, 3, 3), dict(padding=1)), ("one-pixel", (3, 3, 3), (4, 3, 3, 3), {})):
    case(f"conv2d-{_id}", F.conv2d, rows(*_shape), weight(*_weight), weight(_weight[0]), exact=True, **_arguments)
case("conv2d-no-bias", F.conv2d, rows(*IMAGES), weight(5, 3, 3, 3), exact=True, stride=2)
case("conv2d-relu", lambda x, w, b: F.relu(F.conv2d(x, w, b, padding=1)), rows(*IMAGES), weight(17, 3, 3, 3), weight(17),
     exact=True)
case("conv2d-many-groups-relu", lambda x, w, b: F.relu(x + F.conv2d(F.relu(F.conv2d(x, w, b, 1, 1, 1, 19)), w, b, 1, 1, 1, 19)),
     rows(19, 5, 6), weight(19, 1, 3, 3), weight(19), exact=True)
case("conv2d-residual", lambda x, w: F.relu(x + F.conv2d(x, w, None, padding=1)), rows(*IMAGES), weight(3, 3, 3, 3), exact=True)
case("conv2d-folded", lambda x, w, b: F.conv2d(x.reshape(-1, 1, 7, 8), w, b, padding=1), rows(*IMAGES), weight(2, 1, 3, 3),
     weight(2), exact=True)
for _id, _shape, _weight, _arguments in (
        ("winograd", (16, 8, 8), (16, 16, 3, 3), dict(padding=1)),
        ("winograd-odd", (17, 11, 14), (33, 17, 3, 3), dict(padding=(0, 2, 1, 2))),
        ("winograd-plain", (130, 10, 10), (16, 130, 3, 3), {})):
    case(f"conv2d-{_id}", F.conv2d, rows(*_shape), weight(*_weight), weight(_weight[0]), special=False, **_arguments)
case("conv2d-winograd-relu", lambda x, w: F.relu(x + F.conv2d(x, w, None, padding=1)), rows(18, 8, 12), weight(18, 18, 3, 3),
     special=False)
case("conv2d-winograd-folded", lambda x, w, b: F.conv2d(x.reshape(-1, 16, 8, 8), w, b, padding=1), rows(32, 8, 8),
     weight(20, 16, 3, 3), weight(20), special=False)
case("conv2d-pool", lambda x, w, b: F.max_pool2d(F.relu(F.conv2d(x, w, b)), 2), rows(3, 9, 8), weight(5, 3, 3, 3), weight(5),
     exact=True)
for _id, _shape, _weight, _arguments in (
        ("same", (1, 12, 15), (6, 1, 5, 5), dict(padding=2)), ("filters", (6, 9, 9), (20, 6, 5, 5), {}),
        ("groups", (4, 7, 40), (10, 2, 3, 3), dict(groups=2, padding=1)), ("wide", (8, 16, 90), (3, 8, 7, 7), {}),
        ("any", (8, 54, 53), (2, 8, 50, 50), {}), ("blocks", (17, 7, 8), (3, 17, 4, 4), dict(padding=1))):
    case(f"conv2d-pool-{_id}", lambda x, w, b, _a=_arguments: F.max_pool2d(F.conv2d(x, w, b, **_a), 2), rows(*_shape),
         weight(*_weight), weight(_weight[0]), exact=True)
case("conv2d-norm-pool", lambda x, w, b, m, v: F.max_pool2d(F.relu(F.batch_norm(F.conv2d(x, w), m, v, b)), 2), rows(2, 8, 11),
     weight(18, 2, 3, 3), weight(18), weight(18), weight(18, values=POSITIVE), special=False)
case("conv2d-residual-pool", lambda x, w: F.max_pool2d(F.conv2d(x, w, None, padding=1) + x, 2), rows(18, 9, 8),
     weight(18, 18, 3, 3), special=False)
case("conv2d-winograd-pool", lambda x, w, b: F.max_pool2d(F.conv2d(x, w, b, padding=1), 2), rows(18, 11, 14),
     weight(21, 18, 3, 3), weight(21), special=False)
case("conv2d-depthwise-relu", lambda x, w, b: F.relu(F.conv2d(x, w, b, 1, "same", 1, 5)), rows(5, 6, 7), weight(10, 1, 3, 3),
     weight(10), exact=True)

# ---- transposed convolution
for _id, _shape, _weight, _arguments in (
        ("plain", IMAGES, (3, 5, 3, 3), {}), ("stride", (3, 4, 5), (3, 6, 4, 4), dict(stride=2, padding=1)),
        ("1x1", IMAGES, (3, 18, 1, 1), {}), ("gaps", (2, 3, 4), (2, 3, 2, 2), dict(stride=3)),
        ("sides", (2, 5, 6), (2, 3, 3, 3), dict(padding=(0, 2, 1, 0))),
        ("output-padding", (2, 4, 3), (2, 20, 3, 3), dict(stride=(2, 3), padding=1, output_padding=1)),
        ("whole-stride", (2, 4, 5), (2, 3, 2, 3), dict(dilation=(3, 2), output_padding=(2, 1))),
        ("depthwise", (5, 4, 5), (5, 1, 3, 3), dict(stride=2, padding=1, groups=5)),
        ("everything", (4, 4, 5), (4, 3, 3, 2), dict(stride=(2, 1), padding=(2, 1), output_padding=(1, 0), groups=2, dilation=(1, 2))),
        ("many-groups", (19, 4, 5), (19, 2, 3, 3), dict(stride=2, padding=1, groups=19)),
        ("channels", (33, 3, 4), (33, 37, 5, 5), dict(stride=(1, 2), padding=1)),
        ("blocks", (37, 4, 3), (37, 19, 3, 3), dict(stride=2)), ("filters", (2, 4, 5), (2, 49, 3, 3), dict(padding=1))):
    case(f"conv_transpose2d-{_id}", F.conv_transpose2d, rows(*_shape), weight(*_weight),
         weight(_weight[1] * _arguments.get("groups", 1)), exact=True, special="dilation" not in _arguments, **_arguments)
case("conv_transpose2d-no-bias", F.conv_transpose2d, rows(*IMAGES), weight(3, 5, 3, 3), exact=True, stride=2)
case("conv_transpose2d-relu", lambda x, w, b: F.relu(F.conv_transpose2d(x, w, b, 2, 1)), rows(*IMAGES), weight(3, 17, 4, 4), weight(17),
     exact=True)
case("conv_transpose2d-residual", lambda x, w, b, y: F.relu(y + F.conv_transpose2d(x, w, b, 2)), rows(3, 3, 4), weight(3, 2, 2, 2),
     weight(2), rows(2, 6, 8), exact=True)
case("conv_transpose2d-folded", lambda x, w, b: F.conv_transpose2d(x.reshape(-1, 1, 7, 8), w, b, 2), rows(*IMAGES), weight(1, 2, 3, 3),
     weight(2), exact=True)
case("conv_transpose2d-winograd", lambda x, w, b: F.relu(F.conv_transpose2d(x, w, b, padding=1)), rows(18, 8, 12), weight(18, 17, 3, 3),
     weight(17), special=False)
for _id, _x, _weight, _a in (("plain", IMAGES, (3, 5, 4, 4), dict(stride=2)), ("winograd", (18, 8, 12), (18, 17, 3, 3), {})):
    case(f"conv_transpose2d-norm-{_id}", lambda x, w, b, m, v, c, d, _a=_a: F.relu(F.batch_norm(
        F.conv_transpose2d(x, w, b, **_a), m, v, c, d)), rows(*_x), weight(*_weight),
        *[weight(_weight[1], values=POSITIVE if i == 2 else "normal") for i in range(5)], gradient=False, special=False)

# ---- pooling
for _id, _shape, _a in (
        ("plain", (2, 8, 6), dict(kernel_size=2)), ("uneven", (3, 7, 9), dict(kernel_size=(2, 3), stride=(3, 2))),
        ("thirds", (2, 6, 9), dict(kernel_size=3)), ("large", (2, 9, 25), dict(kernel_size=2)),
        ("overlap", (2, 7, 6), dict(kernel_size=3, stride=1, padding=1)),
        ("padding", IMAGES, dict(kernel_size=3, stride=2, padding=1)),
        ("ceil", (2, 6, 7), dict(kernel_size=3, stride=2, ceil_mode=True)),
        ("ceil-padding", (1, 5, 6), dict(kernel_size=2, stride=3, padding=1, ceil_mode=True)),
        ("ceil-dropped", (1, 5, 5), dict(kernel_size=2, stride=4, padding=1, ceil_mode=True)),
        ("gaps", (2, 7, 8), dict(kernel_size=2, stride=3)), ("whole", (3, 4, 5), dict(kernel_size=(4, 5)))):
    case(f"max_pool2d-{_id}", F.max_pool2d, rows(*_shape), exact=True, bits=True, **_a)
    for _include in (True, False) if "padding" in _a else (True,):
        case(f"avg_pool2d-{_id}-{_include}", F.avg_pool2d, rows(*_shape), count_include_pad=_include, **_a)
case("max_pool2d-dilation", F.max_pool2d, rows(2, 9, 8), kernel_size=(2, 3), stride=1, padding=1, dilation=(2, 1),
     exact=True, bits=True)
case("max_pool2d-folded", lambda x: F.max_pool2d(x.reshape(-1, 1, 7, 8), 2), rows(*IMAGES), exact=True, bits=True)
case("avg_pool2d-folded", lambda x: F.avg_pool2d(x.reshape(-1, 1, 7, 8), 2), rows(*IMAGES), exact=True)
for _out in ((1, 1), (3, 5), (7, 8), (8, 3), 2):
    case(f"adaptive_avg_pool2d-{_out}", F.adaptive_avg_pool2d, rows(*IMAGES), output_size=_out)

# ---- batch norm, dropout
case("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, 0.1), rows(*IMAGES), weight(3), weight(3))
case("batch_norm-plain", F.batch_norm, rows(*IMAGES), training=True)
case("batch_norm-columns", lambda x, w: F.batch_norm(x, weight=w, training=True), rows(5), weight(5), least=2)
case("batch_norm-relu", lambda x, w, b: F.relu(F.batch_norm(x, None, None, w, b, True)), rows(*IMAGES), weight(3), weight(3))
case("batch_norm-eval", lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b, eps=0.1), rows(*IMAGES), weight(3),
     weight(3, values=POSITIVE), weight(3), weight(3))
case("batch_norm-eval-plain", lambda x, m, v: F.batch_norm(x, m, v), rows(*IMAGES), weight(3), weight(3, values=POSITIVE))
case("batch_norm-folded", lambda x, w, b: F.batch_norm(x.reshape(-1, 4, 3), None, None, w, b, True), rows(2, 4, 3), weight(4),
     weight(4))
for _p in (0.3, 0.5, 1.0):
    case(f"dropout-{_p}", F.dropout, rows(3, 5), p=_p, seed=3, step=(7 << 32) + 5, bits=_p == 0.5)
case("dropout-wide", F.dropout, rows(3, 37), p=0.25, seed=(1 << 40) + 17, step=2)
case("randn_like", F.randn_like, rows(3, 5), seed=3, step=(7 << 32) + 5, gradient=False)
case("randn_like-wide", F.randn_like, rows(3, 37), seed=(1 << 40) + 17, step=2, gradient=False)
case("randn_like-shape", F.randn_like, rows(3), shape=(2, 19), seed=3, step=2, gradient=False)
case("randn_like-folded", lambda x: F.randn_like(x.reshape(-1, 5), seed=3, step=4), rows(3, 5), gradient=False)
_a = dict(seed=(1 << 40) + 17, step=(7 << 32) + 5, gradient=False)
case("random_window-flip", F.random_window, rows(*IMAGES), flip=0.5, exact=True, bits=True, **_a)
case("random_window-crop", F.random_window, rows(*IMAGES), size=(5, 9), padding=(0, 2), flip=0.5, exact=True, bits=True, **_a)
case("random_window-turn", F.random_window, rows(*IMAGES), padding=1, degrees=30.0, bits=True, **_a)
case("random_window-any-turn", F.random_window, rows(2, 9, 6), size=6, flip=1.0, degrees=180.0, bits=True, **_a)
case("random_window-folded", lambda x: F.random_window(x.reshape(-1, 1, 7, 8), padding=2, degrees=10.0, seed=3, step=4),
     rows(*IMAGES), bits=True, gradient=False)
case("bernoulli", F.bernoulli, rows(3, 5), seed=3, step=(7 << 32) + 5, bits=True, gradient=False)
case("bernoulli-wide", F.bernoulli, rows(3, 37), seed=(1 << 40) + 17, step=2, bits=True, gradient=False)
case("bernoulli-folded", lambda x: F.bernoulli(x.reshape(-1, 5), seed=3, step=4), rows(3, 5), bits=True, gradient=False)
for _id, _v, _h, _a in (("one", 5, 3, {}), ("wide", 70, 150, dict(k=2)), ("gaussian", 17, 40, dict(k=3, visible="gaussian"))):
    _w = weight(_h, _v), weight(_h), weight(_v)
    _a = dict(seed=3, step=4, gradient=False, special=False, **_a)
    case(f"contrastive_divergence-{_id}", F.contrastive_divergence, rows(_v), *_w, **_a)
    case(f"contrastive_divergence-chains-{_id}", F.contrastive_divergence, rows(_v), *_w, weight(40, _h), **_a)
case("dropout-folded", lambda x: F.dropout(x.reshape(-1, 5), 0.3, seed=3, step=4), rows(3, 5))

# ---- layer norm
for _id, _x, _axes in (("row", (5,), 1), ("positions", (3, 7), 1), ("image", (2, 3, 5), 3), ("wide", (2, 70), 1), ("long", (300, 3), 1),
                       ("one", (4, 1), 1)):
    _shape = _x[len(_x) - _axes:]
    case(f"layer_norm-{_id}", lambda x, w, b, s=_shape: F.layer_norm(x, s, w, b, 0.1), rows(*_x), weight(*_shape), weight(*_shape))
case("layer_norm-plain", F.layer_norm, rows(3, 19), normalized_shape=19)
case("layer_norm-no-bias", lambda x, w: F.layer_norm(x, 9, w), rows(9), weight(9))
case("layer_norm-folded", lambda x, w, b: F.layer_norm(x.reshape(-1, 4), 4, w, b), rows(3, 4), weight(4), weight(4))
case("layer_norm-turned", lambda x, w, b: _around(F.layer_norm(_around(x), 4, w, b)), rows(3, 4), weight(4), weight(4))
case("layer_norm-over-batch", lambda x, w, b: _around(F.layer_norm(F.transpose(x, 0, 1) * 1.0, 4, w, b)), rows(3, 4), weight(4), weight(4))
case("layer_norm_backward", F.layer_norm_backward, rows(3, 5), rows(3, 5), gradient=False, normalized_shape=5)
case("layer_norm_backward-weight", lambda dy, x, w: F.layer_norm_backward(dy, x, 5, w), rows(3, 5), rows(3, 5), weight(5), gradient=False)

# ---- images of another size
for _id, _x, _a in (("double", (2, 3, 4), dict(scale_factor=2)), ("smaller", IMAGES, dict(size=(3, 5))),
                    ("uneven", (2, 3, 5), dict(scale_factor=(2.5, 1.3))), ("one", (2, 4, 3), dict(size=1)), ("same", IMAGES, dict(size=(7, 8))),
                    ("wide", (1, 1, 3), dict(size=(1, 1500)))):
    case(f"interpolate-nearest-{_id}", F.interpolate, rows(*_x), exact=True, bits=True, **_a)
    for _corners in (False, True):
        case(f"interpolate-bilinear-{_id}-{_corners}", F.interpolate, rows(*_x), mode="bilinear", align_corners=_corners, **_a)
case("interpolate-folded", lambda x: F.interpolate(x.reshape(-1, 1, 7, 8), scale_factor=2, mode="bilinear"), rows(*IMAGES))
case("interpolate_backward", F.interpolate_backward, rows(2, 6, 8), rows(2, 3, 4), exact=True, scale_factor=2)
case("interpolate_backward-bilinear", F.interpolate_backward, rows(2, 6, 8), rows(2, 3, 4), scale_factor=2, mode="bilinear")

# ---- sequences as images of height 1
for _id, _x, _weight, _a in (("plain", (3, 9), (5, 3, 3), {}), ("same", (4, 10), (17, 4, 5), dict(padding="same")),
                             ("everything", (4, 19), (6, 2, 3), dict(stride=2, padding=2, dilation=3, groups=2))):
    case(f"conv1d-{_id}", F.conv1d, rows(*_x), weight(*_weight), weight(_weight[0]), exact=True, **_a)
case("conv1d-relu", lambda x, w, b: F.relu(F.conv1d(x, w, b)), rows(3, 20), weight(18, 3, 3), weight(18), exact=True)
case("conv1d_backward", F.conv1d_backward, rows(5, 4), rows(3, 8), weight(5, 3, 3), gradient=False, exact=True, stride=2, padding=1)
case("max_pool1d_backward", F.max_pool1d_backward, rows(3, 5), rows(3, 11), gradient=False, exact=True, kernel_size=2)
case("avg_pool1d_backward", F.avg_pool1d_backward, rows(3, 5), rows(3, 11), exact=True, kernel_size=2)
case("max_pool1d", F.max_pool1d, rows(3, 11), exact=True, bits=True, kernel_size=3, stride=2, padding=1)
case("avg_pool1d", F.avg_pool1d, rows(3, 11), kernel_size=3, stride=2, padding=1, count_include_pad=False)

# ---- embedding
for _id, _x, _table, _a in (("plain", (3,), (5, 4), {}), ("one", (), (7, 20), {}), ("wide", (2, 3), (4, 300), {}),
                            ("padding", (4,), (5, 3), dict(padding_idx=-2))):
    case(f"embedding-{_id}", F.embedding, indices(_table[0], *_x), weight(*_table), special=False, exact=True, bits=True, **_a)
case("embedding-of-labels", F.embedding, labels(5, 3), weight(5, 4), special=False, exact=True, bits=True)
case("embedding-folded", lambda x, w: F.embedding(x.reshape(-1, 2), w) * 2.0, indices(6, 4), weight(6, 17), special=False, exact=True)
case("embedding-turned", lambda x, w: _around(F.embedding(F.transpose(x, 0, 1), w)), indices(6, 4), weight(6, 17), special=False,
     exact=True)
case("embedding_backward", F.embedding_backward, rows(3, 4), indices(5, 3), weight(5, 4), special=False, exact=True, padding_idx=1)

# ---- recurrent layers
for _kind, _gates in (("lstm", 4), ("gru", 3), ("rnn", 1)):
    _f, _backward = getattr(F, _kind), getattr(F, f"{_kind}_backward")
    for _id, _steps, _features, _hidden, _a in (("plain", 3, 3, 5, {}), ("reverse", 4, 2, 16, dict(reverse=True)),
                                                ("wide", 2, 20, 37, {}), ("one-step", 1, 4, 3, {})):
        case(f"{_kind}-{_id}", _f, rows(_steps, _features), weight(_gates * _hidden, _features),
             weight(_gates * _hidden, _hidden), weight(_gates * _hidden), weight(_gates * _hidden), special=False, **_a)
    _w, _states = (weight(_gates * 5, 4), weight(_gates * 5, 5)), [rows(5) for _ in range(2 if _kind == "lstm" else 1)]
    case(f"{_kind}-states", lambda x, w, u, *states, f=_f: f(x, w, u, None, None, *states), rows(3, 4), *_w, *_states,
         special=False)
    case(f"{_kind}-final", lambda x, w, u, f=_f: f(x, w, u)[1], rows(3, 4), *_w, special=False)
    case(f"{_kind}-folded", lambda x, w, u, f=_f: f(x.reshape(-1, 2, 4), w, u)[0], rows(4, 4), *_w, special=False)
    case(f"{_kind}-long", lambda x, w, u, f=_f: f(x * 0.03, w, u), rows(2, 270), weight(_gates * 3, 270), weight(_gates * 3, 3),
         special=False)                             # small numbers: the gradient of saturated gates is all rounding
    case(f"{_kind}-apart", lambda x, w, u, f=_f: f(x * 0.1, w * 0.1, u * 0.05), rows(3, 4), weight(_gates * 210, 4),
         weight(_gates * 210, 210), special=False)  # large enough for a call a step where there is one image
    case(f"{_kind}_backward", _backward, rows(3, 5), rows(3, 4), *_w, gradient=False, special=False)
    _most = lambda x: F.gt(x, -0.8) + F.gt(x, -0.2) + F.gt(x, 0.2) + F.gt(x, 0.8)      # 0 .. 4     # noqa: E731
    for _id, _a in (("lengths", {}), ("lengths-reverse", dict(reverse=True))):
        case(f"{_kind}-{_id}", lambda x, w, u, lengths, *states, f=_f, most=_most, a=_a:
             f(x, w, u, None, None, *states, lengths=most(lengths), **a), rows(4, 4), *_w, rows(), *_states, special=False)
        case(f"{_kind}-{_id}-wide", lambda x, w, u, b, lengths, f=_f, most=_most, a=_a:
             f(x, w, u, b, lengths=most(lengths), **a), rows(4, 3), weight(_gates * 37, 3), weight(_gates * 37, 37),
             weight(_gates * 37), rows(), special=False)
case("rnn-relu", F.rnn, rows(4, 3), weight(6, 3), weight(6, 6), nonlinearity="relu")

# ---- losses
CE = F.cross_entropy
case("cross_entropy", CE, rows(5), labels(5))
case("cross_entropy-two", CE, rows(2), labels(2))
case("cross_entropy-wide", CE, rows(40), labels(40), label_smoothing=0.1)
case("cross_entropy-none", CE, rows(5), labels(5), reduction="none")
case("cross_entropy-sum", CE, rows(5), labels(5), reduction="sum")
case("cross_entropy-ignore", CE, rows(5), labels(5), ignore_index=2)
case("cross_entropy-weight", lambda x, t, w: CE(x, t, w, 2, "mean", 0.1), rows(5), labels(5), weight(5, values=POSITIVE))
case("cross_entropy-probabilities", CE, rows(5), rows(5, values="probabilities"))
case("cross_entropy-probabilities-weight", lambda x, t, w: CE(x, t, w, -100, "none", 0.2), rows(5),
     rows(5, values="probabilities"), weight(5, values=POSITIVE))
case("cross_entropy-pixels", CE, rows(4, 2, 3), labels(4, 2, 3))
case("cross_entropy-folded", lambda x, p: CE(x.reshape(-1, 4), F.softmax(p.reshape(-1, 4), 1), reduction="sum"), rows(3, 4),
     rows(3, 4))
case("cross_entropy-folded-labels", lambda x, t: CE(x.reshape(-1, 4), t.reshape(-1), ignore_index=1), rows(3, 4), labels(4, 3))
case("cross_entropy_rows", F.cross_entropy_rows, rows(5), labels(5))
case("check_labels", lambda x, t: x * F.float(F.check_labels(t, 5)), rows(3), labels(5, 3), exact=True)
case("nll_loss", lambda x, t: F.nll_loss(F.log_softmax(x, 1), t), rows(5), labels(5))
case("nll_loss-none", F.nll_loss, rows(5), labels(5), reduction="none", ignore_index=2)
case("nll_loss-weight", F.nll_loss, rows(5), labels(5), weight(5, values=POSITIVE))
case("one_hot", F.one_hot, labels(4, 3), num_classes=4, gradient=False, exact=True, bits=True)
case("mse_loss", F.mse_loss, rows(3, 4), rows(3, 4))
case("mse_loss-sum", F.mse_loss, rows(3, 4), rows(3, 4), reduction="sum", exact=True)
case("mse_rows", F.mse_rows, rows(3, 4), rows(3, 4))
case("mse_rows-folded", lambda x, y: F.mse_rows(x.reshape(-1, 4), y.reshape(-1, 4)), rows(3, 4), rows(3, 4), exact=True)
case("l1_loss", F.l1_loss, rows(3, 4), rows(3, 4))
case("l1_loss-none", F.l1_loss, rows(3, 4), rows(3, 4), reduction="none", exact=True)
case("huber_loss", F.huber_loss, rows(3, 4), rows(3, 4), delta=0.5)
case("huber_loss-sum", F.huber_loss, rows(3, 4), rows(3, 4), reduction="sum", exact=True)
case("smooth_l1_loss", F.smooth_l1_loss, rows(3, 4), rows(3, 4), beta=2.0, reduction="none")
case("binary_cross_entropy", F.binary_cross_entropy, rows(3, 4, values="probabilities"), rows(3, 4, values="probabilities"))
case("binary_cross_entropy-weight", lambda x, t, w: F.binary_cross_entropy(F.sigmoid(x), t, w, "none"), rows(3),
     rows(3, values="probabilities"), weight(3, values=POSITIVE))
BCE = F.binary_cross_entropy_with_logits
case("binary_cross_entropy_with_logits", BCE, rows(3, 4), rows(3, 4, values="probabilities"))
case("binary_cross_entropy_with_logits-weights", lambda x, t, w, v: BCE(x, t, w, "sum", v), rows(5),
     rows(5, values="probabilities"), weight(5, values=POSITIVE), weight(5, values=POSITIVE))
case("hinge_loss", F.hinge_loss, rows(5), rows(5), margin=0.5)
case("hinge_loss-squared", F.hinge_loss, rows(5), rows(5), squared=True, reduction="none", exact=True)
case("hinge_loss-labels", F.hinge_loss, rows(5), labels(5), squared=True, reduction="sum", special=False)
case("multi_margin_loss", lambda x, t, w: F.multi_margin_loss(x, t, 1, 0.5, w), rows(5), labels(5), weight(5, values=POSITIVE),
     special=False)
case("accuracy", F.accuracy, rows(5), labels(5), gradient=False, exact=True, bits=True)
case("accuracy-binary", F.accuracy, rows(1), labels(2), gradient=False, exact=True, bits=True)
case("accuracy-ignore", F.accuracy, rows(3, 2), labels(3, 2), ignore_index=1, gradient=False, exact=True, bits=True)
case("accuracy-probabilities", F.accuracy, rows(5), rows(5, values="probabilities"), gradient=False, exact=True, bits=True)
case("accuracy-folded", lambda x, p: F.accuracy(x.reshape(-1, 2), p.reshape(-1, 2)), rows(4), rows(4),
     gradient=False, exact=True)

# ---- backward functions, called with what they need
for _name in "relu sigmoid tanh gelu silu softplus".split():
    case(f"{_name}_backward", getattr(F, f"{_name}_backward"), rows(7), rows(7), exact=_name == "relu", bits=_name == "relu")
case("gelu_backward-tanh", F.gelu_backward, rows(7), rows(7), approximate="tanh")
case("elu_backward", F.elu_backward, rows(7), rows(7), alpha=0.75)
case("leaky_relu_backward", F.leaky_relu_backward, rows(7), rows(7), negative_slope=0.25, exact=True, bits=True)
for _name in "softmax log_softmax".split():
    case(f"{_name}_backward", getattr(F, f"{_name}_backward"), rows(3, 5), rows(3, 5), dim=1)
    case(f"{_name}_backward-wide", getattr(F, f"{_name}_backward"), rows(70), rows(70))
_a = dict(stride=2, padding=1, dilation=1, groups=2)
case("conv2d_backward", F.conv2d_backward, rows(6, 3, 4), rows(4, 5, 7), weight(6, 2, 3, 3), gradient=False, exact=True, **_a)
case("conv2d_backward_input", F.conv2d_backward_input, rows(6, 3, 4), rows(4, 5, 7), weight(6, 2, 3, 3), exact=True, **_a)
case("conv2d_backward-winograd", F.conv2d_backward, rows(18, 9, 12), rows(33, 9, 12), weight(18, 33, 3, 3), padding=1,
     gradient=False, special=False)
case("conv2d_backward_weight", F.conv2d_backward_weight, rows(6, 3, 4), rows(4, 5, 7), weight(6, 2, 3, 3), exact=True,
     special=False, **_a)                           # its gradient convolves by dy, and NaN weights over padding have no rule
_a = dict(stride=2, padding=1, output_padding=1, groups=2)
case("conv_transpose2d_backward", F.conv_transpose2d_backward, rows(6, 6, 8), rows(4, 3, 4), weight(4, 3, 3, 3), gradient=False,
     exact=True, **_a)
case("conv_transpose2d_backward_input", F.conv_transpose2d_backward_input, rows(6, 6, 8), rows(4, 3, 4), weight(4, 3, 3, 3), exact=True,
     **_a)
case("conv_transpose2d_backward_weight", F.conv_transpose2d_backward_weight, rows(6, 6, 8), rows(4, 3, 4), weight(4, 3, 3, 3),
     exact=True, special=False, **_a)
case("linear_backward", F.linear_backward, rows(5), rows(6), weight(5, 6), gradient=False, exact=True)
case("linear_backward_input", F.linear_backward_input, rows(5), rows(6), weight(5, 6), exact=True)
case("linear_backward_weight", F.linear_backward_weight, rows(5), rows(6), weight(5, 6), exact=True)
_a = dict(kernel_size=3, stride=2, padding=1)
case("max_pool2d_backward", F.max_pool2d_backward, rows(2, 4, 3), rows(2, 7, 5), gradient=False, exact=True, **_a)
case("avg_pool2d_backward", F.avg_pool2d_backward, rows(2, 4, 3), rows(2, 7, 5), **_a)
case("adaptive_avg_pool2d_backward", F.adaptive_avg_pool2d_backward, rows(2, 4, 3), rows(2, 7, 5), output_size=(4, 3))
case("batch_norm_backward", lambda dy, x, w: F.batch_norm_backward(dy, x, None, None, w, True), rows(3, 5), rows(3, 5),
     weight(3), gradient=False, least=2)
case("dropout_backward", F.dropout_backward, rows(3, 5), rows(3, 5), p=0.5, seed=3, step=4, bits=True)
case("cross_entropy_backward", F.cross_entropy_backward, rows(5), labels(5), plan=False)
case("cross_entropy_backward-weight", lambda x, t, w: F.cross_entropy_backward(x, t, w, 2, "mean", 0.1), rows(5, 2),
     labels(5, 2), weight(5, values=POSITIVE), plan=False)
case("nll_loss_backward", F.nll_loss_backward, rows(5), labels(5), plan=False)
for _name in "mse l1 huber smooth_l1".split():
    case(f"{_name}_loss_backward", getattr(F, f"{_name}_loss_backward"), rows(3, 4), rows(3, 4), gradient=_name != "l1")
case("binary_cross_entropy_backward", F.binary_cross_entropy_backward, rows(5, values="probabilities"),
     rows(5, values="probabilities"), special=False)
case("binary_cross_entropy_with_logits_backward", F.binary_cross_entropy_with_logits_backward, rows(5), rows(5))
case("hinge_loss_backward", F.hinge_loss_backward, rows(5), rows(5), gradient=False)
case("multi_margin_loss_backward", F.multi_margin_loss_backward, rows(5), labels(5), p=2, special=False)

# ---- kernels that do to their results what the graph does next
def ended(function, **arguments):
    """The gradient that `function` makes, with another one added, where y is positive."""
    return lambda dy, x, w, other, y: F.relu_backward(function(dy, x, w, **arguments) + other, y)


for _id, _dy, _x, _weight, _a in (
        ("plain", (6, 7, 8), (3, 7, 8), (6, 3, 3, 3), dict(padding=1)),
        ("stride", (5, 3, 4), (4, 5, 7), (5, 4, 3, 3), dict(stride=2, padding=1)),
        ("gaps", (5, 2, 3), (4, 5, 7), (5, 4, 1, 1), dict(stride=3)), ("5x5", (18, 5, 6), (20, 9, 10), (18, 20, 5, 5), {}),
        ("winograd", (18, 11, 12), (17, 11, 12), (18, 17, 3, 3), dict(padding=1))):
    case(f"conv2d_backward_input-ends-{_id}", ended(F.conv2d_backward_input, **_a), rows(*_dy), rows(*_x), weight(*_weight),
         rows(*_x), rows(*_x), gradient=False, exact=_id != "winograd", special=_id != "winograd")
for _id, _many in (("few", 5), ("many", 270)):
    case(f"linear_backward_input-ends-{_id}", ended(F.linear_backward_input), rows(_many), rows(37), weight(_many, 37),
         rows(37), rows(37), gradient=False, exact=True)
for _id, _dy, _x, _a in (("apart", (2, 4, 3), (2, 8, 6), dict(kernel_size=2)),
                         ("overlap", (2, 4, 3), (2, 7, 5), dict(kernel_size=3, stride=2, padding=1)),
                         ("thirds", (2, 2, 2), (2, 8, 6), dict(kernel_size=3))):
    case(f"max_pool2d_backward-mask-{_id}", lambda dy, x, y, _a=_a: F.relu_backward(F.max_pool2d_backward(dy, x, **_a), y),
         rows(*_dy), rows(*_x), rows(*_x), gradient=False, exact=True)
case("batch_norm_backward-mask", lambda dy, x, w, y: F.relu_backward(F.batch_norm_backward(dy, x, None, None, w, True)[0], y),
     rows(3, 5), rows(3, 5), weight(3), rows(3, 5), gradient=False, least=2)
case("batch_norm-residual", lambda x, w, b, y: F.relu(y + F.batch_norm(x, None, None, w, b, True)), rows(*IMAGES), weight(3),
     weight(3), rows(*IMAGES))
for _id, _x, _weight, _a in (("plain", IMAGES, (5, 3, 3, 3), {}), ("filters", (20, 5, 6), (33, 20, 1, 1), {}),
                             ("winograd", (18, 8, 12), (17, 18, 3, 3), dict(padding=1)),
                             ("depthwise", (5, 6, 7), (10, 1, 3, 3), dict(groups=5))):
    case(f"conv2d-norm-{_id}", lambda x, w, b, m, v, c, d, _a=_a: F.relu(F.batch_norm(F.conv2d(x, w, b, **_a), m, v, c, d)),
         rows(*_x), weight(*_weight), *[weight(_weight[0], values=POSITIVE if i == 2 else "normal") for i in range(5)],
         gradient=False, special=False)

# ---- what must stay apart: results with another reader, ends in another order, a residual that comes later
case("ends-read-twice", lambda x, w: (lambda y: F.relu(y) * y)(F.conv2d(x, w, None, padding=1)), rows(*IMAGES),
     weight(4, 3, 3, 3), exact=True)
case("ends-read-again", lambda x, w: (lambda y: F.cat([F.relu(y + x), y], 1))(F.linear(x, w)), rows(6), weight(6, 6),
     exact=True)
case("ends-turned-round", lambda x, w: F.relu(F.conv2d(x, w, None, padding=1)) + x, rows(*IMAGES), weight(3, 3, 3, 3),
     exact=True)
case("ends-twice", lambda x, w: F.linear(x, w) + x + x * 2.0, rows(6), weight(6, 6), exact=True)
case("ends-later", lambda x, w, v: (lambda y: F.relu(y + F.linear(x, v) * 2.0))(F.linear(x, w)), rows(6), weight(4, 6),
     weight(4, 6), exact=True)
case("ends-of-two", lambda a, b, x, w: F.relu_backward(*[F.linear_backward_input(d, x, w) for d in (a, b)]), rows(5), rows(5),
     rows(6), weight(5, 6), gradient=False, exact=True)
case("chain-read-twice", lambda a: (lambda b: F.reshape(b, -1, 4) * F.reshape(F.exp(b), -1, 4))(a * 2.0 - 1.0), rows(3, 4))

# ---- updates in place
W, SGD = weight(37), dict(first=0, lr=0.1, momentum=0.0, dampening=0.0, weight_decay=0.0)
update("sgd", "sgd", [W, W, None], SGD, nesterov=False)
update("sgd-decay", "sgd", [weight(5, 60), weight(5, 60), None], dict(SGD, weight_decay=0.5), nesterov=False)
update("sgd-momentum", "sgd", [W, W, W], dict(SGD, momentum=0.9, dampening=0.25, weight_decay=0.1), nesterov=False)
update("sgd-nesterov", "sgd", [weight(5, 60)] * 3, dict(SGD, momentum=0.9), nesterov=True)
update("sgd-first", "sgd", [W, W, W], dict(SGD, first=1, momentum=0.9, dampening=0.5), nesterov=True)
ADAM = dict(lr=0.1, beta1=0.8, beta2=0.9, eps=0.01, weight_decay=0.25, correction1=0.4, correction2=0.3)
update("adam", "adam", [W, W, W, weight(37, values=POSITIVE)], ADAM, decoupled=False)
update("adamw", "adam", [weight(5, 60)] * 3 + [weight(5, 60, values=POSITIVE)], ADAM, decoupled=True)
RMSPROP = dict(lr=0.1, alpha=0.75, eps=0.01, weight_decay=0.25, momentum=0.5)
P = weight(37, values=POSITIVE)
update("rmsprop", "rmsprop", [W, W, P, None, None], RMSPROP)
update("rmsprop-plain", "rmsprop", [weight(5, 60)] * 2 + [weight(5, 60, values=POSITIVE), None, weight(5, 60)],
       dict(RMSPROP, weight_decay=0.0))
update("rmsprop-centered", "rmsprop", [weight(5, 60)] * 2 + [weight(5, 60, values=POSITIVE),
                                                           weight(5, 60, values="probabilities"), weight(5, 60)], RMSPROP)
STATISTICS = [weight(21), weight(21, values=POSITIVE), count(), weight(21), weight(21, values=POSITIVE)]
update("batch_norm_update", "batch_norm_update", STATISTICS, {}, momentum=0.25, count=6)
update("batch_norm_update-average", "batch_norm_update", STATISTICS, {}, momentum=None, count=6)
update("batch_norm_update-one", "batch_norm_update", STATISTICS, {}, momentum=0.25, count=1)
