"""Where a plan's time goes: each of its steps timed alone, in order, on the memory that the steps before it filled."""
import time

import numpy as np

from .backend import native


def time_steps(executable, inputs, n, numbers=None, repeats=30):
    """[(kernel, layer, seconds, float operations)] of every step of the plan for n rows, medians over `repeats` runs through the
    plan. A step alone cannot keep a group of images in cache from one step to the next, as chains do, so that the sum is somewhat
    more than a run takes. Raises ValueError for plans with ops of the user's or late inputs, and where NumPy runs."""
    if not executable.native:
        raise ValueError("profile: the native kernels do not run here")
    plan, binding = executable.bound(n)
    if plan.calls or any(executable.late):
        raise ValueError("profile: plans with a user's ops, or with inputs that come later, cannot be timed step by step")
    from .plan import estimate
    chain = [s.mode == "row" for s in plan.steps]
    prologue = sum(len(members) for _, members in plan.listing[0])
    segments = [plan.segments[0]] + [[(0 if chain[i] else 1, i, i + 1)] for i in range(prologue, len(plan.steps))]
    program = native.Program(plan.lanes, plan.encoded, segments, *plan.sizes, *plan.counts)
    alone = native.Binding(program, binding.states)
    outputs = tuple(np.empty([d if isinstance(d, int) else d.at(n) for d in shape], np.float32) for shape in executable.shapes)
    words, arena = executable.slot_values(numbers or {}), program.lease(n)
    seconds = np.empty((repeats, len(segments) - 1))
    empty = _call_time(alone, n, inputs, outputs, words, arena)
    for r in range(repeats):
        for i in range(1, len(segments)):
            start = time.perf_counter()
            alone.run(i, n, (*inputs, None), outputs, words, arena)
            seconds[r, i - 1] = time.perf_counter() - start
    arena.release()
    medians = np.maximum(np.median(seconds[repeats // 5:], axis=0) - empty, 0)
    groups = -(-n // plan.lanes)
    return [(s.kernel, s.node.scope, float(t), estimate(s, plan.lanes) * (groups if s.mode == "row" else n / 64))
            for s, t in zip(plan.steps[prologue:], medians)]


def _call_time(binding, n, inputs, outputs, words, arena):
    """Seconds of a call that finds nothing to do but fill in the numbers: the prologue's segment, which is not stale."""
    binding.run(1, n, (*inputs, None), outputs, words, arena)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        binding.run(0, n, (*inputs, None), outputs, words, arena)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def table(steps):
    """The text of a table of `time_steps`: microseconds, GFLOP/s and share of each step."""
    total = sum(t for _, _, t, _ in steps) or 1e-12
    lines = [f"{'kernel':28s} {'layer':20s} {'us':>10s} {'GFLOP/s':>8s} {'share':>6s}"]
    for kernel, layer, t, work in steps:
        rate = f"{work / t / 1e9:8.1f}" if t > 0 and kernel.startswith(("conv2d", "winograd", "linear", "lstm", "gru", "rnn")) else " " * 8
        lines.append(f"{kernel:28s} {layer:20s} {t * 1e6:10.1f} {rate} {100 * t / total:5.1f}%")
    return "\n".join(lines + [f"{'all steps, one by one':49s} {total * 1e6:10.1f}"])


def profile(model, rows=64, input_shape=None, train=False):
    """Prints where the time of a prediction of `rows` rows goes, or of a training step (a compiled model), on random inputs."""
    rng = np.random.default_rng(0)
    inputs = [rng.random((rows, *shape), dtype=np.float32) for shape in model.input_shapes(input_shape)]
    if not train:
        executable, n = model.executable("predict", model.predict_body, inputs, False)
        print(table(time_steps(executable, inputs, n)))
        return
    from . import steps
    classes = model.predict_on_batch(inputs[0] if len(inputs) == 1 else inputs).shape[1]
    y = rng.integers(0, classes, rows)
    step = steps.train_step(model, inputs, [y])
    numbers = {**model.numbers(), **step.optimizer.slot_values(step.params)}
    print(table(time_steps(step.executable, [*inputs, y], rows, numbers)))
