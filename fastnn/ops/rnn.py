"""The plain (Elman) recurrent network over a whole sequence, one direction."""
import numpy as np

from ..graph import Spec, op
from . import _recurrent as recurrent
from .reduce import sum as total

__all__ = ["rnn", "rnn_backward"]


@op("rnn", rows=3, shape=lambda x, h0, lengths, weight_ih, weight_hh, *biases, **attrs:
    recurrent.sequence_specs(x, weight_hh, 1, 0))
def _rnn(x, h0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, *, reverse, relu):
    """-> the output sequence, final h."""
    (n, steps), hidden = x.shape[:2], weight_hh.shape[1]
    h = np.zeros((n, hidden), x.dtype) if h0 is None else h0
    y, from_x = np.empty((n, steps, hidden), x.dtype), recurrent.products(x, weight_ih, bias_ih, 1)[:, :, 0]
    for t in recurrent.times(steps, reverse):
        gate = from_x[:, t] + recurrent.product(h, weight_hh, bias_hh, 1)[:, 0]
        new = np.where(gate <= 0, gate.dtype.type(0), gate) if relu else np.tanh(gate)
        y[:, t] = np.where(recurrent.valid(lengths, t), new, 0)
        h = recurrent.held(lengths, t, new, h)
    return y, np.array(h)


@_rnn.gradient
def _(dys, x, h0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, outs, **attrs):
    return _gradients(dys, x, h0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, outs[0], **attrs)


def _gradients(dys, x, h0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, y, **attrs):
    """One gradient an input of the op."""
    dgates, before, totals, dh0 = _rnn_backward(y, *dys, h0, lengths, weight_hh, **attrs)
    dbias = total(totals, dim=0)
    dx, *rest = recurrent.weight_gradients(dgates, dgates, before, dbias, dbias, x, weight_ih, bias_ih, bias_hh)
    return dx, None if h0 is None else dh0, None, *rest


@_rnn.lower
def _(emit, x, h0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, out, *, reverse, relu):
    recurrent.forward(emit, "rnn_forward", 1, dict(x=x, h0=h0, lengths=lengths), dict(zip(("y", "h"), out)),
                      (weight_ih, weight_hh, bias_ih, bias_hh), reverse=int(reverse), relu=int(relu))


def _backward_specs(y, dy, dh, h0, lengths, weight_hh, **attrs):
    state = Spec((y.shape[0], y.shape[2]), y.dtype)
    return y, y, state, state


@op("rnn_backward", shape=_backward_specs, rows=5)
def _rnn_backward(y, dy, dh, h0, lengths, weight_hh, *, reverse, relu):
    """-> the gradient of what the activation is applied to, the h that each step began with, the first's sum over the steps,
    dh0."""
    n, steps, hidden = y.shape
    zeros = np.zeros((n, hidden), y.dtype)
    dh, first = zeros if dh is None else dh, zeros if h0 is None else h0
    dgates, before, order = np.empty_like(y), np.empty_like(y), list(recurrent.times(steps, reverse))
    for t, earlier in zip(reversed(order), [*reversed(order[:-1]), None]):
        (d, kept), h = recurrent.split(lengths, t, dh, dy), y[:, t]
        before[:, t] = first if earlier is None else recurrent.held(lengths, earlier, y[:, earlier], first)
        dgates[:, t] = np.where(h <= 0, h.dtype.type(0), d) if relu else d * (1 - h * h)
        dh = dgates[:, t] @ weight_hh + kept
    return dgates, before, dgates.sum(1), np.array(dh)


@_rnn_backward.lower
def _(emit, y, dy, dh, h0, lengths, weight_hh, out, *, reverse, relu):
    recurrent.backward(emit, "rnn_backward", dict(y=y, dy=dy, dh=dh, h0=h0, lengths=lengths),
                       dict(zip(("dgates", "before", "totals", "dh0"), out)), weight_hh, reverse=int(reverse), relu=int(relu))


def _attrs(name, nonlinearity, reverse):
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{name}: nonlinearity must be 'tanh' or 'relu', it is {nonlinearity!r}")
    return dict(reverse=bool(reverse), relu=nonlinearity == "relu")


def rnn(x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, reverse=False, nonlinearity="tanh",
        lengths=None):
    """The plain recurrent network over a sequence: for every step t (from the last to the first with `reverse`)

        h = nonlinearity(weight_ih x[:, t] + bias_ih + weight_hh h + bias_hh)

    x (N, steps, in_features); weight_ih (hidden, in_features), weight_hh (hidden, hidden), bias_ih and bias_hh (hidden,) or
    None; h0 (N, hidden), None: zeros; nonlinearity "tanh" or "relu".
    lengths (N,), None: all are `steps` long: of a sequence only the first so many steps count. What follows changes no state
    and its output is 0; x there gets no gradient but must be finite.
    Returns (output (N, steps, hidden), h): h of every step, and after the last. Raises ValueError where shapes do not fit.
    Source: Elman, Finding structure in time, Cognitive Science 14, 1990."""
    given = recurrent.check("rnn", 1, x, weight_ih, weight_hh, bias_ih, bias_hh, lengths, h0=h0)
    return _rnn(*given, **_attrs("rnn", nonlinearity, reverse))


def rnn_backward(grad_output, x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, reverse=False, nonlinearity="tanh",
                 grad_h=None, lengths=None):
    """The gradients of rnn, from those of the output sequence and (None: zero) the final h:
    (grad_x, grad_weight_ih, grad_weight_hh, grad_bias_ih, grad_bias_hh, grad_h0); None for what was None."""
    given = recurrent.check("rnn_backward", 1, x, weight_ih, weight_hh, bias_ih, bias_hh, lengths, h0=h0)
    dys = recurrent.check_gradients("rnn_backward", given[0], given[4], grad_output, grad_h=grad_h)
    attrs = _attrs("rnn_backward", nonlinearity, reverse)
    dx, dh0, _, *rest = _gradients(dys, *given, _rnn(*given, **attrs)[0], **attrs)
    return (dx, *rest, dh0)
