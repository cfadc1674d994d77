"""What the recurrent ops share: checks of arguments, packed weights, the loop over time of the references."""
import numpy as np

from ..graph import Spec
from . import _arguments as arguments
from ._lowering import each_image

MOST_UNITS, MOST_WITH_LENGTHS = 4096, 3840  # what the kernels' scratch memory holds
APART_WEIGHTS, APART_STEPS = 40000, 128     # one image: from what size of weight_hh on each of up to so many steps is a call


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


def valid(lengths, t):
    """Which sequences have time t: a column, or True."""
    return True if lengths is None else (t < lengths)[:, None]


def held(lengths, t, new, old):
    """The state after time t: the new one, where a sequence is over the old one."""
    return new if lengths is None else np.where(valid(lengths, t), new, old)


def split(lengths, t, d, dy=None):
    """The gradient of the state after time t: what the step takes (with that of its output), and what passes it by."""
    total = d if dy is None else dy[:, t] + d
    if lengths is None:
        return total, d.dtype.type(0)
    return np.where(valid(lengths, t), total, 0), np.where(valid(lengths, t), 0, d)


def pack(emit, weight, gates, transposed=0):
    """The weight as the kernels want it: 16 units side by side."""
    units, in_features = (weight.shape[1], weight.shape[0]) if transposed else (weight.shape[0] // gates, weight.shape[1])
    return emit.prepared("recurrent_pack", weight, gates * -(-units // 16) * 16 * in_features, gates=gates, units=units,
                         in_features=in_features, transposed=transposed)


def wanted(emit, outputs, always=()):
    """The outputs, None in the place of those that nothing reads."""
    return {name: value if emit.wanted(value) or name in always else None for name, value in outputs.items()}


def each_sequence(emit, inputs, outputs):
    """Kernels see one sequence a row: each_image, with fields by name and None for what is absent. -> (inputs, outputs)."""
    present = {name: value for name, value in outputs.items() if value is not None}
    for given, made in each_image(emit, list(inputs.values()), list(present.values())):
        yield dict(zip(inputs, given)), {**dict.fromkeys(outputs), **dict(zip(present, made))}


def forward(emit, kernel, gates, inputs, outputs, weights, sequences=("y",), **attrs):
    """Lowers a forward op. inputs: x and the initial states by name; weights: weight_ih, weight_hh, bias_ih, bias_hh. Of one
    image weight_ih x comes first, for all steps at once; then a large network runs a step a call, so that threads share
    each: `sequences` are the outputs in which a step finds what the one before it made."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    steps, (rows, hidden) = inputs["x"].shape[1], weight_hh.shape
    alone = emit.lanes == 1 and emit.mode == "row"
    apart = alone and rows * hidden >= APART_WEIGHTS and steps <= APART_STEPS and inputs["lengths"] is None
    fields = dict(packed_ih=None if alone else pack(emit, weight_ih, gates), packed_hh=pack(emit, weight_hh, gates),
                  bias_ih=bias_ih, bias_hh=bias_hh, products=None, steps=steps, in_features=weight_ih.shape[1], hidden=hidden,
                  **attrs)
    for given, made in each_sequence(emit, inputs, wanted(emit, outputs)):
        made.update({name: None for name in sequences if name not in made})
        if alone:
            fields["products"] = linear(emit, given["x"], weight_ih, steps)
        if not apart:
            emit(kernel, **given, **made, **fields, first=0, count=steps)
            continue
        made.update({name: emit.temp((1, steps, hidden)) for name in sequences if made[name] is None})
        finals = [name for name in outputs if name not in (*sequences, "saved")]
        for step in range(steps):
            now = made if step == steps - 1 else {**made, **dict.fromkeys(finals)}
            emit(kernel, **given, **now, **fields, first=step, count=1)


def linear(emit, x, weight, positions):
    """weight x for every position of an image."""
    out_features, in_features = weight.shape
    y = emit.temp((1, positions, out_features))
    packed = emit.packed("linear_pack", weight, -(-out_features // 16) * in_features * 16, in_features=in_features,
                         out_features=out_features)
    emit("linear_forward", y=y, x=x, weight=weight, packed=packed, bias=None, residual=None, relu=0, positions=positions,
         in_features=in_features, out_features=out_features)
    return y


def backward(emit, kernel, inputs, outputs, weight_hh, **attrs):
    """Lowers a backward op; the gradients of the gates are always there, the others come from them."""
    packed = pack(emit, weight_hh, 1, 1)
    for given, made in each_sequence(emit, inputs, wanted(emit, outputs, ("dgates", "dx_gates"))):
        emit(kernel, **given, **made, packed_hh=packed, steps=inputs["y"].shape[1], hidden=weight_hh.shape[1], **attrs)


def weight_gradients(dx_gates, dgates, before, dbias_ih, dbias_hh, x, weight_ih, bias_ih, bias_hh):
    """The gradients of (x, weight_ih, weight_hh, bias_ih, bias_hh) from those of the gates: dx_gates of weight_ih x, dgates of
    weight_hh h; before: the h that each step began with; dbias_ih, dbias_hh: of the biases, if they are there."""
    from .linear import _linear_backward_input, _linear_backward_weight
    return (_linear_backward_input(dx_gates, weight_ih), _linear_backward_weight(dx_gates, x),
            _linear_backward_weight(dgates, before), None if bias_ih is None else dbias_ih,
            None if bias_hh is None else dbias_hh)


def check(name, gates, x, weight_ih, weight_hh, bias_ih, bias_hh, lengths, **states):
    """All arguments as floats of one type, with their shapes checked: (x, *states, lengths, weight_ih, weight_hh, bias_ih,
    bias_hh)."""
    given = dict(x=x, **states, lengths=lengths, weight_ih=weight_ih, weight_hh=weight_hh, bias_ih=bias_ih, bias_hh=bias_hh)
    found = dict(zip(given, arguments.floats(name, **given)))
    x, weight_ih, weight_hh = found["x"], found["weight_ih"], found["weight_hh"]
    arguments.check_ndim(name, "x", x, (3,), "(N, steps, in_features)")
    arguments.check_ndim(name, "weight_hh", weight_hh, (2,), f"({gates} * hidden, hidden)")
    rows, hidden = weight_hh.shape
    if rows != gates * hidden:
        raise ValueError(f"{name}: weight_hh must have shape ({gates} * hidden, hidden), it has shape "
                         f"{arguments.shown(weight_hh.shape)}")
    most = MOST_UNITS if lengths is None else MOST_WITH_LENGTHS
    if hidden > most:
        raise ValueError(f"{name}: {hidden} hidden units, at most {most} are possible"
                         + ("" if lengths is None else " with lengths"))
    arguments.check_shape(name, "weight_ih", weight_ih, (rows, x.shape[2]),
                          f": {gates} gates of {hidden} units, the input's features")
    for bias in ("bias_ih", "bias_hh"):
        arguments.check_shape(name, bias, found[bias], (rows,), f", as weight_hh {arguments.shown(weight_hh.shape)}")
    for state in states:
        arguments.check_shape(name, state, found[state], (x.shape[0], hidden), ", (N, hidden)")
    check_lengths(name, found["lengths"], *x.shape[:2])
    return tuple(found.values())


def check_lengths(name, lengths, n, steps):
    """Raises unless lengths (None passes) is (N,), whole numbers from 0 to steps as far as they are known."""
    arguments.check_shape(name, "lengths", lengths, (n,), ", (N,)")
    if isinstance(lengths, np.ndarray):
        for i in np.flatnonzero(~((lengths >= 0) & (lengths <= steps) & (lengths == np.floor(lengths))))[:1]:
            raise ValueError(f"{name}: lengths must be whole numbers from 0 to {steps}, lengths[{i}] is {lengths[i]:g}")


def check_gradients(name, x, weight_hh, grad_output, **states):
    """The gradients of the outputs as floats, shapes checked."""
    found = arguments.floats(name, grad_output=grad_output, **states)
    hidden = weight_hh.shape[1]
    arguments.check_shape(name, "grad_output", found[0], (*x.shape[:2], hidden), ", as the output sequence")
    for state, value in zip(states, found[1:]):
        arguments.check_shape(name, state, value, (x.shape[0], hidden), ", (N, hidden)")
    return found
