"""What support vector machines are computed with: matrices of kernel values, and the dual problems, solved by sequential
minimal optimization (csrc/kernels/svm_solve.h has the method and its sources). Native, or by the twins in NumPy at the end."""
from typing import NamedTuple

import numpy as np

from .. import backend

KINDS = ("linear", "poly", "rbf")
GROUP = 16                          # rows are padded to whole groups
TINY = np.float32(1e-12)            # the least curvature of a step


def padded(n):
    """n, rounded up to whole groups."""
    return -(-n // GROUP) * GROUP


class Kernel(NamedTuple):
    """k(x, z): "linear" x.z, "poly" (gamma x.z + coef0)^degree, "rbf" exp(-gamma |x - z|^2)."""
    kind: str
    gamma: float = 1.0
    coef0: float = 0.0
    degree: int = 1

    def fields(self):
        return {"kind": KINDS.index(self.kind), "degree": self.degree, "gamma": self.gamma, "coef0": self.coef0}

    def of_products(self, products, squares):
        """float32 products x.z and sums |x|^2 + |z|^2 -> kernel values."""
        if self.kind == "linear":
            return products
        if self.kind == "rbf":
            return np.exp(np.maximum(squares - (products + products), np.float32(0)) * np.float32(-self.gamma))
        base, power, degree = products * np.float32(self.gamma) + np.float32(self.coef0), np.ones_like(products), self.degree
        while degree:
            power = power * base if degree & 1 else power
            base, degree = base * base, degree >> 1
        return power


class Rows:
    """Rows of features `x` (n, d), float32, padded with zeros to whole groups; `packed` for products with them, `squares` (n,),
    their squares' sums: both are made when they are first asked for."""

    def __init__(self, x):
        self.x = x

    def __getattr__(self, name):
        if name not in ("packed", "squares"):
            raise AttributeError(name)
        if backend.native is None:
            self.squares = np.einsum("ij,ij->i", self.x, self.x)
        else:
            self.packed, self.squares = np.empty_like(self.x), np.empty(len(self.x), np.float32)
            fields = {"packed": self.packed, "squares": self.squares, "x": self.x, "rows": len(self.x)}
            launch([("kernel_pack", 4 * self.x.size, {**fields, "features": self.x.shape[1]})])()
        return getattr(self, name)

    @classmethod
    def of(cls, x, runs=None):
        """Of an array (n, d) of any dtype; runs: lengths of runs of rows that are each padded by themselves."""
        runs = [len(x)] if runs is None else runs
        rows, to, begin = np.zeros((sum(map(padded, runs)), x.shape[1]), np.float32), 0, 0
        for length in runs:
            rows[to:to + length] = x[begin:begin + length]
            to, begin = to + padded(length), begin + length
        return cls(rows)

    def diagonal(self, kernel):
        """k(x, x) of each row, float32."""
        return np.ascontiguousarray(kernel.of_products(self.squares, self.squares + self.squares))


def launch(steps, slots=0):
    """A function that runs kernels on plain arrays. steps: (kernel, cost in flops, {field: array, number or ("slot", i)}),
    independent of one another; threads share their parts. The function takes the slots, an int64 array."""
    from .. import plan
    states, encoded, encoder = [], [], plan.Encoder(None, 0)
    for name, cost, fields in steps:
        given = dict(fields)
        for field, value in fields.items():
            if isinstance(value, np.ndarray):
                given[field] = plan.Buffer("external", 0, len(states))
                states.append(value)
        words = encoder.words(plan.Step(name, given, "flat", 0, None))
        encoded.append((plan.KERNELS[name][0], 1, False, int(cost), int(cost), False, False, words))
    program = backend.native.Program(1, encoded, [[], [(1, 0, len(encoded))]], 0, 0, 0, 0, 0, 0, len(states), slots)
    binding = backend.native.Binding(program, states)
    return lambda numbers=None: binding.run(1, 1, (), (), numbers)


def kernel_matrix(kernel, left, right):
    """float32 (rows of left, rows of right), both Rows, pads included."""
    out = np.empty((len(left.x), len(right.x)), np.float32)
    run_steps([matrix_step(kernel, out, left, slice(None), right, slice(None))])
    return out


def matrix_step(kernel, out, left, i, right, k):
    """Writes k(left[i], right[k]) into `out`, an array whose rows may lie apart; i and k: slices of whole groups."""
    symmetric = left is right and i == k
    fields = {"out": out, "x": left.x[i], "symmetric": symmetric}
    if kernel.kind == "rbf":
        fields |= {"x_squares": left.squares[i], "squares": right.squares[k]}
    if backend.native is None:
        return kernel, fields | {"z": right.x[k]}
    step = out.strides[0] // 4
    fields["y"] = np.lib.stride_tricks.as_strided(fields.pop("out"), ((out.shape[0] - 1) * step + out.shape[1],), (4,))
    fields |= {"packed": right.packed[k], "y_step": step, "rows": out.shape[0], "columns": out.shape[1],
               "features": left.x.shape[1]}
    return "kernel_matrix", out.size * left.x.shape[1] * (1 if symmetric else 2), {**fields, **kernel.fields()}


def run_steps(steps):
    """Runs what matrix_step made."""
    if backend.native is not None:
        return launch(steps)()
    for kernel, a in steps:
        squares = a["x_squares"][:, None] + a["squares"] if kernel.kind == "rbf" else None
        a["out"][...] = kernel.of_products(a["x"] @ a["z"].T, squares)


# ---- dual problems

class Problem(NamedTuple):
    """min 1/2 sum s_k s_l alpha_k alpha_l K[k, l] + sum p_k alpha_k, sum s alpha = 0, 0 <= alpha <= bound.

    runs: up to two (begin, length), the rows of the data, in groups, that it is about; its variables are these rows, once or
    several times over. sign, bound, linear (s, the bounds, s p): float64, one a variable; pads have bound 0."""
    runs: tuple
    sign: np.ndarray
    bound: np.ndarray
    linear: np.ndarray

    @property
    def length(self):
        return sum(length for _, length in self.runs)


class Solution(NamedTuple):
    """coefficients: s alpha of each variable; offset: what the decision function sum s alpha k(x_k, .) - offset subtracts."""
    coefficients: np.ndarray
    offset: float
    iterations: int
    converged: bool


def solve(kernel, rows, problems, tol, max_iter, cache_bytes):
    """-> [Solution]. rows: Rows; problems: [Problem]; max_iter: -1 for no limit; cache_bytes: for kernel values. The values of
    all rows are computed at once where they fit there, else those of as many problems as fit; of a problem that does not
    fit, rows when they are needed. A KeyboardInterrupt ends it within about a second."""
    work = _Work(kernel, rows, problems, tol, max_iter)
    n = len(rows.x)
    if 4 * n ** 2 <= cache_bytes:
        places = [(i, 0, n, [begin for begin, _ in p.runs], 0) for i, p in enumerate(problems)]
        work.run(kernel_matrix(kernel, rows, rows), places)
        return work.solutions()
    for some in _batches([4 * p.length ** 2 for p in problems], cache_bytes):
        n = problems[some[0]].length
        if 4 * n ** 2 <= cache_bytes:
            work.run(*work.matrices(some))
        else:
            capacity = max(2, int(cache_bytes) // (4 * n))
            work.run(np.empty((capacity, n), np.float32), [(some[0], 0, n, [0, problems[some[0]].runs[0][1]], capacity)])
    return work.solutions()


def _batches(sizes, limit):
    """Indices in runs whose sizes sum to at most the limit, or of one."""
    batches, total = [], limit + 1
    for i, size in enumerate(sizes):
        if total + size > limit:
            batches.append([])
            total = 0
        batches[-1].append(i)
        total += size
    return batches


class _Work:
    """The variables of all problems side by side, and what the kernel svm_solve is told about them."""

    def __init__(self, kernel, rows, problems, tol, max_iter):
        self.kernel, self.rows, self.problems, self.tol = kernel, rows, problems, tol
        self.max_iter = max_iter if max_iter >= 0 else 1 << 62
        self.copies = len(problems[0].sign) // problems[0].length
        self.first = np.cumsum([0] + [len(p.sign) for p in problems])
        self.sign, self.bound, self.f = (np.concatenate([p[i] for p in problems]) for i in (1, 2, 3))
        self.alpha = np.zeros_like(self.sign)
        self.up = np.where((self.sign > 0) & (self.bound > 0), 0.0, np.inf)
        self.low = np.where((self.sign < 0) & (self.bound > 0), 0.0, np.inf)
        self.states = np.zeros((len(problems), 4))                  # iterations, gap, offset, done: as svm_state
        self.diagonal = rows.diagonal(kernel)

    def matrices(self, some):
        """Kernel values of some problems, each by itself, one matrix behind the other -> gram, places for run."""
        sizes = [self.problems[i].length ** 2 for i in some]
        gram, begin, steps, places = np.empty(sum(sizes), np.float32), 0, [], []
        for i, size in zip(some, sizes):
            runs, length = self.problems[i].runs, self.problems[i].length
            matrix, at = gram[begin:begin + size].reshape(length, length), [0, runs[0][1]]
            pieces = [(slice(a, a + n), slice(to, to + n)) for (a, n), to in zip(runs, at)]
            steps += [matrix_step(self.kernel, matrix[to_i, to_k], self.rows, i, self.rows, k)
                      for i, to_i in pieces for k, to_k in pieces]
            places.append((i, begin, length, at, 0))
            begin += size
        run_steps(steps)
        return gram, places

    def run(self, gram, places):
        """Solves problems. places: [(problem, its first kernel value in gram, from row to row, where its runs lie there, rows
        that the cache has room for or 0: all are there)]."""
        table, states = np.zeros((len(places), 11), np.int64), np.zeros((len(places), 4))
        for line, (i, offset, stride, at, capacity) in zip(table, places):
            (b0, n0), (b1, n1) = (*self.problems[i].runs, (0, 0))[:2]
            line[:] = self.first[i], b0, b1, n0, n1, offset, stride, at[0], at[-1], capacity, 0
        length, capacity = max(self.problems[place[0]].length for place in places), places[0][-1]
        slots = np.full(length + 1 + 2 * capacity, -1, np.int64)    # of the one problem with a cache: svm_cached_row
        slots[length] = 0
        slots[length + 1 + capacity:] = 0
        step = self.step(gram, table, states, slots)
        steps = max(10, int(1e8 / (length * (self.rows.x.shape[1] if capacity else 4))))
        while not states[:, 3].all() and states[:, 0].max() < self.max_iter:
            step(np.array([min(steps, self.max_iter - states[:, 0].max())], np.int64))
        self.states[[place[0] for place in places]] = states

    def step(self, gram, table, states, slots):
        """A function of one number in an array: each problem in the table gets so many steps further."""
        fields = {name: getattr(self, name) for name in "alpha f up low sign bound diagonal tol copies".split()}
        fields |= {"gram": gram, "problems": table, "states": states, "slots": slots, "count": len(table)}
        fields |= self.kernel.fields()
        if backend.native is None:
            return lambda numbers: _solve_reference(self.kernel, self.rows, fields, int(numbers[0]))
        fields |= {"x": self.rows.x, "packed": self.rows.packed, "squares": self.rows.squares, "features": self.rows.x.shape[1]}
        return launch([("svm_solve", 1e10, {**fields, "steps": ("slot", 0)})], slots=1)

    def solutions(self):
        cut = [slice(a, b) for a, b in zip(self.first, self.first[1:])]
        return [Solution(self.sign[c] * self.alpha[c], float(offset), int(iterations), bool(done))
                for c, (iterations, _, offset, done) in zip(cut, self.states)]


# ---- the twins

def _solve_reference(kernel, rows, fields, steps):
    """svm_solve: the same steps, the same order of operations, with fields["gram"] not used as a cache."""
    for line, state in zip(fields["problems"], fields["states"]):
        vectors, b0, b1, n0, n1, offset, stride, at0, at1, capacity, _ = map(int, line)
        here = np.r_[b0:b0 + n0, b1:b1 + n1]
        own = slice(vectors, vectors + fields["copies"] * (n0 + n1))
        if not state[3]:
            def row(k):
                if capacity:
                    one = Rows(np.ascontiguousarray(rows.x[here[k]])[None])
                    return kernel.of_products(one.x @ rows.x[here].T, one.squares + rows.squares[here])[0]
                flat = fields["gram"].reshape(-1)[offset + (at0 + k if k < n0 else at1 + k - n0) * stride:]
                return np.concatenate([flat[at0:at0 + n0], flat[at1:at1 + n1]])
            variables = [fields[name][own] for name in ("alpha", "f", "up", "low", "sign", "bound")]
            _run_reference(row, fields["diagonal"][here], *variables, state, steps, fields["tol"])


def _run_reference(row, diagonal, alpha, f, up, low, sign, bound, state, steps, tol):
    """svm_run. row: a function of a row's index; the arrays are changed."""
    length = len(diagonal)
    copies = len(alpha) // length
    for step in range(steps + 1):
        i, most = int(np.argmin(f + up)), np.max(f - low)
        state[1] = most - (f + up)[i]
        if not state[1] >= tol or step == steps:
            break
        ki = row(i % length)
        b = (f - f[i] - low).astype(np.float32)
        a = np.maximum((diagonal + diagonal[i % length]) - (ki + ki), TINY)
        gain = np.where(b > 0, b * b / np.tile(a, copies), 0)
        j = int(np.argmax(gain)) if gain.max() > 0 else int(np.argmax(f - low))
        kj = row(j % length)
        curvature = float(diagonal[i % length]) + float(diagonal[j % length]) - 2 * float(ki[j % length])
        rooms = [bound[i] - alpha[i] if sign[i] > 0 else alpha[i], alpha[j] if sign[j] > 0 else bound[j] - alpha[j]]
        t = min((f[j] - f[i]) / max(curvature, float(TINY)), *rooms)
        for k, move, room in ((i, t, rooms[0]), (j, -t, rooms[1])):
            grows = (move > 0) == (sign[k] > 0)
            alpha[k] = (bound[k] if grows else 0) if t == room else min(alpha[k] + sign[k] * move, bound[k])
            grows, falls = alpha[k] < bound[k], alpha[k] > 0
            up[k] = 0 if (grows if sign[k] > 0 else falls) else np.inf
            low[k] = 0 if (falls if sign[k] > 0 else grows) else np.inf
        f += t * np.tile(ki.astype(np.float64) - kj, copies)
        state[0] += 1
    free = (up == 0) & (low == 0)
    state[2] = f[free].mean() if free.any() else (np.min(f + up) + np.max(f - low)) / 2
    state[3] = not state[1] >= tol
