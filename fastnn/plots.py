"""Pictures of training and of what a network has learned (needs matplotlib: `pip install 'fastnn[plots]'`).

Every function takes `ax=`, matplotlib Axes to draw on (default: the current ones), and returns the Axes; nothing is shown or
saved: `ax.figure.savefig("picture.png")` does that. Images are (C, H, W) or (H, W), one channel in grey, three in colour."""
import numpy as np

__all__ = ["training_curves", "filters", "feature_maps", "confusion_matrix", "sample_grid", "reconstructions", "decision_boundary"]

GAP = (0.6, 0.75, 0.95)                             # no grey, since a white pixel may lie beside it


def _axes(ax):
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as pyplot
    except ImportError:
        raise ImportError("fastnn.plots needs matplotlib: pip install 'fastnn[plots]'") from None
    return pyplot.gca()


def training_curves(history, metrics=None, ax=None):
    """What fit returned, a line a figure over the epochs; validation figures ("val_...") are dashed, in their figure's colour.

    history: a History, or its dict of lists. metrics: the names to draw (default: all but validation's, which come with theirs).
    KeyError: a name that is not there."""
    ax, record = _axes(ax), getattr(history, "history", history)
    for name in metrics or [n for n in record if not n.startswith("val_")]:
        if name not in record:
            raise KeyError(f"training_curves: there is no {name!r}; there are {', '.join(record)}")
        (line,) = ax.plot(range(1, len(record[name]) + 1), record[name], label=name)
        if f"val_{name}" in record:
            values = record[f"val_{name}"]
            ax.plot(range(1, len(values) + 1), values, "--", color=line.get_color(), label=f"val_{name}")
    ax.set_xlabel("epoch")
    ax.legend()
    return ax


def _picture(image):
    """(C, H, W), (H, W) -> what imshow takes."""
    image = np.asarray(image, np.float64)
    if image.ndim == 3:
        image = image.transpose(1, 2, 0) if image.shape[0] == 3 else image[0] if image.shape[0] == 1 else None
    if image is None or image.ndim not in (2, 3):
        raise ValueError("an image has shape (H, W), (1, H, W) or (3, H, W)")
    return image


def _tiles(ax, images, columns, title, each=False):
    """Images side by side in one picture, a gap between them; each: every image by its own range of values."""
    images = [_picture(image) for image in images]
    if not images:
        raise ValueError(f"{title}: there are no images")
    columns = min(len(images), columns or int(np.ceil(np.sqrt(len(images)))))
    rows, (height, width), colour = -(-len(images) // columns), images[0].shape[:2], images[0].shape[2:]
    low, high = min(i.min() for i in images), max(i.max() for i in images)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, *colour), 1.0 if colour else np.nan)
    for n, image in enumerate(images):
        bottom, top = (image.min(), image.max()) if each else (low, high)
        at = n // columns * (height + 1), n % columns * (width + 1)
        canvas[at[0]:at[0] + height, at[1]:at[1] + width] = (image - bottom) / ((top - bottom) or 1)
    shown = ax.imshow(canvas, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    if not colour:
        shown.set_cmap(shown.get_cmap().with_extremes(bad=GAP))
    ax.set_title(title)
    ax.set_axis_off()
    return ax


def sample_grid(images, columns=None, title="samples", ax=None):
    """A grid of images (N, C, H, W) or (N, H, W): samples of a generator, a batch. One scale of grey for all.

    columns: default as many as rows. ValueError: no images, or no images' shape."""
    return _tiles(_axes(ax), images, columns, title)


def filters(weight, columns=None, title="filters", ax=None):
    """The filters of a convolution as images, each with its own range of grey.

    weight: a Conv2d, its weight Parameter or an array (filters, C, height, width): one picture a filter where C is 1 or 3, else
    one for each of its channels; or (units, pixels) of a linear layer or an RBM, where pixels is a square number."""
    name = weight
    weight = getattr(weight, "weight", weight)
    weight = np.asarray(getattr(weight, "data", weight))
    if weight.ndim == 2:
        side = int(np.sqrt(weight.shape[1]))
        if side * side != weight.shape[1]:
            raise ValueError(f"filters: {weight.shape[1]} inputs are no square image; reshape the weight to (units, height, width)")
        weight = weight.reshape(-1, 1, side, side)
    if weight.ndim == 3:
        weight = weight[:, None]
    if weight.ndim != 4:
        raise ValueError(f"filters: a weight (filters, channels, height, width) is expected, {type(name).__name__} has {weight.shape}")
    images = weight if weight.shape[1] in (1, 3) else weight.reshape(-1, 1, *weight.shape[2:])
    return _tiles(_axes(ax), images, columns, title, each=True)


def feature_maps(model, layer, image, columns=None, title=None, ax=None):
    """What a layer makes of an image, a picture a channel, each with its own range of grey.

    layer: its path in the model, as `model.activations` names it ("0", "features.3"); image: (C, H, W), or (1, C, H, W).
    KeyError: no such layer. ValueError: its output is no image."""
    image = np.asarray(image)
    found = model.activations(image if image.ndim == 4 else image[None], [layer])[layer]
    if found.ndim != 4:
        raise ValueError(f"feature_maps: layer {layer!r} gives {found.shape}, no feature maps (1, C, H, W)")
    return _tiles(_axes(ax), found[0], columns, title or f"feature maps of {layer}", each=True)


def confusion_matrix(y_true, y_pred, classes=None, ax=None):
    """How often each class (rows) was taken for each (columns), with the counts.

    y_true: labels (N,); y_pred: labels (N,) or scores (N, classes), whose largest is taken. classes: the names to write."""
    ax, y_true, y_pred = _axes(ax), np.asarray(y_true), np.asarray(y_pred)
    if y_pred.ndim == 2:
        y_pred = y_pred.argmax(1)
    if y_true.shape != y_pred.shape or y_true.ndim != 1:
        raise ValueError(f"confusion_matrix: labels (N,) of both are expected, there are {y_true.shape} and {y_pred.shape}")
    size = len(classes) if classes is not None else int(max(y_true.max(), y_pred.max())) + 1
    counts = np.zeros((size, size), int)
    np.add.at(counts, (y_true, y_pred), 1)
    ax.imshow(np.log1p(counts), cmap="Blues")
    for row, column in np.ndindex(size, size):
        if counts[row, column]:
            dark = np.log1p(counts[row, column]) > np.log1p(counts.max()) * 0.6
            ax.text(column, row, counts[row, column], ha="center", va="center", fontsize=7, color="white" if dark else "black")
    names = range(size) if classes is None else classes
    ax.set_xticks(range(size), names)
    ax.set_yticks(range(size), names)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    ax.set_title(f"{counts.trace()} of {counts.sum()} right")
    return ax


def reconstructions(images, rebuilt, title="above: given, below: reconstructed", ax=None):
    """Images (N, C, H, W) in a row above, what an autoencoder made of them below."""
    if len(images) != len(rebuilt):
        raise ValueError(f"reconstructions: {len(images)} images and {len(rebuilt)} reconstructions")
    return _tiles(_axes(ax), [*images, *rebuilt], len(images), title)


def decision_boundary(model, x, y, steps=200, ax=None):
    """The plane, coloured by the class that a model gives each point, and the points x (N, 2) with their labels y (N,).

    model: anything whose `predict` takes (M, 2) and gives labels (M,), scores (M, classes), or one score (M, 1) or (M,) of
    floats, positive for class 1."""
    ax, x, y = _axes(ax), np.asarray(x, np.float32), np.asarray(y)
    if x.ndim != 2 or x.shape[1] != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"decision_boundary: x (N, 2) and y (N,) are expected, there are {x.shape} and {y.shape}")
    low, high = x.min(0), x.max(0)
    margin = 0.1 * (high - low + 1e-6)
    across, up = (np.linspace(low[i] - margin[i], high[i] + margin[i], steps, dtype=np.float32) for i in (0, 1))
    grid = np.stack(np.meshgrid(across, up), -1).reshape(-1, 2)
    found = np.asarray(model.predict(grid))
    if found.ndim == 2 and found.shape[1] > 1:
        found = found.argmax(1)
    elif found.dtype.kind == "f" and not np.isin(found, np.unique(y)).all():
        found = found > 0
    names = np.unique(y)
    shown = np.searchsorted(names, found.reshape(-1)) if np.isin(found, names).all() else found.reshape(-1).astype(int)
    limits = dict(cmap="tab10", vmin=0, vmax=9)
    ax.imshow(shown.reshape(steps, steps), extent=(across[0], across[-1], up[0], up[-1]), origin="lower", aspect="auto", alpha=0.35,
              interpolation="nearest", **limits)
    ax.scatter(x[:, 0], x[:, 1], c=np.searchsorted(names, y), s=12, edgecolors="black", linewidths=0.4, **limits)
    return ax
