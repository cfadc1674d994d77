"""LSTM over a whole sequence, one direction."""
import numpy as np

from ..graph import Spec, op
from . import _recurrent as recurrent
from .reduce import sum as total

__all__ = ["lstm", "lstm_backward"]
GATES, SAVED = 4, 6             # i, f, g, o (PyTorch's order); and c, tanh c are kept for the backward


@op("lstm", rows=4, shape=lambda x, h0, c0, lengths, weight_ih, weight_hh, *biases, **attrs:
    recurrent.sequence_specs(x, weight_hh, 2, SAVED))
def _lstm(x, h0, c0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, *, reverse):
    """-> the output sequence, final h and c, and what the backward needs."""
    (n, steps), hidden = x.shape[:2], weight_hh.shape[1]
    saved = np.empty((n, steps, SAVED, hidden), x.dtype)
    h = np.zeros((n, hidden), x.dtype) if h0 is None else h0
    c = np.zeros((n, hidden), x.dtype) if c0 is None else c0
    y, from_x = np.empty((n, steps, hidden), x.dtype), recurrent.products(x, weight_ih, bias_ih, GATES)
    for t in recurrent.times(steps, reverse):
        gates = from_x[:, t] + recurrent.product(h, weight_hh, bias_hh, GATES)
        i, f, o = (recurrent.sigmoid(gates[:, k]) for k in (0, 1, 3))
        g = np.tanh(gates[:, 2])
        c = recurrent.held(lengths, t, f * c + i * g, c)
        squashed = np.tanh(c)
        new = o * squashed
        y[:, t] = np.where(recurrent.valid(lengths, t), new, 0)
        h = recurrent.held(lengths, t, new, h)
        saved[:, t] = np.stack([i, f, g, o, c, squashed], 1)
    return y, np.array(h), np.array(c), saved


@_lstm.gradient
def _(dys, x, h0, c0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, outs, *, reverse):
    return _gradients(dys[:3], x, h0, c0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, outs[0], outs[3], reverse)


def _gradients(dys, x, h0, c0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, y, saved, reverse):
    """One gradient an input of the op."""
    dgates, before, totals, dh0, dc0 = _lstm_backward(saved, y, *dys, h0, c0, lengths, weight_hh, reverse=reverse)
    dbias = total(totals, dim=0)
    dx, *rest = recurrent.weight_gradients(dgates, dgates, before, dbias, dbias, x, weight_ih, bias_ih, bias_hh)
    return dx, None if h0 is None else dh0, None if c0 is None else dc0, None, *rest


@_lstm.lower
def _(emit, x, h0, c0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, out, *, reverse):
    recurrent.forward(emit, "lstm_forward", GATES, dict(x=x, h0=h0, c0=c0, lengths=lengths),
                      dict(zip(("y", "h", "c", "saved"), out)), (weight_ih, weight_hh, bias_ih, bias_hh), ("y", "cells"),
                      reverse=int(reverse))


def _backward_specs(saved, y, dy, dh, dc, h0, c0, lengths, weight_hh, **attrs):
    n, steps, hidden = y.shape
    state = Spec((n, hidden), y.dtype)
    return Spec((n, steps, GATES * hidden), y.dtype), y, Spec((n, GATES * hidden), y.dtype), state, state


@op("lstm_backward", shape=_backward_specs, rows=8)
def _lstm_backward(saved, y, dy, dh, dc, h0, c0, lengths, weight_hh, *, reverse):
    """-> dgates, the h that each step began with, the sum of dgates over the steps, dh0, dc0."""
    n, steps, hidden = y.shape
    zeros = np.zeros((n, hidden), y.dtype)
    dh, dc, first_h, first_c = (zeros if v is None else v for v in (dh, dc, h0, c0))
    dgates, before = np.empty((n, steps, GATES * hidden), y.dtype), np.empty_like(y)
    order = list(recurrent.times(steps, reverse))
    for t, earlier in zip(reversed(order), [*reversed(order[:-1]), None]):
        i, f, g, o, _, squashed = saved[:, t].swapaxes(0, 1)
        (d, kept), (dc, dc_kept) = recurrent.split(lengths, t, dh, dy), recurrent.split(lengths, t, dc)
        inner = dc + d * o * (1 - squashed * squashed)
        c = first_c if earlier is None else saved[:, earlier, 4]
        before[:, t] = first_h if earlier is None else recurrent.held(lengths, earlier, y[:, earlier], first_h)
        dgates[:, t] = np.concatenate([inner * g * i * (1 - i), inner * c * f * (1 - f), inner * i * (1 - g * g),
                                       d * squashed * o * (1 - o)], 1)
        dh, dc = dgates[:, t] @ weight_hh + kept, inner * f + dc_kept
    return dgates, before, dgates.sum(1), np.array(dh), np.array(dc)


@_lstm_backward.lower
def _(emit, saved, y, dy, dh, dc, h0, c0, lengths, weight_hh, out, *, reverse):
    recurrent.backward(emit, "lstm_backward", dict(saved=saved, y=y, dy=dy, dh=dh, dc=dc, h0=h0, c0=c0, lengths=lengths),
                       dict(zip(("dgates", "before", "totals", "dh0", "dc0"), out)), weight_hh, reverse=int(reverse))


def lstm(x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, c0=None, reverse=False,
         lengths=None):
    """The LSTM over a sequence: for every step t (from the last to the first with `reverse`)

        i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of (weight_ih x[:, t] + bias_ih + weight_hh h + bias_hh)
        c = f c + i g,    h = o tanh(c)

    x (N, steps, in_features); weight_ih (4 hidden, in_features), weight_hh (4 hidden, hidden), bias_ih and bias_hh (4 hidden,)
    or None, the gates' rows in the order i, f, g, o; h0, c0 (N, hidden), None: zeros.
    lengths (N,), None: all are `steps` long: of a sequence only the first so many steps count. What follows changes no state
    and its output is 0; x there gets no gradient but must be finite.
    Returns (output (N, steps, hidden), h, c): h of every step, and both after the last. Raises ValueError where shapes do not
    fit. Source: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9(8), 1997; forget gate: Gers et al.,
    2000."""
    given = recurrent.check("lstm", GATES, x, weight_ih, weight_hh, bias_ih, bias_hh, lengths, h0=h0, c0=c0)
    return _lstm(*given, reverse=bool(reverse))[:3]


def lstm_backward(grad_output, x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, c0=None, reverse=False,
                  grad_h=None, grad_c=None, lengths=None):
    """The gradients of lstm, from those of the output sequence and (None: zero) the final h and c:
    (grad_x, grad_weight_ih, grad_weight_hh, grad_bias_ih, grad_bias_hh, grad_h0, grad_c0); None for what was None."""
    given = recurrent.check("lstm_backward", GATES, x, weight_ih, weight_hh, bias_ih, bias_hh, lengths, h0=h0, c0=c0)
    dys = recurrent.check_gradients("lstm_backward", given[0], given[5], grad_output, grad_h=grad_h, grad_c=grad_c)
    y, _, _, saved = _lstm(*given, reverse=bool(reverse))
    dx, dh0, dc0, _, *rest = _gradients(dys, *given, y, saved, bool(reverse))
    return (dx, *rest, dh0, dc0)
