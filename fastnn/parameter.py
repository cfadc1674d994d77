"""Parameters and buffers: named arrays that a network owns, in PyTorch's axes."""
import numpy as np

from . import graph
from .backend import native


class PlainStorage:
    """Memory of a parameter where the native module's Storage does not serve: float64, or no native module."""

    def __init__(self, shape, dtype):
        self.array, self.shape, self.dtype, self.version = np.zeros(shape, dtype), tuple(shape), str(dtype), 0

    def __array__(self, dtype=None, copy=None):
        return self.array

    def bump(self):
        self.version += 1


def make_storage(shape, dtype):
    """Zeroed memory for an array: native memory where native kernels can read it."""
    if native and str(dtype) in ("float32", "int64"):
        return native.Storage(tuple(shape), str(dtype))
    return PlainStorage(shape, dtype)


def filled_storage(array):
    """Memory of its own with the values of an array."""
    storage = make_storage(array.shape, array.dtype)
    np.asarray(storage)[...] = array
    return storage


class Buffer:
    """A named array that is part of a network's state, but not trained (batch norm's running statistics)."""
    requires_grad = False

    def __init__(self, array, name="", dtype=None):
        array = np.asarray(array)
        if array.dtype.kind == "c" or array.dtype == np.float16:
            raise TypeError(f"{type(self).__name__}: {array.dtype} arrays are not supported, expected float32")
        if dtype is None:
            dtype = "int64" if array.dtype.kind in "iu" and not isinstance(self, Parameter) else "float32"
        self.name, self.storage = name, make_storage(array.shape, dtype)
        self.array()[...] = array

    @property
    def shape(self):
        return self.storage.shape

    @property
    def dtype(self):
        return np.dtype(self.storage.dtype)

    @property
    def ndim(self):
        return len(self.shape)

    def numel(self):
        """The number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def dim(self):
        """The number of axes."""
        return len(self.shape)

    def size(self, dim=None):
        """The shape, or the length of one axis (PyTorch's `size`)."""
        return self.shape if dim is None else self.shape[dim]

    def array(self):
        """A live view of the memory."""
        return np.asarray(self.storage)

    @property
    def data(self):
        """The values: a live, writable NumPy view. What is written counts from the next step on."""
        return self.array()

    @data.setter
    def data(self, new):
        new = np.asarray(new)
        if new.shape != self.shape:
            raise ValueError(f"{self.name or type(self).__name__}: data of shape {new.shape} given, expected {self.shape}")
        self.array()[...] = new

    def __getstate__(self):
        """What copy.deepcopy and pickling take along: values and gradient as arrays."""
        return {**self.__dict__, "storage": self.array()}

    def __setstate__(self, state):
        self.__dict__.update(state, storage=filled_storage(state["storage"]))

    def to_dtype(self, dtype):
        """Moves to another dtype, in place."""
        if self.dtype != np.dtype(dtype):
            self.storage = filled_storage(self.array().astype(dtype))

    def __fastnn_value__(self):
        return graph.current().state(self)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array(), dtype=dtype)

    def __len__(self):
        return self.shape[0]

    def __repr__(self):
        return f"{type(self).__name__}({self.name or 'unnamed'}, shape={self.shape}, dtype={self.dtype})"


class Parameter(Buffer):
    """An array that is trained: `data`, `grad` (None before the first backward and after zero_grad), `requires_grad`.

    array: anything np.asarray takes; kept as float32. In a `forward` it can be used in arithmetic like any value."""

    def __init__(self, array, requires_grad=True, name=""):
        if graph.current() is not None:
            raise graph.TraceError(f"a Parameter was made inside forward, at {graph.user_line()}: it would be new at every call. "
                                   "Make it in __init__.")
        super().__init__(array, name)
        self._requires_grad, self._gradient, self._has_gradient = bool(requires_grad), None, False

    def __getstate__(self):
        return {**super().__getstate__(), "_gradient": self.grad}

    def __setstate__(self, state):
        super().__setstate__(state)
        if self._has_gradient:
            self._gradient = filled_storage(self._gradient)

    @property
    def requires_grad(self):
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag):
        from .module import changed
        self._requires_grad = bool(flag)
        changed()

    def requires_grad_(self, flag=True):
        """Sets requires_grad; returns the parameter."""
        self.requires_grad = flag
        return self

    @property
    def grad(self):
        """The gradient, a live array of the parameter's shape, or None."""
        return np.asarray(self._gradient) if self._has_gradient else None

    @grad.setter
    def grad(self, new):
        if new is None:
            self._has_gradient = False
            return
        new = np.asarray(new)
        if new.shape != self.shape:
            raise ValueError(f"{self.name or 'parameter'}: a gradient of shape {new.shape} given, expected {self.shape}")
        self.gradient_memory()
        np.asarray(self._gradient)[...] = new
        self._has_gradient = True

    def gradient_memory(self):
        """Memory for a new gradient: the old one's, unless somebody still holds it."""
        memory = self._gradient
        if memory is None or memory.dtype != str(self.dtype) or getattr(memory, "exports", 1):
            self._gradient = make_storage(self.shape, self.dtype)
        return self._gradient

    def take_gradient(self, gradient):
        """Adds a new gradient; one written into `gradient_memory()` stays there. (By hand gradients accumulate until zeroed.)"""
        if not self._has_gradient:
            if gradient is not self._gradient:
                np.asarray(self.gradient_memory())[...] = gradient
            self._has_gradient = True
        else:
            total = np.asarray(self._gradient)
            total += np.asarray(gradient)

    def zero_grad(self):
        self._has_gradient = False


def _operator(name):
    def method(self, *others):
        if graph.current() is None:
            return getattr(np.ndarray, name)(np.array(self.array()), *[np.asarray(o) if isinstance(o, Buffer) else o for o in others])
        return getattr(graph.as_value(self), name)(*others)
    method.__name__ = name
    return method


for _name in ("add radd sub rsub mul rmul truediv rtruediv pow rpow matmul rmatmul neg abs gt ge lt le getitem").split():
    setattr(Buffer, f"__{_name}__", _operator(f"__{_name}__"))
Buffer.__array_ufunc__ = None


def __getattr__(self, name):
    """Methods of values (`w.sum()`, `w.T`) work on parameters inside a forward."""
    if not name.startswith("_") and graph.current() is not None and hasattr(graph.Value, name):
        return getattr(graph.as_value(self), name)
    raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


Buffer.__getattr__ = __getattr__
del __getattr__, _name


class Scalar(Buffer):
    """A number that may change between steps (`s.value = 0.1`) without compiling anew; used in formulas and forwards."""

    def __init__(self, value, name=""):
        super().__init__(np.asarray(value, np.float32), name)

    @property
    def value(self):
        return float(self.array()[()])

    @value.setter
    def value(self, new):
        self.array()[()] = new
