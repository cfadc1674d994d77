"""Boltzmann machines: networks of units that are 0 or 1 by chance, whose weights say which states are likely:
P(s) = e^-E(s) / Z. The restricted one (RBM), stacks of it (DeepBeliefNetwork), and the general one (BoltzmannMachine).

Learning lowers the energy of the data and raises that of what the machine itself draws: it follows the gradient of the
difference of two mean energies, in which the samples are constants. So a step is a formula of the package's ops, sampling
included, and one plan."""
import numpy as np

from .. import functional as F
from .. import graph, random
from ..layers import Linear, Sequential
from ..layers._check import integer
from ..module import Module
from ..optimizers import SGD
from ..parameter import Buffer, Parameter
from ..run import check_array
from ._learning import Step, learn

__all__ = ["RBM", "DeepBeliefNetwork", "BoltzmannMachine"]


class _Machine(Module):
    """What the machines share: their rows, and learning by samples."""

    def _rows(self, where, x):
        """x as rows of n_visible numbers, of the model's type; ValueError for others, and for what no binary unit can be."""
        where = f"{type(self).__name__}.{where}"
        x = check_array(where, "x", x)
        rows = x.reshape(len(x) if x.ndim else 0, -1) if x.size else x
        if x.ndim < 2 or rows.shape[-1] != self.n_visible:
            raise ValueError(f"{where}: x must have rows of n_visible={self.n_visible} numbers, it has shape {x.shape}")
        if self.visible == "binary" and x.size and not (rows.min() >= 0 and rows.max() <= 1):
            raise ValueError(f"{where}: x must lie between 0 and 1, it holds {rows.min():g} to {rows.max():g}: divide bytes "
                             "by 255, or use visible=\"gaussian\" for standardised numbers")
        return np.ascontiguousarray(rows, self.weight.dtype)

    def _optimizer(self, learning_rate, momentum, weight_decay):
        """SGD whose decay spares the biases; kept for callbacks that ask for `optimizer`."""
        biases = [p for p in self.parameters() if p is not self.weight]
        groups = [{"params": [self.weight], "weight_decay": weight_decay}, {"params": biases}]
        self.__dict__["_learner"] = SGD(groups if weight_decay else self.parameters(), lr=learning_rate, momentum=momentum)
        return self._learner

    @property
    def optimizer(self):
        """The optimizer of the latest fit."""
        return self.__dict__.get("_learner") or super().optimizer

    def _run_on(self, key, formula, *arrays, draws=False):
        """formula(*values) -> a dict of values, without learning -> {name: array}. draws: it has random numbers, new at each
        call."""
        executable, n = self.executable(key, lambda session, inputs: (formula(*inputs), []), list(arrays), False)
        with self._lock():
            results = executable.start(list(arrays), n, self.numbers(advance=draws)).results()
        return dict(zip(executable.names, results))


class RBM(_Machine):
    """The restricted Boltzmann machine: visible units v and hidden units h, with weights between the two kinds alone:

        E(v, h) = -h W v - c h - b v,   visible="gaussian": -h W v - c h + |v - b|^2 / 2   (unit variance: standardise the data)

    so that P(h | v) = sigmoid(W v + c) and P(v | h) = sigmoid(h W + b) (gaussian: normal around h W + b).

    Args: n_visible, n_hidden; visible="binary" (data from 0 to 1) or "gaussian". Called as a layer: (N, ...) with n_visible
    numbers a row -> (N, n_hidden), the hidden units' probabilities: its features. Parameters: weight (n_hidden, n_visible),
    normal with deviation 0.01 at first, hidden_bias (n_hidden,), visible_bias (n_visible,), zeros. Raises ValueError for sizes
    below 1 and another `visible`.
    Sources: Smolensky 1986 (the harmonium); Hinton, Training products of experts by minimizing contrastive divergence, 2002;
    Hinton, A practical guide to training restricted Boltzmann machines, 2010."""

    def __init__(self, n_visible, n_hidden, visible="binary"):
        super().__init__()
        self.n_visible, self.n_hidden = integer("RBM", "n_visible", n_visible), integer("RBM", "n_hidden", n_hidden)
        if visible not in ("binary", "gaussian"):
            raise ValueError(f'RBM: visible must be "binary" or "gaussian", got {visible!r}')
        self.visible = visible
        self.weight = Parameter(random.normal((n_hidden, n_visible), 0.01))
        self.hidden_bias, self.visible_bias = Parameter(np.zeros(n_hidden)), Parameter(np.zeros(n_visible))

    # -- formulas, on values

    def forward(self, v):
        """v: (N, ...) with n_visible numbers a row -> (N, n_hidden) probabilities."""
        v = v if v.ndim == 2 else F.flatten(v, 1)
        return F.sigmoid(self._activation(v))

    def _activation(self, v):
        return F.linear(v, self.weight, self.hidden_bias)

    def _energy(self, v, activation):
        """The free energy: -log of the sum of e^-E(v, h) over all h."""
        if self.visible == "binary":
            return -(v * self.visible_bias).sum(1) - F.softplus(activation).sum(1)
        return ((v - self.visible_bias) ** 2).sum(1) * 0.5 - F.softplus(activation).sum(1)

    def _visible_mean(self, h):
        mean = graph.OPS["linear_backward_input"](h, graph.as_value(self.weight)) + self.visible_bias        # h W + b
        return F.sigmoid(mean) if self.visible == "binary" else mean

    def _visible_sample(self, mean):
        return F.bernoulli(mean) if self.visible == "binary" else mean + F.randn_like(mean)

    def _gibbs(self, h, k=1):
        """k steps of the chain from the hidden states h -> (visible mean, visible sample, the hidden units' activation)."""
        for i in range(k):
            mean = self._visible_mean(h if i == 0 else F.bernoulli(F.sigmoid(activation)))
            v = self._visible_sample(mean)
            activation = self._activation(v)
        return mean, v, activation

    def _contrast(self, k, chains=None):
        """The formula of a step: the samples go on from the chains given (a Buffer of hidden states), else from the data. What
        it descends is the gradient of the mean free energy of the data less that of the samples: the samples' statistics less
        the data's."""
        def formula(v):
            moved = self.weight, self.hidden_bias, self.visible_bias
            *gradients, states = F.contrastive_divergence(v, *moved, chains, k, self.visible)
            return {}, list(zip(moved, gradients)), {} if chains is None else {chains: states}
        return formula

    # -- learning

    def fit(self, x, batch_size=64, epochs=10, learning_rate=0.1, k=1, persistent=False, momentum=0.0, weight_decay=0.0,
            verbose="auto", callbacks=None, shuffle=True):
        """Contrastive divergence -> History: "reconstruction_error", after each epoch the mean square between data (the first
        100 rows) and what `reconstruct` makes of it.

        x: (N, ...) with n_visible numbers a row. k=1: Gibbs steps a sample. persistent=True: as many chains as batch_size go on
        from step to step (Tieleman 2008), in place of chains from the data. weight_decay: of the weights alone. The random
        numbers are manual_seed's. A further fit goes on from the weights reached. Raises ValueError for arrays and numbers that
        do not fit."""
        x = self._rows("fit", x)
        batch_size, epochs, k = (integer("RBM.fit", name, n) for name, n in
                                 (("batch_size", batch_size), ("epochs", epochs), ("k", k)))
        if not len(x):
            raise ValueError("RBM.fit: x has no rows")
        chains = Buffer(np.zeros((min(batch_size, len(x)), self.n_hidden)), "chains", str(self.dtype())) if persistent else None
        step, some = Step(self, self._optimizer(learning_rate, momentum, weight_decay), self._contrast(k, chains)), x[:100]

        def after():
            return {"reconstruction_error": float(np.mean((some - self.reconstruct(some)) ** 2))}
        return learn(self, len(x), lambda index: step(x, index=index), batch_size=batch_size, epochs=epochs, verbose=verbose,
                     callbacks=callbacks, shuffle=shuffle, after=after, many=lambda indexes: step.many(x, indexes=indexes))

    # -- what it has learned

    def transform(self, x, batch_size=256):
        """The features of x: (N, n_hidden), the probability of each hidden unit."""
        return self.predict(self._rows("transform", x), batch_size)

    def reconstruct(self, x):
        """x as the machine sees it: (N, n_visible), the visible mean for the hidden units' probabilities."""
        x = self._rows("reconstruct", x)
        return self._run_on("reconstruct", lambda v: {"mean": self._visible_mean(self(v))}, x)["mean"]

    def sample(self, n, steps=1000, start=None, mean=False):
        """n samples (n, n_visible) of the machine, after so many Gibbs steps from `start`, (n, n_visible) data (default: hidden
        units thrown like coins). mean=True: the visible mean of the last step, smoother as a picture, for the sample."""
        n, steps = integer("RBM.sample", "n", n), integer("RBM.sample", "steps", steps)
        if start is None:
            h = np.full((n, self.n_hidden), 0.5, self.dtype())
        else:
            start = self._rows("sample", start)
            if len(start) != n:
                raise ValueError(f"RBM.sample: start has {len(start)} rows, expected n={n}")
            h = self.transform(start)

        def formula(h):
            drawn, v, activation = self._gibbs(F.bernoulli(h))
            return {"mean": drawn, "sample": v, "hidden": F.sigmoid(activation)}
        for _ in range(steps):
            results = self._run_on("sample", formula, h, draws=True)
            h = results["hidden"]
        return results["mean" if mean else "sample"]

    def free_energy(self, x):
        """(N,): F(v) = -log sum over h of e^-E(v, h); P(v) = e^-F(v) / Z."""
        x = self._rows("free_energy", x)
        return self._run_on("free_energy", lambda v: {"energy": self._energy(v, self._activation(v))}, x)["energy"]

    def score_samples(self, x):
        """(N,): the pseudo-likelihood, scikit-learn's: n_visible times the log-probability of one unit, chosen at random for
        each row, given the others. Higher is better; only for binary visible units (ValueError)."""
        if self.visible != "binary":
            raise ValueError('RBM.score_samples: the pseudo-likelihood is of binary units, these are visible="gaussian"')
        x = self._rows("score_samples", x)
        flipped, place = x.copy(), (np.arange(len(x)), random.integers(self.n_visible, len(x)))
        flipped[place] = 1 - flipped[place]
        return -self.n_visible * F.softplus(self.free_energy(x) - self.free_energy(flipped))

    def extra_repr(self):
        """The arguments."""
        return f"n_visible={self.n_visible}, n_hidden={self.n_hidden}, visible={self.visible!r}"


class DeepBeliefNetwork(Sequential):
    """RBMs one on the other, each learning the features of the one below, and a linear layer of outputs on the last: `pretrain`
    needs no labels, then `compile` and `fit` tune the whole as a multi-layer perceptron of sigmoid units. Source: Hinton,
    Osindero & Teh, A fast learning algorithm for deep belief nets, 2006.

    Args: sizes, as MLP's: DeepBeliefNetwork([784, 256, 128, 10]); visible: of the first RBM. Shapes: (N, ...) with sizes[0]
    numbers a row -> (N, sizes[-1]). Raises ValueError for fewer than three sizes or one below 1."""

    def __init__(self, sizes, visible="binary"):
        sizes = [integer("DeepBeliefNetwork", f"sizes[{i}]", size) for i, size in enumerate(sizes)]
        if len(sizes) < 3:
            raise ValueError("DeepBeliefNetwork: sizes must hold the numbers of inputs, of hidden units in each RBM, of "
                             f"outputs, got {sizes}")
        kinds = [visible] + ["binary"] * (len(sizes) - 3)
        super().__init__(*map(RBM, sizes, sizes[1:-1], kinds), Linear(sizes[-2], sizes[-1]))

    @property
    def machines(self):
        """The RBMs, from the data upwards."""
        return [layer for layer in self if isinstance(layer, RBM)]

    def pretrain(self, x, **settings):
        """Trains one RBM after the other (RBM.fit with these settings) -> [History of each]. x: as RBM.fit's."""
        histories = []
        for machine in self.machines:
            histories.append(machine.fit(x, **settings))
            x = machine.transform(x)
        return histories

    def sample(self, n, steps=1000):
        """n samples (n, sizes[0]) as visible means: Gibbs steps in the uppermost RBM, then down."""
        *lower, top = self.machines
        x = top.sample(n, steps, mean=not lower)
        for machine in reversed(lower):
            x = machine._run_on("down", lambda h: {"mean": machine._visible_mean(F.bernoulli(h))}, x, draws=True)["mean"]
        return x


ENUMERABLE = 16                 # units up to which all 2^n states are gone through


class BoltzmannMachine(_Machine):
    """The general Boltzmann machine: every unit coupled with every other, the first n_visible ones seen, n_hidden not:

        E(s) = -1/2 s W s - b s,   W symmetric with zeros on the diagonal,   P(s) = e^-E(s) / Z

    Args: n_visible, n_hidden=0. Parameters: weight (units, units), of which the diagonal plays no part, bias (units,). Raises
    ValueError for sizes that do not fit. Source: Ackley, Hinton & Sejnowski, A learning algorithm for Boltzmann machines,
    1985."""
    visible = "binary"

    def __init__(self, n_visible, n_hidden=0):
        super().__init__()
        self.n_visible = integer("BoltzmannMachine", "n_visible", n_visible)
        self.n_hidden = integer("BoltzmannMachine", "n_hidden", n_hidden, 0)
        self.units = self.n_visible + self.n_hidden
        spread = 0.5 if self.n_hidden else 0.0                          # hidden units must begin unlike
        half = np.tril(random.normal((self.units, self.units), spread), -1)
        self.weight, self.bias = Parameter(half + half.T), Parameter(np.zeros(self.units))

    # -- formulas, on values

    def _couplings(self):
        return self.weight * (1 - np.eye(self.units, dtype=np.float32))

    def forward(self, s):
        """s: (N, units) states -> (N,) energies."""
        return (F.linear(s, self._couplings()) * s).sum(-1) * -0.5 - (s * self.bias).sum(-1)

    def _sweep(self, s, units):
        """One Gibbs step of each of these units in turn."""
        couplings = self._couplings()
        for i in units:
            p = F.sigmoid(F.linear(s, couplings[i:i + 1], graph.as_value(self.bias)[i:i + 1]))
            s = F.where(np.arange(self.units) == i, F.bernoulli(p), s)
        return s

    def _exact(self, states, share):
        """-> the mean -log P of visible states (rows) with these shares in the data, and their probabilities."""
        if self.n_hidden:
            shape = (states.shape[0], 1 << self.n_hidden)
            hidden = graph.as_value(all_states(self.n_hidden)).expand(*shape, self.n_hidden)
            s = F.cat([F.unsqueeze(states, 1).expand(*shape, self.n_visible), hidden], 2)
        else:
            s = F.unsqueeze(states, 1)
        joint = F.log_softmax((-self.forward(s)).reshape(-1), 0).reshape(s.shape[:2])
        p = joint[:, 0] - F.log_softmax(joint, 1)[:, 0]                 # the log of the sum over the hidden states
        return -(share * p).sum(), F.exp(p)

    def _sampled(self, k):
        hidden, every = range(self.n_visible, self.units), range(self.units)

        def formula(data, chains):
            for _ in range(k):
                data, chains = self._sweep(data, hidden), self._sweep(chains, every)
            loss = self.forward(data).mean() - self.forward(chains).mean()
            return {"loss": loss, "chains": chains}, loss
        return formula

    # -- learning

    def _check_enumerable(self, where):
        if self.units > ENUMERABLE:
            raise ValueError(f"BoltzmannMachine.{where}: {self.units} units have too many states to go through (at most "
                             f"{ENUMERABLE} units); learning=\"sampled\" and sample() do without")

    def fit(self, x, learning="exact", batch_size=256, epochs=100, learning_rate=0.5, k=1, momentum=0.9, weight_decay=0.0,
            verbose="auto", callbacks=None):
        """Maximum likelihood -> History of "loss".

        x: (N, n_visible) of 0 and 1. learning="exact": every state is gone through (at most 16 units), an epoch is one step,
        the loss is the mean -log P(v). "sampled": k Gibbs sweeps of batch_size persistent chains a step, and of the hidden
        units beside each row of data; the loss is the difference of mean energies, whose gradient is followed (no measure of
        the fit). learning_rate, momentum, weight_decay: SGD's. Raises ValueError for arrays and numbers that do not fit."""
        x = self._rows("fit", x)
        batch_size, epochs, k = (integer("BoltzmannMachine.fit", name, n) for name, n in
                                 (("batch_size", batch_size), ("epochs", epochs), ("k", k)))
        if learning not in ("exact", "sampled"):
            raise ValueError(f'BoltzmannMachine.fit: learning must be "exact" or "sampled", got {learning!r}')
        if not len(x) or not np.isin(x, (0, 1)).all():
            raise ValueError("BoltzmannMachine.fit: x must hold rows of 0 and 1")
        optimizer = self._optimizer(learning_rate, momentum, weight_decay)
        settings = dict(epochs=epochs, verbose=verbose, callbacks=callbacks)
        if learning == "exact":
            self._check_enumerable("fit")
            return self._fit_exact(x, optimizer, settings)
        return self._fit_sampled(x, optimizer, k, batch_size, settings)

    def _fit_exact(self, x, optimizer, settings):
        states = all_states(self.n_visible).astype(x.dtype)
        share = np.bincount(number_of(x), minlength=len(states)).astype(x.dtype) / len(x)

        def formula(*values):
            loss, _ = self._exact(*values)
            return {"loss": loss}, loss
        step = Step(self, optimizer, formula)
        return learn(self, 1, lambda index: step(states, share), batch_size=1, **settings)

    def _fit_sampled(self, x, optimizer, k, batch_size, settings):
        step = Step(self, optimizer, self._sampled(k))
        chains = self._coins(min(batch_size, len(x)))

        def follow(index):
            data = np.concatenate([x[index], self._coins(len(index))[:, self.n_visible:]], 1)
            results = step(data, chains[:len(index)])
            chains[:len(index)] = results.pop("chains")
            return results
        return learn(self, len(x), follow, batch_size=batch_size, **settings)

    def _coins(self, n):
        return random.integers(2, (n, self.units)).astype(self.dtype())

    # -- what it has learned

    def probabilities(self):
        """(2^n_visible,): P(v) of every visible state, in the order of all_states(n_visible). At most 16 units (ValueError)."""
        self._check_enumerable("probabilities")
        states = all_states(self.n_visible).astype(self.dtype())
        shares = np.zeros(len(states), self.dtype())
        return self._run_on("probabilities", lambda *values: {"p": self._exact(*values)[1]}, states, shares)["p"]

    def energy(self, s):
        """(N,): E(s) of whole states (N, units)."""
        s = check_array("BoltzmannMachine.energy", "s", s)
        if s.ndim != 2 or s.shape[1] != self.units:
            raise ValueError(f"BoltzmannMachine.energy: s must have shape (N, {self.units}), it has {s.shape}")
        return self.predict(s)

    def sample(self, n, steps=1000):
        """n samples (n, n_visible), after so many Gibbs sweeps of every unit from states thrown like coins."""
        n, steps = integer("BoltzmannMachine.sample", "n", n), integer("BoltzmannMachine.sample", "steps", steps)
        s = self._coins(n)
        for _ in range(steps):
            s = self._run_on("sample", lambda s: {"s": self._sweep(s, range(self.units))}, s, draws=True)["s"]
        return s[:, :self.n_visible]

    def extra_repr(self):
        """The arguments."""
        return f"n_visible={self.n_visible}, n_hidden={self.n_hidden}"


def all_states(n):
    """(2^n, n): every state of n binary units, counting upwards, the first unit the highest digit."""
    return (np.arange(1 << n)[:, None] >> np.arange(n)[::-1] & 1).astype(np.float32)


def number_of(states):
    """Which row of all_states each state is."""
    return states.astype(np.int64) @ (1 << np.arange(states.shape[1])[::-1])
