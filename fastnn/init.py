"""Initialisers, by PyTorch's names and formulas: each fills a Parameter (or a NumPy array) in place and returns it. The numbers come
from the generator that nn.manual_seed sets."""
import math

import numpy as np

from . import random
from .parameter import Buffer

__all__ = ["calculate_gain", "uniform_", "normal_", "constant_", "ones_", "zeros_", "xavier_uniform_", "xavier_normal_",
           "kaiming_uniform_", "kaiming_normal_", "orthogonal_"]


def _array(where, tensor):
    """The memory behind a parameter or array."""
    if isinstance(tensor, Buffer):
        return tensor.data
    if isinstance(tensor, np.ndarray) and tensor.dtype.kind == "f":
        return tensor
    raise TypeError(f"{where}: a Parameter or an array of floats is expected, got {type(tensor).__name__}")


def _filled(where, tensor, values):
    _array(where, tensor)[...] = values
    return tensor


def _fans(where, tensor):
    """(fan_in, fan_out) of a weight (out, in, ...): the inputs of one output, the outputs of one input."""
    shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise ValueError(f"{where}: a weight of two axes or more is expected, (out, in, ...), got shape {shape}")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def calculate_gain(nonlinearity, param=None):
    """The factor by which a layer before this non-linearity should be larger: 1 for "linear", "sigmoid" and convolutions, 5/3 for
    "tanh", sqrt(2) for "relu", sqrt(2 / (1 + slope^2)) for "leaky_relu" (param: the slope, 0.01), 3/4 for "selu"."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else float(param)) ** 2))
    gains = {"relu": math.sqrt(2), "tanh": 5 / 3, "selu": 3 / 4, **dict.fromkeys(
        ("linear", "sigmoid", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 1.0)}
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}, expected leaky_relu or one of "
                         f"{', '.join(gains)}")
    return gains[nonlinearity]


def uniform_(tensor, a=0.0, b=1.0):
    """Uniform in [a, b)."""
    return _filled("uniform_", tensor, random.uniform(tensor.shape, (b - a) / 2) + np.float32((a + b) / 2))


def normal_(tensor, mean=0.0, std=1.0):
    """Normal with this mean and standard deviation."""
    return _filled("normal_", tensor, random.normal(tensor.shape) * np.float32(std) + np.float32(mean))


def constant_(tensor, val):
    """Every element val."""
    return _filled("constant_", tensor, val)


def ones_(tensor):
    """Ones."""
    return _filled("ones_", tensor, 1.0)


def zeros_(tensor):
    """Zeros."""
    return _filled("zeros_", tensor, 0.0)


def xavier_uniform_(tensor, gain=1.0):
    """Uniform in +-gain sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    bound = gain * math.sqrt(6 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor, gain=1.0):
    """Normal with standard deviation gain sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans("xavier_normal_", tensor))))


def _kaiming_std(where, tensor, a, mode, nonlinearity):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{where}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(_fans(where, tensor)[mode == "fan_out"])


def kaiming_uniform_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Uniform in +-sqrt(3) gain / sqrt(fan) (He et al. 2015). a: the negative slope of "leaky_relu"; mode: "fan_in" or
    "fan_out"; nonlinearity: calculate_gain's."""
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Normal with standard deviation gain / sqrt(fan) (He et al. 2015). Arguments as kaiming_uniform_'s."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity))


def orthogonal_(tensor, gain=1.0):
    """Rows (or, where there are fewer, columns) of the weight as a matrix (out, rest) are orthogonal, of length gain (Saxe et al.
    2014): Q of a random normal matrix, its signs made those of R's diagonal, so that Q is uniform."""
    _fans("orthogonal_", tensor)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    matrix = random.normal((max(rows, columns), min(rows, columns))).astype(np.float64)
    q, r = np.linalg.qr(matrix)
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)
    return _filled("orthogonal_", tensor, gain * (q.T if rows < columns else q).reshape(tensor.shape))
