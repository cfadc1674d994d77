"""Forward propagation: what a network computes, by hand in NumPy beside the package.

    python -m fastnn.examples.forward_propagation"""
import numpy as np

import fastnn as nn
from fastnn.datasets import load_digits

W1 = np.array([[0.5, -1.0], [1.0, 1.0], [-0.5, 0.25]])          # a row a neuron, a column an input
B1 = np.array([0.5, -1.0, 0.5])
W2 = np.array([[1.0, -1.0, 2.0], [0.5, 1.0, -1.0]])
B2 = np.array([0.1, -0.1])


def main(quick=False):
    """A network 2-3-2 with a pocket calculator, then the digits; -> the numbers printed. quick: no effect."""
    x = np.array([2.0, 1.0])
    print("A neuron: multiply each input by its weight, add up, add the bias, and give the sum to the activation, here\n"
          f"relu(z) = max(z, 0). Inputs {x}, a hidden layer of three:\n")
    hidden = []
    for weights, bias in zip(W1, B1):
        z = sum(w * value for w, value in zip(weights, x)) + bias
        hidden.append(max(z, 0.0))
        print(f"    {weights[0]:5.2f} * {x[0]} + {weights[1]:5.2f} * {x[1]} + {bias:5.2f} = {z:5.2f}    relu: {hidden[-1]:.2f}")
    logits = W2 @ hidden + B2
    print(f"\nThe output layer is the same without an activation, and a whole layer is one product of matrices: W2 h + b2 ="
          f" {logits.round(2)}")
    p = softmax(logits)
    print(f"Softmax makes probabilities of them, exp(z) / sum of exp(z): {p.round(4)}")
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.Softmax())
    for layer, weight, bias in ((network[0], W1, B1), (network[2], W2, B2)):
        layer.weight.data[...], layer.bias.data[...] = weight, bias
    package = network.predict(x[None])[0]
    print(f"The package, given the same weights:                         {package.round(4)}")

    nn.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10), nn.Softmax())
    images, _ = load_digits("test")
    images = images / np.float32(16)
    by_hand, same = forward(network, images.reshape(-1, 64)), network.predict(images)
    difference = float(np.abs(by_hand - same).max())
    print(f"\n{len(images)} digits at once through 64-16-10 with random weights: no number differs by more than\n"
          f"{difference:.0e} between NumPy and the package. The first one's probabilities:\n    {same[0].round(2)}")
    print("""
What to see: a network is nothing but this, sums of products and a simple function between them, layer after layer. Images go
through as the rows of one matrix, so a batch costs little more than its arithmetic. Nothing is learned yet: all ten digits are
about equally likely.""")
    return {"by hand": p, "package": package, "difference": difference, "likeliest": float(same.max(1).mean())}


def forward(network, x):
    """The digits' network in three lines; x: (N, 64)."""
    w1, b1, w2, b2 = (p.data for p in network.parameters())
    h = np.maximum(x @ w1.T + b1, 0)
    return softmax(h @ w2.T + b2)


def softmax(z):
    """Along the last axis; the largest is taken off first, which changes no quotient and keeps exp from overflowing."""
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


if __name__ == "__main__":
    main()
