"""Convolutions by name, and the same pass of one in fastnn and in PyTorch."""
import numpy as np

import fastnn as nn
import fastnn.functional as F

PASSES = ("forward", "backward_input", "backward_weight")
# N, H, C, O, k, padding
CONVOLUTIONS = [(64, 28, 1, 6, 5, 2), (64, 14, 6, 16, 5, 0), (64, 28, 1, 32, 3, 0), (64, 26, 32, 64, 3, 0),
                (64, 32, 3, 32, 3, 1), (64, 32, 32, 32, 3, 1), (64, 16, 64, 64, 3, 1), (64, 8, 128, 128, 3, 1),
                (64, 32, 16, 16, 3, 1), (64, 16, 32, 32, 3, 1), (64, 8, 64, 64, 3, 1), (16, 56, 64, 64, 3, 1),
                (16, 28, 128, 128, 3, 1), (16, 14, 256, 256, 3, 1), (16, 56, 64, 256, 1, 0), (16, 28, 512, 128, 1, 0)]
GEOMETRIES = {"1 image 28x28x1 to 6": (1, 28, 1, 6, 5, 2, {}), "1 image 32x32x32 to 32": (1, 32, 32, 32, 3, 1, {}),
              "stride 2": (64, 32, 16, 32, 3, 1, {"stride": 2}), "dilation 2": (64, 16, 32, 32, 3, 2, {"dilation": 2}),
              "groups 4": (64, 16, 32, 32, 3, 1, {"groups": 4}), "depthwise": (64, 16, 32, 32, 3, 1, {"groups": 32})}
NAMED = {f"{n}x{c}x{h}x{h} to {o} by {k}": (n, h, c, o, k, p, {}) for n, h, c, o, k, p in CONVOLUTIONS}
SHAPES = NAMED | GEOMETRIES


class Convolution:
    """One convolution's arrays, drawn by a seed: x, weight and dy."""

    def __init__(self, n, size, channels, filters, kernel, padding, settings, seed=0):
        groups, stride, dilation = (settings.get(key, 1) for key in ("groups", "stride", "dilation"))
        out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        rng = np.random.default_rng(seed)
        self.x, self.weight, self.dy = (rng.standard_normal(shape, np.float32) for shape in (
            (n, channels, size, size), (filters, channels // groups, kernel, kernel), (n, filters, out, out)))
        self.flops = 2 * n * out * out * filters * kernel * kernel * (channels // groups)
        self.padding, self.settings, self.groups = padding, settings, groups
        self.pairs = [[stride] * 2, [padding] * 2, [dilation] * 2]

    def ours(self, part, algorithm="auto"):
        """A call of fastnn's function for this pass."""
        function, given = (F.conv2d, (self.x, self.weight, None)) if part == "forward" else \
            (getattr(F, f"conv2d_{part}"), (self.dy, self.x, self.weight))

        def call():
            before = nn.backend.conv_algorithm
            nn.set_conv_algorithm(algorithm)        # the gradients' functions take no `algorithm`
            try:
                return function(*given, padding=self.padding, **self.settings)
            finally:
                nn.set_conv_algorithm(before)
        return call

    def theirs(self, part, last=False, dtype=None):
        """A call of PyTorch's, on tensors in channels-last memory or not."""
        import torch
        x, weight, dy = (torch.from_numpy(a).to(dtype or torch.float32) for a in (self.x, self.weight, self.dy))
        if last:
            x, weight, dy = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight, dy))
        stride, padding, dilation = self.pairs
        if part == "forward":
            return lambda: torch.nn.functional.conv2d(x, weight, None, stride, padding, dilation, self.groups)
        mask = [part == "backward_input", part == "backward_weight", False]
        return lambda: torch.ops.aten.convolution_backward(dy, x, weight, None, stride, padding, dilation, False, [0, 0],
                                                           self.groups, mask)[0 if mask[0] else 1]
