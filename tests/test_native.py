"""fastnn.native: programs run as encoded, with the same bits for any number of threads, and say what is wrong with them."""
import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest

native = pytest.importorskip("fastnn.native", reason="the extension is not built")
KERNELS = {name: (index, space, fields.split(";")) for index, (name, space, fields) in enumerate(native.kernels())}


def bits(number):
    return struct.unpack("q", struct.pack("d", number))[0]


def step(name, lanes, cost=1000, check=False, **fields):
    """One step; a field's value: a word (4 numbers), a list of them, an int or a float. `rows` take a word, their stride is the
    group's."""
    index, space, declared = KERNELS[name]
    words = []
    for field in declared:
        kind, field, *_ = field.split()
        value = fields.pop(field)
        if kind.startswith("ROWS"):
            words += [value, (9, 0, 0, 0)] if value else [(0, 0, 0, 0)] * 2
            continue
        for v in value if isinstance(value, list) else [value]:
            words.append(v if isinstance(v, tuple) else (0, bits(v) if isinstance(v, float) else int(v or 0), 0, 0))
    assert not fields, fields
    return index, lanes, space in ("ROW", "GROUPS"), cost, cost, False, check, np.array(words, np.int64)


def array_fields(slot):
    return dict(dtype=(7, slot, 0, 0), row_stride=(7, slot + 1, 0, 0), strides=[(7, slot + 2 + d, 0, 0) for d in range(6)])


def mlp(lanes, rows, columns, cost=1000):
    """export(linear(gather(x))), the weight packed by the prologue; inputs (x,), outputs (y,), states (weight,)."""
    pad = [1] * 5
    x, y = (6, 0, 0, 0), (6, 4 * lanes * rows, 0, 0)
    pack = step("linear_pack", 1, cost, packed=(8, 0, 0, 0), weight=(3, 2, 0, 0), in_features=rows, out_features=columns)
    steps = [pack,
             step("gather", lanes, cost, y=x, x=(3, 0, 0, 0), index=None, shape=pad + [rows], scale=1.0, offset=0.0,
                  **array_fields(0)),
             step("linear_forward", lanes, cost, y=y, x=x, weight=(3, 2, 0, 0), packed=(8, 0, 0, 0) if lanes == 1 else None,
                  bias=None, residual=None, relu=0, positions=1, in_features=rows, out_features=columns),
             step("export", lanes, cost, x=y, y=(3, 1, 0, 0), shape=pad + [columns], **array_fields(8))]
    packed_bytes = 4 * rows * ((columns + 15) // 16 * 16)
    group_bytes = 4 * lanes * (rows + columns)
    return native.Program(lanes, steps, [[(1, 0, 1)], [(0, 1, 4)]], 0, 0, group_bytes, packed_bytes, 1, 1, 1, 0)


def storage(array):
    result = native.Storage(array.shape, str(array.dtype))
    np.asarray(result)[...] = array
    return result


@pytest.fixture
def threads():
    before = native.get_num_threads()
    yield native.set_num_threads
    native.set_num_threads(before)


def run_mlp(binding, x, columns, **kwargs):
    y = np.full((len(x), columns), np.nan, np.float32)
    binding.run(1, len(x), (x,), (y,), **kwargs)
    return y


@pytest.mark.parametrize("lanes", [1, 16])
def test_program_gives_the_product(lanes):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((24, 40), np.float32)
    binding = native.Binding(mlp(lanes, 40, 24), [storage(weight)])
    for n in (0, 1, 5, 16, 33):
        x = rng.standard_normal((40, n), np.float32).T
        np.testing.assert_allclose(run_mlp(binding, x, 24), x @ weight.T, rtol=1e-4, atol=1e-4)


def test_bits_do_not_depend_on_threads(threads):
    rng = np.random.default_rng(1)
    state = storage(rng.standard_normal((64, 48), np.float32))
    for lanes in (1, 16):
        for n in (1, 3, 16, 47, 160):
            x = rng.standard_normal((n, 48), np.float32)
            results = []
            for count in (1, 2, 3, 8):
                threads(count)
                results.append(run_mlp(native.Binding(mlp(lanes, 48, 64, cost=10_000_000), [state]), x, 64).tobytes())
            assert len(set(results)) == 1


def test_prologue_follows_the_state():
    weight = storage(np.ones((16, 4), np.float32))
    binding = native.Binding(mlp(1, 4, 16), [weight])
    x = np.ones((1, 4), np.float32)
    assert (run_mlp(binding, x, 16) == 4).all()
    version = weight.version
    view = np.asarray(weight)
    assert weight.exports == 1 and weight.version == version
    view[...] = 2
    assert (run_mlp(binding, x, 16) == 8).all()
    view[...] = 3
    del view
    assert weight.exports == 0 and weight.version == version + 1
    assert (run_mlp(binding, x, 16) == 12).all()


def test_foreign_arrays_as_states_are_always_read_anew():
    weight = np.ones((16, 4), np.float32)
    binding = native.Binding(mlp(1, 4, 16), [weight])
    x = np.ones((1, 4), np.float32)
    assert (run_mlp(binding, x, 16) == 4).all()
    weight[...] = 2
    assert (run_mlp(binding, x, 16) == 8).all()


def test_steady_state_allocates_nothing(threads):
    threads(2)
    binding = native.Binding(mlp(16, 40, 24, cost=10_000_000), [storage(np.ones((24, 40), np.float32))])
    x, y = np.ones((64, 40), np.float32), np.empty((64, 24), np.float32)
    binding.run(1, 64, (x,), (y,))
    before = native.allocations()
    for _ in range(100):
        binding.run(1, 64, (x,), (y,))
    assert native.allocations() == before


def test_padding_lanes_reach_nothing():
    steps = [step("gather", 16, y=(6, 0, 0, 0), x=(3, 0, 0, 0), index=None, shape=[1] * 5 + [3], scale=1.0, offset=0.0,
                  **array_fields(0)),
             step("batch_sum", 16, y=(3, 1, 0, 0), x=(6, 0, 0, 0), outer=1, features=3, mean=0)]
    program = native.Program(16, steps, [[], [(0, 0, 1), (1, 1, 2)]], 0, 0, 4 * 16 * 3, 0, 1, 1, 0, 0)
    native.poison()
    try:
        y = np.empty(3, np.float32)
        native.Binding(program, []).run(1, 18, (np.ones((18, 3), np.float32),), (y,))
    finally:
        native.poison(os.environ.get("FASTNN_POISON") == "1")
    assert (y == 18).all()


def test_leased_arena():
    program = mlp(16, 4, 8)
    binding = native.Binding(program, [storage(np.ones((8, 4), np.float32))])
    arena = program.lease(5)
    assert (run_mlp(binding, np.ones((5, 4), np.float32), 8, arena=arena) == 4).all()
    with pytest.raises(ValueError, match="number of rows"):
        run_mlp(binding, np.ones((6, 4), np.float32), 8, arena=arena)
    arena.release()
    with pytest.raises(ValueError, match="released"):
        run_mlp(binding, np.ones((5, 4), np.float32), 8, arena=arena)
    with pytest.raises(ValueError, match="negative"):
        program.lease(-1)


def test_a_failed_check_stops_the_run():
    steps = [step("check_labels", 1, check=True, target=(3, 0, 0, 0), count=1, classes=3, ignore_index=-100),
             step("sgd", 1, weight=(3, 1, 0, 0), gradient=(3, 1, 0, 0), velocity=None, count=4, first=1, lr=(7, 8, 0, 0),
                  momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=0)]
    program = native.Program(16, steps, [[], [(1, 0, 1), (1, 1, 2)]], 0, 0, 0, 0, 1, 0, 1, 1)
    weight = np.ones(4, np.float32)
    binding = native.Binding(program, [weight])
    with pytest.raises(native.StepError) as error:
        binding.run(1, 3, (np.array([0, 5, 1]),), (), np.array([0.5]))
    assert (error.value.step, error.value.code) == (0, 2)
    assert (weight == 1).all()
    binding.run(1, 3, (np.array([0, 2, 1]),), (), np.array([0.5]))
    assert (weight == 0.5).all()


@pytest.mark.parametrize("change, message", [
    (dict(lanes=4), "lanes"),
    (dict(words=np.zeros((3, 4), np.int64)), "number of words"),
    (dict(word=(11, 0, 0, 0)), "unknown kind"),
    (dict(word=(3, 9, 0, 0)), "no such external"),
    (dict(word=(7, 99, 0, 0)), "no such slot"),
    (dict(word=(1, 1, 0, 0)), "divides by zero"),
    (dict(word=(4, 4096, 0, 0)), "outside its region"),
    (dict(phases=[(0, 0, 2)]), "steps that do not exist"),
    (dict(phases=[(1, 0, 1)]), "per_group"),
])
def test_wrong_programs_are_refused(change, message):
    fill = list(step("fill", 16, y=(4, 0, 0, 0), count=3, value=1.0))
    if "words" in change:
        fill[7] = change["words"]
    if "word" in change:
        fill[7][0] = change["word"]
    with pytest.raises(ValueError, match=message):
        native.Program(change.get("lanes", 16), [tuple(fill)], [change.get("phases", [(0, 0, 1)])], 1024, 0, 0, 0, 0, 0, 0, 0)


def test_arrays_that_cannot_be_used():
    binding = native.Binding(mlp(1, 4, 8), [storage(np.ones((8, 4), np.float32))])
    x, y = np.ones((1, 4), np.float32), np.empty((1, 8), np.float32)
    for bad in (x.astype(complex), x.astype(">f4"), x.astype(np.float16), np.array(["a"]), 3, np.ones((1,) * 8)):
        with pytest.raises((TypeError, ValueError, BufferError), match="input 0"):
            binding.run(1, 1, (bad,), (y,))
    y.flags.writeable = False
    with pytest.raises(ValueError, match="output 0"):
        binding.run(1, 1, (x,), (y,))
    with pytest.raises(ValueError, match="1 inputs"):
        binding.run(1, 1, (), (y,))


def test_unaligned_and_read_only_inputs():
    binding = native.Binding(mlp(1, 4, 8), [storage(np.ones((8, 4), np.float32))])
    x = np.frombuffer(b"\0" + np.arange(4, dtype=np.float32).tobytes(), np.uint8)[1:].view(np.float32)[None]
    assert not x.flags.writeable
    assert (run_mlp(binding, x, 8) == 6).all()


def test_storage():
    for dtype, shape in (("float32", (2, 3)), ("int64", ()), ("float32", (0, 3))):
        s = native.Storage(shape, dtype)
        view = np.asarray(s)
        assert view.shape == shape and view.dtype == dtype and view.flags.writeable
        assert view.ctypes.data % 64 == 0 and (view == 0).all()
    with pytest.raises(ValueError, match="dtype"):
        native.Storage((2,), "float64")
    with pytest.raises(ValueError, match="shape"):
        native.Storage((-2,))
    with pytest.raises(MemoryError):
        native.Storage((1 << 40,))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_two_python_threads_and_fork(threads):
    threads(2)
    rng = np.random.default_rng(2)
    state, x = storage(rng.standard_normal((24, 40), np.float32)), rng.standard_normal((64, 40), np.float32)
    binding = native.Binding(mlp(16, 40, 24, cost=10_000_000), [state])
    expected = run_mlp(binding, x, 24).tobytes()
    wrong, stop = [], threading.Event()

    def work():
        while not stop.is_set():
            if run_mlp(binding, x, 24).tobytes() != expected:
                wrong.append(1)
    workers = [threading.Thread(target=work) for _ in range(2)]
    for w in workers:
        w.start()
    statuses = []
    for _ in range(5):
        child = os.fork()
        if child == 0:
            ok = all(run_mlp(binding, x, 24).tobytes() == expected for _ in range(20))
            os._exit(0 if ok else 1)
        statuses.append(os.waitpid(child, 0)[1])
    stop.set()
    for w in workers:
        w.join()
    assert statuses == [0] * 5 and not wrong


def python(code, **environment):
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, env={**os.environ, **environment})


def test_overrides():
    show = "from fastnn import native; print(native.get_target(), native.get_num_threads())"
    for target in native.targets():
        assert python(show, FASTNN_TARGET=target, FASTNN_NUM_THREADS="3").stdout.split() == [target, "3"]
    for bad in (dict(FASTNN_TARGET="riscv"), dict(FASTNN_NUM_THREADS="0"), dict(FASTNN_NUM_THREADS="many")):
        result = python(show, **bad)
        assert result.returncode and "ImportError" in result.stderr and list(bad)[0] in result.stderr
    assert ", ".join(native.targets()) in python(show, FASTNN_TARGET="riscv").stderr
    assert python(show, OMP_NUM_THREADS="5,2", FASTNN_NUM_THREADS="").stdout.split()[1] == "5"
