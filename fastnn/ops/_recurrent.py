"""What the recurrent ops share: checks of arguments, packed weights, the loop over time of the references."""
import numpy as np

from ..graph import Spec
from . import _arguments as arguments
from ._lowering import each_image

MOST_UNITS = 4096               # what the kernels' scratch memory holds


def sequence_specs(x, weight_hh, states, saved):
    """Specs of the outputs: the sequence, the final states, and what the backward needs (saved (n, steps, each, hidden))."""
    n, steps, hidden = x.shape[0], x.shape[1], weight_hh.shape[1]
    kept = (Spec((n, steps, saved, hidden), x.dtype),) if saved else ()
    return (Spec((n, steps, hidden), x.dtype), *[Spec((n, hidden), x.dtype)] * states, *kept)


def times(steps, reverse):
    """The times in the order in which they are gone through."""
    return range(steps - 1, -1, -1) if reverse else range(steps)


def products(x, weight_ih, bias_ih, gates):
    """weight_ih x + bias_ih for all times: (n, steps, gates, hidden)."""
    y = x @ weight_ih.T
    return (y if bias_ih is None else y + bias_ih).reshape(*x.shape[:2], gates, weight_ih.shape[0] // gates)


def product(h, weight_hh, bias_hh, gates):
    """weight_hh h + bias_hh: (n, gates, hidden)."""
    y = h @ weight_hh.T
    return (y if bias_hh is None else y + bias_hh).reshape(h.shape[0], gates, weight_hh.shape[1])


def sigmoid(x):
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-x))).astype(x.dtype, copy=False)


def pack(emit, weight, gates, transposed=0):
    """The weight as the kernels want it: 16 units side by side."""
    units, in_features = (weight.shape[1], weight.shape[0]) if transposed else (weight.shape[0] // gates, weight.shape[1])
    return emit.prepared("recurrent_pack", weight, gates * -(-units // 16) * 16 * in_features, gates=gates, units=units,
                         in_features=in_features, transposed=transposed)


def run_kernel(emit, kernel, inputs, outputs, **fields):
    """One step a sequence: `inputs` and `outputs` by field name, None where absent; outputs that nothing reads are left out, but
    for the gradients of gates, from which the others come."""
    wanted = {name: value for name, value in outputs.items() if emit.wanted(value) or name in ("dgates", "dx_gates")}
    missing = dict.fromkeys(outputs.keys() - wanted.keys())
    for given, made in each_image(emit, list(inputs.values()), list(wanted.values())):
        emit(kernel, **dict(zip(inputs, given)), **dict(zip(wanted, made)), **missing, **fields)


def forward(emit, kernel, gates, inputs, outputs, weights, **attrs):
    """Lowers a forward op. inputs: x and the initial states by name; weights: weight_ih, weight_hh, bias_ih, bias_hh."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    run_kernel(emit, kernel, inputs, outputs, packed_ih=pack(emit, weight_ih, gates), packed_hh=pack(emit, weight_hh, gates),
               bias_ih=bias_ih, bias_hh=bias_hh, steps=inputs["x"].shape[1], in_features=weight_ih.shape[1],
               hidden=weight_hh.shape[1], **attrs)


def backward(emit, kernel, inputs, outputs, weight_hh, **attrs):
    """Lowers a backward op."""
    run_kernel(emit, kernel, inputs, outputs, packed_hh=pack(emit, weight_hh, 1, 1), steps=inputs["y"].shape[1],
               hidden=weight_hh.shape[1], **attrs)


def weight_gradients(dx_gates, dgates, before, x, weight_ih, bias_ih, bias_hh):
    """The gradients of (x, weight_ih, weight_hh, bias_ih, bias_hh) from those of the gates: dx_gates of weight_ih x, dgates of
    weight_hh h (one value where they are the same); before: the h that each step began with."""
    from .linear import _linear_backward_input, _linear_backward_weight
    from .reduce import sum as total
    dbias = None if bias_ih is None and bias_hh is None else total(dgates, dim=(0, 1))
    dbias_ih = dbias if dx_gates is dgates or bias_ih is None else total(dx_gates, dim=(0, 1))
    return (_linear_backward_input(dx_gates, weight_ih), _linear_backward_weight(dx_gates, x), _linear_backward_weight(dgates, before),
            None if bias_ih is None else dbias_ih, None if bias_hh is None else dbias)


def check(name, gates, x, weight_ih, weight_hh, bias_ih, bias_hh, **states):
    """All arguments as floats of one type, with their shapes checked: (x, *states, weight_ih, weight_hh, bias_ih, bias_hh)."""
    given = dict(x=x, **states, weight_ih=weight_ih, weight_hh=weight_hh, bias_ih=bias_ih, bias_hh=bias_hh)
    found = dict(zip(given, arguments.floats(name, **given)))
    x, weight_ih, weight_hh = found["x"], found["weight_ih"], found["weight_hh"]
    arguments.check_ndim(name, "x", x, (3,), "(N, steps, in_features)")
    arguments.check_ndim(name, "weight_hh", weight_hh, (2,), f"({gates} * hidden, hidden)")
    rows, hidden = weight_hh.shape
    if rows != gates * hidden:
        raise ValueError(f"{name}: weight_hh must have shape ({gates} * hidden, hidden), it has shape {arguments.shown((rows, hidden))}")
    if hidden > MOST_UNITS:
        raise ValueError(f"{name}: {hidden} hidden units, at most {MOST_UNITS} are possible")
    arguments.check_shape(name, "weight_ih", weight_ih, (rows, x.shape[2]), f": {gates} gates of {hidden} units, the input's features")
    for bias in ("bias_ih", "bias_hh"):
        arguments.check_shape(name, bias, found[bias], (rows,), f", as weight_hh {arguments.shown(weight_hh.shape)}")
    for state in states:
        arguments.check_shape(name, state, found[state], (x.shape[0], hidden), ", (N, hidden)")
    return tuple(found.values())


def check_gradients(name, x, weight_hh, grad_output, **states):
    """The gradients of the outputs as floats, shapes checked."""
    found = arguments.floats(name, grad_output=grad_output, **states)
    hidden = weight_hh.shape[1]
    arguments.check_shape(name, "grad_output", found[0], (*x.shape[:2], hidden), ", as the output sequence")
    for state, value in zip(states, found[1:]):
        arguments.check_shape(name, state, value, (x.shape[0], hidden), ", (N, hidden)")
    return found
