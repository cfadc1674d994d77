"""Every kernel by itself: the plans of cases.py, step by step, each array between guard pages, outputs full of NaN before, NaN
in the lanes that hold no image, inputs read-only, the work cut into parts. The bits must be those of the plan run as a whole,
which test_ops.py holds to the reference. And what plans do not reach: all elementwise instructions, arrays of any stride to the
byte."""
import math
import struct

import numpy as np
import pytest

import cases
import fastnn as nn
from fastnn import graph as g
from fastnn import run
from guarded import READ, WRITE, Memory, isolated, like
from test_ops import DTYPES, LAYOUTS, PLANNED, kinds, made, make_update, same

native = nn.backend.native
pytestmark = pytest.mark.skipif(native is None, reason="FASTNN_BACKEND=reference: there are no native kernels to test")
if native:
    from fastnn import plan as plans
LANES = 16
SPACES = {"ROW": (1, 16), "GROUPS": (1, 16), "REDUCE": (16,), "SUM": (1, 16), "FLAT": (1,)}
NO_PLANS = {"kernel_pack", "kernel_matrix", "svm_solve",            # run by themselves: test_networks_svm.py has them
            "linear_backward_weight_sgd"}                           # below, and in test_fusion.py
TABLE = [(name, lanes) for name, space, _ in (native.kernels() if native else ()) for lanes in SPACES[space]
         if name not in NO_PLANS]


def pack(kernel, /, **fields):
    """The argument struct of a kernel. A `rows` is (address, stride in floats); pointers left out are NULL."""
    words = []
    for kind, name, *_ in plans.KERNELS[kernel][2]:
        value = fields.pop(name) if kind[:3] in ("INT", "NUM") else fields.pop(name, None)
        if kind in ("ROWS_IN", "ROWS_OUT"):
            words.append(struct.pack("qq", *(value or (0, 0))))
        elif kind in ("NUM", "NUMS"):
            words += [struct.pack("d", v) for v in (value if kind == "NUMS" else [value])]
        else:
            words += [struct.pack("q", int(v)) for v in (value if kind == "INTS" else [value or 0])]
    assert not fields, f"{kernel} has no field {sorted(fields)}"
    return b"".join(words)


def wide_lanes(step, lanes):
    """The lanes that the plan runs a step with (plan.Plan)."""
    space = plans.KERNELS[step.kernel][1]
    return lanes if step.mode == "row" or space == "SUM" else LANES if space == "REDUCE" and step.mode == "reduce" else 1


class Replay:
    """One run of a plan by run_kernel. `high`: arrays end at their guard page, else they begin at one. `parts`: how often each
    step is cut; the parts run last to first."""

    def __init__(self, plan, inputs, states, numbers, n, target, high, parts, place):
        self.plan, self.n, self.target, self.high, self.parts, self.place = plan, n, target, high, parts, place
        self.lanes, self.numbers, self.memories, self.outputs = plan.lanes, numbers, {}, []
        self.groups = -(-n // self.lanes)
        graph = plan.graph
        self.arrays = [*inputs, None]                               # the last: which rows to gather
        self.externals = []
        for array in self.arrays:
            self.externals.append(self.external(array))
        for value in graph.outputs.values():
            shape = g.at(value.shape, n)
            memory = Memory(1, 4 * math.prod(shape), high)
            self.arrays.append(memory.array(np.float32, shape))
            self.outputs.append(self.arrays[-1])
            self.externals.append(memory)
        self.states = [self.external(a) for a in states]
        self.externals += self.states

    def external(self, array):
        if array is None:
            return None
        memory = Memory(1, array.nbytes, self.high)
        memory.array(array.dtype, array.shape)[...] = array
        return memory

    def memory(self, buffer):
        """The guarded memory of a buffer of the plan."""
        if buffer.region == "external":
            return self.externals[buffer.offset]
        if id(buffer) not in self.memories:
            pieces, size = {"group": (self.groups, 4 * self.lanes * buffer.size), "flat": (1, self.n * buffer.size)}.get(
                buffer.region, (1, buffer.size))
            self.memories[id(buffer)] = Memory(max(pieces, 1), size, self.high)
        return self.memories[id(buffer)]

    def number(self, value):
        if isinstance(value, tuple):                                # ("slot", of an array): dtype, row stride, six strides
            array, word = self.arrays[value[1] // 8], value[1] % 8
            strides = (array.strides[0] if array.ndim else 0, *((0,) * (7 - array.ndim) + array.strides[1:])[-6:])
            return {np.dtype(np.float32): 0, np.dtype(np.int64): 8}[array.dtype] if word == 0 else strides[word - 1]
        if isinstance(value, g.Value):
            value = self.numbers[value.node.attrs["name"]] if value.node.op is g.SLOT else value.node.attrs["value"]
        return g.at(value, self.n)

    def field(self, kind, value):
        if isinstance(value, plans.Buffer):
            memory = self.memory(value)
            if memory is None:
                return None
            if kind in ("ROWS_IN", "ROWS_OUT"):
                return memory.address, memory.stride // 4 if value.region == "group" else 0
            return memory.address
        if kind in ("INTS", "NUMS"):
            return [self.number(v) for v in value]
        return None if value is None else self.number(value)

    def run(self):
        """-> the outputs and the states, copied."""
        for step in self.plan.steps:
            self.step(step)
        return [np.array(o) for o in self.outputs], [bytes(m.bytes()) for m in self.states]

    def step(self, step):
        fields = plans.Encoder(None, 0).elementwise(step) if step.program is not None else step.fields
        declared = plans.KERNELS[step.kernel][2]
        args = pack(step.kernel, **{name: self.field(kind, fields.get(name)) for kind, name, *_ in declared})
        written = {id(self.memory(b)) for b in step.writes}
        only_read = [m for m in map(self.memory, step.reads) if m is not None and id(m) not in written]
        lanes, parts = wide_lanes(step, self.lanes), 1 if step.check else self.parts
        if self.high:
            spoil_scratch()
        for memory in only_read:
            memory.protect(READ)
        for group in range(self.groups) if step.mode == "row" else (0,):
            for part in reversed(range(parts)):
                self.place.say(f"{step.kernel}, lanes {lanes}, {self.target}, group {group}, part {part} of {parts}, {self.n} "
                               f"rows, made at {step.node.op.name}, arrays {'end' if self.high else 'begin'} at guard pages")
                error = native.run_kernel(step.kernel, lanes, args, self.n, group, part, parts, self.target)
                assert error == 0, f"{step.kernel} reported {error}"
        for memory in only_read:
            memory.protect(READ | WRITE)
        images = self.n % LANES
        if self.lanes == LANES and images:
            for buffer in step.writes:
                if buffer.region == "group":
                    self.memory(buffer).array(np.float32, (-1, LANES), self.groups - 1)[:, images:] = np.nan


_spoilers = []


def spoil_scratch():
    """Fills the thread's scratch with NaN, as a kernel leaves it that was given nothing else."""
    if not _spoilers:
        x, y = np.full((256, LANES), np.nan, np.float32), np.empty((256, 256), np.float32)
        rows = (x.ctypes.data, 0)
        _spoilers.extend([x, y, pack("linear_backward_weight", dweight=y.ctypes.data, dy=rows, x=rows, positions=1,
                                     in_features=256, out_features=256, dy_steps=(256, 1), x_steps=(256, 1))])
    native.run_kernel("linear_backward_weight", LANES, _spoilers[2], LANES)


def replays(plan, inputs, states, numbers, n, expected, place):
    """All targets, both ends, cut or not; `expected`: {target: (outputs, states)}, the bits that must come out."""
    for target in native.targets():
        for high, parts in ((False, 1), (True, 3)):
            found, changed = Replay(plan, inputs, states, numbers, n, target, high, parts, place).run()
            place.say(f"{target}, {n} rows, in {parts} parts")
            outputs, after = expected[target]
            for name, a, b in zip(plan.graph.outputs, found, outputs):
                assert same(a, b.copy()), f"{name}: other bits than the plan's:\n{a}\n{b}"
            assert changed == after, "the states differ from those that the plan leaves"


def on_all_targets(function, executable=None):
    """{target: what function gives there}"""
    before, found = native.get_target(), {}
    for target in native.targets():
        native.set_target(target)
        for storage in executable.storages if executable else ():
            storage.bump()                          # what was packed or computed from it by another target is computed again
        found[target] = function()
    native.set_target(before)
    return found


def states_of(executable, plan):
    return [np.array(s) for s in (*executable.storages, *plan.constant_arrays)]


@pytest.mark.parametrize("name", PLANNED)
def test_kernels_of(name):
    runs = []
    for kind in kinds(cases.CASES[name]):
        graph = made(name, kind)
        for n in (5, 37):
            inputs = graph.arrays(n)
            outputs = on_all_targets(lambda: list(graph.native(inputs, n).values()), graph.executable)
            plan, _ = graph.executable.bound(n)
            states = states_of(graph.executable, plan)
            after = [s.tobytes() for s in states]
            runs.append((plan, inputs, states, {}, n, {target: (found, after) for target, found in outputs.items()}))

    def check(place):
        for arguments in runs:
            replays(*arguments, place)
    isolated(check)


@pytest.mark.parametrize("name", PLANNED)
def test_kernels_without_rows(name):
    """Sums over nothing are 0, means NaN: written, not left as they were."""
    graph = made(name, kinds(cases.CASES[name])[-1])
    inputs = graph.arrays(0)
    plan, _ = graph.executable.bound(0)
    try:
        expected = graph.reference(inputs, 0)
    except ValueError:
        pytest.skip("not defined: the largest or smallest of nothing")

    def check(place):
        for target in native.targets():
            found, _ = Replay(plan, inputs, states_of(graph.executable, plan), {}, 0, target, True, 1, place).run()
            for output, array in zip(expected, found):
                np.testing.assert_array_equal(array, expected[output].astype(np.float32), err_msg=output)
    isolated(check)


@pytest.mark.parametrize("name", cases.UPDATES)
def test_kernels_of_update(name):
    states = [h.array().copy() for h in make_update(name)[0].holders]

    def updated():
        graph, _, numbers = make_update(name)
        run.Executable(graph).start([], 1, numbers)
        return [], [h.array().tobytes() for h in graph.holders]
    graph, _, numbers = make_update(name)
    plan, expected = run.Executable(graph).bound(1)[0], on_all_targets(updated)
    isolated(lambda place: replays(plan, [], states, numbers, 1, expected, place))


# ---- nothing is left out

@pytest.fixture(scope="module")
def reached():
    """(kernel, lanes) of every step of every plan that the tests above run."""
    found = set()
    for name in PLANNED:
        for kind in kinds(cases.CASES[name]):
            for n in (5, 37):
                plan, _ = made(name, kind).executable.bound(n)
                found.update((step.kernel, wide_lanes(step, plan.lanes)) for step in plan.steps)
    for name in cases.UPDATES:
        found.update((step.kernel, 1) for step in run.Executable(make_update(name)[0]).bound(1)[0].steps)
    return found


@pytest.mark.parametrize("kernel, lanes", TABLE)
def test_every_kernel_is_reached(kernel, lanes, reached):
    assert (kernel, lanes) in reached, f"add a line to cases.py whose plan runs {kernel} with lanes {lanes}"


# ---- elementwise: every instruction

def erf(x):
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def gelu_tanh_slope(x):
    x = np.clip(x, -10, 10)
    t, slope = np.tanh(0.7978845608028654 * (x + 0.044715 * x ** 3)), 0.7978845608028654 * (1 + 0.134145 * x * x)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope


def gelu_slope(x):
    x = np.clip(x, -40, 40)
    return 0.5 * (1 + erf(x * math.sqrt(0.5))) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def silu_slope(x):
    x = np.clip(x, -800, 800)
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)))


def logits_loss(x, t, w):
    return np.log1p(np.exp(-np.abs(x))) * (w * t + (1 - t)) + np.maximum(x, 0) * (1 - t) + np.maximum(-x, 0) * (w * t)


def probability_loss(p, t):
    return -(t * np.maximum(np.log(p), -100) + (1 - t) * np.maximum(np.log1p(-p), -100))


def huber(d, delta):
    near = np.where(np.abs(d) < delta, np.abs(d), delta)
    return near * (np.abs(d) - near / 2)


def raised_then(a, high):
    return np.where(a > high, high, a)


@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("apart", [False, True], ids=["features side by side", "positions side by side"])
def test_linear_backward_weight_by_steps(lanes, apart, target):
    """Positions and features in either order (plans have positions side by side in lanes of 16 alone)."""
    rng, n, positions, inputs, outputs = np.random.default_rng(4), 19, 5, 37, 23
    x, dy = (rng.integers(-4, 5, (n, positions, f)).astype(np.float32) for f in (inputs, outputs))

    def memory(rows):
        rows = rows.transpose(0, 2, 1) if apart else rows
        flat = np.full((-(-n // lanes) * lanes, rows[0].size), np.nan, np.float32)
        flat[:n] = rows.reshape(n, -1)
        groups = flat.reshape(-1, lanes, flat.shape[1]).transpose(0, 2, 1)
        made = Memory(len(groups), groups[0].size * 4, True)
        for i, group in enumerate(groups):
            made.array(np.float32, group.shape, i)[...] = group
        return made
    made, given = Memory(1, 4 * outputs * inputs, True), [memory(dy), memory(x)]
    steps = [(1, positions) if apart else (features, 1) for features in (outputs, inputs)]
    args = pack("linear_backward_weight", dweight=made.address, dy=(given[0].address, given[0].stride // 4),
                x=(given[1].address, given[1].stride // 4), positions=positions, in_features=inputs, out_features=outputs,
                dy_steps=steps[0], x_steps=steps[1])
    for part in (1, 0):
        native.run_kernel("linear_backward_weight", lanes, args, n, 0, part, 2, target)
    np.testing.assert_array_equal(made.array(np.float32, (outputs, inputs)), np.einsum("npo,npi->oi", dy, x))


@pytest.mark.parametrize("n", [1, 5, 37])
@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("numbers", [dict(velocity=False), dict(velocity=True), dict(velocity=True, nesterov=1, weight_decay=0.1),
                                     dict(velocity=False, weight_decay=0.1), dict(velocity=True, first=1)], ids=str)
def test_linear_backward_weight_sgd(numbers, lanes, n, target):
    """The bits of the gradient and then the update."""
    rng, inputs, outputs, groups = np.random.default_rng(6), 147, 21, -(-n // lanes)
    numbers = dict(dict(first=0, lr=0.1, momentum=0.9, dampening=0.25, weight_decay=0, nesterov=0), **numbers)
    moves = numbers.pop("velocity")
    rows, shape = {}, (outputs, inputs)
    for name, features in (("x", inputs), ("dy", outputs)):
        memory = Memory(groups, 4 * features * lanes, True)
        for g in range(groups):
            group = memory.array(np.float32, (features, lanes), g)
            group[:, :min(lanes, n - g * lanes)] = rng.standard_normal((features, min(lanes, n - g * lanes)))
        rows[name] = memory.address, memory.stride // 4
    before = rng.standard_normal((2, *shape)).astype(np.float32)
    sizes = dict(positions=1, in_features=inputs, out_features=outputs, dy_steps=(outputs, 1), x_steps=(inputs, 1))

    def states():
        made = [Memory(1, 4 * outputs * inputs, True) for _ in range(2)]
        for memory, value in zip(made, before):
            memory.array(np.float32, shape)[...] = value
        return made, dict(weight=made[0].address, velocity=made[1].address if moves else None)
    (one, pointers), gradient = states(), Memory(1, 4 * outputs * inputs, True)
    native.run_kernel("linear_backward_weight", lanes, pack("linear_backward_weight", dweight=gradient.address, **rows, **sizes),
                      n, 0, 0, 1, target)
    native.run_kernel("sgd", 1, pack("sgd", gradient=gradient.address, count=outputs * inputs, **pointers, **numbers), n, 0, 0, 1,
                      target)
    two, pointers = states()
    for part in (1, 0):
        native.run_kernel("linear_backward_weight_sgd", lanes, pack("linear_backward_weight_sgd", **rows, **sizes, **pointers,
                          **numbers), n, 0, part, 2, target)
    for a, b in zip(one, two):
        np.testing.assert_array_equal(b.array(np.float32, shape), a.array(np.float32, shape))
    assert not np.array_equal(one[0].array(np.float32, shape), before[0])


@pytest.mark.parametrize("positions", [1, 3])
@pytest.mark.parametrize("kernel", ["linear_forward", "linear_backward_input"])
def test_several_groups_in_one_call(kernel, positions, target):
    """The bits of one group after another, whichever way the features are cut, with what ends the sums."""
    rng, groups, (inputs, outputs) = np.random.default_rng(5), 5, (300, 37) if kernel == "linear_forward" else (37, 300)
    weight = rng.standard_normal((outputs, inputs), dtype=np.float32)
    size, made = (inputs, outputs) if kernel == "linear_forward" else (outputs, inputs)
    given = Memory(groups, 4 * LANES * positions * size, True)
    others = [Memory(groups, 4 * LANES * positions * made, True) for _ in range(3)]             # residual, result, result
    for g in range(groups):
        given.array(np.float32, (positions * size * LANES,), g)[...] = rng.standard_normal(positions * size * LANES)
        others[0].array(np.float32, (positions * made * LANES,), g)[...] = rng.standard_normal(positions * made * LANES)
    rows = [(m.address, m.stride // 4) for m in (given, *others)]

    def run(to, first, count, parts):
        names = ("x", "y") if kernel == "linear_forward" else ("dy", "dx")
        args = pack(kernel, **{names[0]: rows[0], names[1]: rows[to]}, residual=rows[1], weight=weight.ctypes.data,
                    positions=positions, in_features=inputs, out_features=outputs,
                    **(dict(relu=1) if kernel == "linear_forward" else dict(mask=rows[1])))
        for part in reversed(range(parts)):
            native.run_kernel(kernel, LANES, args, groups * LANES, first, part, parts, target, count)
    for g in range(groups):
        run(2, g, 1, 1)
    run(3, 0, 2, 3)
    run(3, 2, 3, 1)
    for g in range(groups):
        assert np.isfinite(others[1].array(np.float32, (positions * made * LANES,), g)).all()
        np.testing.assert_array_equal(others[2].array(np.float32, (positions * made * LANES,), g),
                                      others[1].array(np.float32, (positions * made * LANES,), g))


ONE = dict(add=lambda a, b: a + b, sub=lambda a, b: a - b, mul=lambda a, b: a * b, div=np.divide, minimum=np.minimum,
           maximum=np.maximum, neg=np.negative, sqrt=np.sqrt, abs=np.abs, sign=np.sign, square=np.square,
           reciprocal=lambda a: 1 / a,
           relu=lambda a: np.where(a <= 0, 0, a), leaky_relu=lambda a, s: np.where(a > 0, a, a * s),
           relu_backward=lambda dy, y: np.where(y <= 0, 0, dy),
           leaky_relu_backward=lambda dy, x, s: np.where(x > 0, dy, dy * s),
           where=lambda c, a, b: np.where(c != 0, a, b), gt=np.greater, ge=np.greater_equal, lt=np.less, le=np.less_equal,
           eq=np.equal, ne=np.not_equal, clip=lambda a, low, high: raised_then(np.where(a < low, low, a), high),
           inside=lambda a, low, high: (a >= low) & (a <= high))                 # rounded once
FORMULAS = dict(ONE, pow=np.power, exp=np.exp, log=np.log, log1p=np.log1p, sigmoid=sigmoid, tanh=np.tanh, erf=erf,
                fma=lambda a, b, c: a * b + c,
                softplus=softplus, elu=lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
                gelu=lambda x: x * 0.5 * (1 + erf(x * math.sqrt(0.5))), silu=lambda x: x * sigmoid(x),
                gelu_tanh=lambda x: 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x ** 3))),
                binary_cross_entropy=probability_loss, binary_cross_entropy_with_logits=logits_loss, huber=huber,
                elu_backward=lambda dy, x, alpha: np.where(x > 0, dy, dy * alpha * np.exp(np.minimum(x, 0))),
                gelu_backward=lambda dy, x: dy * gelu_slope(x), gelu_tanh_backward=lambda dy, x: dy * gelu_tanh_slope(x),
                silu_backward=lambda dy, x: dy * silu_slope(x),
                sigmoid_backward=lambda dy, y: dy * (1 - y) * y, tanh_backward=lambda dy, y: dy * (1 - y * y))
LOOSE = dict(fma=1, sigmoid_backward=4, tanh_backward=4, gelu=2, gelu_tanh=2, silu=2, elu_backward=4, gelu_backward=4,
             gelu_tanh_backward=8, silu_backward=4, binary_cross_entropy=4,
             binary_cross_entropy_with_logits=4)                                 # several roundings, sums that cancel
EDGES = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, 2.0, 3.0, -3.0, 88.7, 89.5, -87.3, -104.0, 1e-7, -1e-7,
                  1e30, -1e30, 2.0 ** 24, 2.0 ** -126, 8388609.0, 0.6, 0.93, 4.0, 9.0, -9.0, 1 / 3, 126.0, -126.0,
                  128.0], np.float32)


def instruction(name, target, operands, out, part=0, parts=1):
    count = out.size
    rows = [(o.ctypes.data, 0) for o in operands] + [None] * (6 - len(operands))
    program = [plans.OPCODES[name], *range(len(operands)), *[-1] * (31 - len(operands))]
    args = pack("elementwise", y=(out.ctypes.data, 0), **{f"x{i}": r for i, r in enumerate(rows)}, inputs=len(operands),
                count=count, length=1, program=program, constants=[0.0] * 8)
    native.run_kernel("elementwise", 1, args, 1, 0, part, parts, target)


@pytest.mark.parametrize("name, operands", native.elementwise_ops() if native else [])
def test_every_elementwise_instruction(name, operands, target):
    """Against its formula in float64: rounded once where it is one operation, else within 2 units in the last place; with every
    pair of special numbers; and random bits, so that all exponents occur."""
    assert name in FORMULAS, f"add the formula of {name} to test_kernels.py"
    rng = np.random.default_rng(3)
    edges = np.meshgrid(*[EDGES] * operands, indexing="ij")
    bits = [rng.integers(0, 1 << 32, 50021, np.uint32).view(np.float32) for _ in range(operands)]
    near = [(rng.standard_normal(50021) * 4).astype(np.float32) for _ in range(operands)]
    for given in (edges, bits, near):
        given = [np.where(np.abs(a) < 2.0 ** -120, np.copysign(np.float32(0), a), a).reshape(-1) for a in given]  # no tiny
        if name in ("sigmoid_backward", "tanh_backward"):                        # of results, which lie in [-1, 1]
            given[1] = np.clip(np.nan_to_num(given[1]), 0 if name[0] == "s" else -1, 1)
        out = np.full(given[0].shape, np.nan, np.float32)
        instruction(name, target, given, out)
        with np.errstate(all="ignore"):
            expected = np.asarray(FORMULAS[name](*[a.astype(np.float64) for a in given]), np.float64)
            narrow = expected.astype(np.float32)
        check_ulps(name, given, out, expected, narrow)


@np.errstate(all="ignore")
def check_ulps(name, given, out, expected, narrow):
    if name in LOOSE:                                                            # intermediate results may overflow, cancel
        big = np.max([np.abs(a.astype(np.float64)) for a in given], axis=0)
        kept = (big < 1e12) & np.isfinite(expected)
        factors = {"fma": 2, "elu_backward": 3, "binary_cross_entropy": 2, "binary_cross_entropy_with_logits": 3}.get(name, 1)
        size = np.prod([np.maximum(np.abs(a.astype(np.float64)), name[:6] == "binary") for a in given[:factors]], axis=0)
        bound = 2.0 ** -23 * LOOSE[name] * (np.abs(expected) + size) + 2.0 ** -126
        wrong = kept & (np.abs(out - expected) > bound)
    else:
        ulp = np.maximum(np.spacing(np.abs(narrow)).astype(np.float64), 2.0 ** -149)
        off = np.where(np.isfinite(narrow), np.abs(out - expected), 0)
        small = (np.abs(expected) < 2.0 ** -126) & (np.abs(out) <= 2.0 ** -126)          # flushed to zero or the smallest
        large = np.isinf(narrow) & (np.abs(out) > 3.4028e38) & (np.sign(out) == np.sign(expected)) & np.isfinite(expected)
        wrong = np.where(np.isinf(narrow), (out != narrow) & ~large, off > (0.501 if name in ONE else 2) * ulp) & ~small
        wrong |= np.isnan(narrow) != np.isnan(out)
    assert not wrong.any(), f"{name} of {[a[wrong][:5] for a in given]} is {out[wrong][:5]}, expected {expected[wrong][:5]}"


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 31, 33, 255, 257, 700])
def test_elementwise_of_any_length(length, target):
    """Odd lengths, to the byte, cut into parts."""
    def check(place):
        rng = np.random.default_rng(length)
        for high in (False, True):
            a, b, out = (Memory(1, 4 * length, high).array(np.float32, (length,)) for _ in range(3))
            a[...], b[...] = rng.standard_normal((2, length))
            place.say(f"elementwise of {length}")
            for part in range(5):
                instruction("mul", target, [a, b], out, part, 5)
            assert same(out, a * b)
    isolated(check)


# ---- arrays from outside, to the byte

@pytest.mark.parametrize("layout", [None, *LAYOUTS])
def test_arrays_are_read_to_the_byte(layout):
    """Inputs of any stride and dtype that begin or end at a page that cannot be read."""
    def check(place):
        for name in ("conv2d-pad", "wide", "sum-0", "check_labels", "permute-batch", "cross_entropy-pixels"):
            graph = made(name, "forward")
            for n in (5, 37):
                for dtype in DTYPES[:3] + [np.float32, np.int64]:
                    labels = np.int64 if np.dtype(dtype).kind == "f" else dtype
                    arrays = [(a * 3).astype(dtype) if a.dtype == np.float32 else a.astype(labels) for a in graph.arrays(n)]
                    arrays = [LAYOUTS[layout](a) if layout else a for a in arrays]
                    expected = graph.native(arrays, n)["y0"]
                    for high in (False, True):
                        place.say(f"{name}, {n} rows, {np.dtype(dtype)}, {layout}, high {high}")
                        guarded = [like(a, high) for a in arrays]
                        for _, memory in guarded:
                            memory.protect(READ)
                        assert same(graph.native([a for a, _ in guarded], n)["y0"], expected)
    isolated(check)


@pytest.mark.parametrize("layout", ["transposed", "negative", "step", "backwards", "unaligned", "channels-last"])
def test_results_are_written_to_the_byte(layout):
    """Into arrays of any stride, and nothing between their elements."""
    def check(place):
        for name in ("conv2d-pad", "softmax-1", "relu"):
            graph = made(name, "forward")
            for n in (5, 37):
                x = graph.arrays(n)[0]
                expected = graph.native([x], n)["y0"]
                for high in (False, True):
                    place.say(f"{name}, {n} rows, {layout}, high {high}")
                    out, memory = like(LAYOUTS[layout](np.zeros(expected.shape, np.float32)), high)
                    memory.bytes()[...] = 0x55
                    graph.executable.predict(x, out)
                    assert same(np.ascontiguousarray(out), expected)
                    out.view(np.int32)[...] = 0x55555555
                    assert (memory.bytes() == 0x55).all(), "bytes between the elements were written"
    isolated(check)


# ---- checks

@pytest.mark.parametrize("wrong", [-1, 5, -99, 1 << 40])
def test_check_labels_reports_the_first(wrong, target):
    for count in (1, 3):
        labels = np.random.default_rng(0).integers(0, 5, (37, count))
        labels[3] = -100
        for parts in (1, 4):
            for at in (0, 7, labels.size - 1):
                bad = labels.copy()
                bad.reshape(-1)[[at, labels.size - 1]] = wrong
                args = pack("check_labels", target=bad.ctypes.data, count=count, classes=5, ignore_index=-100)
                errors = [native.run_kernel("check_labels", 1, args, 37, 0, part, parts, target) for part in range(parts)]
                assert min(e for e in errors if e) == at + 1
        args = pack("check_labels", target=labels.ctypes.data, count=count, classes=5, ignore_index=-100)
        assert native.run_kernel("check_labels", 1, args, 37, target=target) == 0
