"""GRU over a whole sequence, one direction."""
import numpy as np

from ..graph import Spec, op
from . import _recurrent as recurrent
from .cat import cat
from .getitem import getitem
from .reduce import sum as total

__all__ = ["gru", "gru_backward"]
GATES, SAVED = 3, 4             # r, z, n (PyTorch's order); and n's share of h is kept for the backward


@op("gru", rows=3, shape=lambda x, h0, lengths, weight_ih, weight_hh, *biases, **attrs:
    recurrent.sequence_specs(x, weight_hh, 1, SAVED))
def _gru(x, h0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, *, reverse):
    """-> the output sequence, final h, and what the backward needs."""
    (n, steps), hidden = x.shape[:2], weight_hh.shape[1]
    h = np.zeros((n, hidden), x.dtype) if h0 is None else h0
    y, saved = np.empty((n, steps, hidden), x.dtype), np.empty((n, steps, SAVED, hidden), x.dtype)
    from_x = recurrent.products(x, weight_ih, bias_ih, GATES)
    for t in recurrent.times(steps, reverse):
        from_h = recurrent.product(h, weight_hh, bias_hh, GATES)
        r, z = (recurrent.sigmoid(from_x[:, t, k] + from_h[:, k]) for k in (0, 1))
        n = np.tanh(from_x[:, t, 2] + r * from_h[:, 2])
        new = n + z * (h - n)
        y[:, t] = np.where(recurrent.valid(lengths, t), new, 0)
        h = recurrent.held(lengths, t, new, h)
        saved[:, t] = np.stack([r, z, n, from_h[:, 2]], 1)
    return y, np.array(h), saved


@_gru.gradient
def _(dys, x, h0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, outs, *, reverse):
    return _gradients(dys[:2], x, h0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, outs[0], outs[2], reverse)


def _gradients(dys, x, h0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, y, saved, reverse):
    """One gradient an input of the op."""
    dx_gates, dgates, before, totals, dh0 = _gru_backward(saved, y, *dys, h0, lengths, weight_hh, reverse=reverse)
    dr, dz, dn, dnh = (getitem(total(totals, dim=0), i) for i in range(SAVED))
    dx, *rest = recurrent.weight_gradients(dx_gates, dgates, before, cat([dr, dz, dn]), cat([dr, dz, dnh]), x, weight_ih,
                                           bias_ih, bias_hh)
    return dx, None if h0 is None else dh0, None, *rest


@_gru.lower
def _(emit, x, h0, lengths, weight_ih, weight_hh, bias_ih, bias_hh, out, *, reverse):
    recurrent.forward(emit, "gru_forward", GATES, dict(x=x, h0=h0, lengths=lengths), dict(zip(("y", "h", "saved"), out)),
                      (weight_ih, weight_hh, bias_ih, bias_hh), reverse=int(reverse))


def _backward_specs(saved, y, dy, dh, h0, lengths, weight_hh, **attrs):
    n, steps, hidden = y.shape
    gates = Spec((n, steps, GATES * hidden), y.dtype)
    return gates, gates, y, Spec((n, SAVED, hidden), y.dtype), Spec((n, hidden), y.dtype)


@op("gru_backward", shape=_backward_specs, rows=6)
def _gru_backward(saved, y, dy, dh, h0, lengths, weight_hh, *, reverse):
    """-> the gradients of weight_ih x and of weight_hh h, the h that each step began with, the sums over the steps of both (r,
    z, n and n's of h), dh0."""
    n, steps, hidden = y.shape
    zeros = np.zeros((n, hidden), y.dtype)
    dh, first = zeros if dh is None else dh, zeros if h0 is None else h0
    dx_gates, before = np.empty((n, steps, GATES * hidden), y.dtype), np.empty_like(y)
    dgates, order = np.empty_like(dx_gates), list(recurrent.times(steps, reverse))
    for t, earlier in zip(reversed(order), [*reversed(order[:-1]), None]):
        r, z, new, from_h = saved[:, t].swapaxes(0, 1)
        d, kept = recurrent.split(lengths, t, dh, dy)
        h = before[:, t] = first if earlier is None else recurrent.held(lengths, earlier, y[:, earlier], first)
        dn, dz = d * (1 - z) * (1 - new * new), d * (h - new) * z * (1 - z)
        dr = dn * from_h * r * (1 - r)
        dx_gates[:, t] = np.concatenate([dr, dz, dn], 1)
        dgates[:, t] = np.concatenate([dr, dz, dn * r], 1)
        dh = d * z + dgates[:, t] @ weight_hh + kept
    totals = np.concatenate([dx_gates.sum(1), dgates[..., 2 * hidden:].sum(1)], 1).reshape(n, SAVED, hidden)
    return dx_gates, dgates, before, totals, np.array(dh)


@_gru_backward.lower
def _(emit, saved, y, dy, dh, h0, lengths, weight_hh, out, *, reverse):
    recurrent.backward(emit, "gru_backward", dict(saved=saved, y=y, dy=dy, dh=dh, h0=h0, lengths=lengths),
                       dict(zip(("dx_gates", "dgates", "before", "totals", "dh0"), out)), weight_hh, reverse=int(reverse))


def gru(x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, reverse=False, lengths=None):
    """The GRU over a sequence: for every step t (from the last to the first with `reverse`)

        r, z = sigmoid of (weight_ih x[:, t] + bias_ih + weight_hh h + bias_hh)
        n = tanh(weight_ih x[:, t] + bias_ih + r (weight_hh h + bias_hh)),    h = (1 - z) n + z h

    x (N, steps, in_features); weight_ih (3 hidden, in_features), weight_hh (3 hidden, hidden), bias_ih and bias_hh (3 hidden,)
    or None, the gates' rows in the order r, z, n; h0 (N, hidden), None: zeros.
    lengths (N,), None: all are `steps` long: of a sequence only the first so many steps count. What follows changes no state
    and its output is 0; x there gets no gradient but must be finite.
    Returns (output (N, steps, hidden), h): h of every step, and after the last. Raises ValueError where shapes do not fit.
    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014 (r applied as PyTorch does)."""
    given = recurrent.check("gru", GATES, x, weight_ih, weight_hh, bias_ih, bias_hh, lengths, h0=h0)
    return _gru(*given, reverse=bool(reverse))[:2]


def gru_backward(grad_output, x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, reverse=False, grad_h=None,
                 lengths=None):
    """The gradients of gru, from those of the output sequence and (None: zero) the final h:
    (grad_x, grad_weight_ih, grad_weight_hh, grad_bias_ih, grad_bias_hh, grad_h0); None for what was None."""
    given = recurrent.check("gru_backward", GATES, x, weight_ih, weight_hh, bias_ih, bias_hh, lengths, h0=h0)
    dys = recurrent.check_gradients("gru_backward", given[0], given[4], grad_output, grad_h=grad_h)
    y, _, saved = _gru(*given, reverse=bool(reverse))
    dx, dh0, _, *rest = _gradients(dys, *given, y, saved, bool(reverse))
    return (dx, *rest, dh0)
