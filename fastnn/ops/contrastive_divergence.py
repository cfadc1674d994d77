"""Contrastive divergence: the gradient that a restricted Boltzmann machine descends, from a chain of samples, as one op.

    h_0 ~ sigmoid(weight v + hidden_bias), then k times: v' ~ the visible units given h, h ~ the hidden units given v';
    gradient = the model's statistics less the data's: (model^T v' - data^T v) / n, data and model the hidden probabilities of
    v and of the last v'.

The kernels go through what is not 0 alone: samples are ones and zeros, and images are mostly dark.
Sources: Hinton, Training products of experts by minimizing contrastive divergence, 2002; persistent chains: Tieleman, Training
restricted Boltzmann machines using approximations to the likelihood gradient, 2008."""
import numpy as np

from ..graph import Spec, op
from . import _arguments as arguments
from ._random import draw, uniforms
from ._recurrent import sigmoid
from .randn_like import quantile

__all__ = ["contrastive_divergence"]
MOST = 1 << 16                                      # units of a kind: a row of them, with their places, must fit scratch


def _spec(v, weight, hidden_bias, visible_bias, chains, seed, step, **attrs):
    hidden, visible = weight.shape
    return (Spec((hidden, visible), v.dtype), Spec((hidden,), v.dtype), Spec((visible,), v.dtype),
            Spec((v.shape[0], hidden), v.dtype) if chains is None else chains)


@op("contrastive_divergence", shape=_spec, mode="flat", rows=1)
def _contrastive_divergence(v, weight, hidden_bias, visible_bias, chains, seed, step, *, k, gaussian, stream, images):
    """-> the gradients (weight, hidden_bias, visible_bias), and the hidden states that the chains have reached."""
    def uniform(x, number):
        return uniforms(x, seed, step, stream + (number << 16), images)

    def hidden_mean(v):
        return sigmoid(v @ weight.T + hidden_bias)

    n, data = len(v), hidden_mean(v)
    h = (uniform(data, 0) < data).astype(v.dtype)
    if chains is not None:
        h[:len(chains)] = chains[:n]
    for i in range(k):
        mean = h @ weight + visible_bias
        mean = mean if gaussian else sigmoid(mean)
        u = uniform(mean, 2 * i + 1)
        sample = (mean + quantile(u + 2.0 ** -25) if gaussian else u < mean).astype(v.dtype)
        model = hidden_mean(sample)
        h = (uniform(model, 2 * i + 2) < model).astype(v.dtype)
    share = v.dtype.type(1 / max(n, 1))
    return ((model.T @ sample - data.T @ v) * share, (model - data).sum(0) * share, (sample - v).sum(0) * share,
            h if chains is None else np.concatenate([h[:len(chains)], chains[n:]]))


@_contrastive_divergence.gradient
def _(dys, *inputs, **attrs):
    return (None,) * 7


@_contrastive_divergence.lower
def _(emit, v, weight, hidden_bias, visible_bias, chains, seed, step, out, *, k, gaussian, stream, images):
    (n, visible), hidden = v.shape, weight.shape[0]
    sizes = dict(rows=n, visible=visible, hidden=hidden)
    units, sample, h = (emit.plain(shape) for shape in ((n * 2, hidden), (n, visible), (n, hidden)))    # units: model, then data
    turned, = emit.once("linear_pack", {"weight": weight}, {"packed": -(-hidden // 16) * visible * 16}, in_features=visible,
                        out_features=hidden)
    emit("contrastive_divergence_chain", units=units, sample=sample, h=h, states=out[3], v=v, chains=chains, weight=weight,
         packed=turned, hidden_bias=hidden_bias, visible_bias=visible_bias, k=k, gaussian=int(gaussian),
         keep=int(emit.wanted(out[3])), chain_rows=0 if chains is None else chains.shape[0], seed=seed, step=step,
         stream=stream, **sizes)
    emit("contrastive_divergence_gradient", dweight=out[0], dhidden=out[1], dvisible=out[2], units=units, sample=sample, v=v,
         **sizes)


def contrastive_divergence(v, weight, hidden_bias, visible_bias, chains=None, k=1, visible="binary", *, seed=None, step=None):
    """One estimate of a restricted Boltzmann machine's gradient by contrastive divergence of k steps.

    v (N, n_visible) data; weight (n_hidden, n_visible), hidden_bias (n_hidden,), visible_bias (n_visible,). chains (M,
    n_hidden): hidden states, of which the first N go on, in place of samples given v (persistent contrastive divergence).
    visible: "binary" or "gaussian" (unit variance). seed, step: as bernoulli's.
    Returns (weight's gradient, hidden_bias's, visible_bias's, to be descended; the hidden states that the chains have reached,
    of chains' shape, (N, n_hidden) without). There is no gradient through it. Weights must be finite.
    Raises ValueError where shapes do not fit, for k below 1, another `visible`, and more than 65,536 units of a kind."""
    v, weight, hidden_bias, visible_bias, chains = arguments.floats(
        "contrastive_divergence", v=v, weight=weight, hidden_bias=hidden_bias, visible_bias=visible_bias, chains=chains)
    for name, x in dict(v=v, weight=weight, hidden_bias=hidden_bias, visible_bias=visible_bias).items():
        if x is None:
            raise TypeError(f"contrastive_divergence: {name} is None, an array is expected")
    arguments.check_ndim("contrastive_divergence", "weight", weight, (2,), "(n_hidden, n_visible)")
    hidden, units = weight.shape
    arguments.check_ndim("contrastive_divergence", "v", v, (2,), f"(N, {units}), n_visible numbers a row")
    if max(hidden, units) > MOST:
        raise ValueError(f"contrastive_divergence: weight has shape {arguments.shown(weight.shape)}, expected at most {MOST} "
                         "units of a kind")
    arguments.check_shape("contrastive_divergence", "v", v, (v.shape[0], units), ", n_visible numbers a row")
    arguments.check_shape("contrastive_divergence", "hidden_bias", hidden_bias, (hidden,))
    arguments.check_shape("contrastive_divergence", "visible_bias", visible_bias, (units,))
    if chains is not None:
        arguments.check_ndim("contrastive_divergence", "chains", chains, (2,), "(M, n_hidden)")
        arguments.check_shape("contrastive_divergence", "chains", chains, (chains.shape[0], hidden), ", hidden states a row")
    if visible not in ("binary", "gaussian"):
        raise ValueError(f'contrastive_divergence: visible must be "binary" or "gaussian", got {visible!r}')
    k = arguments.integer("contrastive_divergence", "k", k, 1)

    def node(v, *numbers, **attrs):
        return _contrastive_divergence(v, weight, hidden_bias, visible_bias, chains, *numbers, **attrs)
    return draw(node, v, seed, step, k=k, gaussian=visible == "gaussian")
