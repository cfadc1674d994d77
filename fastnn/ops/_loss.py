"""What losses of pairs of elements share: checks, the reduction, and how a number becomes a Loss."""
from ..graph import functions, is_symbolic
from . import _arguments as arguments
from .cross_entropy import check_reduction, make_loss


def pair(name, x, target, reduction, **others):
    """x, target and the others (None stays) as floats of one dtype, the target of x's shape."""
    check_reduction(name, reduction)
    x, target, *others = arguments.floats(name, x=x, target=target, **others)
    arguments.check_shape(name, "target", target, x.shape, ", as x")
    return x, target, *others


def positive(name, argument, value):
    """`value` as a float above 0."""
    if not value > 0:
        raise ValueError(f"{name}: {argument} must be above 0, it is {value!r}")
    return float(value)


def reduced(terms, reduction, prediction, gradient):
    """The loss of these terms: a value for values; for arrays a Loss whose gradient the function `gradient` gives ("none": the
    terms)."""
    if reduction == "none":
        return terms
    total = functions[reduction](terms)
    return total if is_symbolic(total) else make_loss(total, gradient(), prediction)


def averaged(slope, reduction):
    """The gradient of the reduced loss, from the slope of each term."""
    return functions["mul"](slope, 1.0 / max(arguments.prod(slope.shape), 1)) if reduction == "mean" else slope
