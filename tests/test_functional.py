"""fastnn.functional on arrays: the gradients as functions, NaN, ties and empty batches, dtypes and strides, and errors that
name what was wrong."""
import warnings

import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F
from fastnn import graph

RNG = np.random.default_rng(5)


def normal(*shape, dtype=np.float64):
    return RNG.standard_normal(shape).astype(dtype)


# ---- F.*_backward against the gradient rules of the graph

BACKWARD = [
    ("conv2d", (2, 4, 6, 5), [(6, 2, 3, 2)], dict(stride=(2, 1), padding=1, dilation=(1, 2), groups=2)),
    ("conv2d", (4, 6, 5), [(6, 4, 3, 2)], dict(padding="same")),
    ("conv1d", (2, 4, 8), [(6, 2, 3)], dict(stride=2, padding=1, groups=2)), ("conv1d", (4, 8), [(6, 4, 3)], dict(padding="same")),
    ("max_pool1d", (2, 3, 9), [], dict(kernel_size=3, stride=2, padding=1, ceil_mode=True)), ("max_pool1d", (3, 9), [], dict(kernel_size=2)),
    ("avg_pool1d", (2, 3, 9), [], dict(kernel_size=3, stride=2, padding=1, count_include_pad=False)),
    ("avg_pool1d", (3, 9), [], dict(kernel_size=2, ceil_mode=True)),
    ("interpolate", (2, 2, 3, 4), [], dict(scale_factor=(2, 1.5))),
    ("interpolate", (2, 2, 3, 4), [], dict(size=(5, 3), mode="bilinear")),
    ("interpolate", (2, 2, 3, 4), [], dict(size=6, mode="bilinear", align_corners=True)),
    ("conv_transpose2d", (2, 4, 3, 5), [(4, 3, 3, 2)], dict(stride=(2, 1), padding=1, output_padding=(1, 0), groups=2)),
    ("conv_transpose2d", (2, 3, 5), [(2, 3, 2, 2)], dict(dilation=2, output_padding=1)),
    ("linear", (3, 2, 4), [(5, 4)], {}), ("linear", (4,), [(5, 4)], {}),
    ("max_pool2d", (2, 2, 6, 5), [], dict(kernel_size=3, stride=2, padding=1, ceil_mode=True)),
    ("max_pool2d", (2, 6, 5), [], dict(kernel_size=2, dilation=2)),
    ("avg_pool2d", (2, 2, 6, 5), [], dict(kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)),
    ("adaptive_avg_pool2d", (2, 2, 6, 5), [], dict(output_size=(4, 2))),
    ("relu", (3, 4), [], {}), ("leaky_relu", (3, 4), [], dict(negative_slope=0.3)), ("sigmoid", (3, 4), [], {}),
    ("tanh", (3, 4), [], {}), ("elu", (3, 4), [], dict(alpha=0.7)), ("gelu", (3, 4), [], {}),
    ("gelu", (3, 4), [], dict(approximate="tanh")), ("silu", (3, 4), [], {}), ("softplus", (3, 4), [], dict(beta=2.0)),
    ("dropout", (3, 4), [], dict(p=0.4, seed=3, step=2)),
]


@pytest.mark.parametrize("name, x, others, attributes", BACKWARD, ids=lambda v: v if isinstance(v, str) else "")
def test_backward_functions(name, x, others, attributes):
    x, others = normal(*x), [normal(*s) for s in others]
    function, backward = getattr(F, name), getattr(F, name + "_backward")
    y = function(x, *others, **attributes)
    dy = normal(*y.shape)
    found = backward(dy, x, *others, **attributes)
    found = found if isinstance(found, tuple) else (found,)
    for i, array in enumerate([x, *others]):
        along = normal(*array.shape)
        moved = [[a + step * along if j == i else a for j, a in enumerate([x, *others])] for step in (1e-6, -1e-6)]
        slope = sum((dy * function(*m, **attributes)).sum() * s for m, s in zip(moved, (1, -1))) / 2e-6
        assert found[i].shape == array.shape
        np.testing.assert_allclose((found[i] * along).sum(), slope, rtol=1e-5, atol=1e-7)
    if others:
        assert len(found) == 3 and getattr(F, name + "_backward_input")(dy, x, *others, **attributes).shape == x.shape
        axes = (0, 2, 3) if dy.ndim == 4 else (0, 2) if name == "conv1d" and dy.ndim == 3 else (1, 2) if name.startswith("conv") and dy.ndim == 3 \
            else (1,) if name == "conv1d" else tuple(range(dy.ndim - 1))
        np.testing.assert_allclose(found[2], dy.sum(axis=axes), rtol=1e-12)
        np.testing.assert_array_equal(getattr(F, name + "_backward_weight")(dy, x, *others, **attributes), found[1])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax_backward_takes_the_output(name, dim):
    x = normal(2, 3, 4)
    dy, along, function = normal(2, 3, 4), normal(2, 3, 4), getattr(F, name)
    slope = sum((dy * function(x + s * 1e-6 * along, dim)).sum() * s for s in (1, -1)) / 2e-6
    dx = getattr(F, name + "_backward")(dy, function(x, dim), dim)
    np.testing.assert_allclose((dx * along).sum(), slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape, normalized", [((3, 4), 4), ((2, 3, 4), (3, 4)), ((4,), 4)])
def test_layer_norm_backward(shape, normalized):
    x, dy = normal(*shape), normal(*shape)
    weight, bias = (normal(*np.atleast_1d(normalized)) for _ in range(2))
    found = F.layer_norm_backward(dy, x, normalized, weight, 0.1)
    for i, array in enumerate([x, weight, bias]):
        along, sides = normal(*array.shape), []
        for step in (1e-6, -1e-6):
            a = [v + step * along if j == i else v for j, v in enumerate([x, weight, bias])]
            sides.append((dy * F.layer_norm(a[0], normalized, *a[1:], eps=0.1)).sum())
        np.testing.assert_allclose((found[i] * along).sum(), (sides[0] - sides[1]) / 2e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_backward(training):
    x, weight, bias, dy = normal(3, 2, 4), normal(2), normal(2), normal(3, 2, 4)
    mean, variance = normal(2), RNG.uniform(1, 2, 2)
    found = F.batch_norm_backward(dy, x, mean, variance, weight, training)
    for i, array in enumerate([x, weight, bias]):
        along, sides = normal(*array.shape), []
        for step in (1e-6, -1e-6):
            a = [v + step * along if j == i else v for j, v in enumerate([x, weight, bias])]
            sides.append((dy * F.batch_norm(a[0], mean.copy(), variance.copy(), *a[1:], training=training)).sum())
        np.testing.assert_allclose((found[i] * along).sum(), (sides[0] - sides[1]) / 2e-6, rtol=1e-5, atol=1e-7)


LOSSES = [("cross_entropy", normal(4, 5), np.array([1, -100, 0, 4]), dict(weight=RNG.uniform(1, 2, 5), label_smoothing=0.1)),
          ("cross_entropy", normal(4, 5), RNG.uniform(0, 1, (4, 5)), {}), ("cross_entropy", normal(5), np.array(2), {}),
          ("nll_loss", normal(4, 5), np.array([1, -100, 0, 4]), dict(weight=RNG.uniform(1, 2, 5))),
          ("nll_loss", normal(4, 5), np.array([1, 2, 0, 4]), {}), ("nll_loss", normal(5), np.array(2), {}), ("mse_loss", normal(4, 5), normal(4, 5), {}),
          ("l1_loss", normal(4, 5), normal(4, 5), {}), ("huber_loss", normal(4, 5), normal(4, 5), dict(delta=0.7)),
          ("smooth_l1_loss", normal(4, 5), normal(4, 5), dict(beta=0.5)),
          ("smooth_l1_loss", normal(4, 5), normal(4, 5), dict(beta=0)),
          ("binary_cross_entropy", RNG.uniform(0.1, 0.9, (4, 5)), RNG.uniform(0, 1, (4, 5)), dict(weight=RNG.uniform(1, 2, 5))),
          ("binary_cross_entropy_with_logits", normal(4, 5), RNG.uniform(0, 1, (4, 5)),
           dict(weight=RNG.uniform(1, 2, (4, 1)), pos_weight=RNG.uniform(1, 2, 5))),
          ("hinge_loss", normal(4, 5), np.sign(normal(4, 5)), dict(margin=0.6, squared=True)),
          ("hinge_loss", normal(4, 5), np.array([1, 2, 0, 4]), {}),
          ("multi_margin_loss", normal(4, 5), np.array([1, 2, 0, 4]), dict(p=2, weight=RNG.uniform(1, 2, 5)))]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name, x, target, attributes", LOSSES, ids=lambda v: v if isinstance(v, str) else "")
def test_loss_backward(name, x, target, attributes, reduction):
    """No grad_output: for a factor of 1, with "none" of every row by itself."""
    attributes, along, function = dict(attributes, reduction=reduction), normal(*x.shape), getattr(F, name)
    slope = sum(np.sum(function(x + s * 1e-6 * along, target, **attributes)) * s for s in (1, -1)) / 2e-6
    dx = getattr(F, name + "_backward")(x, target, **attributes)
    assert dx.shape == x.shape
    np.testing.assert_allclose((dx * along).sum(), slope, rtol=1e-5, atol=1e-7)


def test_a_loss_knows_its_prediction():
    x, target = normal(4, 5, dtype=np.float32), np.array([1, 2, 0, 4])
    loss = F.cross_entropy(x, target)
    assert isinstance(loss, nn.Loss) and loss.terms[0][0] is x
    np.testing.assert_array_equal(loss.gradient, F.cross_entropy_backward(x, target))
    assert F.cross_entropy(x, target[:, None]) == loss == F.cross_entropy(x, np.eye(5, dtype=int)[target])


# ---- rules for NaN, ties, infinities, empty batches

def test_nan_passes_through():
    x = np.array([[np.nan, -1.0, 2.0]], np.float32)
    for function in (F.relu, F.leaky_relu, F.sigmoid, F.tanh, F.elu, F.gelu, F.silu, F.softplus, F.exp, F.abs,
                     F.sign, lambda a: F.clip(a, 0, 1), lambda a: F.maximum(a, 0.0), lambda a: F.minimum(0.0, a), lambda a: F.max(a, 1), lambda a: F.min(a, 1)):
        assert np.isnan(function(x).ravel()[0])
    image = np.zeros((1, 1, 4, 4), np.float32)
    image[0, 0, 1, 1] = np.nan
    np.testing.assert_array_equal(np.isnan(F.max_pool2d(image, 2))[0, 0], [[True, False], [False, False]])
    assert F.relu_backward(np.ones(1), np.array([np.nan])) == 1


def test_max_pool2d_ties_and_infinities():
    """The first of ties wins; a window of -inf gives its first pixel the gradient, never the padding."""
    image = np.zeros((1, 1, 2, 2))
    np.testing.assert_array_equal(F.max_pool2d_backward(np.ones((1, 1, 1, 1)), image, 2)[0, 0], [[1, 0], [0, 0]])
    image[:] = -np.inf
    assert F.max_pool2d(image, 2) == -np.inf
    np.testing.assert_array_equal(F.max_pool2d_backward(np.ones((1, 1, 2, 2)), image, 2, padding=1)[0, 0], np.ones((2, 2)))


def test_argmax():
    x = np.array([[1.0, 3.0, 3.0], [np.nan, 5.0, np.nan], [-np.inf] * 3])
    np.testing.assert_array_equal(F.argmax(x, 1), [1, 0, 0])
    np.testing.assert_array_equal(F.argmax(x.T, 0, keepdim=True), [[1, 0, 0]])
    assert F.argmax(x) == 3 and F.argmax(x, 1).dtype == np.int64


def test_equal_maxima_share_the_gradient():
    with graph.Session(2):
        x = graph.make_input("x", (2, 3))
        dx, = graph.gradients([F.max(x, 1)], [graph.as_value(np.ones(2, np.float32))], [x])
    from fastnn.reference import Reference
    traced = graph.finish_fixed(([x], {"dx": dx}, [], {}), 2)
    env = Reference(traced).start([np.array([[1, 1, 0], [2, 3, 1]])], 2, {})
    np.testing.assert_array_equal(env[traced.outputs["dx"]], [[0.5, 0.5, 0], [0, 1, 0]])


def test_softmax_of_large_numbers():
    x = np.array([[1000.0, 1000.0, -1000.0]], np.float32)
    np.testing.assert_allclose(F.softmax(x), [[0.5, 0.5, 0.0]])
    np.testing.assert_allclose(F.log_softmax(x)[0, :2], -np.log(2), rtol=1e-6)
    np.testing.assert_allclose(F.sigmoid(np.array([-1000.0, 1000.0], np.float32)), [0.0, 1.0])
    assert F.cross_entropy(x, [0]) == pytest.approx(np.log(2), rel=1e-6)


def test_empty_batches():
    images, rows = np.zeros((0, 3, 8, 8), np.float32), np.zeros((0, 4), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert F.conv2d(images, np.zeros((5, 3, 3, 3)), np.zeros(5)).shape == (0, 5, 6, 6)
        assert [g.shape for g in F.conv2d_backward(np.zeros((0, 5, 6, 6)), images, np.zeros((5, 3, 3, 3)))] == [
            (0, 3, 8, 8), (5, 3, 3, 3), (5,)]
        for pooled in (F.max_pool2d(images, 2), F.avg_pool2d(images, 2), F.adaptive_avg_pool2d(images, 4)):
            assert pooled.shape == (0, 3, 4, 4)
        assert F.linear(rows, np.zeros((2, 4))).shape == (0, 2) and F.softmax(rows).shape == F.relu(rows).shape == (0, 4)
        assert F.cross_entropy(rows, np.zeros(0, int), reduction="none").shape == (0,)
        assert np.isnan(F.cross_entropy(rows, np.zeros(0, int)))
        assert F.cross_entropy(rows, np.zeros(0, int), reduction="sum") == 0
        assert F.mse_rows(rows, rows).shape == (0,) and F.dropout(rows, 0.5).shape == (0, 4)
        assert F.flatten(images, 1).shape == (0, 192) and F.batch_norm(images, training=True).shape == images.shape


def test_dropout():
    x = np.ones((50, 40), np.float32)
    y = F.dropout(x, 0.25, seed=1, step=0)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1) / np.float32(0.75)} and abs((y == 0).mean() - 0.25) < 0.03
    np.testing.assert_array_equal(y, F.dropout(x, 0.25, seed=1, step=0))
    np.testing.assert_array_equal(y[:7], F.dropout(x[:7], 0.25, seed=1, step=0))       # a row's mask is its own
    assert (y != F.dropout(x, 0.25, seed=1, step=1)).any() and (y != F.dropout(x, 0.25, seed=2)).any()
    assert F.dropout(x, 0.5, training=False) is x and not F.dropout(x, 1.0).any()
    nn.manual_seed(3)
    first = F.dropout(x, 0.5), F.dropout(x, 0.5)
    nn.manual_seed(3)
    np.testing.assert_array_equal(first[0], F.dropout(x, 0.5))
    assert (first[0] != first[1]).any()


def test_batch_norm_moves_running_statistics():
    x, mean, variance = normal(5, 2, dtype=np.float32), np.zeros(2, np.float32), np.ones(2, np.float32)
    F.batch_norm(x, mean, variance, training=True, momentum=0.3)
    np.testing.assert_allclose(mean, 0.3 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, 0.7 + 0.3 * x.var(0, ddof=1), rtol=1e-5)


# ---- dtypes and strides

def test_dtypes():
    x32, x64, weight = normal(2, 4, dtype=np.float32), normal(2, 4), normal(3, 4, dtype=np.float32)
    assert F.linear(x32, weight).dtype == F.relu([1, -2]).dtype == F.add(x32, 2.5).dtype == np.float32
    assert F.linear(x64, weight).dtype == F.relu(x64).dtype == F.softmax(x64).dtype == F.add(x64, x32).dtype == np.float64
    assert F.gt(x32, 0).dtype == np.float32 and F.float(np.arange(3)).dtype == np.float32
    assert F.relu(x32.astype(">f4")).dtype == np.float32 and F.add(True, np.uint8(3)) == 4


@pytest.mark.parametrize("dtype", [np.float16, np.complex64])
def test_dtypes_that_are_refused(dtype):
    x = np.ones((1, 1, 4, 4), dtype)
    with pytest.raises(TypeError, match="conv2d: weight"):
        F.conv2d(np.ones((1, 1, 4, 4)), x)
    for call in (lambda: F.relu(x), lambda: F.max_pool2d(x, 2), lambda: F.add(x, 1), lambda: F.cat([x, x]), lambda: F.mean(x)):
        with pytest.raises(TypeError, match=str(np.dtype(dtype))):
            call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_strides(dtype):
    """Negative, transposed, unaligned, read-only and channels-last inputs give what contiguous ones give, and stay as they
    are."""
    x, weight = normal(4, 3, 6, 6, dtype=dtype), normal(5, 3, 3, 3, dtype=dtype)
    expected = F.conv2d(x, weight, padding=1), F.max_pool2d(x, 2), F.softmax(x, 1), F.sum(x, (0, 2)), F.add(x, x)
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(dtype).reshape(x.shape)
    flipped = np.ascontiguousarray(x[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    turned = np.ascontiguousarray(weight.transpose(3, 2, 1, 0)).transpose(3, 2, 1, 0)
    for given in (unaligned, flipped, last, np.asfortranarray(x)):
        given.flags.writeable = False
        found = (F.conv2d(given, turned, padding=1), F.max_pool2d(given, 2), F.softmax(given, 1), F.sum(given, (0, 2)),
                 F.add(given, given))
        for a, b in zip(found, expected):
            np.testing.assert_allclose(a, b, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-6)
        np.testing.assert_array_equal(given, x)


# ---- errors

A = np.ones((2, 4, 8, 8), np.float32)
ERRORS = [
    (lambda: F.conv2d(A, np.ones((8, 3, 3, 3))), ValueError,
     r"conv2d: weight has 3 input channels per group \(shape \(8, 3, 3, 3\)\), "
     r"the input has 4 channels \(shape \(2, 4, 8, 8\)\) and groups=1"),
    (lambda: F.conv2d(A, np.ones((8, 4, 9, 9))), ValueError, "conv2d: kernel .9, 9. .* larger than the input .8, 8."),
    (lambda: F.conv2d(A, np.ones((3, 2, 1, 1)), groups=2), ValueError, "conv2d: weight has 3 filters, .* groups=2"),
    (lambda: F.conv2d(A, np.ones((3, 4, 1, 1)), np.ones(4)), ValueError, r"conv2d: bias must have shape \(3,\)"),
    (lambda: F.conv2d(A[0, 0], np.ones((3, 4, 1, 1))), ValueError, r"conv2d: x must have shape \(N, C, H, W\)"),
    (lambda: F.conv2d(A, np.ones((3, 4, 1, 1)), stride=0), ValueError, "conv2d: stride must be at least 1, it is 0"),
    (lambda: F.conv2d(A, np.ones((3, 4, 1, 1)), stride=1.5), TypeError, "conv2d: stride must be an integer, it is 1.5"),
    (lambda: F.conv2d(A, np.ones((3, 4, 1, 1)), padding="full"), ValueError, "conv2d: padding must be .* 'full'"),
    (lambda: F.conv2d(A, np.ones((3, 4, 2, 2)), padding="same", stride=2), ValueError, "padding='same' needs stride 1"),
    (lambda: F.conv_transpose2d(A, np.ones((3, 4, 2, 2))), ValueError,
     r"conv_transpose2d: weight has 3 input channels \(shape \(3, 4, 2, 2\)\), the input has 4 channels"),
    (lambda: F.conv_transpose2d(A, np.ones((4, 2, 2, 2)), groups=3), ValueError, "4 input channels, .* groups=3"),
    (lambda: F.conv_transpose2d(A, np.ones((4, 2, 2, 2)), np.ones(4)), ValueError, r"conv_transpose2d: bias must have shape \(2,\)"),
    (lambda: F.conv_transpose2d(A, np.ones((4, 2, 2, 2)), padding=5), ValueError, r"padding .* gives an output \(-1, -1\)"),
    (lambda: F.conv_transpose2d(A, np.ones((4, 2, 2, 2)), stride=2, output_padding=2), ValueError,
     r"output_padding \(2, 2\) must be smaller than stride \(2, 2\) or dilation \(1, 1\)"),
    (lambda: F.conv_transpose2d_backward(A, A, np.ones((4, 3, 1, 1))), ValueError, r"grad_output must have shape \(2, 3, 8, 8\)"),
    (lambda: F.layer_norm(A, (4, 8)), ValueError, r"normalized_shape \(4, 8\) must be the last lengths of x, which has shape \(2, 4, 8, 8\)"),
    (lambda: F.layer_norm(A, 8, np.ones(4)), ValueError, r"layer_norm: weight must have shape \(8,\), as normalized_shape"),
    (lambda: F.interpolate(A), ValueError, "interpolate: give either size or scale_factor, it has neither"),
    (lambda: F.interpolate(A, 3, 2), ValueError, "it has both"),
    (lambda: F.interpolate(A, scale_factor=0.1), ValueError, "leaves nothing of an image"),
    (lambda: F.interpolate(A, scale_factor=-1), ValueError, "scale_factor must be a number above 0 or two, it is -1"),
    (lambda: F.interpolate(A, 3, mode="cubic"), ValueError, "mode must be 'nearest' or 'bilinear', it is 'cubic'"),
    (lambda: F.interpolate(A, 3, align_corners=True), ValueError, "align_corners is for mode='bilinear'"),
    (lambda: F.interpolate(A[0], 3), ValueError, r"interpolate: x must have shape \(N, C, H, W\)"),
    (lambda: F.conv1d(A, np.ones((3, 4, 2))), ValueError, r"conv1d: x must have shape \(N, C, L\) or \(C, L\)"),
    (lambda: F.conv1d(A[0], np.ones((3, 4, 2))), ValueError, "conv1d: weight has 4 input channels per group"),
    (lambda: F.conv1d(A[0], np.ones((3, 8, 2)), padding=(1, 2)), ValueError, "conv1d: padding must be an integer or 1 of them"),
    (lambda: F.max_pool1d(A[0], 2, padding=2), ValueError, "max_pool1d: padding"),
    (lambda: F.embedding(np.array([[0, 1], [3, 1]]), np.ones((3, 2))), IndexError,
     r"embedding: x\[1, 0\] is 3, indices must be whole numbers from 0 to 2 \(the table has 3 rows\)"),
    (lambda: F.embedding(np.array([1 << 40]), np.ones((3, 2))), IndexError, r"x\[0\] is 1099511627776, "),
    (lambda: F.embedding(np.array([0.5, np.nan]), np.ones((3, 2))), IndexError, r"x\[0\] is 0.5, "),
    (lambda: F.embedding(np.array([1, np.nan]), np.ones((3, 2))), IndexError, r"x\[1\] is nan, "),
    (lambda: CD(A[0, 0, 0], np.ones((3, 8))), ValueError, r"contrastive_divergence: v must have shape \(N, 8\), .* \(8,\)"),
    (lambda: CD(A[0, 0], np.ones((3, 7))), ValueError, r"v must have shape \(8, 7\), n_visible numbers a row, it has shape \(8, 8\)"),
    (lambda: CD(A[0, 0], np.ones((3, 8)), k=0), ValueError, "contrastive_divergence: k must be at least 1, it is 0"),
    (lambda: CD(A[0, 0], np.ones((3, 8)), visible="grey"), ValueError, "visible must be .*, got 'grey'"),
    (lambda: CD(A[0, 0], np.ones((3, 8)), chains=np.ones((8, 4))), ValueError, r"chains must have shape \(8, 3\)"),
    (lambda: CD(A[0, 0], np.ones((1 << 17, 1))), ValueError, "at most 65536 units of a kind"),
    (lambda: F.contrastive_divergence(A[0, 0], np.ones((3, 8)), None, np.ones(8)), TypeError, "hidden_bias is None, an array is expected"),
    (lambda: F.embedding([0], np.ones(3)), ValueError, r"embedding: weight must have shape \(num_embeddings, embedding_dim\)"),
    (lambda: F.embedding([0], np.ones((3, 2)), padding_idx=3), ValueError, "embedding: padding_idx 3 is no row of a table of 3"),
    (lambda: F.embedding_backward(np.ones((2, 3)), [0, 1], np.ones((3, 2))), ValueError, r"grad_output must have shape \(2, 2\)"),
    (lambda: F.conv2d_backward(A, A, np.ones((3, 4, 1, 1))), ValueError, r"grad_output must have shape \(2, 3, 8, 8\)"),
    (lambda: F.linear(np.ones((2, 3)), np.ones((5, 4))), ValueError, r"linear: weight has 4 input features .* shape \(2, 3\)"),
    (lambda: F.max_pool2d(A, 9), ValueError, "max_pool2d: the window of 9 is larger than the height of 8"),
    (lambda: F.max_pool2d(A, 2, padding=2), ValueError, "max_pool2d: padding .* at most half"),
    (lambda: F.max_pool2d(A, (1, 2, 3)), ValueError, "max_pool2d: kernel_size must be an integer or 2"),
    (lambda: F.cross_entropy(np.ones((2, 3)), [0, 3]), IndexError, r"cross_entropy: target\[1\] is 3, .* from 0 to 2"),
    (lambda: F.cross_entropy(np.ones((2, 3)), [-1, 0]), IndexError, r"target\[0\] is -1"),
    (lambda: F.cross_entropy(np.ones((2, 3)), [0, 1, 2]), ValueError, r"target must have shape \(2,\) .* it has shape \(3,\)"),
    (lambda: F.cross_entropy(np.ones((2, 3)), [0, 1], reduction="avg"), ValueError, "reduction must be .* 'avg'"),
    (lambda: F.cross_entropy(np.ones((2, 3)), [0, 1], np.ones(2)), ValueError, r"cross_entropy: weight must have shape \(3,\)"),
    (lambda: F.nll_loss(np.ones((2, 3)), [0.5, 1.0]), TypeError, "nll_loss: target must be integer labels"),
    (lambda: F.mse_loss(np.ones((2, 1)), np.ones(2)), ValueError, r"mse_loss: target must have shape \(2, 1\), as x"),
    (lambda: F.softmax(A, 4), IndexError, "softmax: dim 4 is out of range for 4 axes"),
    (lambda: F.sum(A, (0, -4)), ValueError, "sum: dim .* names an axis twice"),
    (lambda: F.add(np.ones((2, 3)), np.ones((2, 4))), ValueError, r"add: shapes \(2, 3\) and \(2, 4\) do not broadcast"),
    (lambda: F.matmul(np.ones((2, 3)), np.ones((2, 3))), ValueError, "matmul: the inner lengths differ"),
    (lambda: F.reshape(A, (5, -1)), ValueError, r"reshape: shape \(2, 4, 8, 8\) has 512 elements, they do not fit \(5, -1\)"),
    (lambda: F.cat([A, A[:, :, :4]], 1), ValueError, r"cat: values\[1\] has shape \(2, 4, 4, 8\)"),
    (lambda: F.stack([]), ValueError, "stack: an empty sequence"),
    (lambda: F.clip(A), ValueError, "clip: give min, max or both"),
    (lambda: F.batch_norm(np.ones((1, 3)), training=True), ValueError, "more than one value a channel"),
    (lambda: F.batch_norm(A), ValueError, "running_mean and running_var are needed"),
    (lambda: F.batch_norm(A, np.ones(3), np.ones(4)), ValueError, r"batch_norm: running_mean must have shape \(4,\)"),
    (lambda: F.dropout(A, 1.5), ValueError, "dropout: p must be between 0 and 1"),
    (lambda: F.permute(A, 0, 1, 2), ValueError, "permute: dims .0, 1, 2. must name each of the 4 axes once"),
    (lambda: F.expand(A, 2, 4, 8, 9), ValueError, r"expand: shape \(2, 4, 8, 8\) does not broadcast to \(2, 4, 8, 9\)"),
    (lambda: F.relu("text"), TypeError, "relu: x has dtype"),
    (lambda: F.relu_backward(A, A[0]), ValueError, "relu_backward: grad_output"),
]


def CD(v, weight, **arguments):
    return F.contrastive_divergence(v, weight, np.ones(weight.shape[0]), np.ones(weight.shape[1]), **arguments)


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_errors_name_what_was_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_index_errors():
    with graph.Session(2):
        x = graph.make_input("x", (2, 4))
        for index, error, message in ((5, IndexError, "index 5 is out of range for axis 0"),
                                      ((0, 0, 0), IndexError, "3 axes indexed"), ([0, 1], TypeError, "only integers, slices"),
                                      (x[:, 0], TypeError, "F.where"), ((..., ...), IndexError, "only one")):
            with pytest.raises(error, match=message):
                x[index]
