"""Activation functions: sigmoid, tanh, ReLU, leaky ReLU, softmax, their derivatives, and why gradients vanish in deep networks.

    python -m fastnn.examples.activations"""
import numpy as np

import fastnn as nn
import fastnn.functional as F
from fastnn.datasets import load_digits
from fastnn.examples.forward_propagation import softmax

POINTS = np.array([-6.0, -2.0, -0.5, 0.5, 2.0, 6.0], np.float32)


def sigmoid(x):
    """Squeezes any number into 0..1."""
    return 1 / (1 + np.exp(-x))


# name: (the function, its derivative, the package's function, the package's gradient)
FUNCTIONS = {
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x)), F.sigmoid, F.sigmoid_backward),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2, F.tanh, F.tanh_backward),
    "relu": (lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1, 0), F.relu, F.relu_backward),
    "leaky relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01), F.leaky_relu,
                   F.leaky_relu_backward),
}
DEEP = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "leaky relu": nn.LeakyReLU}


def main(quick=False):
    """Values and derivatives, softmax, a network of ten layers; -> the numbers printed. quick: no effect."""
    worst = 0.0
    print("x                       " + "".join(f"{x:9.2f}" for x in POINTS))
    for name, (value, derivative, package, package_gradient) in FUNCTIONS.items():
        y, slope = package(POINTS), package_gradient(np.ones_like(POINTS), POINTS)
        worst = max(worst, np.abs(y - value(POINTS)).max(), np.abs(slope - derivative(POINTS)).max())
        print(f"{name:12s} value      " + "".join(f"{v:9.4f}" for v in y))
        print(f"{'':12s} derivative " + "".join(f"{v:9.4f}" for v in slope))
    print(f"the formulas and the package differ by {worst:.0e} at most")

    z = np.array([1.0, 2.0, 3.0], np.float32)
    p = F.softmax(z, 0)
    jacobian = np.diag(softmax(z)) - np.outer(softmax(z), softmax(z))
    package_jacobian = np.stack([F.softmax_backward(row, p, 0) for row in np.eye(3, dtype=np.float32)])
    print(f"\nsoftmax of {z}: {p.round(4)}, the sum is {p.sum():.4f}. It is a function of all its inputs, so its\n"
          "derivative is a matrix, p_i (1 - p_i) on the diagonal, -p_i p_j beside it: raise one, and the others fall.\n"
          f"{package_jacobian.round(4)}")

    sizes = {name: gradient_sizes(layer) for name, layer in DEEP.items()}
    print("\nTen layers of 32 neurons, weights drawn by He's rule, one batch of digits: how large the gradient is in each\n"
          "layer's weights (root mean square).\n\n"
          "layer        " + "".join(f"{layer:9d}" for layer in range(1, 11)) + "   first / last")
    for name, found in sizes.items():
        print(f"{name:12s} " + "".join(f"{size:9.1e}" for size in found) + f"   {found[0] / found[-1]:.0e}")
    print("""
What to see: backward, every layer multiplies the gradient by the derivative of its activation. Sigmoid's is 1/4 at the very
best, and nearly 0 where the neuron is sure: after ten layers the first ones learn next to nothing (vanishing gradients).
Tanh's is 1 at 0. ReLU's is 1 wherever the neuron fires: the gradient arrives. Where it does not fire the derivative is 0, and a
neuron that never fires never learns; the leaky one keeps a hundredth.""")
    return {"worst": float(worst), "softmax": (jacobian, package_jacobian), "sizes": sizes}


def gradient_sizes(activation, depth=10, width=32):
    """The root mean square of the weights' gradients of each hidden layer, from the first on."""
    images, labels = load_digits("train")
    nn.manual_seed(0)
    layers, inputs = [], 64
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), activation()]
        nn.init.kaiming_normal_(layers[-2].weight, nonlinearity="relu")
        inputs = width
    network = nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, 10))
    _, dy = nn.cross_entropy(network(images[:256] / np.float32(16), training=True), labels[:256])
    network.backward(dy, input_gradient=False)
    return [float(np.sqrt(np.mean(layer.weight.grad ** 2))) for layer in layers[::2]]


if __name__ == "__main__":
    main()
