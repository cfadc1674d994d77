"""Layers: what a hidden layer is for. Two neurons between the inputs and the output make XOR, which no single neuron can do
(see perceptron), a matter of one straight line.

    python -m fastnn.examples.layers [PICTURE.png]"""
import sys

import numpy as np

import fastnn as nn
from fastnn.datasets import load_digits
from fastnn.examples._picture import save
from fastnn.networks import MLP

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR = np.array([0, 1, 1, 0])


def main(picture=None, *, quick=False):
    """XOR with weights set by hand, XOR learned, the layers of a network for digits; -> the numbers printed. picture: where to
    save one. quick: no effect."""
    by_hand = xor_by_hand()
    found = by_hand.activations(CORNERS)
    print("XOR with weights set by hand. Input layer: x1, x2. Hidden layer: h1 = relu(x1 + x2), h2 = relu(x1 + x2 - 1).\n"
          "Output layer: y = h1 - 2 h2.\n\n    x1 x2    h1 h2    y")
    for x, h, y in zip(CORNERS, found["1"], found["2"]):
        print(f"    {x[0]:2.0f} {x[1]:2.0f}    {h[0]:2.0f} {h[1]:2.0f}   {y[0]:2.0f}")
    learned, epochs = xor_learned()
    right = int(np.sum(learned.predict(CORNERS).argmax(1) == XOR))
    print(f"\nXOR learned by a network 2-8-2 from random weights: {right} of 4 right after {epochs} epochs.")
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    images, _ = load_digits("test")
    print("\nA network for digits of 8x8 pixels. What one image is after each layer:")
    for name, value in network.activations(images[:1] / np.float32(16)).items():
        print(f"    {repr(network[int(name)]):60s} {value[0].size:3d} numbers")
    counted, parameters = (64 * 32 + 32) + (32 * 10 + 10), sum(p.data.size for p in network.parameters())
    print(f"    parameters: (64 * 32 + 32) + (32 * 10 + 10) = {counted}, the package counts {parameters}")
    print("""
What to see: x1 and x2 have XOR's ones in opposite corners; h1 and h2 have them both at (1, 0), and one line parts that from
(0, 0) and (2, 1). A hidden layer makes new numbers from the old ones, in which the next layer's task is easier, and training
finds such numbers by itself. A layer of m neurons on n inputs has n m weights and m biases.""")
    if picture:
        save(picture, lambda ax: nn.plots.decision_boundary(learned, CORNERS, XOR, ax=ax))
    return {"xor": found["2"][:, 0], "learned": right, "counted": counted, "parameters": parameters}


def xor_by_hand():
    """Goodfellow, Bengio, Courville, Deep Learning, 6.1."""
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    network[0].weight.data[...], network[0].bias.data[...] = [[1, 1], [1, 1]], [0, -1]
    network[2].weight.data[...], network[2].bias.data[...] = [[1, -2]], 0
    return network


def xor_learned():
    """-> (a network with an output a class, how many epochs it took to be right)"""
    nn.manual_seed(0)
    network = MLP([2, 8, 2], activation="tanh")
    network.compile(loss="cross_entropy", optimizer=nn.Adam(lr=0.05))
    history = network.fit(CORNERS, XOR, epochs=100, verbose=0)
    return network, len(history.epoch)


if __name__ == "__main__":
    main(*sys.argv[1:2])
