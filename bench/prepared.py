"""Kernels alone: what a call of fastnn runs, without reading its arrays into the plan's layout and writing its results back,
which in a network happens at the ends only. Packing or transforming the weight is inside, as it is once a training step."""
import contextlib
from unittest import mock

import numpy as np

from fastnn import run
from fastnn.backend import native

MOVES = ("gather", "gather_int", "export")


@contextlib.contextmanager
def captured():
    """The list of (executable, inputs, rows, numbers) of the graphs that run in this block."""
    calls, start = [], run.Executable.start

    def noted(self, inputs, n, numbers=None, index=None):
        calls.append((self, list(inputs), n, numbers))
        return start(self, inputs, n, numbers, index)
    with mock.patch.object(run.Executable, "start", noted):
        yield calls


class Prepared:
    """Calls of the kernels of one graph or more on memory that has been filled. `kernels`: their names, in order."""

    def __init__(self, calls):
        self.kernels, self.runs = [], []
        for call in calls:
            self.prepare(*call)

    def prepare(self, executable, inputs, n, numbers):
        n = 1 if executable.whole and executable.native else n
        plan, binding = executable.bound(n)
        segments = [plan.segments[0], [phase for segment in plan.segments[1:] for phase in segment],
                    [part for segment in plan.segments[1:] for phase in segment for part in without_moves(plan, *phase)]]
        self.kernels += [plan.steps[i].kernel for _, first, last in segments[2] for i in range(first, last)]
        program = native.Program(plan.lanes, plan.encoded, segments, *plan.sizes, *plan.counts)
        alone = native.Binding(program, binding.states)
        outputs = tuple(np.empty([d if isinstance(d, int) else d.at(n) for d in s], np.float32) for s in executable.shapes)
        rest = n, (*inputs, None), outputs, executable.slot_values(numbers or {}), program.lease(n)
        alone.run(1, *rest)
        self.runs.append((alone.run, rest))

    def __call__(self):
        for run, rest in self.runs:
            run(2, *rest)


def without_moves(plan, kind, first, last):
    """A phase's parts that compute."""
    start = first
    for i in range(first, last + 1):
        if i == last or plan.steps[i].kernel in MOVES:
            if start < i:
                yield kind, start, i
            start = i + 1


def prepared(call):
    """The kernels of `call` -> (Prepared, what the call returned)"""
    with captured() as calls:
        result = call()
    return Prepared(calls), result
