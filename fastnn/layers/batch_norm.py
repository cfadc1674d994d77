"""BatchNorm1d, BatchNorm2d."""
import numpy as np

from .. import functional as F
from .. import graph
from ..module import Module
from ..ops.batch_norm import batch_norm_training, batch_norm_update
from ..parameter import Parameter
from ._check import dimensions, integer, number

__all__ = ["BatchNorm1d", "BatchNorm2d"]


class _BatchNorm(Module):
    """What both batch norms share; they differ in the inputs that they take."""
    ndims = ()

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__()
        name = type(self).__name__
        self.num_features = integer(name, "num_features", num_features)
        self.eps = number(name, "eps", eps, 0.0)
        self.momentum = None if momentum is None else number(name, "momentum", momentum, 0.0, 1.0)
        self.affine, self.track_running_stats = bool(affine), bool(track_running_stats)
        ones, zeros = np.ones(num_features, np.float32), np.zeros(num_features, np.float32)
        self.weight = Parameter(ones) if affine else None
        self.bias = Parameter(zeros) if affine else None
        self.register_buffer("running_mean", zeros.copy() if track_running_stats else None)
        self.register_buffer("running_var", ones.copy() if track_running_stats else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if track_running_stats else None)

    def forward(self, x):
        """x: (N, C) or (N, C, L) for BatchNorm1d, (N, C, H, W) for BatchNorm2d."""
        dimensions(type(self).__name__, x, *self.ndims)
        if x.shape[1] != self.num_features:
            raise ValueError(f"{type(self).__name__}: expected num_features={self.num_features} channels, got {x.shape[1]} "
                             f"(shape {tuple(x.shape)})")
        if not self.training and self.track_running_stats:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        y, mean, variance = batch_norm_training(x, self.weight, self.bias, self.eps)
        if self.training and self.track_running_stats:
            self._update(x, mean, variance)
        return y

    def _update(self, x, mean, variance):
        """Adds the running statistics' update to the trace; after an earlier one where the layer is used twice."""
        updates = graph.current().updates
        states = [graph.as_value(s) for s in (self.running_mean, self.running_var, self.num_batches_tracked)]
        pending = {id(state): new for state, new in updates}
        olds = [pending.get(id(s), s) for s in states]
        updates[:] = [(s, new) for s, new in updates if all(s is not state for state in states)]
        count = int(np.prod(x.shape)) // x.shape[1]             # elements a channel
        news = batch_norm_update(*olds, mean, variance, count=count, momentum=self.momentum)
        updates.extend(zip(states, news))

    def extra_repr(self):
        """The arguments, as PyTorch prints them."""
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"track_running_stats={self.track_running_stats}")


_DOC = """y = (x - mean) / sqrt(var + eps) * weight + bias over each channel (Ioffe & Szegedy 2015, arXiv:1502.03167). In
    training mean and (biased) variance are the batch's, and the running ones move towards them: running = (1 - momentum)
    running + momentum * batch, the variance unbiased; in evaluation the running ones are used.

    Args: num_features: channels; eps=1e-5; momentum=0.1 (None: the plain average over all batches); affine=True: has weight
    (ones) and bias (zeros); track_running_stats=True: False uses the batch's statistics in evaluation too.
    Shapes: {shapes}, the output as the input. Buffers: running_mean, running_var (C,), num_batches_tracked (int64)."""


class BatchNorm1d(_BatchNorm):
    __doc__ = _DOC.format(shapes="(N, C) or (N, C, L)")
    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    __doc__ = _DOC.format(shapes="(N, C, H, W)")
    ndims = (4,)
