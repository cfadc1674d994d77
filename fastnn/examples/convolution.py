"""Convolution and pooling on a picture: a handwritten digit, filters for edges and what they make of it, by hand beside the
package.

    python -m fastnn.examples.convolution [PICTURE.png]"""
import sys
from itertools import zip_longest

import numpy as np

import fastnn as nn
import fastnn.functional as F
from fastnn.datasets import load_digits
from fastnn.examples._picture import save

UPRIGHT = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)     # light to the right of dark (Sobel)
FILTERS = {"upright": UPRIGHT, "level": UPRIGHT.T}


def main(picture=None, *, quick=False):
    """A digit through both; -> the numbers printed. picture: where to save one. quick: no effect."""
    image = load_digits("train")[0][0, 0] / np.float32(16)
    maps = {name: convolve(image, weights) for name, weights in FILTERS.items()}
    layer = nn.Conv2d(1, 2, 3, padding=1, bias=False)
    layer.weight.data[:, 0] = list(FILTERS.values())
    network = nn.Sequential(layer, nn.ReLU(), nn.MaxPool2d(2))
    found = {name: value[0] for name, value in network.activations(image[None, None]).items()}
    print(f"A filter is nine weights. For edges that stand upright:\n{rows(UPRIGHT)}\n\n"
          "It is laid on every 3x3 pixels of the digit, the products are added up: that makes a new picture, its feature\n"
          "map. + (over 1/2) and # (over 2): light on the right of dark; - and =: on the left. Turned by a quarter the\n"
          "filter finds level edges, light below dark.\n")
    print(beside({"the digit": grey(image), "upright edges": signed(maps["upright"]), "level edges": signed(maps["level"])}))
    at = np.unravel_index(maps["upright"].argmax(), image.shape)
    around = np.pad(image, 1)[at[0]:at[0] + 3, at[1]:at[1] + 3]
    print(f"\nits strongest answer, row {at[0]}, column {at[1]}: the pixels\n{rows(around)}\ntimes the filter, summed:"
          f" {np.sum(around * UPRIGHT):.4f}; F.conv2d says {found['0'][0][at]:.4f}")
    fired = [np.maximum(m, 0) for m in maps.values()]
    pooled = [pool(m) for m in fired]
    print("\nReLU keeps what the filter looks for; max pooling keeps the largest of each 2x2: a quarter of the numbers.\n")
    print(beside({f"{name}, {what}": signed(of[i]) for i, name in enumerate(FILTERS)
                  for what, of in (("relu", fired), ("pooled", pooled))}))
    difference = max(float(np.abs(np.stack(ours) - theirs).max())
                     for ours, theirs in zip((list(maps.values()), fired, pooled), found.values()))
    moved = np.roll(image, 1, 1)                    # its first and last columns are dark
    shifted = float(np.abs(convolve(moved, UPRIGHT)[:, 2:-1] - np.roll(maps["upright"], 1, 1)[:, 2:-1]).max())
    average = F.avg_pool2d(image[None, None], 2)[0, 0]
    print(f"""
between the loops here and the package no number differs by more than {difference:.0e}
the digit one pixel to the right: its map moves along, and differs from the old one, moved, by {shifted:.0e}
average pooling keeps the mean of each 2x2, so the picture's own: {image.mean():.4f} before, {average.mean():.4f} after

What to see: the same nine weights find an edge wherever it lies, a layer of neurons would have to learn it for every place
anew. Pooling makes the map coarser, so that the next filter sees a larger part of the digit. Here the filters were made by hand
(Sobel's); a convolutional network learns its own, see the example cnn.""")
    if picture:
        save(picture, lambda ax: nn.plots.sample_grid(image[None], title="the digit", ax=ax),
             lambda ax: nn.plots.filters(layer, title="filters", ax=ax),
             *(lambda ax, name=name, title=title: nn.plots.feature_maps(network, name, image[None], title=title, ax=ax)
               for name, title in (("0", "convolution"), ("2", "relu, max pooling"))))
    return {"difference": difference, "shifted": shifted,
            "strongest": (float(np.sum(around * UPRIGHT)), float(found["0"][0][at])),
            "means": (float(image.mean()), float(average.mean()))}


def convolve(image, weights):
    """The sum of weights times pixels at every place; outside of the image lies darkness, so that the map is as large."""
    padded, found = np.pad(image, 1), np.empty_like(image)
    for row, column in np.ndindex(image.shape):
        found[row, column] = np.sum(padded[row:row + 3, column:column + 3] * weights)
    return found


def pool(image):
    """The largest of each 2x2."""
    return np.array([[image[row:row + 2, column:column + 2].max() for column in range(0, image.shape[1], 2)]
                     for row in range(0, image.shape[0], 2)])


def rows(array):
    """Numbers as lines of text."""
    return "\n".join("    " + " ".join(f"{value:5.2f}" for value in row) for row in array)


def grey(image):
    """Light 0..1 as lines of text, two characters a pixel."""
    return ["".join(" .:*#"[min(int(value * 5), 4)] * 2 for value in row) for row in image]


def signed(image):
    """Numbers of both signs as lines of text: # and + above zero, = and - below."""
    steps = np.digitize(image, [-2, -0.5, 0.5, 2])
    return ["".join("=-.+#"[step] * 2 for step in row) for row in steps]


def beside(pictures):
    """Pictures with their names above, side by side."""
    columns = [[name, *lines] for name, lines in pictures.items()]
    return "\n".join("    " + "".join(line.ljust(18) for line in row).rstrip() for row in zip_longest(*columns, fillvalue=""))


if __name__ == "__main__":
    main(*sys.argv[1:2])
