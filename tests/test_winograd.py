"""Winograd's convolutions beside direct ones: the bound on the error, the same bits wherever they run, and who chooses them.
What every kernel must keep (guard pages, NaN in lanes without an image, parts) is tested on the cases of cases.py too."""
import itertools

import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F
from test_kernels import pack, spoil_scratch

native = nn.backend.native
pytestmark = pytest.mark.skipif(native is None, reason="FASTNN_BACKEND=reference: there are no native kernels to test")
if native:
    from fastnn import plan as plans
WITH_FMA = [t for t in (native.targets() if native else ()) if t != "sse2"]
EPS = 2.0 ** -24
# (images, channels, height, width, filters, (top, bottom, left, right))
LAYERS = [(5, 3, 9, 7, 5, (1, 1, 1, 1)), (17, 16, 4, 4, 16, (1, 1, 1, 1)), (3, 33, 8, 8, 17, (0, 2, 1, 0)),
          (16, 140, 11, 13, 20, (2, 2, 0, 1)), (2, 20, 3, 3, 130, (0, 0, 0, 0)), (33, 8, 17, 30, 40, (1, 1, 1, 1)),
          (1, 300, 16, 16, 150, (1, 1, 1, 1)), (20, 16, 2, 41, 16, (2, 1, 2, 0))]


def grouped(array, lanes):
    """(N, ...) -> [group][feature][lane], NaN in lanes that hold no image."""
    n, groups = len(array), -(-len(array) // lanes)
    y = np.full((groups * lanes, array[0].size), np.nan, np.float32)
    y[:n] = array.reshape(n, -1)
    return np.ascontiguousarray(y.reshape(groups, lanes, -1).swapaxes(1, 2))


class Layer:
    """One convolution with random numbers, its three passes by kernels and in float64."""

    def __init__(self, n, channels, height, width, filters, padding):
        rng = np.random.default_rng(n * channels + filters)
        top, bottom, left, right = self.padding = padding
        self.n, self.out = n, (height + top + bottom - 2, width + left + right - 2)
        self.x = rng.standard_normal((n, channels, height, width)).astype(np.float32)
        self.dy = rng.standard_normal((n, filters, *self.out)).astype(np.float32)
        self.weight = (rng.standard_normal((filters, channels, 3, 3)) / np.sqrt(9 * channels)).astype(np.float32)
        self.bias = rng.standard_normal(filters).astype(np.float32)

    def packed(self, flip, target):
        filters, channels = self.weight.shape[:2][::-1] if flip else self.weight.shape[:2]
        u = np.full(36 * -(-filters // 16) * 16 * channels, np.nan, np.float32)
        args = pack("winograd_pack", packed=u.ctypes.data, weight=self.weight.ctypes.data, channels=channels, filters=filters,
                    flip=flip)
        for part in range(2):
            native.run_kernel("winograd_pack", 1, args, 1, 0, part, 2, target)
        return u

    def product(self, x, flip, filters, out, padding, bias, target, lanes, parts):
        """winograd_forward: y of x."""
        given, u = grouped(x, lanes), self.packed(flip, target)
        y = np.full((len(given), filters * out[0] * out[1], lanes), np.nan, np.float32)
        args = pack("winograd_forward", y=(y.ctypes.data, y[0].size), x=(given.ctypes.data, given[0].size),
                    packed=u.ctypes.data, bias=None if bias is None else bias.ctypes.data, residual=None, relu=0, pool=0,
                    channels=x.shape[1], height=x.shape[2], width=x.shape[3], filters=filters,
                    out_height=out[0], out_width=out[1], padding=padding)
        spoil_scratch()
        for group, part in itertools.product(range(len(given)), reversed(range(parts))):
            native.run_kernel("winograd_forward", lanes, args, self.n, group, part, parts, target)
        return y.swapaxes(1, 2).reshape(-1, filters, *out)[:self.n]

    def forward(self, target=None, lanes=16, parts=1):
        return self.product(self.x, 0, len(self.weight), self.out, self.padding, self.bias, target, lanes, parts)

    def backward_input(self, target=None, lanes=16, parts=1):
        padding = [2 - p for p in self.padding]
        return self.product(self.dy, 1, self.x.shape[1], self.x.shape[2:], padding, None, target, lanes, parts)

    def backward_weight(self, target=None, parts=1):
        x, dy, dweight = grouped(self.x, 16), grouped(self.dy, 16), np.full_like(self.weight, np.nan)
        args = pack("winograd_backward_weight", dweight=dweight.ctypes.data, dy=(dy.ctypes.data, dy[0].size),
                    x=(x.ctypes.data, x[0].size), channels=self.x.shape[1], height=self.x.shape[2], width=self.x.shape[3],
                    filters=len(self.weight), out_height=self.out[0], out_width=self.out[1], padding=self.padding)
        spoil_scratch()
        for part in reversed(range(parts)):
            native.run_kernel("winograd_backward_weight", 16, args, self.n, 0, part, parts, target)
        return dweight

    def expected(self):
        """y, dx, dweight in float64."""
        x, dy, weight = (a.astype(np.float64) for a in (self.x, self.dy, self.weight))
        dx, dweight, _ = F.conv2d_backward(dy, x, weight, 1, self.padding)
        return F.conv2d(x, weight, self.bias.astype(np.float64), 1, self.padding), dx, dweight


@pytest.fixture(params=range(len(LAYERS)), ids=lambda i: "x".join(map(str, LAYERS[i][:5])))
def layer(request):
    return Layer(*LAYERS[request.param])


@pytest.fixture
def algorithm():
    """Sets the algorithm of convolutions; puts it back after the test."""
    before = nn.backend.conv_algorithm
    yield nn.set_conv_algorithm
    nn.set_conv_algorithm(before)


def tile_bound(x, weight, padding, out):
    """max |x| in the window of each output's tile, times sum |weight| of its filter."""
    top, bottom, left, right = padding
    size = [-(-d // 4) * 4 + 2 for d in out]
    framed = np.zeros((*x.shape[:2], *(s + 8 for s in size)))
    rows, columns = slice(4 + top, 4 + top + x.shape[2]), slice(4 + left, 4 + left + x.shape[3])
    framed[:, :, rows, columns] = np.abs(x)[:, :, :framed.shape[2] - rows.start, :framed.shape[3] - columns.start]
    largest = framed.max(1)[:, 4:, 4:]
    tiles = np.array([[largest[:, i:i + 6, k:k + 6].max((1, 2)) for k in range(0, size[1] - 2, 4)]
                      for i in range(0, size[0] - 2, 4)])
    spread = tiles.repeat(4, 0).repeat(4, 1)[:out[0], :out[1]].transpose(2, 0, 1)
    return spread[:, None] * np.abs(weight).sum((1, 2, 3))[:, None, None]


def test_error(layer, target):
    """At most a few eps times (largest input of the tile) times sum |weight|: and near direct's."""
    y, dx, dweight = layer.expected()
    flipped = layer.weight[:, :, ::-1, ::-1].swapaxes(0, 1)
    error = np.abs(layer.forward(target) - y)
    bound = tile_bound(layer.x, layer.weight, layer.padding, layer.out) + np.abs(layer.bias)[:, None, None]
    assert (error <= 4 * EPS * bound).all()
    back = [2 - p for p in layer.padding]
    error_dx = np.abs(layer.backward_input(target) - dx)
    assert (error_dx <= 4 * EPS * tile_bound(layer.dy, flipped, back, layer.x.shape[2:])).all()
    for found, right in ((error, y), (error_dx, dx), (np.abs(layer.backward_weight(target) - dweight), dweight)):
        assert found.max() <= 5e-6 * np.abs(right).max()


def test_one_large_pixel(target):
    """Its error stays in its tiles."""
    layer = Layer(2, 16, 12, 12, 16, (1, 1, 1, 1))
    layer.x[0, 3, 1, 2] = 1e4
    error = np.abs(layer.forward(target) - layer.expected()[0])
    assert error[0, :, :4, :4].max() > 1e-4 and error[0, :, 4:].max() < 2e-5 and error[1].max() < 2e-5


def test_same_bits(layer):
    """Over targets, lanes and parts."""
    expected = layer.forward(WITH_FMA[0]), layer.backward_input(WITH_FMA[0]), layer.backward_weight(WITH_FMA[0])
    for target in WITH_FMA:
        for parts in (1, 2, 5):
            for lanes in (16, 1):
                assert layer.forward(target, lanes, parts).tobytes() == expected[0].tobytes(), (target, lanes, parts)
                assert layer.backward_input(target, lanes, parts).tobytes() == expected[1].tobytes(), (target, lanes, parts)
            assert layer.backward_weight(target, parts).tobytes() == expected[2].tobytes(), (target, parts)


@pytest.mark.parametrize("padding", list(itertools.product(range(3), repeat=4))[::5])
def test_paddings(padding, target):
    layer = Layer(3, 5, 6, 7, 18, padding)
    y, dx, dweight = layer.expected()
    for lanes in (1, 16):
        np.testing.assert_allclose(layer.forward(target, lanes), y, rtol=0, atol=5e-6 * np.abs(y).max())
        np.testing.assert_allclose(layer.backward_input(target, lanes), dx, rtol=0, atol=5e-6 * np.abs(dx).max())
    np.testing.assert_allclose(layer.backward_weight(target), dweight, rtol=0, atol=5e-6 * np.abs(dweight).max())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite(value, target):
    """Wherever direct is non-finite Winograd is; never another image, nor a tile that does not see the pixel."""
    layer = Layer(3, 16, 12, 13, 16, (1, 1, 1, 1))
    layer.x[1, 3, 6, 2] = value
    for lanes in (1, 16):
        bad = ~np.isfinite(layer.forward(target, lanes))
        assert bad[1, :, 5:8, 1:4].all() and not bad[[0, 2]].any() and not bad[1, :, :4].any() and not bad[1, :, :, 4:].any()


# ---- who chooses it

ARRAYS = np.random.default_rng(0)
X, W, B = (ARRAYS.standard_normal(s).astype(np.float32) for s in ((20, 16, 12, 12), (17, 16, 3, 3), (17,)))
DY = ARRAYS.standard_normal((20, 17, 12, 12)).astype(np.float32)


def passes():
    return F.conv2d(X, W, B, padding=1), *F.conv2d_backward(DY, X, W, padding=1)[:2]


def test_setting(algorithm):
    """Functions follow it; the default is "auto"."""
    auto = passes()
    algorithm("direct")
    direct = passes()
    algorithm("auto")
    for a, b, c in zip(auto, direct, passes()):
        assert (a != b).any() and np.abs(a - b).max() < 5e-6 * np.abs(b).max()
        assert (a == c).all()
    assert (F.conv2d(X, W, B, padding=1, algorithm="direct") == direct[0]).all()


@pytest.mark.parametrize("make", [lambda: nn.set_conv_algorithm("fast"), lambda: nn.Conv2d(4, 4, 3, algorithm="winograd"),
                                  lambda: F.conv2d(X, W, B, algorithm=1)])
def test_unknown_algorithm(make):
    with pytest.raises(ValueError, match="algorithm must be 'auto' or 'direct', got"):
        make()


def test_setting_reaches_networks(algorithm):
    """A network is traced anew after the setting changed; a layer's own algorithm stands above it."""
    nn.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 1))
    told = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, algorithm="direct"), nn.ReLU(), nn.Conv2d(16, 8, 1))
    told.load_state_dict(net.state_dict())
    auto, own = net.predict(X), told.predict(X)
    algorithm("direct")
    direct = net.predict(X)
    assert (auto != direct).any() and (own == direct).all() and (told.predict(X) == direct).all()
    algorithm("auto")
    assert (net.predict(X) == auto).all()
    assert "algorithm='direct'" in repr(told) and "algorithm" not in repr(net)


@pytest.fixture
def compiled(monkeypatch):
    """The plans compiled since the test began."""
    made, compile = [], plans.compile
    monkeypatch.setattr(plans, "compile", lambda *given: made.append(compile(*given)) or made[-1])
    return made


def kernels(plan):
    """Their names by segment, the prologue first."""
    return [[step.kernel for _, steps in phases for step in steps] for phases in plan.listing]


def predicting(compiled, channels, filters, size, padding=1, rows=64, kernel=3, **arguments):
    net = nn.Sequential(nn.Conv2d(channels, filters, kernel, padding=padding, **arguments))
    net.predict_on_batch(np.zeros((rows, channels, size, size), np.float32))
    return kernels(compiled[-1])


@pytest.mark.parametrize("rows", [1, 64])
def test_transformed_weights_are_kept_when_serving(rows, compiled):
    prologue, *rest = predicting(compiled, 16, 16, 12, rows=rows)
    assert prologue == ["winograd_pack"] and "winograd_forward" in rest[0] and "winograd_pack" not in rest[0]


@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("arguments, chosen", [
    ((32, 64, 26, 0), True), ((32, 32, 32), True), ((128, 128, 8), True), ((16, 16, 32), True), ((64, 64, 8), True),
    ((256, 256, 14), True), ((128, 128, 4), True), ((1, 32, 28), False), ((3, 32, 32), False),
    ((512, 512, 4), False), ((16, 16, 5), False)])
def test_choice_is_by_shape(arguments, chosen, rows, compiled):
    assert ("winograd_forward" in sum(predicting(compiled, *arguments, rows=rows), [])) == chosen


@pytest.mark.parametrize("shape", [(8, 4, 1023), (1024, 4, 4), (8, 5, 1100), (8, 1100, 8)])
def test_extents(shape, compiled):
    """As wide as the kernel for one image can hold, and wider; any height."""
    channels, height, width = shape
    x, w = np.ones((2, *shape), np.float32), np.ones((16, channels, 3, 3), np.float32)
    y = F.conv2d(x, w, padding=1)
    assert ("winograd_forward" in sum(kernels(compiled[-1]), [])) == (width <= 1024)
    np.testing.assert_allclose(y[:, :, 1:-1, 1:-1], 9 * channels, rtol=1e-5)
    np.testing.assert_allclose(y[:, :, 0, 0], 4 * channels, rtol=1e-5)


@pytest.mark.parametrize("arguments", [dict(stride=2), dict(dilation=2), dict(groups=2), dict(kernel=5),
                                       dict(algorithm="direct")])
def test_others_are_direct(arguments, compiled):
    assert "conv2d_forward" in sum(predicting(compiled, 32, 32, 32, **arguments), [])


def test_training_step(compiled):
    """A weight that moves is transformed in the step itself: for the forward and, turned, for the gradient by the input."""
    net = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.Flatten(),
                        nn.Linear(2304, 4))
    net.compile(optimizer=nn.SGD(lr=0.1), loss="cross_entropy")
    net.train_on_batch(X, np.arange(20) % 4)
    prologue, *rest = kernels(compiled[-1])
    counts = {name: sum(rest, []).count(name) for name in ("winograd_pack", "winograd_forward", "winograd_backward_weight")}
    assert "winograd_pack" not in prologue and list(counts.values()) == [3, 3, 2]
