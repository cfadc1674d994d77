"""The reference of every op against naive Python loops, and every gradient rule against finite differences in float64. One
line a case: a function of `F`, its inputs, the naive formula. The graph built from the symbolic function is what runs, so
that shape rules, references and gradient rules are tested together; then the same call on arrays."""
import itertools
import math

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import graph
from fastnn.ops.randn_like import quantile

RNG = np.random.default_rng(7)


def normal(*shape):
    return RNG.standard_normal(shape)


def positive(*shape):
    return RNG.uniform(0.3, 2.0, shape)


def distinct(*shape):
    """No two elements equal or close: pooling and max have no ties to decide."""
    return (RNG.permutation(int(np.prod(shape))).reshape(shape) - 3.5) / 4.0


def labels(classes, *shape):
    return RNG.integers(0, classes, shape)


def probabilities(*shape):
    p = positive(*shape)
    return p / p.sum(axis=1, keepdims=True)


# ---- running a graph by the references of its ops

def run(outputs, given):
    """The arrays of `outputs`, values; `given`: {input value: array}."""
    env = dict(given)
    for node in graph.ancestors([v for v in outputs if v is not None]):
        if node.op is graph.CONSTANT:
            env[node.outputs[0]] = node.attrs["value"]
        elif node.op not in graph.SOURCES:
            made = node.op.reference(*[None if v is None else env[v] for v in node.inputs], **node.attrs)
            for value, array in zip(node.outputs, made if isinstance(made, tuple) else (made,)):
                assert (np.shape(array), str(array.dtype)) == (value.shape, value.dtype), node.op.name
                env[value] = array
    return [None if v is None else np.asarray(env[v]) for v in outputs]


def trace(function, arrays, factors=None):
    """function called on symbolic float64 inputs -> (output values, input values); with `factors`, the gradients of
    sum(outputs * factors) in the place of the outputs, None where nothing flows."""
    with graph.Session(rows=arrays[0].shape[0] if arrays[0].ndim else 1, dtype="float64"):
        inputs = [graph.make_input(f"x{i}", a.shape, str(a.dtype)) for i, a in enumerate(arrays)]
        out = function(*inputs)
        out = out if isinstance(out, tuple) else (out,)
        if factors is not None:
            out = graph.gradients(list(out), [graph.as_value(f) for f in factors], inputs)
    return out, inputs


def numeric_gradient(function, arrays, i, factors, step=1e-6):
    """The same by central differences for input i."""
    out, inputs = trace(function, arrays)
    result = np.zeros(arrays[i].shape)
    for place in np.ndindex(arrays[i].shape):
        sides = []
        for sign in (1, -1):
            moved = arrays[i].copy()
            moved[place] += sign * step
            given = dict(zip(inputs, [*arrays[:i], moved, *arrays[i + 1:]]))
            sides.append(sum((f * y).sum() for f, y in zip(factors, run(out, given))))
        result[place] = (sides[0] - sides[1]) / (2 * step)
    return result


# ---- naive formulas

def each(formula):
    """A scalar formula as an elementwise function that broadcasts."""
    def naive(*arrays):
        arrays = np.broadcast_arrays(*arrays)
        out = np.zeros(arrays[0].shape)
        for place in np.ndindex(out.shape):
            out[place] = formula(*(float(a[place]) for a in arrays))
        return out
    return naive


def naive_reduce(formula, axes, keepdim=False):
    def naive(x):
        kept = [i for i in range(x.ndim) if i not in axes]
        out = np.zeros([x.shape[i] for i in kept])
        for place in np.ndindex(out.shape):
            index = [slice(None)] * x.ndim
            for i, p in zip(kept, place):
                index[i] = p
            out[place] = formula([float(v) for v in x[tuple(index)].ravel()])
        return out.reshape([1 if i in axes else d for i, d in enumerate(x.shape)]) if keepdim else out
    return naive


def naive_conv2d(stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    def naive(x, weight, bias=None):
        (n, c, h, w), (f, per_group, kh, kw) = x.shape, weight.shape
        oh = (h + padding[0] + padding[1] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
        ow = (w + padding[2] + padding[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
        y = np.zeros((n, f, oh, ow))
        for image, o, p, q in np.ndindex(y.shape):
            total = 0.0 if bias is None else bias[o]
            for i, u, v in np.ndindex(per_group, kh, kw):
                row, column = p * stride[0] + u * dilation[0] - padding[0], q * stride[1] + v * dilation[1] - padding[2]
                if 0 <= row < h and 0 <= column < w:
                    total += x[image, o // (f // groups) * per_group + i, row, column] * weight[o, i, u, v]
            y[image, o, p, q] = total
        return y
    return naive


def naive_conv_transpose2d(stride=(1, 1), padding=(0, 0, 0, 0), output_padding=(0, 0), groups=1, dilation=(1, 1)):
    def naive(x, weight, bias=None):
        (n, c, h, w), (_, per_group, kh, kw) = x.shape, weight.shape
        oh, ow = ((s - 1) * stride[i] - padding[2 * i] - padding[2 * i + 1] + dilation[i] * (k - 1) + output_padding[i] + 1
                  for i, (s, k) in enumerate(((h, kh), (w, kw))))
        y = np.zeros((n, per_group * groups, oh, ow))
        if bias is not None:
            y += bias[:, None, None]
        for image, i, p, q, o, u, v in np.ndindex(n, c, h, w, per_group, kh, kw):
            row, column = p * stride[0] + u * dilation[0] - padding[0], q * stride[1] + v * dilation[1] - padding[2]
            if 0 <= row < oh and 0 <= column < ow:
                y[image, i // (c // groups) * per_group + o, row, column] += x[image, i, p, q] * weight[i, o, u, v]
        return y
    return naive


def naive_layer_norm(axes, eps):
    def naive(x, weight=1.0, bias=0.0):
        y = np.zeros(x.shape)
        for place in np.ndindex(x.shape[:x.ndim - axes]):
            values = [float(v) for v in x[place].ravel()]
            m = sum(values) / len(values)
            v = sum((a - m) ** 2 for a in values) / len(values)
            y[place] = (x[place] - m) / math.sqrt(v + eps) * weight + bias
        return y
    return naive


def naive_interpolate(out, scale=None, bilinear=False, align_corners=False):
    """scale: pixels of the input a pixel of the output, where they are not lengths' ratios."""
    def at(place, axis, size):
        step = scale[axis] if scale else size / out[axis]
        if not bilinear:
            return [(min(math.floor(place * step), size - 1), 1.0)]
        if align_corners:
            position = place * (size - 1) / (out[axis] - 1) if out[axis] > 1 else 0.0
        else:
            position = max((place + 0.5) * step - 0.5, 0.0)
        first = min(math.floor(position), size - 1)
        return [(first, 1 - (position - first)), (min(first + 1, size - 1), position - first)]

    def naive(x):
        y = np.zeros((*x.shape[:2], *out))
        for p, q in np.ndindex(out):
            for (r, a), (s, b) in itertools.product(at(p, 0, x.shape[2]), at(q, 1, x.shape[3])):
                y[:, :, p, q] += a * b * x[:, :, r, s]
        return y
    return naive


def windows(h, kernel, stride, padding, dilation, ceil_mode):
    """For every output position along one axis: the input positions under its window (also those outside), PyTorch's rule."""
    length = (h + 2 * padding - dilation * (kernel - 1) - 1) / stride
    out = (math.ceil(length) if ceil_mode else math.floor(length)) + 1
    if ceil_mode and (out - 1) * stride >= h + padding:
        out -= 1
    return [[p * stride - padding + u * dilation for u in range(kernel)] for p in range(out)]


def naive_pool2d(kind, kernel, stride, padding=(0, 0), dilation=(1, 1), ceil_mode=False, count_include_pad=True):
    def naive(x):
        (n, c, h, w) = x.shape
        rows, columns = (windows(s, kernel[i], stride[i], padding[i], dilation[i], ceil_mode) for i, s in ((0, h), (1, w)))
        y = np.zeros((n, c, len(rows), len(columns)))
        for image, channel, p, q in np.ndindex(y.shape):
            seen = [x[image, channel, r, s] for r in rows[p] for s in columns[q] if 0 <= r < h and 0 <= s < w]
            framed = sum(r < h + padding[0] and s < w + padding[1] for r in rows[p] for s in columns[q])
            y[image, channel, p, q] = max(seen) if kind == "max" else sum(seen) / (framed if count_include_pad else len(seen))
        return y
    return naive


def naive_adaptive(out):
    def naive(x):
        (n, c, h, w) = x.shape
        y = np.zeros((n, c, *out))
        for image, channel, p, q in np.ndindex(y.shape):
            rows = range(p * h // out[0], math.ceil((p + 1) * h / out[0]))
            columns = range(q * w // out[1], math.ceil((q + 1) * w / out[1]))
            seen = [x[image, channel, r, s] for r in rows for s in columns]
            y[image, channel, p, q] = sum(seen) / len(seen)
        return y
    return naive


def naive_softmax(dim, log=False):
    def along(values):
        total = sum(math.exp(v) for v in values)
        return [v - math.log(total) if log else math.exp(v) / total for v in values]
    return lambda x: np.apply_along_axis(along, dim, x)


def naive_cross_entropy(weight=None, ignore=-100, smoothing=0.0, reduction="mean"):
    def naive(x, target):
        classes, losses, weights = x.shape[1], [], []
        places = list(itertools.product(range(x.shape[0]), *map(range, x.shape[2:])))
        for n, *rest in places:
            logits = [float(x[(n, c, *rest)]) for c in range(classes)]
            log_total = math.log(sum(math.exp(v) for v in logits))
            if target.dtype.kind == "i":
                label = int(target[(n, *rest)])
                q = [float(c == label) for c in range(classes)]
                weights.append(0.0 if label == ignore else 1.0 if weight is None else weight[label])
            else:
                label, q = None, [target[(n, c, *rest)] for c in range(classes)]
                weights.append(1.0)
            q = [v * (1 - smoothing) + smoothing / classes for v in q]
            losses.append(0.0 if label == ignore else -sum(p * (1 if weight is None else weight[c]) * (logits[c] - log_total)
                                                           for c, p in enumerate(q)))
        if reduction == "none":
            return np.array(losses).reshape(x.shape[0], *x.shape[2:])
        return np.array(sum(losses) / (sum(weights) if reduction == "mean" else 1))
    return naive


def naive_nll(weight=None, ignore=-100):
    def naive(x, target):
        total = divisor = 0.0
        for place in np.ndindex(target.shape):
            label = int(target[place])
            if label != ignore:
                w = 1.0 if weight is None else weight[label]
                total, divisor = total - w * x[(place[0], label, *place[1:])], divisor + w
        return np.array(total / divisor)
    return naive


def naive_batch_norm(eps, training=True):
    def naive(x, weight=None, bias=None, mean=None, variance=None):
        y = np.zeros(x.shape)
        for c in range(x.shape[1]):
            values = [float(v) for v in x[:, c].ravel()]
            m = sum(values) / len(values) if training else mean[c]
            v = sum((a - m) ** 2 for a in values) / len(values) if training else variance[c]
            scale, shift = 1 if weight is None else weight[c], 0 if bias is None else bias[c]
            y[:, c] = (x[:, c] - m) / math.sqrt(v + eps) * scale + shift
        return y
    return naive


def naive_matmul(a, b):
    y = np.zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]))
    a, b = np.broadcast_to(a, (*y.shape[:-2], *a.shape[-2:])), np.broadcast_to(b, (*y.shape[:-2], *b.shape[-2:]))
    for *batch, i, j in np.ndindex(y.shape):
        y[(*batch, i, j)] = sum(a[(*batch, i, k)] * b[(*batch, k, j)] for k in range(a.shape[-1]))
    return y


# ---- the cases

CASES = []


def case(name, function, naive, *arrays, gradient=True):
    CASES.append(pytest.param(function, naive, arrays, gradient, id=name))


X, Y = normal(3, 4), normal(3, 4)
case("add", lambda a, b: a + b, each(lambda a, b: a + b), X, Y)
case("add-broadcast", F.add, each(lambda a, b: a + b), normal(3, 1, 4), normal(2, 1))
case("add-scalar-array", lambda a, b: a + b, each(lambda a, b: a + b), X, normal())
case("add-number", lambda a: 2 + a + 1.5, each(lambda a: a + 3.5), X)
case("add-itself", lambda a: a + a * a, each(lambda a: a + a * a), X)
case("sub", lambda a, b: a - b, each(lambda a, b: a - b), X, Y)
case("sub-from-number", lambda a: 1 - a, each(lambda a: 1 - a), X)
case("mul", lambda a, b: a * b, each(lambda a, b: a * b), X, Y)
case("mul-broadcast", lambda a, b: a * b, each(lambda a, b: a * b), normal(2, 3, 1), normal(1, 4))
case("div", lambda a, b: a / b, each(lambda a, b: a / b), X, positive(3, 4))
case("div-number", lambda a: 3 / a / 2, each(lambda a: 1.5 / a), positive(3, 4))
case("neg", lambda a: -a, each(lambda a: -a), X)
for _exponent in (0, 1, 2, 3, 7, -1, -2, 0.5, 1.5, -0.5):
    case(f"pow-{_exponent}", lambda a, e=_exponent: a ** e, each(lambda a, e=_exponent: a ** e), positive(3, 4))
case("pow-negative-base", lambda a: a ** 3, each(lambda a: a ** 3), X)
case("pow-value", lambda a, b: a ** b, each(lambda a, b: a ** b), positive(3, 4), Y)
case("pow-of-number", lambda a: 2 ** a, each(lambda a: 2 ** a), X)
case("exp", F.exp, each(math.exp), X)
case("log", F.log, each(math.log), positive(3, 4))
case("sqrt", F.sqrt, each(math.sqrt), positive(3, 4))
case("abs", F.abs, each(abs), X)
case("square", F.square, each(lambda a: a * a), X)
case("reciprocal", F.reciprocal, each(lambda a: 1 / a), positive(3, 4))
case("sign", F.sign, each(lambda a: (a > 0) - (a < 0)), np.array([-2.0, 0.0, 3.0]), gradient=False)
case("clip", lambda a: F.clip(a, -0.5, 0.7), each(lambda a: min(max(a, -0.5), 0.7)), X)
case("clip-one-side", lambda a: a.clip(min=0.1), each(lambda a: max(a, 0.1)), X)
case("clip-arrays", F.clip, each(lambda a, b, c: min(max(a, b), c)), X, -positive(4), positive(3, 1))
case("maximum", F.maximum, each(max), X, Y)
case("minimum", F.minimum, each(min), X, normal(4))
case("where", lambda c, a, b: F.where(c > 0, a, b), each(lambda c, a, b: a if c > 0 else b), normal(3, 4), X, normal(4))
case("where-numbers", lambda a: F.where(a > 0, a, 0.5), each(lambda a: a if a > 0 else 0.5), X)
TIED = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 2.0]])
for _name, _formula in (("gt", lambda a, b: a > b), ("ge", lambda a, b: a >= b), ("lt", lambda a, b: a < b),
                        ("le", lambda a, b: a <= b), ("eq", lambda a, b: a == b), ("ne", lambda a, b: a != b)):
    case(_name, getattr(F, _name), each(_formula), TIED, np.array([1.0, 0.0, 3.0]), gradient=False)
case("cast", lambda a, t: a * t, each(lambda a, t: a * t), X, labels(5, 4))
case("float", F.float, each(float), labels(5, 4), gradient=False)

case("relu", F.relu, each(lambda a: max(a, 0.0)), X)
case("leaky_relu", lambda a: F.leaky_relu(a, 0.2), each(lambda a: a if a > 0 else 0.2 * a), X)
case("sigmoid", F.sigmoid, each(lambda a: 1 / (1 + math.exp(-a))), X)
case("tanh", F.tanh, each(math.tanh), X)
case("elu", lambda a: F.elu(a, 0.7), each(lambda a: a if a > 0 else 0.7 * (math.exp(a) - 1)), X)
case("gelu", F.gelu, each(lambda a: a * (1 + math.erf(a / math.sqrt(2))) / 2), X)
case("gelu-tanh", lambda a: F.gelu(a, "tanh"),
     each(lambda a: a / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a ** 3)))), X)
case("silu", F.silu, each(lambda a: a / (1 + math.exp(-a))), X)
case("softplus", lambda a: F.softplus(a, 2.0), each(lambda a: math.log(1 + math.exp(2 * a)) / 2), X)
for _dim in (0, 1, -1):
    case(f"softmax-{_dim}", lambda x, d=_dim: F.softmax(x, d), naive_softmax(_dim), normal(2, 3, 4))
    case(f"log_softmax-{_dim}", lambda x, d=_dim: F.log_softmax(x, d), naive_softmax(_dim, log=True), normal(2, 3, 4))

case("reshape", lambda x: x.reshape(4, -1), lambda x: x.reshape(4, 3), X)
case("flatten", lambda x: F.flatten(x, 1), lambda x: x.reshape(2, 12), normal(2, 3, 4))
case("squeeze", lambda x: F.squeeze(x), lambda x: x.reshape(3), normal(1, 3, 1))
case("squeeze-dim", lambda x: F.squeeze(x, -1), lambda x: x.reshape(1, 3), normal(1, 3, 1))
case("unsqueeze", lambda x: F.unsqueeze(x, 1), lambda x: x.reshape(3, 1, 4), X)
case("permute", lambda x: F.permute(x, 2, 0, 1), lambda x: x.transpose(2, 0, 1), normal(2, 3, 4))
case("transpose", lambda x: F.transpose(x, 0, -1), lambda x: x.transpose(2, 1, 0), normal(2, 3, 4))
case("expand", lambda x: F.expand(x, (2, 3, 4)), lambda x: np.stack([x + np.zeros((3, 4))] * 2), normal(3, 1))
case("expand-keep", lambda x: F.expand(x, -1, 4), lambda x: x + np.zeros((3, 4)), normal(3, 1))
_box = normal(3, 4, 5)
for _index in (0, -1, slice(1, None), (slice(None), 2), (slice(None), slice(None, None, 2)),
               (slice(None), slice(None, None, -1)),
               (Ellipsis, 0), (slice(None), None, slice(3, 0, -2), ...), (1, 2, 3), (slice(None, None, -2), slice(1, 3)),
               (slice(2, 2),), None):
    case(f"index-{_index}", lambda x, i=_index: F.getitem(x, i), lambda x, i=_index: x[i], _box)
for _dim in (0, 1, -1):
    case(f"cat-{_dim}", lambda a, b, d=_dim: F.cat([a, b, a], d), lambda a, b, d=_dim: np.concatenate([a, b, a], d), X, Y)
    case(f"stack-{_dim}", lambda a, b, d=_dim: F.stack([a, b], d), lambda a, b, d=_dim: np.stack([a, b], d), X, Y)

for _axes in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)):
    for _kind, _formula in (("sum", sum), ("mean", lambda v: sum(v) / len(v)), ("max", max), ("min", min)):
        for _keep in (False, True):
            case(f"{_kind}-{_axes}-{_keep}", lambda x, k=_kind, a=_axes, keep=_keep: getattr(F, k)(x, a, keepdim=keep),
                 naive_reduce(_formula, _axes, _keep), distinct(2, 3, 4))
case("mean-all", lambda x: x.mean(), naive_reduce(lambda v: sum(v) / len(v), (0, 1)), X)
case("sum-numpy-names", lambda x: x.sum(axis=-1, keepdims=True), naive_reduce(sum, (1,), True), X)

case("matmul", lambda a, b: a @ b, naive_matmul, normal(3, 4), normal(4, 2))
case("matmul-3-2", F.matmul, naive_matmul, normal(2, 3, 4), normal(4, 2))
case("matmul-2-3", F.matmul, naive_matmul, normal(3, 4), normal(2, 4, 2))
case("matmul-3-3", F.matmul, naive_matmul, normal(2, 3, 4), normal(2, 4, 2))
case("matmul-4-3", F.matmul, naive_matmul, normal(2, 1, 3, 4), normal(3, 4, 2))
case("matmul-vector", F.matmul, lambda a, b: naive_matmul(a, b[:, None])[:, 0], normal(3, 4), normal(4))
case("matmul-vector-first", F.matmul, lambda a, b: naive_matmul(a[None], b)[0], normal(4), normal(4, 2))
case("matmul-vectors", F.matmul, lambda a, b: naive_matmul(a[None], b[:, None])[0, 0], normal(4), normal(4))
case("matmul-transposed", lambda a, b: F.matmul(F.transpose(a, 0, 1), b), lambda a, b: naive_matmul(a.T, b), normal(4, 3),
     normal(4, 2))

for _id, _shape, _weight, _arguments in (
        ("plain", (2, 3, 5, 6), (4, 3, 3, 2), {}), ("1x1", (2, 3, 4, 4), (2, 3, 1, 1), {}),
        ("stride", (2, 2, 6, 7), (3, 2, 3, 3), dict(stride=(2, 3))),
        ("padding", (2, 2, 4, 5), (3, 2, 3, 3), dict(padding=(1, 2))),
        ("dilation", (1, 2, 7, 6), (2, 2, 3, 2), dict(dilation=(2, 3))), ("groups", (2, 4, 4, 4), (6, 2, 3, 3), dict(groups=2)),
        ("depthwise", (2, 3, 5, 5), (6, 1, 3, 3), dict(groups=3, padding=1, stride=2)),
        ("everything", (2, 4, 9, 8), (4, 2, 3, 2), dict(stride=2, padding=(2, 1), dilation=(1, 2), groups=2)),
        ("sides", (1, 2, 4, 4), (2, 2, 3, 3), dict(padding=(0, 1, 2, 0)))):
    _pair = lambda v: (v, v) if isinstance(v, int) else v                                              # noqa: E731
    _pad = _pair(_arguments.get("padding", 0))
    _naive = naive_conv2d(_pair(_arguments.get("stride", 1)), _pad if len(_pad) == 4 else (_pad[0], _pad[0], _pad[1], _pad[1]),
                          _pair(_arguments.get("dilation", 1)), _arguments.get("groups", 1))
    case(f"conv2d-{_id}", lambda x, w, b, a=_arguments: F.conv2d(x, w, b, **a), _naive, normal(*_shape), normal(*_weight),
         normal(_weight[0]))
case("conv2d-no-bias", F.conv2d, naive_conv2d(), normal(2, 2, 4, 4), normal(3, 2, 2, 2))
case("conv2d-same", lambda x, w: F.conv2d(x, w, padding="same"), naive_conv2d(padding=(0, 1, 1, 1)), normal(1, 2, 4, 4),
     normal(2, 2, 2, 3))
case("conv2d-valid", lambda x, w: F.conv2d(x, w, padding="valid"), naive_conv2d(), normal(1, 2, 4, 4), normal(2, 2, 2, 3))
case("conv2d-one-image", F.conv2d, lambda x, w, b: naive_conv2d()(x[None], w, b)[0], normal(2, 4, 4), normal(3, 2, 2, 2),
     normal(3))

for _id, _x, _axes in (("row", (3, 5), 1), ("positions", (2, 3, 4), 1), ("image", (2, 2, 3, 2), 3), ("alone", (5,), 1)):
    _shape = _x[len(_x) - _axes:]
    case(f"layer_norm-{_id}", lambda x, w, b, s=_shape: F.layer_norm(x, s, w, b, 0.1), naive_layer_norm(_axes, 0.1), normal(*_x),
         normal(*_shape), normal(*_shape))
    case(f"layer_norm-{_id}-plain", lambda x, s=_shape: F.layer_norm(x, s), naive_layer_norm(_axes, 1e-5), normal(*_x))
case("layer_norm-no-bias", lambda x, w: F.layer_norm(x, 4, w), naive_layer_norm(1, 1e-5), normal(2, 3, 4), normal(4))
for _id, _x, _a, _naive in (
        ("double", (2, 2, 3, 4), dict(scale_factor=2), ((6, 8),)), ("smaller", (1, 2, 7, 6), dict(size=(3, 4)), ((3, 4),)),
        ("uneven", (2, 1, 3, 5), dict(scale_factor=(2.5, 1.3)), ((7, 6), (1 / 2.5, 1 / 1.3))), ("one", (1, 1, 4, 3), dict(size=1), ((1, 1),))):
    case(f"interpolate-nearest-{_id}", lambda x, a=_a: F.interpolate(x, **a), naive_interpolate(*_naive), normal(*_x))
    for _corners in (False, True):
        case(f"interpolate-bilinear-{_id}-{_corners}", lambda x, a=_a, c=_corners: F.interpolate(x, **a, mode="bilinear", align_corners=c),
             naive_interpolate(_naive[0], *(_naive[1:] or (None,)), bilinear=True, align_corners=_corners), normal(*_x))
for _id, _shape, _weight, _a in (("plain", (2, 3, 7), (4, 3, 3), {}), ("everything", (2, 4, 9), (6, 2, 3), dict(stride=2, padding=2, dilation=2, groups=2)),
                                 ("same", (2, 2, 5), (3, 2, 4), dict(padding="same"))):
    _p = (1, 2) if _id == "same" else (_a.get("padding", 0),) * 2
    _naive = naive_conv2d((1, _a.get("stride", 1)), (0, 0, *_p), (1, _a.get("dilation", 1)), _a.get("groups", 1))
    case(f"conv1d-{_id}", lambda x, w, b, a=_a: F.conv1d(x, w, b, **a), lambda x, w, b, n=_naive: n(x[:, :, None], w[:, :, None], b)[:, :, 0],
         normal(*_shape), normal(*_weight), normal(_weight[0]))
case("conv1d-one", F.conv1d, lambda x, w: naive_conv2d()(x[None, :, None], w[:, :, None])[0, :, 0], normal(2, 6), normal(3, 2, 2))
case("max_pool1d", lambda x: F.max_pool1d(x, 3, 2, 1), lambda x: naive_pool2d("max", (1, 3), (1, 2), (0, 1))(x[:, :, None])[:, :, 0],
     distinct(2, 2, 7))
case("avg_pool1d", lambda x: F.avg_pool1d(x, 3, 2, 1, count_include_pad=False),
     lambda x: naive_pool2d("avg", (1, 3), (1, 2), (0, 1), count_include_pad=False)(x[:, :, None])[:, :, 0], normal(2, 2, 7))
for _id, _x in (("plain", (4,)), ("two", (2, 3)), ("number", ())):
    case(f"embedding-{_id}", F.embedding, lambda x, w: np.array([w[i] for i in np.ravel(x)]).reshape(*x.shape, 3), labels(5, *_x),
         normal(5, 3))
for _id, _shape, _weight, _arguments in (
        ("plain", (2, 3, 3, 4), (3, 4, 3, 2), {}), ("stride", (2, 2, 3, 4), (2, 3, 3, 3), dict(stride=(2, 3))),
        ("padding", (2, 2, 4, 5), (2, 3, 4, 4), dict(stride=2, padding=(1, 2))),
        ("output-padding", (1, 2, 3, 3), (2, 2, 3, 3), dict(stride=2, padding=1, output_padding=1)),
        ("whole-stride", (1, 2, 3, 3), (2, 2, 2, 3), dict(stride=1, dilation=3, padding=1, output_padding=(2, 1))),
        ("gaps", (1, 1, 3, 2), (1, 2, 2, 2), dict(stride=3)), ("groups", (2, 4, 3, 3), (4, 3, 3, 3), dict(groups=2)),
        ("everything", (2, 4, 4, 3), (4, 2, 3, 2), dict(stride=2, padding=(2, 1), output_padding=1, groups=2, dilation=(1, 2)))):
    _pair = lambda v: (v, v) if isinstance(v, int) else v                                              # noqa: E731
    _pad = _pair(_arguments.get("padding", 0))
    _naive = naive_conv_transpose2d(_pair(_arguments.get("stride", 1)), (_pad[0], _pad[0], _pad[1], _pad[1]),
                                    _pair(_arguments.get("output_padding", 0)), _arguments.get("groups", 1),
                                    _pair(_arguments.get("dilation", 1)))
    case(f"conv_transpose2d-{_id}", lambda x, w, b, a=_arguments: F.conv_transpose2d(x, w, b, **a), _naive, normal(*_shape),
         normal(*_weight), normal(_weight[1] * _arguments.get("groups", 1)))
case("conv_transpose2d-no-bias", F.conv_transpose2d, naive_conv_transpose2d(), normal(2, 2, 3, 3), normal(2, 3, 2, 2))
case("conv_transpose2d-one-image", F.conv_transpose2d, lambda x, w, b: naive_conv_transpose2d()(x[None], w, b)[0],
     normal(2, 3, 3), normal(2, 3, 2, 2), normal(3))

case("linear", F.linear, lambda x, w, b: naive_matmul(x, w.T) + b, normal(3, 4), normal(2, 4), normal(2))
case("linear-no-bias", F.linear, lambda x, w: naive_matmul(x, w.T), normal(3, 4), normal(2, 4))
case("linear-3", F.linear, lambda x, w, b: naive_matmul(x, w.T) + b, normal(2, 3, 4), normal(2, 4), normal(2))
case("linear-1", F.linear, lambda x, w, b: naive_matmul(x[None], w.T)[0] + b, normal(4), normal(2, 4), normal(2))

for _id, _shape, _a in (
        ("plain", (2, 2, 4, 6), dict(kernel_size=2)), ("uneven", (2, 1, 5, 7), dict(kernel_size=(2, 3), stride=(3, 2))),
        ("overlap", (1, 2, 5, 5), dict(kernel_size=3, stride=1)),
        ("padding", (2, 1, 5, 4), dict(kernel_size=3, stride=2, padding=1)),
        ("ceil", (1, 2, 6, 7), dict(kernel_size=3, stride=2, ceil_mode=True)),
        ("ceil-padding", (1, 1, 5, 6), dict(kernel_size=2, stride=3, padding=1, ceil_mode=True)),
        ("ceil-dropped", (1, 1, 5, 5), dict(kernel_size=2, stride=4, padding=1, ceil_mode=True)),
        ("gaps", (1, 1, 7, 7), dict(kernel_size=2, stride=3))):
    _of = lambda k, v=None: _pair(_a.get(k, v))                                                        # noqa: E731
    _naive_arguments = (_of("kernel_size"), _of("stride", _of("kernel_size")), _of("padding", 0))
    _ceil = _a.get("ceil_mode", False)
    case(f"max_pool2d-{_id}", lambda x, a=_a: F.max_pool2d(x, **a), naive_pool2d("max", *_naive_arguments, ceil_mode=_ceil),
         distinct(*_shape))
    for _include in (True, False):
        case(f"avg_pool2d-{_id}-{_include}", lambda x, a=_a, i=_include: F.avg_pool2d(x, **a, count_include_pad=i),
             naive_pool2d("avg", *_naive_arguments, ceil_mode=_ceil, count_include_pad=_include), normal(*_shape))
case("max_pool2d-dilation", lambda x: F.max_pool2d(x, 2, 1, 1, dilation=2),
     naive_pool2d("max", (2, 2), (1, 1), (1, 1), (2, 2)), distinct(1, 2, 5, 5))
case("max_pool2d-one-image", lambda x: F.max_pool2d(x, 2), lambda x: naive_pool2d("max", (2, 2), (2, 2))(x[None])[0],
     distinct(2, 4, 4))
for _out in ((1, 1), (2, 3), (4, 5), (6, 7)):
    case(f"adaptive_avg_pool2d-{_out}", lambda x, o=_out: F.adaptive_avg_pool2d(x, o), naive_adaptive(_out), normal(2, 2, 4, 5))
case("adaptive_avg_pool2d-none", lambda x: F.adaptive_avg_pool2d(x, (None, 2)), naive_adaptive((4, 2)), normal(1, 2, 4, 5))

WEIGHT = positive(5)
IGNORED = np.array([2, -100, 0, 4])
for _id, _x, _t, _a in (
        ("labels", (4, 5), labels(5, 4), {}), ("column", (4, 5), labels(5, 4), dict(reduction="none")),
        ("weight", (4, 5), labels(5, 4), dict(weight=WEIGHT)), ("ignore", (4, 5), IGNORED, {}),
        ("ignore-weight", (4, 5), np.array([1, 2, 1, 4]), dict(weight=WEIGHT, ignore=1)),
        ("smoothing", (4, 5), IGNORED, dict(smoothing=0.2, weight=WEIGHT)),
        ("sum", (4, 5), labels(5, 4), dict(reduction="sum")),
        ("pixels", (2, 3, 2, 2), labels(3, 2, 2, 2), {}), ("pixels-weight", (2, 5, 3), labels(5, 2, 3), dict(weight=WEIGHT)),
        ("probabilities", (4, 5), probabilities(4, 5), dict(weight=WEIGHT, smoothing=0.1)),
        ("probability-pixels", (2, 3, 2), probabilities(2, 3, 2), dict(reduction="none"))):
    def _function(x, t, a=_a):
        return F.cross_entropy(x, t, a.get("weight"), a.get("ignore", -100), a.get("reduction", "mean"),
                               a.get("smoothing", 0.0))
    case(f"cross_entropy-{_id}", _function, naive_cross_entropy(**_a), normal(*_x), _t)
case("cross_entropy-one", F.cross_entropy, lambda x, t: naive_cross_entropy()(x[None], t[None]), normal(5), np.array(3))
case("nll_loss", lambda x, t: F.nll_loss(x, t), naive_nll(), normal(4, 5), IGNORED)
case("nll_loss-one", F.nll_loss, lambda x, t: naive_nll()(x[None], t[None]), normal(5), np.array(3))
case("nll_loss-weight", lambda x, t: F.nll_loss(x, t, WEIGHT), naive_nll(WEIGHT), normal(2, 5, 3), labels(5, 2, 3))
case("mse_loss", F.mse_loss, lambda x, t: np.array(sum(each(lambda a, b: (a - b) ** 2)(x, t).ravel()) / 12), X, Y)
case("mse_loss-sum", lambda x, t: F.mse_loss(x, t, "sum"),
     lambda x, t: np.array(sum(each(lambda a, b: (a - b) ** 2)(x, t).ravel())), X, Y)
case("mse_loss-none", lambda x, t: F.mse_loss(x, t, "none"), each(lambda a, b: (a - b) ** 2), X, Y)


def total(formula, mean=True):
    """The sum of a formula over all pairs of elements, or their mean."""
    return lambda *a: np.array(each(formula)(*a).sum() / (a[0].size if mean else 1))


def naive_multi_margin(p, margin, weight):
    def naive(x, target):
        rows = [sum(max(0.0, margin - x[n, t] + x[n, c]) ** p for c in range(x.shape[1]) if c != t) * weight[t] / x.shape[1]
                for n, t in enumerate(target)]
        return np.array(sum(rows) / len(rows))
    return naive


LIKELY, HUBER = RNG.uniform(0.1, 0.9, (3, 4)), lambda d, a, b: (a - b) ** 2 / 2 if abs(a - b) < d else d * (abs(a - b) - d / 2)
case("l1_loss", F.l1_loss, total(lambda a, b: abs(a - b)), X, Y)
case("l1_loss-none", lambda x, t: F.l1_loss(x, t, "none"), each(lambda a, b: abs(a - b)), X, Y)
case("huber_loss", lambda x, t: F.huber_loss(x, t, delta=0.8), total(lambda a, b: HUBER(0.8, a, b)), X, Y)
case("smooth_l1_loss", lambda x, t: F.smooth_l1_loss(x, t, "sum", 0.5), total(lambda a, b: HUBER(0.5, a, b) / 0.5, False), X, Y)
case("smooth_l1_loss-0", lambda x, t: F.smooth_l1_loss(x, t, beta=0), total(lambda a, b: abs(a - b)), X, Y)
case("binary_cross_entropy", lambda x, t: F.binary_cross_entropy(x, t),
     total(lambda p, t: -t * math.log(p) - (1 - t) * math.log(1 - p)), LIKELY, RNG.uniform(0, 1, (3, 4)))
case("binary_cross_entropy_with_logits", F.binary_cross_entropy_with_logits,
     total(lambda a, t: math.log(1 + math.exp(a)) - t * a), X, LIKELY)
case("binary_cross_entropy_with_logits-weights",
     lambda x, t: F.binary_cross_entropy_with_logits(x, t, np.array([1.0, 2.0, 0.5, 3.0]), "sum", np.array(2.5)),
     lambda x, t: np.array(sum(
         w * (2.5 * t[i, j] * math.log(1 + math.exp(-x[i, j])) + (1 - t[i, j]) * math.log(1 + math.exp(x[i, j])))
         for i in range(3) for j, w in enumerate((1.0, 2.0, 0.5, 3.0)))), X, LIKELY)
SIGNS = np.sign(normal(3, 4))
case("hinge_loss", lambda x: F.hinge_loss(x, SIGNS, 0.7), lambda x: total(lambda a, t: max(0, 0.7 - t * a))(x, SIGNS), X)
case("hinge_loss-squared", lambda x: F.hinge_loss(x, SIGNS > 0, squared=True),
     lambda x: total(lambda a, t: max(0, 1 - t * a) ** 2)(x, SIGNS), X)
case("hinge_loss-labels", lambda x, t: F.hinge_loss(x, t), naive_multi_margin(1, 1.0, np.ones(5)), normal(4, 5), labels(5, 4))
case("multi_margin_loss", lambda x, t: F.multi_margin_loss(x, t, 2, 0.6, WEIGHT), naive_multi_margin(2, 0.6, WEIGHT),
     normal(4, 5), labels(5, 4))
case("mse_rows", F.mse_rows, lambda x, t: naive_reduce(lambda v: sum(v) / len(v), (1, 2))((x - t) ** 2), normal(2, 3, 2),
     normal(2, 3, 2))
case("one_hot", lambda t: F.one_hot(t, 4), lambda t: np.eye(4)[t].transpose(0, 2, 1), labels(4, 2, 3), gradient=False)
case("accuracy", F.accuracy, lambda x, t: np.array([float(max(range(5), key=lambda c: x[n, c]) == t[n]) for n in range(4)]),
     distinct(4, 5), labels(5, 4), gradient=False)

for _shape in ((4, 3), (3, 2, 4), (2, 2, 3, 3)):
    case(f"batch_norm-{_shape}", lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True, eps=0.1),
         naive_batch_norm(0.1),
         normal(*_shape), normal(_shape[1]), normal(_shape[1]))
case("batch_norm-plain", lambda x: F.batch_norm(x, training=True), naive_batch_norm(1e-5), normal(4, 3))
_mean, _variance = normal(2), positive(2)
case("batch_norm-eval", lambda x, w, b: F.batch_norm(x, _mean, _variance, w, b), lambda x, w, b: naive_batch_norm(1e-5, False)(
    x, w, b, _mean, _variance), normal(2, 2, 3), normal(2), normal(2))
case("dropout", lambda x: F.dropout(x, 0.4, seed=5, step=9), lambda x: x * naive_dropout_mask(x.shape, 0.4, 5, 9), normal(3, 7))
case("bernoulli", lambda x: F.bernoulli(x, seed=5, step=9), lambda x: naive_uniforms(x.shape, 5, 9) < x, RNG.random((3, 7)),
     gradient=False)
for _visible, _chains in (("binary", 3), ("gaussian", 2), ("binary", 5)):              # chains: fewer, as many, more than rows
    for _i in range(4):
        case(f"contrastive_divergence-{_visible}-{_chains}-{_i}",
             lambda *arrays, _v=_visible, _i=_i: F.contrastive_divergence(*arrays, 2, _v, seed=5, step=9)[_i],
             lambda *arrays, _v=_visible, _i=_i: naive_contrast(*arrays, _v)[_i],
             RNG.random((4, 6)), normal(5, 6), normal(5), normal(6), RNG.integers(0, 2, (_chains, 5)).astype(float), gradient=False)


def naive_philox(counter, key):
    """Ten rounds of Philox4x32 in Python integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def naive_uniforms(shape, seed, step, stream=0):
    made = np.zeros(shape)
    for n in range(shape[0]):
        for i in range(int(np.prod(shape[1:]))):
            word = naive_philox((n, i >> 2, step & 0xFFFFFFFF, step >> 32), (seed & 0xFFFFFFFF, stream))[i & 3]
            made[n].reshape(-1)[i] = (word >> 8) * 2.0 ** -24
    return made


def naive_dropout_mask(shape, p, seed, step):
    return (naive_uniforms(shape, seed, step) >= p) / (1 - p)


def naive_contrast(v, weight, hidden_bias, visible_bias, chains, visible):
    """Two steps of contrastive divergence: -> gradients of the weight and the biases, the chains' states."""
    def coins(mean, number):
        return (naive_uniforms(mean.shape, 5, 9, number << 16) < mean).astype(float)

    def mean(rows, matrix, bias, squash=True):
        totals = [[sum(a * w for a, w in zip(row, column)) + b for column, b in zip(matrix, bias)] for row in rows]
        return np.array([[1 / (1 + math.exp(-t)) if squash else t for t in row] for row in totals])

    data = mean(v, weight, hidden_bias)
    h = coins(data, 0)
    h[:len(chains)] = chains[:len(v)]
    for number in (1, 3):
        sample = mean(h, weight.T, visible_bias, visible == "binary")
        noise = naive_uniforms(sample.shape, 5, 9, number << 16)
        sample = (noise < sample).astype(float) if visible == "binary" else sample + quantile(noise + 2.0 ** -25)
        model = mean(sample, weight, hidden_bias)
        h = coins(model, number + 1)
    pairs = [[sum(m[j] * s[i] - d[j] * x[i] for m, s, d, x in zip(model, sample, data, v)) / len(v) for i in range(v.shape[1])]
             for j in range(len(weight))]
    states = chains.copy()
    states[:len(v)] = h[:len(chains)]
    return np.array(pairs), (model - data).sum(0) / len(v), (sample - v).sum(0) / len(v), states


# ---- the tests over the cases

@pytest.mark.parametrize("function, naive, arrays, gradient", CASES)
def test_reference(function, naive, arrays, gradient):
    out, inputs = trace(function, arrays)
    found, expected = run(out, dict(zip(inputs, arrays)))[0], naive(*arrays)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("function, naive, arrays, gradient", [c for c in CASES if c.values[3]])
def test_gradient(function, naive, arrays, gradient):
    out, inputs = trace(function, arrays)
    factors = [normal(*v.shape) for v in out]
    dxs, inputs = trace(function, arrays, factors)
    found = run(dxs, dict(zip(inputs, arrays)))
    for i, (array, dx) in enumerate(zip(arrays, found)):
        if array.dtype.kind == "f":
            expected = numeric_gradient(function, arrays, i, factors)
            dx = np.zeros(array.shape) if dx is None else dx
            assert dx.shape == array.shape
            np.testing.assert_allclose(dx, expected, rtol=2e-6, atol=2e-7, err_msg=f"input {i}")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("function, naive, arrays, gradient", CASES)
def test_arrays(function, naive, arrays, gradient, dtype):
    """The same call on arrays: float64 by the reference, float32 by the native kernels where they are built."""
    given = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    kept = [g.copy() for g in given]
    found, expected = np.asarray(function(*given)), naive(*arrays)
    assert found.shape == expected.shape
    tolerance = dict(rtol=1e-10, atol=1e-12) if dtype is np.float64 else dict(rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(found, expected, **tolerance)
    for before, after in zip(kept, given):
        np.testing.assert_array_equal(before, after)


# ---- updates, second derivatives, random numbers

def naive_sgd(w, gradients, lr, momentum, dampening, weight_decay, nesterov):
    v = None
    for g in gradients:
        g = g + weight_decay * w
        if momentum:
            v = g if v is None else momentum * v + (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        w = w - lr * g
    return w


@pytest.mark.parametrize("numbers", [(0.1, 0.0, 0.0, 0.0, False), (0.1, 0.9, 0.0, 0.01, False), (0.1, 0.9, 0.3, 0.0, False),
                                     (0.1, 0.9, 0.0, 0.1, True)])
def test_sgd(numbers):
    *numbers, nesterov = numbers
    w, gradients = normal(4), [normal(4) for _ in range(3)]
    new, v = w, np.zeros(4)
    for i, g in enumerate(gradients):
        made = graph.OPS["sgd"].reference(new, g, v if numbers[1] else None, int(i == 0), *numbers, nesterov=nesterov)
        new, v = made if numbers[1] else (made, v)
    expected = [naive_sgd(w[i], [g[i] for g in gradients], *numbers, nesterov) for i in range(4)]
    np.testing.assert_allclose(new, expected, rtol=1e-12)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_rmsprop(momentum, centered):
    lr, alpha, eps, weight_decay = 0.1, 0.9, 1e-3, 0.05
    w, gradients = normal(4), [normal(4) for _ in range(3)]
    new, states = w, [np.zeros(4), np.zeros(4) if centered else None, np.zeros(4) if momentum else None]
    for g in gradients:
        made = iter(graph.OPS["rmsprop"].reference(new, g, *states, lr, alpha, eps, weight_decay, momentum))
        new, states = next(made), [s if s is None else next(made) for s in states]
    for i in range(4):
        x, square, mean, v = w[i], 0.0, 0.0, 0.0
        for g in gradients:
            g = g[i] + weight_decay * x
            square, mean = alpha * square + (1 - alpha) * g * g, alpha * mean + (1 - alpha) * g
            v = momentum * v + g / (math.sqrt(square - mean ** 2 if centered else square) + eps)
            x -= lr * v
        assert new[i] == pytest.approx(x, rel=1e-12)


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam(decoupled):
    lr, beta1, beta2, eps, weight_decay = 0.1, 0.9, 0.99, 1e-8, 0.05
    w, gradients = normal(4), [normal(4) for _ in range(3)]
    new, m, v = w, np.zeros(4), np.zeros(4)
    for t, g in enumerate(gradients, 1):
        corrections = 1 - beta1 ** t, 1 - beta2 ** t
        new, m, v = graph.OPS["adam"].reference(new, g, m, v, lr, beta1, beta2, eps, weight_decay, *corrections,
                                                decoupled=decoupled)
    for i in range(4):
        x, first, second = w[i], 0.0, 0.0
        for t, g in enumerate(gradients, 1):
            x, g = (x - lr * weight_decay * x, g[i]) if decoupled else (x, g[i] + weight_decay * x)
            first, second = beta1 * first + (1 - beta1) * g, beta2 * second + (1 - beta2) * g * g
            x -= lr * (first / (1 - beta1 ** t)) / (math.sqrt(second / (1 - beta2 ** t)) + eps)
        assert new[i] == pytest.approx(x, rel=1e-12)


def naive_random_window(x, size, padding, flip, degrees, seed, step, stream=0):
    """Pixel by pixel, with Python's sin and cos."""
    (n, c, h, w), (rows, columns) = x.shape, size
    y, places = np.zeros((n, c, rows, columns)), []
    for image in range(n):
        words = [word >> 8 for word in naive_philox((image, 0, step & 0xFFFFFFFF, step >> 32), (seed & 0xFFFFFFFF, stream))]
        top = (words[1] * (h + 2 * padding - rows + 1) >> 24) - padding
        left = (words[2] * (w + 2 * padding - columns + 1) >> 24) - padding
        mirrored, angle = words[0] * 2.0 ** -24 < flip, (words[3] * 2.0 ** -23 - 1) * math.radians(degrees)
        places.append((top, left, mirrored))
        for p, q in np.ndindex(rows, columns):
            v = top + p - (h - 1) / 2
            across = left + (columns - 1 - q if mirrored else q) - (w - 1) / 2
            row = (h - 1) / 2 + math.cos(angle) * v - math.sin(angle) * across
            column = (w - 1) / 2 + math.sin(angle) * v + math.cos(angle) * across
            for r, s in itertools.product(range(h), range(w)):
                y[image, :, p, q] += max(0, 1 - abs(row - r)) * max(0, 1 - abs(column - s)) * x[image, :, r, s]
    return y, places


@pytest.mark.parametrize("size, padding, flip, degrees", [((5, 6), 0, 0.5, 0.0), ((4, 7), 2, 0.5, 0.0), ((5, 6), 1, 0.3, 25.0),
                                                          ((3, 3), 0, 1.0, 180.0)])
def test_random_window(size, padding, flip, degrees):
    x = normal(9, 2, 5, 6)
    expected, places = naive_random_window(x, size, padding, flip, degrees, 11, 3)
    found = F.random_window(x, size, padding, flip, degrees, seed=11, step=3)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert len(set(places)) > (1 if size == (5, 6) and not padding else 2)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_update(momentum):
    mean, variance, count = np.zeros(2), np.ones(2), np.array(0)
    expected_mean, expected_variance, batches = np.zeros(2), np.ones(2), [normal(5, 2) for _ in range(3)]
    for i, x in enumerate(batches):
        mean, variance, count = graph.OPS["batch_norm_update"].reference(
            mean, variance, count, x.mean(0), x.var(0), momentum=momentum, count=5)
        share = 1 / (i + 1) if momentum is None else momentum
        expected_mean = (1 - share) * expected_mean + share * x.mean(0)
        expected_variance = (1 - share) * expected_variance + share * x.var(0, ddof=1)
    np.testing.assert_allclose([mean, variance], [expected_mean, expected_variance], rtol=1e-12)
    assert count == 3 and count.dtype == np.int64


def test_noise_is_the_normal_quantile_of_uniform_numbers():
    from statistics import NormalDist

    expected = np.vectorize(NormalDist().inv_cdf)(naive_uniforms((3, 7), 5, 9) + 2.0 ** -25)
    np.testing.assert_allclose(F.randn_like(np.zeros((3, 7)), seed=5, step=9), expected, rtol=1e-6)
    u = (np.append([0, 1, 2, 7, 55, 10 ** 3, 113000, 114000, 10 ** 5], np.linspace(2 ** 17, 2 ** 23, 99).round()) + 0.5) * 2.0 ** -24
    np.testing.assert_allclose(quantile(u), np.vectorize(NormalDist().inv_cdf)(u), rtol=1e-6)
    np.testing.assert_array_equal(quantile(1 - u), -quantile(u))


def test_philox_gives_the_published_numbers():
    """The known answers of Random123."""
    from fastnn.ops._random import philox

    def words(counter, key):
        return [int(w[0]) for w in philox([np.array([c], np.uint64) for c in counter], key)]
    full = 0xFFFFFFFF
    assert words([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert words([full] * 4, [full] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


TWICE = [("interpolate", lambda x: F.interpolate(x, 5, mode="bilinear") ** 2, (1, 1, 3, 3)),
         ("conv1d", lambda x, w: F.conv1d(x, w, None, 2, 1), (2, 2, 5), (3, 2, 3)), ("embedding", lambda w: F.embedding(np.array([[0, 2], [2, 1]]), w, padding_idx=1) ** 2, (3, 4)),
         ("conv2d", lambda x, w: F.conv2d(x, w, None, 2, 1), (2, 2, 4, 4), (3, 2, 3, 3)), ("linear", F.linear, (3, 4), (2, 4)),
         ("conv_transpose2d", lambda x, w: F.conv_transpose2d(x, w, None, 2, 1, 1), (2, 2, 2, 3), (2, 3, 3, 3)),
         ("matmul", lambda a, b: a @ b, (3, 4), (4, 2)), ("softmax", lambda x: F.softmax(x, 1), (2, 3)),
         ("log_softmax", lambda x: F.log_softmax(x, 1), (2, 3)), ("sigmoid", F.sigmoid, (5,)), ("tanh", F.tanh, (5,)),
         ("leaky_relu", lambda x: F.leaky_relu(x) ** 2, (5,)), ("relu", lambda x: F.relu(x) ** 2, (5,)),
         ("avg_pool2d", lambda x: F.avg_pool2d(x, 2) ** 2, (1, 1, 4, 4)), ("slice", lambda x: x[:, 1:] ** 2, (2, 4)),
         ("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, 2) ** 2, (1, 1, 3, 3)),
         ("elu", F.elu, (6,)), ("gelu", F.gelu, (6,)), ("gelu-tanh", lambda x: F.gelu(x, "tanh"), (6,)), ("silu", F.silu, (6,)),
         ("softplus", F.softplus, (6,)), ("huber_loss", F.huber_loss, (3, 4), (3, 4)),
         ("binary_cross_entropy_with_logits", lambda x: F.binary_cross_entropy_with_logits(x, SIGNS > 0), (3, 4)),
         ("mse_rows", F.mse_rows, (3, 4), (3, 4)), ("mean", lambda x: x.mean(1) ** 3, (3, 4))]


@pytest.mark.parametrize("function, shapes", [pytest.param(f, s, id=name) for name, f, *s in TWICE])
def test_gradient_of_gradient(function, shapes):
    """Penalties on gradients: the rules of backward ops."""
    arrays, seen = [normal(*s) for s in shapes], []

    def first(*inputs):
        y = function(*inputs)
        if not seen:
            seen.append(normal(*y.shape))
        found = graph.gradients([y], [graph.as_value(seen[0])], list(inputs))
        total = 0.0
        for dx in found:
            total = total + (dx ** 2).sum()
        return total
    factors = [np.array(1.0)]
    dxs, inputs = trace(first, arrays, factors)
    for i, dx in enumerate(run(dxs, dict(zip(inputs, arrays)))):
        np.testing.assert_allclose(dx, numeric_gradient(first, arrays, i, factors), rtol=1e-5, atol=1e-6, err_msg=f"input {i}")


def test_only_what_is_asked_for_is_computed():
    """A first layer needs no gradient of its input, and gets none."""
    x, w = normal(2, 3, 4, 4), normal(5, 3, 3, 3)
    with graph.Session(2, dtype="float64"):
        image, weight = graph.make_input("x", x.shape, "float64"), graph.make_input("w", w.shape, "float64")
        y = F.conv2d(image, weight)
        dw = graph.gradients([y], [F.square(y)], [weight])
    names = {node.op.name for node in graph.ancestors(dw)}
    assert "conv2d_backward_weight" in names and "conv2d_backward_input" not in names
