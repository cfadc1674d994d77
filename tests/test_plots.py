"""Pictures: each function draws on the Axes it is given and returns them; what it draws is looked at in the figure."""
import numpy as np
import pytest

import fastnn as nn
from fastnn.datasets import load_digits

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed: no pictures")
matplotlib.use("Agg")
from matplotlib import pyplot                                                                       # noqa: E402

from fastnn import plots                                                                            # noqa: E402


@pytest.fixture
def ax():
    figure, axes = pyplot.subplots()
    yield axes
    figure.canvas.draw()
    pyplot.close(figure)


def image_of(ax):
    (shown,) = ax.images
    return np.asarray(shown.get_array())


def test_training_curves(ax):
    history = {"loss": [3.0, 2.0, 1.0], "val_loss": [3.5, 2.5, 2.0], "accuracy": [0.1, 0.5, 0.9]}
    assert plots.training_curves(history, ax=ax) is ax
    assert [line.get_label() for line in ax.lines] == ["loss", "val_loss", "accuracy"]
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), history["val_loss"])
    assert ax.lines[0].get_color() == ax.lines[1].get_color() != ax.lines[2].get_color()
    with pytest.raises(KeyError, match="'f1'.*accuracy"):
        plots.training_curves(history, ["f1"], ax=ax)


def test_filters_have_their_own_range(ax):
    weight = np.zeros((3, 1, 2, 2), np.float32)
    weight[0, 0, 0, 0], weight[1, 0, 0, 1] = 1, 100
    plots.filters(weight, columns=3, ax=ax)
    canvas = image_of(ax)
    assert canvas.shape == (2, 8)
    assert canvas[0, 0] == 1 and canvas[0, 4] == 1 and canvas[1, 0] == 0
    assert np.isnan(canvas[:, 2]).all() and not np.isnan(canvas[:, :2]).any()         # the gap


def test_filters_of_layers(ax):
    plots.filters(nn.Conv2d(3, 4, 5), ax=ax)
    assert image_of(ax).shape == (11, 11, 3)
    with pytest.raises(ValueError, match="no square image"):
        plots.filters(nn.Linear(7, 2), ax=ax)


def test_feature_maps(ax):
    images = load_digits("test")[0]
    nn.manual_seed(0)
    model = nn.Sequential(nn.Rescaling(1 / 16), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    assert plots.feature_maps(model, "2", images[0], ax=ax) is ax
    first = model.activations(images[:1], ["2"])["2"][0, 0]
    canvas = image_of(ax)
    assert canvas.shape == (13, 13)
    np.testing.assert_allclose(canvas[:6, :6] * (np.ptp(first) or 1) + first.min(), first, atol=1e-5)
    with pytest.raises(ValueError, match="'4' gives"):
        plots.feature_maps(model, "4", images[0], ax=ax)
    with pytest.raises(KeyError, match="no layers"):
        plots.feature_maps(model, "9", images[0], ax=ax)


def test_confusion_matrix(ax):
    plots.confusion_matrix([0, 0, 1, 2], np.eye(3)[[0, 1, 1, 2]], classes=["a", "b", "c"], ax=ax)
    assert {(t.get_position(), t.get_text()) for t in ax.texts} == {((0, 0), "1"), ((1, 0), "1"), ((1, 1), "1"), ((2, 2), "1")}
    assert ax.get_title() == "3 of 4 right" and [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="labels"):
        plots.confusion_matrix([0, 1], [0], ax=ax)


def test_reconstructions_and_samples(ax):
    images = load_digits("test")[0][:5]
    plots.reconstructions(images, images // 2, ax=ax)
    canvas = image_of(ax)
    assert canvas.shape == (17, 44)
    np.testing.assert_allclose(canvas[9:, :8], images[0, 0] // 2 / images.max(), atol=1e-6)
    with pytest.raises(ValueError, match="5 images and 4"):
        plots.reconstructions(images, images[:4], ax=ax)
    with pytest.raises(ValueError, match="no images"):
        plots.sample_grid(images[:0], ax=ax)
    with pytest.raises(ValueError, match="image has shape"):
        plots.sample_grid(np.zeros((2, 2, 4, 4)), ax=ax)


def test_decision_boundary(ax):
    class Above:
        def predict(self, points):
            return np.stack([-points[:, 1], points[:, 1]], 1)
    x, y = np.array([[-1, -1], [1, 1], [0.5, -0.5]], np.float32), np.array([0, 1, 0])
    assert plots.decision_boundary(Above(), x, y, steps=20, ax=ax) is ax
    plane = image_of(ax)
    assert plane.shape == (20, 20) and (plane[:10] == 0).all() and (plane[10:] == 1).all()
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), x)
    with pytest.raises(ValueError, match=r"x \(N, 2\)"):
        plots.decision_boundary(Above(), x[:, :1], y, ax=ax)


def test_default_axes():
    figure = pyplot.figure()
    assert plots.sample_grid(np.zeros((1, 4, 4))) is figure.gca()
    pyplot.close(figure)
