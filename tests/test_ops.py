"""Every op, native against the reference on the same graph: values and gradients, few rows and batches, every target, number of
threads, kind of array; exactly where float32 is exact. The cases stand in cases.py, a line each."""
import functools
import zlib

import numpy as np
import pytest

import cases
import fastnn as nn
import fastnn.functional as F
from fastnn import graph as g
from fastnn import run
from fastnn.reference import Reference

native = nn.backend.native
pytestmark = pytest.mark.skipif(native is None, reason="FASTNN_BACKEND=reference: there are no native kernels to test")
if native:
    from fastnn import plan as plans
    WITH_FMA = [t for t in native.targets() if t != "sse2"]
EPS = 2.0 ** -23
PLANNED = [name for name, case in cases.CASES.items() if case.plan]


def batches(case):
    """One row, few, a full group, full groups and a ragged one."""
    return [n for n in (1, 3, 16, 37) if n >= case.least]


# ---- a case as a graph: outputs y and, for what has gradients, d0, d1 ... from an input dy

def trace(case, parameters, n, wanted, late):
    """`wanted`: the kinds of inputs whose gradients are computed."""
    with g.Session(n) as session:
        inputs, given, holders = [], [], iter(parameters)
        for i, spec in enumerate(case.inputs):
            if spec.kind == "weight":
                given.append(session.state(next(holders)))
            else:
                given.append(g.make_input(f"x{i}", (n, *spec.shape), "int64" if spec.kind == "labels" else "float32"))
                inputs.append(given[-1])
        y = case(*given)
        y = [v for v in y if v is not None] if isinstance(y, tuple) else [y]
        outputs = {f"y{i}": v for i, v in enumerate(y)}
        if wanted:
            dy = g.make_input("dy", y[0].shape, late=late)
            wrt = {f"d{i}": v for i, (v, spec) in enumerate(zip(given, case.inputs)) if spec.kind in wanted}
            found = g.gradients(y, [dy], list(wrt.values()))
            outputs.update({name: d for name, d in zip(wrt, found) if d is not None})
            inputs.append(dy)
    return inputs, outputs, [], {}


class Wide(Reference):
    """The reference in float64, parameters included."""

    def sources(self, slots, n):
        return {v: a.astype(np.float64) if getattr(a, "dtype", None) == np.float32 else a
                for v, a in super().sources(slots, n).items()}


class Made:
    """One graph of a case, with its parameters. kind "forward": y alone; "inputs": and gradients of the inputs, dy given
    at once; "all": and of the parameters, dy given late, as a model's backward does."""

    def __init__(self, case, kind):
        self.case, self.kind, self.late = case, kind, kind == "all"
        wanted = {"forward": (), "inputs": ("rows",), "all": ("rows", "weight")}[kind]
        self.parameters = [nn.Parameter(np.zeros(i.shape)) for i in case.inputs if i.kind == "weight"]
        traces = [trace(case, self.parameters, n, wanted, self.late) for n in (6, 12)]
        self.graph = g.finish(*traces, 6)
        self.has_dy = bool(wanted)
        self.executable = run.Executable(self.graph)

    def arrays(self, n, integers=False, seed=0):
        """Sets the parameters; -> the inputs, dy last."""
        rng = np.random.default_rng((zlib.crc32(self.case.name.encode()), n, seed))
        given, holders = [], iter(self.parameters)
        for spec in self.case.inputs:
            array = spec.array(rng, n, integers)
            if spec.kind == "weight":
                next(holders).data[...] = array
            else:
                given.append(array)
        if self.has_dy:
            shape = g.at(self.graph.inputs[-1].shape, n)
            given.append((rng.integers(-3, 4, shape) if integers else rng.standard_normal(shape)).astype(np.float32))
        return given

    def native(self, arrays, n, executable=None, index=None):
        """{name: array}, computed by the plan."""
        executable = executable or self.executable
        if self.late:
            outputs = executable.start(arrays[:-1], n, index=index).finish([arrays[-1]])
        else:
            outputs = executable.start(arrays, n, index=index).results()
        return dict(zip(self.graph.outputs, outputs))

    def reference(self, arrays, n, dtype=np.float64):
        """The same by the reference."""
        reference = (Wide if dtype == np.float64 else Reference)(self.graph, dtype)
        env = reference.start(arrays, n, {})
        if self.late:
            reference.finish(env, [arrays[-1]], n)
        return {name: np.asarray(env[value]) for name, value in self.graph.outputs.items()}


@functools.lru_cache(None)
def made(name, kind):
    return Made(cases.CASES[name], kind)


def kinds(case):
    """The graphs of a case. Where nothing is kept for a gradient, plans fuse the most."""
    return ("forward", "inputs", "all") if case.gradient else ("forward",)


def close(found, expected, rough, name, ulps=16):
    """`found` is float32, `expected` float64: within the rounding of float32 at the array's scale, and a few times what the
    float32 reference itself loses (`rough`). NaN and infinities in the same places."""
    assert found.shape == expected.shape and found.dtype == np.float32, name
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected), err_msg=name)
    with np.errstate(over="ignore"):
        narrow = expected.astype(np.float32)        # what is too large is infinite
    np.testing.assert_array_equal(found[np.isinf(narrow)], narrow[np.isinf(narrow)], err_msg=name)
    finite = np.isfinite(narrow)
    found, expected, rough = found[finite].astype(np.float64), expected[finite], rough[finite].astype(np.float64)
    scale = abs(expected).max(initial=0)
    lost = np.abs(np.where(np.isfinite(rough), rough, expected) - expected).max(initial=0)
    bound = ulps * EPS * (scale + abs(expected)) + 8 * lost
    wrong = np.abs(found - expected) > bound
    assert not wrong.any(), f"{name}: {found[wrong][:4]}, expected {expected[wrong][:4]} (bound {bound[wrong][:4]})"


def hold(graph, arrays, n, ulps=16):
    """Native against the reference in float64."""
    found, expected, rough = graph.native(arrays, n), graph.reference(arrays, n), graph.reference(arrays, n, np.float32)
    for name in expected:
        close(found[name], expected[name], rough[name], f"{name} of {n} rows, graph {graph.kind!r}", ulps)


# ---- values and gradients

@pytest.mark.parametrize("name", PLANNED)
def test_values(name, target):
    for kind in kinds(cases.CASES[name]):
        graph = made(name, kind)
        for n in batches(graph.case):
            hold(graph, graph.arrays(n), n)


@pytest.mark.parametrize("name", [name for name in PLANNED if cases.CASES[name].exact])
def test_integers(name, target):
    """On small integers, where sums and products are exact, ties are many, and a wrong term is a whole number."""
    for kind in ("forward",) if cases.CASES[name].exact == "forward" else kinds(cases.CASES[name]):
        graph = made(name, kind)
        for n in batches(graph.case):
            arrays = graph.arrays(n, integers=True)
            found, expected = graph.native(arrays, n), graph.reference(arrays, n)
            for output in expected:
                np.testing.assert_array_equal(found[output], expected[output], err_msg=f"{output} of {n} rows, graph {kind!r}")


@pytest.mark.parametrize("name", [name for name in PLANNED if cases.CASES[name].bits])
def test_correctly_rounded(name):
    """One operation an element: nothing but the bits of NumPy's float32."""
    graph = made(name, "forward")
    for n in batches(graph.case):
        arrays = graph.arrays(n)
        assert same(graph.native(arrays, n)["y0"], graph.reference(arrays, n, np.float32)["y0"])


@pytest.mark.parametrize("name", [name for name in PLANNED if cases.CASES[name].gradient])
def test_no_gradient(name):
    """dy = 0 gives gradients of exactly 0."""
    graph = made(name, "all")
    for n in (3, 37):
        arrays = graph.arrays(n)
        arrays[-1][...] = 0
        for output, array in graph.native(arrays, n).items():
            assert output[0] == "y" or not array.any(), output


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 1.0, -1.0], np.float32)


@pytest.mark.parametrize("name", [name for name in PLANNED if cases.CASES[name].special])
def test_special_numbers(name, target):
    """NaN, infinities, zeros of both signs and ties, in every input and dy."""
    for kind in kinds(cases.CASES[name])[:2]:
        check_special_numbers(made(name, kind))


def check_special_numbers(graph):
    for n in (3, 37):
        arrays = graph.arrays(n)
        rng = np.random.default_rng(n)
        for array in arrays:
            if array.dtype == np.float32 and array.size:
                places = rng.integers(0, array.size, max(array.size // 8, 1))
                array.reshape(-1)[places] = rng.choice(SPECIAL, places.size)
        hold(graph, arrays, n)


# ---- the same bits

def same(a, b):
    """Equal shapes and bits; NaN is NaN, whichever."""
    return a.shape == b.shape and a.dtype == b.dtype and \
        ((a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))).all()


def check_same(found, expected, what):
    for name in expected:
        assert same(found[name], expected[name]), f"{name}: other bits {what}"


@pytest.fixture
def costly(monkeypatch):
    """Plans whose every step is believed to be work for many threads."""
    def executable(graph):
        monkeypatch.setattr(plans, "estimate", lambda step, lanes: 1 << 24)
        monkeypatch.setattr(plans, "compile", plans.Plan)
        return run.Executable(graph)
    return executable


@pytest.mark.parametrize("name", PLANNED)
def test_same_bits_on_targets_and_threads(name, costly, threads):
    graph = made(name, kinds(cases.CASES[name])[-1])
    executable, before = costly(graph.graph), native.get_target()
    for n in (3, 37, 100):
        arrays, expected = graph.arrays(n), None
        for target in native.targets():
            native.set_target(target)
            for count in (1, 2, 3):
                threads(count)
                found = graph.native(arrays, n, executable)
                expected = expected or found
                if target in WITH_FMA:
                    check_same(found, expected, f"on {target} with {count} threads")
                elif count > 1:
                    check_same(found, alone, f"on {target} with {count} threads")       # noqa: F821
                alone = found
    native.set_target(before)


def row_wise(graph):
    """The outputs whose rows depend on the same row of the inputs alone."""
    mixed = set()
    for node in graph.nodes:
        mode = node.op.mode(node) if callable(node.op.mode) else node.op.mode
        inputs = [v for v in node.inputs if v is not None]
        mixed.update(v for v in inputs if isinstance(v.node.attrs.get("value"), g.Batch))   # a number made of the batch size
        across = mode != "row" or not all(map(plans.is_rows, node.outputs))
        if any(v in mixed for v in inputs) or across and any(map(plans.is_batch, inputs)):
            mixed.update(node.outputs)
    return [name for name, v in graph.outputs.items() if plans.is_rows(v) and v not in mixed]


def share(array, n, row):
    """The part of the array that belongs to one of n rows."""
    each = array.shape[0] // n
    return array[row * each:(row + 1) * each]


@pytest.mark.parametrize("name", PLANNED)
def test_same_bits_alone_and_in_a_batch(name):
    random = any("stream" in node.attrs for node in made(name, "forward").graph.nodes)
    for kind in kinds(cases.CASES[name]):
        graph, n = made(name, kind), 37
        outputs = row_wise(graph.graph)
        if graph.has_dy and not plans.is_rows(graph.graph.inputs[-1]):
            continue
        arrays = graph.arrays(n)
        batch = graph.native(arrays, n)
        for row in (0,) if random else (0, 7, 16, 36):                  # random numbers depend on the row's number
            alone = graph.native([share(a, n, row) for a in arrays], 1)
            for output in outputs:
                assert same(alone[output], share(batch[output], n, row)), f"{output} of row {row}, graph {kind!r}"
        few = graph.native([a[:a.shape[0] // n * 5] for a in arrays], 5)
        for output in outputs:
            assert same(few[output], batch[output][:few[output].shape[0]]), f"{output} of 5 rows, graph {kind!r}"


# ---- kinds of arrays

def strided(array, step):
    """The same numbers, every axis with this step between elements (negative: backwards)."""
    size = abs(step)
    wide = np.empty([d * size for d in array.shape], array.dtype)
    view = wide[tuple(slice(None, None, step) for _ in array.shape)]
    view[...] = array
    return view


def unaligned(array):
    raw = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    raw[...] = array
    return raw


def channels_last(array):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1) if array.ndim > 2 else array


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = {"transposed": np.asfortranarray, "negative": lambda a: strided(a, -1), "step": lambda a: strided(a, 2),
           "backwards": lambda a: strided(a, -3), "unaligned": unaligned, "read-only": read_only,
           "channels-last": channels_last,
           "rows-repeated": lambda a: np.broadcast_to(a[:1], a.shape),
           "columns-repeated": lambda a: np.broadcast_to(a[..., :1], a.shape)}


@pytest.mark.parametrize("name", PLANNED)
def test_kinds_of_arrays(name):
    """Whatever the strides, the same bits; inputs are not written."""
    graph = made(name, kinds(cases.CASES[name])[-1])
    for n in (5, 19):
        for kind, layout in LAYOUTS.items():
            arrays = [layout(a) if a.size and a.ndim else a for a in graph.arrays(n)]
            plain = [np.array(a, order="C") for a in arrays]
            found = graph.native(arrays, n)
            for before, after in zip(plain, arrays):
                np.testing.assert_array_equal(before, after, err_msg=f"{kind}: an input was written")
            check_same(found, graph.native(plain, n), f"of {n} rows, {kind}")


DTYPES = [np.float64, np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.bool_]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("layout", [None, *LAYOUTS])
def test_dtypes(dtype, layout):
    """Inputs of every dtype, as they lie, have the bits of the same numbers in float32 (labels: int64)."""
    for name in ("conv2d-pad", "wide", "scale-and-shift", "sum-0", "cross_entropy", "check_labels", "permute-batch"):
        graph = made(name, "forward")
        for n in (5, 37):
            arrays = []
            for array in graph.arrays(n, seed=1):
                if array.dtype == np.int64:
                    array = array if dtype == np.float64 else array.astype(dtype)
                else:
                    array = (np.abs(array * 50) if np.dtype(dtype).kind in "ub" else array * 50).astype(dtype)
                arrays.append(LAYOUTS[layout](array) if layout else array)
            plain = [np.array(a, v.dtype, order="C") for a, v in zip(arrays, graph.graph.inputs)]
            check_same(graph.native(arrays, n), graph.native(plain, n), f"of {n} rows, case {name}")


@pytest.mark.parametrize("layout", [None, *LAYOUTS])
def test_rows_picked_by_index(layout):
    """Rows gathered by index, some twice, in any order, labels and images alike."""
    for name in ("conv2d-pad", "cross_entropy", "softmax-1", "check_labels", "cross_entropy-folded-labels"):
        graph = made(name, "forward")
        arrays = [LAYOUTS[layout](a) if layout else a for a in graph.arrays(50)]
        for n in (3, 16, 37):
            index = np.random.default_rng(n).integers(0, 50, n)
            picked = graph.native([np.ascontiguousarray(a[index]) for a in arrays], n)
            check_same(graph.native(arrays, n, index=index), picked, f"{name}, {n} rows")


@pytest.mark.parametrize("layout", ["transposed", "negative", "step", "backwards", "unaligned", "channels-last"])
def test_results_into_any_array(layout):
    """`out` of a prediction may have any strides (test_kernels.py: nothing between its elements is written)."""
    for name in ("conv2d-pad", "softmax-1", "wide"):
        graph = made(name, "forward")
        if len(graph.graph.inputs) > 1:
            continue
        for n in (5, 37):
            arrays = graph.arrays(n)
            expected = graph.native(arrays, n)["y0"]
            out = LAYOUTS[layout](np.full(expected.shape, np.nan, np.float32))
            graph.executable.predict(arrays[0], out)
            assert same(np.ascontiguousarray(out), expected), f"{name}, {n} rows"


# ---- functions on arrays

def results(found):
    return [np.asarray(a) for a in (found if isinstance(found, tuple) else (found,)) if a is not None]


@pytest.mark.parametrize("name", cases.CASES)
def test_functions_on_arrays(name):
    """float32 arrays of every kind run on native kernels, float64 ones on the reference; arguments are not written."""
    case = cases.CASES[name]
    for n in (1, 3, 18):
        rng = np.random.default_rng(n)
        arrays = case.arrays(rng, n)
        if n < case.least:
            continue
        expected = results(case(*(a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays)))
        for layout in (None, "transposed", "backwards", "unaligned", "read-only", "channels-last"):
            given = [LAYOUTS[layout](a) if layout and a.ndim else a for a in arrays]
            found = results(case(*given))
            for i, (a, b) in enumerate(zip(found, expected, strict=True)):
                assert a.shape == b.shape and (not a.ndim or a.dtype in (np.float32, np.int64)), f"{i}: {a.shape} {a.dtype}"
                scale = max(1, abs(b).max(initial=0))
                np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * scale, err_msg=f"{layout}, {n} rows")
            for before, after in zip(arrays, given):
                np.testing.assert_array_equal(before, after, err_msg=f"{layout}: an argument was written")


@pytest.mark.parametrize("name", F.__all__)
def test_every_function_has_a_case(name):
    def mentions(function):
        code = getattr(function, "__code__", None)
        stack = [code] if code else []
        while stack:
            code = stack.pop()
            yield from code.co_names
            stack += [c for c in code.co_consts if hasattr(c, "co_names")]
    public = getattr(F, name)
    assert any(case.function is public or name in mentions(case.function) for case in cases.CASES.values()), \
        f"add a line to cases.py that calls F.{name}"


@pytest.mark.parametrize("name", [name for name, case in cases.CASES.items() if case.function in vars(F).values()])
def test_refuses_what_is_no_real_number(name):
    """complex and float16 arguments of functions are TypeErrors."""
    case = cases.CASES[name]
    for dtype in (np.complex64, np.float16):
        arrays = case.arrays(np.random.default_rng(0), 3)
        for i, array in enumerate(arrays):
            if array.dtype == np.float32:
                given = [a.astype(dtype) if j == i else a for j, a in enumerate(arrays)]
                with pytest.raises(TypeError):
                    case(*given)


def test_windows_too_large_to_copy(target):
    """Convolutions whose windows do not fit into a thread's scratch; as large as the image, they are products of matrices."""
    rng, width = np.random.default_rng(0), 16500
    for n, channels, filters in ((2, 8, 3), (17, 1, 2), (16, 1, 1)):
        x, w = (rng.integers(-3, 4, (k, channels, 1, width)).astype(np.float32) for k in (n, filters))
        dy, bias = rng.integers(-3, 4, (n, filters, 1, 1)).astype(np.float32), np.arange(filters, dtype=np.float32)
        flat_x, flat_w, flat_dy = x.reshape(n, -1), w.reshape(filters, -1), dy[:, :, 0, 0]
        np.testing.assert_array_equal(F.conv2d(x, w, bias)[:, :, 0, 0], flat_x @ flat_w.T + bias)
        np.testing.assert_array_equal(F.conv2d_backward_weight(dy, x, w).reshape(filters, -1), flat_dy.T @ flat_x)
        if filters == 1 and target == native.targets()[0]:   # takes long
            np.testing.assert_array_equal(F.conv2d_backward_input(dy, x, w).reshape(n, -1), flat_dy @ flat_w)


# ---- random numbers

@pytest.mark.parametrize("p, seed, step", [(0.5, 0, 0), (0.3, 123456789, 1 << 33), (0.9, -5, 77)])
def test_dropout_has_the_same_bits_everywhere(p, seed, step, threads, target):
    """One mask, whatever the backend, the target, the threads, the batch; a new one for each step, seed and layer."""
    x = np.random.default_rng(1).standard_normal((130, 3, 29)).astype(np.float32)

    def trace(n):
        with g.Session(n) as session:
            v = g.make_input("x", (n, *x.shape[1:]))
            return [v], {"y": F.dropout(v, p, seed=session.slot("seed", "int64"), step=session.slot("step", "int64"))}, [], {}

    graph = g.finish(trace(6), trace(12), 6)
    executable, reference = run.Executable(graph), Reference(graph)

    def dropped(x, seed=seed, step=step):
        numbers = dict(seed=seed, step=step)
        return executable.start([x], len(x), numbers).results()[0], reference.start([x], len(x), numbers)[graph.outputs["y"]]

    for count in (1, 3):
        threads(count)
        mine, expected = dropped(x)
        assert same(mine, expected)
        for n in (1, 15, 16, 100):
            assert same(dropped(x[:n])[0], expected[:n])
    assert abs((mine == 0).mean() - p) < 0.02
    assert not same(dropped(x, step=step + 1)[0], mine) and not same(dropped(x, seed=seed + 1)[0], mine)


def test_noise_has_the_same_bits_everywhere(threads, target):
    """One noise, whatever the threads and the batch, the reference's but for rounding; a new one for each step, seed and node."""
    x = np.zeros((130, 3, 29), np.float32)

    def noise(rows=130, **numbers):
        return F.randn_like(x[:rows], **{"seed": 5, "step": 1 << 33, **numbers})

    expected = noise()
    for count in (1, 3):
        threads(count)
        for n in (130, 1, 15, 16, 100):
            assert same(noise(n), expected[:n])
    wide = F.randn_like(x.astype(np.float64), seed=5, step=1 << 33)
    np.testing.assert_allclose(expected, wide, rtol=2e-6)
    assert abs(wide.mean()) < 0.03 and abs(wide.std() - 1) < 0.02 and abs((wide ** 4).mean() - 3) < 0.2
    assert all(abs(np.corrcoef(wide.ravel(), noise(**other).ravel())[0, 1]) < 0.04 for other in ({"step": 1}, {"seed": 6}))
    both = nn.Sequential(Noise(), Noise()).train()(x)
    assert abs(both.std() - 2 ** 0.5) < 0.03


class Noise(nn.Module):
    def forward(self, x):
        return x + F.randn_like(x)


# ---- updates in place

def make_update(name):
    """-> (graph, holders, numbers)"""
    op, states, numbers, attrs = cases.UPDATES[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    holders = [None if s is None else nn.Buffer(s.array(rng, 0)) for s in states]
    with g.Session(1) as session:
        values = [None if h is None else session.state(h) for h in holders]
        slots = [session.slot(n, "int64" if isinstance(v, int) else "float32") for n, v in numbers.items()]
        made = op(*values, *slots, **attrs)
        made = made if isinstance(made, tuple) else (made,)
        written = {"sgd": (0, 2), "adam": (0, 2, 3), "rmsprop": (0, 2, 3, 4), "batch_norm_update": (0, 1, 2)}[op.name]
        written = [i for i in written if values[i] is not None]
        graph = g.finish_fixed(([], {}, [(values[i], v) for i, v in zip(written, made)], {}), 1)
    return graph, holders, numbers


@pytest.mark.parametrize("name", cases.UPDATES)
def test_updates(name, target):
    """Each state written has its new value, the others none."""
    graph, holders, numbers = make_update(name)
    reference = Wide(graph, np.float64)
    before = [None if h is None else h.array().copy() for h in holders]
    env, rough = reference.start([], 1, numbers), Reference(graph).start([], 1, numbers)
    run.Executable(graph).start([], 1, numbers)
    new = {s.node.attrs["holder"]: v for s, v in graph.updates}
    for i, (holder, old) in enumerate(zip(holders, before)):
        if holder in new and holder.dtype == np.float32:
            close(holder.array(), np.asarray(env[new[holder]], np.float64), np.asarray(rough[new[holder]]), f"state {i}")
            assert not np.array_equal(holder.array(), old), f"state {i} was not updated"
        elif holder in new:
            np.testing.assert_array_equal(holder.array(), env[new[holder]])
        elif holder is not None:
            np.testing.assert_array_equal(holder.array(), old, err_msg=f"state {i} is only read")


@pytest.mark.parametrize("name", cases.UPDATES)
def test_updates_have_the_same_bits(name, costly, threads):
    found, before = [], native.get_target()
    for target in WITH_FMA:
        native.set_target(target)
        for count in (1, 2, 3):
            threads(count)
            graph, holders, numbers = make_update(name)
            costly(graph).start([], 1, numbers)
            found.append([h.array().copy() for h in holders if h is not None])
    native.set_target(before)
    for other in found[1:]:
        for a, b in zip(found[0], other):
            np.testing.assert_array_equal(a, b)


# ---- nothing is left out

@functools.lru_cache(None)
def ops_reached():
    return {node.op.name for name in PLANNED for kind in kinds(cases.CASES[name]) for node in made(name, kind).graph.nodes} | \
        {op.name for op, *_ in cases.UPDATES.values()}


@pytest.mark.parametrize("name", [name for name, op in g.OPS.items() if op.lower_rule])
def test_every_op_has_a_case(name):
    assert name in ops_reached(), f"add a line to cases.py that reaches the op {name}"


# ---- empty batches

def whole_models():
    yield "layers", (3, 12, 12), nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Residual(nn.Conv2d(4, 4, 3, padding=1), nn.LeakyReLU()), nn.AvgPool2d(2), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 5), nn.Softmax(1))
    yield "linear", (7,), nn.Sequential(nn.Linear(7, 5), nn.Sigmoid(), nn.Linear(5, 5), nn.LogSoftmax(1))


@pytest.mark.parametrize("name, shape, model", [pytest.param(*m, id=m[0]) for m in whole_models()])
def test_empty_batch(name, shape, model):
    x = np.zeros((0, *shape), np.float32)
    assert model.eval().predict(x).shape == (0, 5)
    assert model(x).shape == (0, 5)
    before = [p.data.copy() for p in model.parameters()]
    y = model.train()(x)
    assert y.shape == (0, 5)
    dx = model.backward(np.zeros((0, 5), np.float32), y)
    assert dx.shape == x.shape
    for p, old in zip(model.parameters(), before):
        assert p.grad is not None and not np.any(np.nan_to_num(p.grad)) and np.array_equal(p.data, old)
