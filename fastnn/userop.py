"""Operations of the user's own, written in NumPy: a seam in the compiled plan, run on the calling thread on views of its memory."""
import numpy as np

from . import graph as g
from .graph import Op, Spec


class UserOp(Op):
    """What @nn.op makes. Called on values it adds a node, on arrays it runs."""

    def __init__(self, name, function, shape):
        super().__init__(name, shape=None, mode="flat")
        self.reference, self.native, self.__doc__, self.__name__ = function, False, function.__doc__, name
        self.user_shape, self.user_gradient = shape, None
        self.shape = self._specs

    def _specs(self, *specs, **attrs):
        if self.user_shape is None:
            return specs[0]
        made = self.user_shape(*[s if s is None else Shape(s.shape) for s in specs], **attrs)
        several = isinstance(made, tuple) and made and isinstance(made[0], (tuple, Shape))
        made = tuple(Spec(tuple(m)) for m in (made if several else (made,)))
        return made if several else made[0]

    def gradient(self, function):
        """Decorator: (dy, *inputs, out, **settings) -> the gradient for each input (None where there is none), in NumPy."""
        self.user_gradient = function
        backward = Op(f"{self.name}.backward", mode="flat")
        backward.native = False

        def reference(*arrays, inputs, wanted, **attrs):
            outs, dys = arrays[inputs:inputs + (len(arrays) - inputs) // 2], arrays[inputs + (len(arrays) - inputs) // 2:]
            one = len(outs) == 1
            made = function(dys[0] if one else dys, *arrays[:inputs], outs[0] if one else outs, **attrs)
            made = made if isinstance(made, tuple) else (made,)
            if len(made) != inputs:
                raise ValueError(f"{self.name}: its gradient returned {len(made)} results for {inputs} inputs")
            return tuple(np.zeros_like(arrays[i]) if m is None else m for i, m in enumerate(made) if i in wanted)

        backward.reference = reference
        backward.shape = lambda *specs, inputs, wanted, **attrs: tuple(specs[i] for i in wanted)

        def rule(dy, *rest, **attrs):
            *inputs, out = rest
            outs, dys = (out, dy) if isinstance(out, tuple) else ((out,), (dy,))
            dys = [d if d is not None else o * 0.0 for d, o in zip(dys, outs)]
            wanted = tuple(i for i, v in enumerate(inputs) if v.dtype != "int64" and not g.is_number(v))
            made = backward(*inputs, *outs, *dys, inputs=len(inputs), wanted=wanted, **attrs)
            made = iter(made if isinstance(made, tuple) else (made,))
            return tuple(next(made) if i in wanted else None for i in range(len(inputs)))
        self.gradient_rule = rule
        return function


class Shape(tuple):
    """A shape given to a shape rule; also answers to `.shape`."""
    shape = property(lambda self: tuple(self))
    ndim = property(len)


def op(name, shape=None):
    """Decorator that makes an operation of a NumPy function (*arrays, **settings) -> array or tuple of arrays.

    name: "library::name", also what a saved graph calls it. shape: the shape rule, (*input shapes, **settings) -> shape (left out: the
    first input's). Give its gradient with `@function.gradient`. Settings must be plain numbers, strings, bools or tuples.

    Raises ValueError for a name that a built-in op has."""
    if name in g.OPS and g.OPS[name].native:
        raise ValueError(f"@op: {name!r} is a built-in op; take a name like 'mylib::{name}'")

    def wrap(function):
        return UserOp(name, function, shape)
    return wrap


def check_op(op, *inputs, eps=1e-6, tolerance=1e-4, **settings):
    """Checks an operation made by @nn.op on float arrays: its shape rule, that it is deterministic and writes to no input, and its
    gradient against central finite differences in float64.

    Raises AssertionError saying what is wrong. inputs: arrays; eps: the step; tolerance: relative to the largest gradient."""
    arrays = [np.array(i, np.float64) if np.asarray(i).dtype.kind == "f" else np.array(i) for i in inputs]
    frozen = [a.copy() for a in arrays]

    def outputs(given):
        made = op.reference(*given, **settings)
        return made if isinstance(made, tuple) else (made,)

    first, second = outputs(arrays), outputs(arrays)
    for a, b in zip(arrays, frozen):
        if not np.array_equal(a, b, equal_nan=True):
            raise AssertionError(f"{op.name}: writes to an input")
    specs = op.specs([Spec(a.shape) for a in arrays], settings)
    for i, (y, again, spec) in enumerate(zip(first, second, specs)):
        if tuple(np.shape(y)) != tuple(spec.shape):
            raise AssertionError(f"{op.name}: output {i} has shape {np.shape(y)}, its shape rule says {tuple(spec.shape)}")
        if not np.array_equal(y, again, equal_nan=True):
            raise AssertionError(f"{op.name}: output {i} differs between two runs on the same input")
    if op.user_gradient is None:
        return
    rng = np.random.default_rng(0)
    dys = tuple(rng.standard_normal(np.shape(y)) for y in first)
    one = len(first) == 1
    made = op.user_gradient(dys[0] if one else dys, *arrays, first[0] if one else first, **settings)
    made = made if isinstance(made, tuple) else (made,)
    if len(made) != len(arrays):
        raise AssertionError(f"{op.name}: its gradient returned {len(made)} results for {len(arrays)} inputs")
    for i, (x, dx) in enumerate(zip(arrays, made)):
        if dx is None or x.dtype.kind != "f":
            continue
        if np.shape(dx) != x.shape:
            raise AssertionError(f"{op.name}: the gradient for input {i} has shape {np.shape(dx)}, the input {x.shape}")
        numeric = np.zeros(x.shape)
        for at in np.ndindex(*x.shape):
            moved = []
            for sign in (eps, -eps):
                given = [a.copy() for a in arrays]
                given[i][at] += sign
                moved.append(sum(float((dy * y).sum()) for dy, y in zip(dys, outputs(given))))
            numeric[at] = (moved[0] - moved[1]) / (2 * eps)
        worst = np.abs(numeric - dx).max(initial=0)
        if worst > tolerance * max(1.0, np.abs(numeric).max(initial=0)):
            where = np.unravel_index(np.abs(numeric - dx).argmax(), x.shape)
            raise AssertionError(f"{op.name}: the gradient for input {i} at {tuple(map(int, where))} is {np.asarray(dx)[where]:.6g}, "
                                 f"finite differences say {numeric[where]:.6g}")
