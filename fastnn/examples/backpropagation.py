"""Backpropagation: the gradients of a network by the chain rule, by hand, against the package's and against trying it out.

    python -m fastnn.examples.backpropagation"""
import numpy as np

import fastnn as nn
from fastnn.examples.forward_propagation import softmax


def main(quick=False):
    """A network 2-3-2 and four rows; -> {parameter: largest difference by hand and package}, and the like. quick: no effect."""
    nn.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    x, labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0])

    loss, gradients = backward([p.data for p in network.parameters()], x, labels)
    y = network(x, training=True)
    package_loss, dy = nn.cross_entropy(y, labels)
    dx = network.backward(dy)
    print(f"loss by hand {loss:.6f}, by the package {package_loss:.6f}\n\n"
          "gradient of           by hand                              package                              trying it out")
    differences, tried_differences = {}, {}
    for (name, p), gradient in zip(network.named_parameters(), gradients):
        tried = try_out(network, p, x, labels)
        for row in zip(np.atleast_2d(gradient), np.atleast_2d(p.grad), np.atleast_2d(tried)):
            print(f"    {name:16s}" + "".join(f"  {' '.join(f'{g:8.5f}' for g in part):35s}" for part in row).rstrip())
        differences[name] = float(np.abs(gradient - p.grad).max())
        tried_differences[name] = float(np.abs(gradient - tried).max())
    differences["the input"] = float(np.abs(gradients[-1] - dx).max())
    weights = sum(p.data.size for p in network.parameters())
    print(f"""
largest difference between hand and package: {max(differences.values()):.0e}

What to see: forward, each layer keeps what it got; backward, from the loss to the input, each layer turns the gradient of its
output into those of its weights and of its input, which is the output of the layer before: five lines in `backward`, and the
same kind for a network of any depth. One such pass gives the gradients of all {weights} weights and biases at the cost of about
two forward ones; trying it out, nudging one number at a time, takes two forward passes each.""")
    return {"loss": (loss, float(package_loss)), "package": differences, "tried": tried_differences}


def backward(parameters, x, labels):
    """Forward and backward in NumPy -> the loss, its gradients for w1, b1, w2, b2 and x."""
    w1, b1, w2, b2 = parameters
    a = x @ w1.T + b1                               # forward; a, h and p are kept
    h = np.tanh(a)
    p = softmax(h @ w2.T + b2)
    loss = np.mean(-np.log(p[range(len(x)), labels]))

    dz = (p - np.eye(len(b2))[labels]) / len(x)     # softmax and cross-entropy together: see loss
    dw2, db2 = dz.T @ h, dz.sum(0)                  # z = h w2' + b2: a weight's gradient is its input times what comes back
    dh = dz @ w2                                    # ... and h reaches the loss by all of z: add up
    da = dh * (1 - h ** 2)                          # h = tanh(a), tanh' = 1 - tanh^2
    dw1, db1, dx = da.T @ x, da.sum(0), da @ w1
    return loss, (dw1, db1, dw2, db2, dx)


def try_out(network, parameter, x, labels, step=1e-2):
    """The gradient by the definition: how the loss changes when one number is nudged."""
    found = np.empty_like(parameter.data)
    for i in np.ndindex(found.shape):
        kept, losses = parameter.data[i], []
        for nudged in (kept + step, kept - step):
            parameter.data[i] = nudged
            losses.append(nn.cross_entropy(network.predict(x), labels)[0])
        parameter.data[i] = kept
        found[i] = (losses[0] - losses[1]) / (2 * step)
    return found


if __name__ == "__main__":
    main()
