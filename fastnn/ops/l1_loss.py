"""The absolute error, element by element."""
from ..graph import functions
from ._loss import averaged, pair, reduced

__all__ = ["l1_loss", "l1_loss_backward"]


def l1_loss(x, target, reduction="mean"):
    """|x - target|, the shapes equal (ValueError otherwise); the gradient where they are equal is 0.

    reduction: "mean" over all elements, "sum", or "none" (x's shape). On values gives a value; on arrays a Loss
    ("none": an array)."""
    prediction = x
    x, target = pair("l1_loss", x, target, reduction)
    return reduced(functions["abs"](functions["sub"](x, target)), reduction, prediction,
                   lambda: l1_loss_backward(x, target, reduction))


def l1_loss_backward(x, target, reduction="mean"):
    """The gradient of l1_loss with respect to x: the sign of x - target, for "mean" divided by the number of elements."""
    x, target = pair("l1_loss_backward", x, target, reduction)
    return averaged(functions["sign"](functions["sub"](x, target)), reduction)
