"""Losses: one number that says how wrong a network is, and that training makes smaller. Mean squared error for numbers,
cross-entropy for classes, by hand beside the package.

    python -m fastnn.examples.loss"""
import numpy as np

import fastnn as nn
from fastnn.examples.forward_propagation import softmax


def main(quick=False):
    """Both losses, their gradients, and why classes want cross-entropy; -> the numbers printed. quick: no effect."""
    predicted, true = np.array([2.5, 0.0, 2.0, 8.0]), np.array([3.0, -0.5, 2.0, 7.0])
    mse, (package_mse, _) = np.mean((predicted - true) ** 2), nn.mse(predicted, true)
    print(f"Mean squared error of {predicted} where {true} is true:\n"
          f"    (0.25 + 0.25 + 0 + 1) / 4 = {mse:.4f}, the package: {package_mse:.4f}. One error of 1 weighs as four of 1/2.")

    print("\nCross-entropy: minus the logarithm of the probability that the network gives the true class.\n"
          "    probability  0.99   0.9    0.5    0.1    0.01")
    costs = -np.log([0.99, 0.9, 0.5, 0.1, 0.01])
    print("    loss         " + " ".join(f"{cost:.3f} " for cost in costs))
    logits, labels = np.array([[2.0, 1.0, 0.1], [0.5, 2.5, 0.0]]), np.array([0, 2])
    p = softmax(logits)
    cross_entropy, (package, dy) = np.mean(-np.log(p[range(2), labels])), nn.cross_entropy(logits, labels)
    print(f"Two rows of scores {logits.tolist()}, the true classes {labels.tolist()}:")
    for row, label in zip(p, labels):
        print(f"    probabilities {row.round(3)}, true class {label}: -log {row[label]:.3f} = {-np.log(row[label]):.3f}")
    print(f"    mean {cross_entropy:.4f}, the package: {package:.4f}")
    gradient = (p - np.eye(3)[labels]) / 2
    print("Its gradient is short: (probability - 1 for the true class, probability - 0 for the others) / rows. By hand,\n"
          f"then by the package:\n{gradient.round(4)}\n{dy.round(4)}")
    guess = nn.cross_entropy(np.zeros((1, 10)), [3])[0]
    print(f"Who guesses blindly among ten classes has a loss of log 10 = {guess:.4f}: where training starts.")

    z = -6.0
    q = 1 / (1 + np.exp(-z))
    squared, entropy = 2 * (q - 1) * q * (1 - q), q - 1
    package_squared = nn.mse(np.array([q]), [1.0])[1][0] * q * (1 - q)
    package_entropy = nn.binary_cross_entropy_with_logits(np.array([z]), [1.0])[1][0]
    print(f"""
A neuron with a sigmoid that is sure (z = {z:.0f}, probability {q:.4f}) and wrong (1 is true). The gradient for z of
    the squared error:  {squared:.5f} (package {package_squared:.5f})
    the cross-entropy:  {entropy:.5f} (package {package_entropy:.5f})

What to see: the squared error hardly moves the neuron that is most wrong, because the sigmoid is flat out there; in the
cross-entropy's gradient that flatness cancels. Hence: classes, cross-entropy; numbers, squared error. And sure mistakes are
dear: the loss has no upper end.""")
    return {"mse": (mse, package_mse), "cross-entropy": (cross_entropy, package), "gradient": (gradient, dy),
            "blind guess": (np.log(10), guess), "squared": (squared, package_squared), "entropy": (entropy, package_entropy)}


if __name__ == "__main__":
    main()
