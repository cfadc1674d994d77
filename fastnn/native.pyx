# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, cdivision=True
"""The door to the C core: encodes programs, hands over arrays, releases the GIL. It does no arithmetic.

Arrays are read through the buffer protocol, so NumPy's C API is not needed and one build serves every CPython >= 3.11.
What the C core calls [serial] runs under the GIL here, which a forking thread holds too."""
import os
from libc.stdint cimport int64_t, uint64_t, intptr_t
from libc.string cimport memcpy
from cpython.buffer cimport (PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBUF_C_CONTIGUOUS, PyBUF_SIMPLE, PyBUF_ND,
                             PyObject_GetBuffer, PyBuffer_Release, PyBuffer_IsContiguous)

cdef extern from "execute.h" nogil:
    ctypedef struct job:
        int64_t n, group, part, parts, groups
    ctypedef void (*kernel_fn)(const void *args, const job *j) noexcept nogil
    enum: DTYPE_FLOAT32, DTYPE_FLOAT64, DTYPE_UINT8, DTYPE_INT8, DTYPE_INT16, DTYPE_UINT16, DTYPE_INT32, DTYPE_UINT32
    enum: DTYPE_INT64, DTYPE_UINT64, DTYPE_BOOL
    enum: ALL_WELL, NO_MEMORY, SLOTS_AN_ARRAY, SPACE_ROW, SPACE_GROUPS, SPACE_REDUCE, SPACE_SUM, SPACE_FLAT
    ctypedef struct fastnn_kernel_info:
        const char *name
        const char *space_name
        const char *fields
        int64_t space, words
    ctypedef struct fastnn_elementwise_info:
        const char *name
        int64_t operands
    ctypedef kernel_fn kernel_pair[2]
    ctypedef const kernel_pair *fastnn_table
    const fastnn_kernel_info *fastnn_kernels
    int64_t fastnn_kernel_count
    const fastnn_elementwise_info *fastnn_elementwise
    int64_t fastnn_elementwise_count
    int64_t fastnn_targets(const char **names, int64_t room)
    const char *fastnn_target()
    int fastnn_set_target(const char *name)
    fastnn_table fastnn_current_table()
    fastnn_table fastnn_table_of(const char *target)
    void *fastnn_allocate(size_t bytes)
    void fastnn_free(void *memory)
    int64_t fastnn_allocations()
    int64_t fastnn_l2_bytes()
    void fastnn_turn_over()
    void fastnn_turn_wait()
    void fastnn_turn_begin()
    int64_t fastnn_get_num_threads()
    int fastnn_set_num_threads(int64_t threads)
    ctypedef struct fastnn_word:
        int64_t kind, a, b, c
    ctypedef struct fastnn_step:
        int64_t kernel, lanes, per_group, cost, split, grows, check, first_word, words
    ctypedef struct fastnn_phase:
        int64_t kind, first, last
    ctypedef struct fastnn_segment:
        int64_t first, last
    ctypedef struct fastnn_arena:
        char *memory
        size_t capacity
        void **externals
        int64_t *slots
        int64_t n, in_run
    ctypedef struct fastnn_program:
        int64_t lanes, n_steps, n_words, n_phases, n_segments, n_inputs, n_outputs, n_states, n_slots
        int64_t fixed_bytes, row_bytes, group_bytes, constant_bytes
        fastnn_step *steps
        fastnn_word *words
        fastnn_phase *phases
        fastnn_segment *segments
    ctypedef struct fastnn_stamp:
        int64_t version, exports
    ctypedef struct fastnn_region:
        pass
    ctypedef struct fastnn_binding:
        fastnn_program *program
        void **states
        const fastnn_stamp **stamps
    ctypedef struct fastnn_result:
        int64_t step, error
    const char *fastnn_program_check(const fastnn_program *p, int64_t *step, int64_t *word)
    int fastnn_program_finish(fastnn_program *p)
    void fastnn_program_free(fastnn_program *p)
    int fastnn_poison
    fastnn_arena *fastnn_arena_lease(fastnn_program *p, int64_t n)
    void fastnn_arena_release(fastnn_program *p, fastnn_arena *arena)
    void fastnn_binding_start(fastnn_binding *b)
    void fastnn_binding_free(fastnn_binding *b)
    fastnn_region *fastnn_region_lease(fastnn_binding *b, int64_t *stale, int64_t *failed)
    void fastnn_region_done(fastnn_binding *b, fastnn_region *region)
    void fastnn_region_release(fastnn_region *region)
    fastnn_result fastnn_run(fastnn_binding *b, fastnn_arena *arena, fastnn_region *region, int64_t prologue, int64_t segment)
    int64_t fastnn_run_kernel(kernel_fn kernel, const void *args, job j)


class StepError(Exception):
    """A step's check failed: `step` is its index in the program, `code` what the kernel reported (1 + a flat position)."""
    def __init__(self, step, code):
        super().__init__(f"step {step} reported {code}")
        self.step, self.code = step, code


# ---- kernels, targets, threads ----

def kernels():
    """[(name, space, fields)], in kernels.def's order; fields as "ROWS_OUT y;IN x;INTS shape 6"."""
    return [(fastnn_kernels[i].name.decode(), fastnn_kernels[i].space_name.decode(),
             fastnn_kernels[i].fields.decode().rstrip(";")) for i in range(fastnn_kernel_count)]


def elementwise_ops():
    """[(name, operands)], by opcode."""
    return [(fastnn_elementwise[i].name.decode(), fastnn_elementwise[i].operands) for i in range(fastnn_elementwise_count)]


def targets():
    """The targets that this CPU can run, best first."""
    cdef const char *names[8]
    cdef int64_t count = fastnn_targets(names, 8)
    return tuple([names[i].decode() for i in range(count)])


def get_target():
    return fastnn_target().decode()


def _impossible_target(name):
    return f"target {name!r} is not possible here; this machine can run {', '.join(targets())}"


def set_target(str name):
    """Runs that start from now on use this target. ValueError where the CPU cannot."""
    if fastnn_set_target(name.encode()):
        raise ValueError(_impossible_target(name))


def l2_bytes():
    """Bytes of a core's L2 cache, 0 where the system does not tell."""
    return fastnn_l2_bytes()


def get_num_threads():
    return fastnn_get_num_threads()


def set_num_threads(int64_t threads):
    """1 to 256; more than the machine has cores is honoured as given. Waits for a run that uses the pool."""
    cdef int failed
    with nogil:
        failed = fastnn_set_num_threads(threads)
    if failed:
        raise ValueError(f"number of threads must be 1 to 256, not {threads}")


def poison(bint on=True):
    """For tests: every run's memory comes filled with NaN, so that whatever is read before it is written shows."""
    global fastnn_poison
    fastnn_poison = on


def allocations():
    """How often the C core has asked for memory so far."""
    return fastnn_allocations()


cdef void *_allocate(size_t bytes) except NULL:
    cdef void *memory = fastnn_allocate(bytes)
    if memory is NULL:
        raise MemoryError(f"cannot allocate {bytes} bytes")
    return memory


# ---- arrays ----

cdef enum:
    MAX_VIEWS = 64  # inputs and outputs of a program


cdef class Storage:
    """Zeroed memory for a parameter or buffer, exported through the buffer protocol: np.asarray(storage) is a live view.

    shape: ints; dtype: "float32" or "int64". `version` moves when the last view is released, and by bump(); while `exports`
    is not 0, someone may be writing."""
    cdef void *memory
    cdef fastnn_stamp stamp
    cdef readonly tuple shape
    cdef readonly str dtype
    cdef Py_ssize_t dims[33]
    cdef Py_ssize_t strides[33]
    cdef Py_ssize_t itemsize, size

    def __cinit__(self, shape, str dtype="float32"):
        cdef Py_ssize_t k
        self.shape = tuple([int(d) for d in shape])
        self.dtype = dtype
        if dtype not in ("float32", "int64"):
            raise ValueError(f"dtype must be 'float32' or 'int64', not {dtype!r}")
        if len(self.shape) > 32 or any([d < 0 for d in self.shape]):
            raise ValueError(f"not a shape: {self.shape}")
        self.itemsize = self.size = 4 if dtype == "float32" else 8
        for k in reversed(range(len(self.shape))):
            self.dims[k] = self.shape[k]
            self.strides[k] = self.size
            self.size *= self.dims[k]
        self.memory = _allocate(self.size)

    def __dealloc__(self):
        fastnn_free(self.memory)

    def __getbuffer__(self, Py_buffer *view, int flags):
        view.obj = self
        view.buf = self.memory
        view.len = self.size
        view.readonly = 0
        view.itemsize = self.itemsize
        view.format = NULL
        if flags & PyBUF_FORMAT:
            view.format = b"f" if self.itemsize == 4 else b"q"
        view.ndim = <int>len(self.shape)
        view.shape = self.dims if flags & PyBUF_ND else NULL
        view.strides = self.strides if (flags & PyBUF_STRIDES) == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL
        self.stamp.exports += 1

    def __releasebuffer__(self, Py_buffer *view):
        self.stamp.exports -= 1
        if self.stamp.exports == 0:
            self.stamp.version += 1

    @property
    def version(self):
        return self.stamp.version

    @property
    def exports(self):
        return self.stamp.exports

    def bump(self):
        """To be called after a run that wrote into it."""
        self.stamp.version += 1


cdef int64_t _dtype_code(const Py_buffer *view) except -1:
    cdef const char *f = view.format
    cdef char c
    if f is NULL:
        return DTYPE_UINT8
    if f[0] in (b"@", b"=", b"<", b"^"):
        f += 1
    c = f[0]
    if c == b"f" and f[1] == 0:
        return DTYPE_FLOAT32
    if c == b"d" and f[1] == 0:
        return DTYPE_FLOAT64
    if c == b"?" and f[1] == 0:
        return DTYPE_BOOL
    if c in b"bhilq" and f[1] == 0:
        return (DTYPE_INT8 if view.itemsize == 1 else DTYPE_INT16 if view.itemsize == 2
                else DTYPE_INT32 if view.itemsize == 4 else DTYPE_INT64)
    if c in b"BHILQ" and f[1] == 0:
        return (DTYPE_UINT8 if view.itemsize == 1 else DTYPE_UINT16 if view.itemsize == 2
                else DTYPE_UINT32 if view.itemsize == 4 else DTYPE_UINT64)
    raise TypeError(f"arrays of format {view.format.decode()!r} are not supported")


cdef int _get_array(object array, Py_buffer *view, int64_t *slots, str what, Py_ssize_t index, int flags) except -1:
    """Opens `array` and writes its eight slots: dtype, row stride, the strides of a row aligned to the right."""
    cdef int k
    try:
        PyObject_GetBuffer(array, view, flags | PyBUF_FORMAT | PyBUF_STRIDES)
    except (TypeError, BufferError, ValueError) as problem:
        raise type(problem)(f"{what} {index}: {problem}") from None
    try:
        if view.ndim > 7:
            raise ValueError(f"{view.ndim} dimensions, at most 7 are supported")
        slots[0] = _dtype_code(view)
    except (TypeError, ValueError) as problem:
        PyBuffer_Release(view)
        raise type(problem)(f"{what} {index}: {problem}") from None
    slots[1] = view.strides[0] if view.ndim else 0
    for k in range(6):
        slots[2 + k] = 0
    for k in range(1, view.ndim):
        slots[8 - view.ndim + k] = view.strides[k]
    return 0


# ---- programs ----

cdef class Program:
    """A plan, encoded. steps: (kernel index, lanes, per_group, cost, split, grows, check, words), words a C-contiguous int64
    array (n, 4); segments: lists of phases (kind, first, last). What the numbers mean: csrc/execute.h and execute.c.

    ValueError where the program is not one, naming the step and the word."""
    cdef fastnn_program *p

    def __cinit__(self, int64_t lanes, steps, segments, int64_t fixed_bytes, int64_t row_bytes, int64_t group_bytes,
                  int64_t constant_bytes, int64_t n_inputs, int64_t n_outputs, int64_t n_states, int64_t n_slots):
        cdef fastnn_program *p
        self.p = p = <fastnn_program *>_allocate(sizeof(fastnn_program))
        p.lanes, p.constant_bytes = lanes, constant_bytes
        p.fixed_bytes, p.row_bytes, p.group_bytes = fixed_bytes, row_bytes, group_bytes
        if min(n_inputs, n_outputs, n_states, n_slots) < 0:
            raise ValueError("a count is negative")
        if n_inputs + n_outputs > MAX_VIEWS:
            raise ValueError(f"more than {MAX_VIEWS} inputs and outputs")
        p.n_inputs, p.n_outputs, p.n_states, p.n_slots = n_inputs, n_outputs, n_states, n_slots
        self._take_phases(segments)
        self._take_steps(steps)
        self._check()
        if fastnn_program_finish(p):
            raise MemoryError()

    cdef _take_phases(self, segments):
        cdef fastnn_program *p = self.p
        cdef int64_t s = 0, i = 0
        p.segments = <fastnn_segment *>_allocate(len(segments) * sizeof(fastnn_segment))
        p.phases = <fastnn_phase *>_allocate(sum([len(phases) for phases in segments]) * sizeof(fastnn_phase))
        for phases in segments:
            p.segments[s].first = i
            for kind, first, last in phases:
                p.phases[i].kind, p.phases[i].first, p.phases[i].last = kind, first, last
                i += 1
            p.segments[s].last = i
            s += 1
        p.n_segments, p.n_phases = s, i

    cdef _take_steps(self, steps):
        cdef fastnn_program *p = self.p
        cdef fastnn_step *step
        cdef Py_buffer view
        cdef int64_t w = 0, s = 0
        p.steps = <fastnn_step *>_allocate(len(steps) * sizeof(fastnn_step))
        p.words = <fastnn_word *>_allocate(sum([len(words) for *_, words in steps]) * sizeof(fastnn_word))
        for kernel, lanes, per_group, cost, split, grows, check, words in steps:
            step = &p.steps[s]
            step.kernel, step.lanes, step.per_group, step.cost = kernel, lanes, bool(per_group), cost
            step.split, step.grows, step.check = split, bool(grows), bool(check)
            step.first_word, step.words = w, len(words)
            PyObject_GetBuffer(words, &view, PyBUF_C_CONTIGUOUS)
            try:
                if view.len != step.words * <Py_ssize_t>sizeof(fastnn_word):
                    raise ValueError(f"step {s}: words must be an int64 array of shape (n, 4)")
                memcpy(p.words + w, view.buf, view.len)
            finally:
                PyBuffer_Release(&view)
            w += step.words
            s += 1
        p.n_steps, p.n_words = s, w

    cdef _check(self):
        cdef int64_t step, word
        cdef const char *problem = fastnn_program_check(self.p, &step, &word)
        if problem is NULL:
            return
        where = f"step {step} ({self._kernel_name(step)}): " if step >= 0 else ""
        raise ValueError(where + (f"word {word} " if word >= 0 else "") + problem.decode())

    cdef _kernel_name(self, int64_t step):
        cdef int64_t kernel = self.p.steps[step].kernel
        return fastnn_kernels[kernel].name.decode() if 0 <= kernel < fastnn_kernel_count else kernel

    def __dealloc__(self):
        fastnn_program_free(self.p)

    def lease(self, int64_t n):
        """Memory for a run of n rows that spans several calls. Arena.release(), or dropping it, gives it back."""
        cdef Arena arena = Arena.__new__(Arena)
        arena.arena = _lease(self, n)
        arena.program = self
        return arena


cdef fastnn_arena *_lease(Program program, int64_t n) except NULL:
    cdef fastnn_arena *arena = fastnn_arena_lease(program.p, n)
    if n < 0:
        raise ValueError(f"number of rows must not be negative, not {n}")
    if arena is NULL:
        raise MemoryError(f"no memory for a run of {n} rows")
    return arena


cdef class Arena:
    """Made by Program.lease."""
    cdef fastnn_arena *arena
    cdef Program program
    cdef Py_ssize_t size, stride

    def __getbuffer__(self, Py_buffer *view, int flags):
        """All of its bytes, writable: where the user's ops find their arrays. Not to be used after release()."""
        if self.arena is NULL:
            raise BufferError("the arena has been released")
        self.size, self.stride = self.arena.capacity, 1
        view.obj = self
        view.buf, view.len, view.itemsize, view.readonly = self.arena.memory, self.size, 1, 0
        view.format = NULL
        if flags & PyBUF_FORMAT:
            view.format = b"B"
        view.ndim, view.suboffsets, view.internal = 1, NULL, NULL
        view.shape = &self.size
        view.strides = &self.stride

    def release(self):
        if self.arena is NULL:
            return
        if self.arena.in_run:
            raise RuntimeError("the arena is in use by a run")
        fastnn_arena_release(self.program.p, self.arena)
        self.arena = NULL

    def __dealloc__(self):
        if self.arena is not NULL:
            fastnn_arena_release(self.program.p, self.arena)


# A state that is not a Storage may change at any time.
cdef fastnn_stamp _always_stale
_always_stale.exports = 1


cdef class Binding:
    """A program together with a model's states: Storage, or writable C-contiguous arrays (whose views it holds)."""
    cdef readonly Program program
    cdef readonly tuple states
    cdef fastnn_binding *b
    cdef Py_buffer *views
    cdef Py_ssize_t n_views

    def __cinit__(self, Program program, states):
        cdef Py_ssize_t i
        cdef Storage storage
        self.program, self.states = program, tuple(states)
        if len(self.states) != program.p.n_states:
            raise ValueError(f"the program has {program.p.n_states} states, {len(self.states)} were given")
        self.b = <fastnn_binding *>_allocate(sizeof(fastnn_binding))
        self.b.program = program.p
        self.b.states = <void **>_allocate(len(self.states) * sizeof(void *))
        self.b.stamps = <const fastnn_stamp **>_allocate(len(self.states) * sizeof(void *))
        self.views = <Py_buffer *>_allocate(len(self.states) * sizeof(Py_buffer))
        for i, state in enumerate(self.states):
            if isinstance(state, Storage):
                storage = <Storage>state
                self.b.states[i], self.b.stamps[i] = storage.memory, &storage.stamp
            else:
                PyObject_GetBuffer(state, &self.views[self.n_views], PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
                self.b.states[i], self.b.stamps[i] = self.views[self.n_views].buf, &_always_stale
                self.n_views += 1
        fastnn_binding_start(self.b)

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.n_views):
            PyBuffer_Release(&self.views[i])
        fastnn_free(self.views)
        fastnn_binding_free(self.b)

    def run(self, int64_t segment, int64_t n, tuple inputs not None, tuple outputs not None, slots=None, Arena arena=None):
        """Runs one segment for n rows (0: the prologue alone), the prologue first where a state has changed.

        inputs, outputs: arrays of any strides, or None; slots: the user slots, a float64 or int64 array. Many threads may
        call at once. Without `arena`, one is leased for the call. Errors name the array that cannot be used; StepError: a
        check failed."""
        cdef fastnn_program *p = self.program.p
        cdef fastnn_arena *a
        if not 0 <= segment < p.n_segments:
            raise ValueError(f"no segment {segment}")
        if len(inputs) != p.n_inputs or len(outputs) != p.n_outputs:
            raise ValueError(f"{p.n_inputs} inputs and {p.n_outputs} outputs expected, {len(inputs)} and {len(outputs)} given")
        if arena is None:
            a = _lease(self.program, n)
            try:
                self._run_in(a, segment, inputs, outputs, slots)
            finally:
                fastnn_arena_release(p, a)
            return
        a = arena.arena
        if a is NULL or arena.program is not self.program or a.n != n:
            raise ValueError("the arena was released, or belongs to another program or number of rows")
        if a.in_run:
            raise RuntimeError("the arena is in use by another run")
        a.in_run = 1
        try:
            self._run_in(a, segment, inputs, outputs, slots)
        finally:
            a.in_run = 0

    def run_steps(self, int64_t segment, int64_t n, tuple inputs not None, slots not None):
        """run, once for each row of the last input, int64 (k, n): which rows of the other inputs count; with row i of `slots`,
        the user slots of k steps. For programs without outputs."""
        cdef fastnn_program *p = self.program.p
        cdef fastnn_arena *a
        cdef Py_buffer words, views[MAX_VIEWS]
        cdef int opened = 0
        cdef int64_t i, count, last = p.n_inputs - 1
        cdef char *index
        if not 0 < segment < p.n_segments or n < 1:
            raise ValueError(f"no segment {segment}, or no rows ({n})")
        if len(inputs) != p.n_inputs or p.n_outputs:
            raise ValueError(f"{p.n_inputs} inputs and no outputs expected, {len(inputs)} given, {p.n_outputs} outputs")
        PyObject_GetBuffer(slots, &words, PyBUF_C_CONTIGUOUS)
        try:
            a = _lease(self.program, n)
            try:
                _open(inputs, "input", 0, a.externals, a.slots, views, &opened)
                index, count = <char *>a.externals[last], len(inputs[last])
                if views[opened - 1].len != 8 * n * count or words.len != 8 * p.n_slots * count or not PyBuffer_IsContiguous(
                        &views[opened - 1], c"C"):
                    raise ValueError(f"an index of {count} rows of {n} int64, and as many of {p.n_slots} slots, are expected")
                for i in range(count):
                    a.externals[last] = index + 8 * n * i
                    memcpy(a.slots + SLOTS_AN_ARRAY * p.n_inputs, <char *>words.buf + 8 * p.n_slots * i, 8 * p.n_slots)
                    self._execute(a, segment)
            finally:
                while opened > 0:
                    opened -= 1
                    PyBuffer_Release(&views[opened])
                fastnn_arena_release(p, a)
        finally:
            PyBuffer_Release(&words)

    cdef int _run_in(self, fastnn_arena *a, int64_t segment, tuple inputs, tuple outputs, slots) except -1:
        cdef fastnn_program *p = self.program.p
        cdef Py_buffer views[MAX_VIEWS]
        cdef int opened = 0
        try:
            _take_slots(p, a, slots)
            _open(inputs, "input", 0, a.externals, a.slots, views, &opened)
            _open(outputs, "output", PyBUF_WRITABLE, a.externals + p.n_inputs, a.slots + SLOTS_AN_ARRAY * p.n_inputs, views,
                  &opened)
            self._execute(a, segment)
        finally:
            while opened > 0:
                opened -= 1
                PyBuffer_Release(&views[opened])
        return 0

    cdef int _execute(self, fastnn_arena *a, int64_t segment) except -1:
        cdef int64_t stale, failed
        cdef fastnn_result result
        cdef fastnn_region *region = fastnn_region_lease(self.b, &stale, &failed)
        if failed:
            raise MemoryError("no memory for packed weights")
        with nogil:
            fastnn_turn_over()
            result = fastnn_run(self.b, a, region, stale, segment)
            fastnn_turn_wait()
        fastnn_turn_begin()
        if stale and result.step == ALL_WELL:
            fastnn_region_done(self.b, region)
        fastnn_region_release(region)
        if result.step == NO_MEMORY:
            raise MemoryError("no memory for a thread's scratch")
        if result.step >= 0:
            raise StepError(result.step, result.error)
        return 0


cdef int _take_slots(fastnn_program *p, fastnn_arena *a, slots) except -1:
    cdef Py_buffer view
    if slots is None:
        if p.n_slots:
            raise ValueError(f"slots: {p.n_slots} expected")
        return 0
    PyObject_GetBuffer(slots, &view, PyBUF_C_CONTIGUOUS)
    try:
        if view.len != 8 * p.n_slots:
            raise ValueError(f"slots: {p.n_slots} of 8 bytes expected, {view.len} bytes given")
        memcpy(a.slots + SLOTS_AN_ARRAY * (p.n_inputs + p.n_outputs), view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return 0


cdef int _open(tuple arrays, str what, int flags, void **externals, int64_t *slots, Py_buffer *views, int *opened) except -1:
    cdef Py_ssize_t i
    for i in range(len(arrays)):
        array = arrays[i]
        externals[i] = NULL
        if array is not None:
            _get_array(array, &views[opened[0]], slots + SLOTS_AN_ARRAY * i, what, i, flags)
            externals[i] = views[opened[0]].buf
            opened[0] += 1
    return 0


def run_kernel(str name, int64_t lanes, args_bytes, int64_t n, int64_t group=0, int64_t part=0, int64_t parts=1,
               str target=None, int64_t groups=1):
    """Calls one kernel (for tests and benchmarks) and returns the error it set, 0 for none. args_bytes: its argument struct,
    packed; the pointers in it must be valid. FLAT kernels are lanes 1, REDUCE kernels lanes 16.
    groups: how many from `group` on, 1 but for GROUPS kernels of lanes 16."""
    cdef fastnn_table table = fastnn_current_table() if target is None else fastnn_table_of(target.encode())
    cdef int64_t k, error
    cdef job j
    cdef Py_buffer view
    if table is NULL:
        raise ValueError(_impossible_target(target))
    for k in range(fastnn_kernel_count):
        if fastnn_kernels[k].name.decode() == name:
            break
    else:
        raise ValueError(f"no kernel {name!r}")
    if lanes not in (1, 16) or not table[k][lanes == 16]:
        raise ValueError(f"{name} is not made for lanes {lanes}")
    j.n, j.group, j.part, j.parts, j.groups = n, group, part, parts, groups
    PyObject_GetBuffer(args_bytes, &view, PyBUF_C_CONTIGUOUS)
    try:
        if view.len != 8 * fastnn_kernels[k].words:
            raise ValueError(f"{name} takes {8 * fastnn_kernels[k].words} bytes of arguments, not {view.len}")
        with nogil:
            error = fastnn_run_kernel(table[k][lanes == 16], view.buf, j)
    finally:
        PyBuffer_Release(&view)
    if error == -1:
        raise MemoryError("no memory for a thread's scratch")
    return error


# ---- overrides ----

def _apply_overrides():
    poison(os.environ.get("FASTNN_POISON") == "1")
    target = os.environ.get("FASTNN_TARGET")
    if target and fastnn_set_target(target.encode()):
        raise ImportError("FASTNN_TARGET: " + _impossible_target(target))
    threads = os.environ.get("FASTNN_NUM_THREADS")
    if threads:
        if not threads.isdecimal() or fastnn_set_num_threads(int(threads)):
            raise ImportError(f"FASTNN_NUM_THREADS must be 1 to 256, not {threads!r}")
        return
    threads = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # not ours: what is no number is ignored
    if threads.isdecimal() and int(threads) > 0:
        fastnn_set_num_threads(min(int(threads), 256))


_apply_overrides()
