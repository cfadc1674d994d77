"""Arithmetic, comparison and the like, element by element. Operands broadcast as NumPy's, by `expand` nodes; Python numbers and
slots stay numbers. Integer operands are computed in float32. The gradient rules are formulas in the same functions."""
import numpy as np

from ..graph import Spec, as_value, is_number, is_symbolic, op
from . import _arguments as arguments
from .expand import broadcast

__all__ = ("add sub mul div pow neg exp log sqrt abs square reciprocal sign clip clamp minimum maximum where gt ge lt le eq "
           "ne").split()


def _spec(*operands):
    """The shape that the operands share, numbers aside."""
    dtype = "float64" if any(s.dtype == "float64" for s in operands) else "float32"
    return Spec(next((s.shape for s in operands if s.shape), ()), dtype)


def define(name, formula, gradient, opcode=None):
    """An elementwise op. The formula is NumPy's; the gradient gives values, one an operand; numbers get none."""
    def reference(*operands):
        arrays = [a for a in operands if isinstance(a, np.ndarray) and a.ndim]
        if arrays:                                  # numbers take the arrays' dtype
            operands = [a if isinstance(a, np.ndarray) and a.ndim else float(a) for a in operands]
        dtype = np.result_type(*arrays or [a for a in operands if isinstance(a, (np.ndarray, np.generic))] or [np.float32])
        with np.errstate(all="ignore"):
            return np.asarray(formula(*operands)).astype(dtype, copy=False)

    made = op(name, shape=_spec)(reference)

    @made.gradient
    def _(dy, *operands_and_out):
        given = gradient(dy, *operands_and_out) if gradient else (None,) * (len(operands_and_out) - 1)
        return tuple(None if is_number(x) else g for x, g in zip(operands_and_out, given))

    @made.lower
    def _(emit, *operands, out):
        emit.elementwise(opcode or name, out, *operands)

    return made


def apply(made, **operands):
    """Checks the operands, makes their shapes equal and applies the op; constants alone are computed here."""
    given = broadcast(made.name, *arguments.floats(made.name, numbers=True, **operands))
    numbers = [arguments.constant_number(x) for x in given]
    if any(is_symbolic(x) for x in given) and all(n is not None for n in numbers):
        return as_value(float(made.reference(*(np.float64(n) for n in numbers))))
    return made(*given)


_add = define("add", lambda a, b: a + b, lambda dy, a, b, out: (dy, dy))
_sub = define("sub", lambda a, b: a - b, lambda dy, a, b, out: (dy, -dy))
_mul = define("mul", lambda a, b: a * b, lambda dy, a, b, out: (dy * b, dy * a))
_div = define("div", lambda a, b: np.true_divide(a, b), lambda dy, a, b, out: (dy / b, -(dy * out / b)))
_pow = define("pow", lambda a, b: np.power(a, b), lambda *given: _pow_gradient(*given))
_neg = define("neg", lambda x: -x, lambda dy, x, out: (-dy,))
_exp = define("exp", np.exp, lambda dy, x, out: (dy * out,))
_log = define("log", np.log, lambda dy, x, out: (dy / x,))
_sqrt = define("sqrt", np.sqrt, lambda dy, x, out: (dy / (out * 2.0),))
_abs = define("abs", np.abs, lambda dy, x, out: (dy * sign(x),))
_square = define("square", np.square, lambda dy, x, out: (dy * (x * 2.0),))
_reciprocal = define("reciprocal", lambda x: 1 / x, lambda dy, x, out: (-(dy * square(out)),))
_sign = define("sign", np.sign, None)
_gt = define("gt", lambda a, b: a > b, None)
_ge = define("ge", lambda a, b: a >= b, None)
_lt = define("lt", lambda a, b: a < b, None)
_le = define("le", lambda a, b: a <= b, None)
_eq = define("eq", lambda a, b: a == b, None)
_ne = define("ne", lambda a, b: a != b, None)
_where = define("where", lambda condition, a, b: np.where(condition, a, b),
                 lambda dy, condition, a, b, out: (None, where(condition, dy, 0.0), where(condition, 0.0, dy)))


def _pow_gradient(dy, a, b, out):
    """b a^(b - 1) and out log(a), 0 where b or a is 0 (PyTorch's choice at 0^0)."""
    if is_number(a):
        return None, dy * out * log(a)
    da = dy * b * pow(a, b - 1.0)
    return (da, None) if is_number(b) else (where(eq(b, 0.0), 0.0, da), dy * where(eq(a, 0.0), 0.0, out * log(a)))


def _extreme_gradient(wins):
    """The larger (smaller) operand gets dy; of two equal ones each gets half, but all of it beside a number (so that clip
    passes the gradient at its bounds), as in PyTorch."""
    def gradient(dy, a, b, out):
        if is_number(a) or is_number(b):
            return where(wins(a, b) + eq(a, b), dy, 0.0), where(wins(b, a) + eq(a, b), dy, 0.0)
        tie = eq(a, b) * 0.5
        return dy * (wins(a, b) + tie), dy * (wins(b, a) + tie)
    return gradient


_maximum = define("maximum", np.maximum, _extreme_gradient(lambda a, b: gt(a, b)))
_minimum = define("minimum", np.minimum, _extreme_gradient(lambda a, b: lt(a, b)))


def add(a, b):
    """a + b. Arrays, values or numbers; shapes broadcast as NumPy's (else ValueError)."""
    return apply(_add, a=a, b=b)


def sub(a, b):
    """a - b, broadcasting."""
    return apply(_sub, a=a, b=b)


def mul(a, b):
    """a * b, broadcasting."""
    return apply(_mul, a=a, b=b)


def div(a, b):
    """a / b, broadcasting; division by zero gives inf or NaN."""
    return apply(_div, a=a, b=b)


def pow(a, b):
    """a ** b, broadcasting. A whole number b is computed by multiplications (so negative a are fine and NaN ** 0 is 1); else
    negative a give NaN."""
    exponent = arguments.constant_number(b)
    if exponent is None or arguments.constant_number(a) is not None:
        return apply(_pow, a=a, b=b)
    if exponent == 0.5:
        return sqrt(a)
    if exponent != int(exponent) or builtins_abs(exponent) > 1 << 20:
        return apply(_pow, a=a, b=b)
    if exponent < 0:
        return reciprocal(pow(a, -exponent))
    return _whole_power(arguments.check_float("pow", "a", a), int(exponent))


def _whole_power(a, exponent):
    """a ** exponent by squaring, from the highest bit down."""
    if exponent == 0:
        return where(eq(a, a), 1.0, 1.0)
    result = a
    for bit in bin(exponent)[3:]:
        result = square(result)
        if bit == "1":
            result = mul(result, a)
    return result if exponent > 1 else mul(a, 1.0)


def neg(x):
    """-x."""
    return apply(_neg, x=x)


def exp(x):
    """e ** x."""
    return apply(_exp, x=x)


def log(x):
    """The natural logarithm: -inf at 0, NaN below."""
    return apply(_log, x=x)


def sqrt(x):
    """The square root: NaN below 0; the gradient at 0 is inf."""
    return apply(_sqrt, x=x)


builtins_abs = abs


def abs(x):
    """|x|, with gradient 0 at 0."""
    return apply(_abs, x=x)


def square(x):
    """x * x."""
    return apply(_square, x=x)


def reciprocal(x):
    """1 / x."""
    return apply(_reciprocal, x=x)


def sign(x):
    """-1, 0 or 1 by the sign of x (NaN stays), without gradient."""
    return apply(_sign, x=x)


def maximum(a, b):
    """The larger, NaN where one is; broadcasting. Equal operands share the gradient."""
    return apply(_maximum, a=a, b=b)


def minimum(a, b):
    """The smaller, NaN where one is; broadcasting. Equal operands share the gradient."""
    return apply(_minimum, a=a, b=b)


def clip(x, min=None, max=None):
    """x held between min and max (numbers, arrays or values; None: no bound). The gradient passes where min <= x <= max."""
    if min is None and max is None:
        raise ValueError("clip: give min, max or both")
    x = x if min is None else maximum(x, min)
    return x if max is None else minimum(x, max)


clamp = clip


def where(condition, a, b):
    """a where condition is not 0, else b; broadcasting. The condition gets no gradient."""
    return apply(_where, condition=condition, a=a, b=b)


def gt(a, b):
    """1.0 where a > b, else 0.0; broadcasting. Comparisons have no gradient."""
    return apply(_gt, a=a, b=b)


def ge(a, b):
    """1.0 where a >= b, else 0.0; broadcasting."""
    return apply(_ge, a=a, b=b)


def lt(a, b):
    """1.0 where a < b, else 0.0; broadcasting."""
    return apply(_lt, a=a, b=b)


def le(a, b):
    """1.0 where a <= b, else 0.0; broadcasting."""
    return apply(_le, a=a, b=b)


def eq(a, b):
    """1.0 where a == b, else 0.0; broadcasting."""
    return apply(_eq, a=a, b=b)


def ne(a, b):
    """1.0 where a != b, else 0.0; broadcasting."""
    return apply(_ne, a=a, b=b)
