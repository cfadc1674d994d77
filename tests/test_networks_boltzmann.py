"""Boltzmann machines: energies and gradients against enumeration, samples against probabilities, the same numbers from the same
seed, and what they refuse."""
import itertools

import numpy as np
import pytest

import fastnn as nn
from fastnn.datasets import load_digits
from fastnn.networks import RBM, BoltzmannMachine, DeepBeliefNetwork
from fastnn.networks.boltzmann import all_states, number_of

RNG = np.random.default_rng(3)


def random_rbm(n_visible, n_hidden, visible="binary", size=1.0):
    machine = RBM(n_visible, n_hidden, visible)
    for p in machine.parameters():
        p.data[...] = size * RNG.standard_normal(p.shape)
    return machine


def random_machine(n_visible, n_hidden=0, rng=RNG):
    machine = BoltzmannMachine(n_visible, n_hidden)
    half = 0.7 * np.tril(rng.standard_normal(machine.weight.shape), -1)
    machine.weight.data[...] = half + half.T
    machine.bias.data[...] = 0.7 * rng.standard_normal(machine.units)
    return machine


def parts(rbm):
    return [p.data.astype(np.float64) for p in (rbm.weight, rbm.hidden_bias, rbm.visible_bias)]


def naive_energy(rbm, v, h):
    w, c, b = parts(rbm)
    return -h @ w @ v - c @ h + (-b @ v if rbm.visible == "binary" else ((v - b) ** 2).sum() / 2)


def distribution(rbm):
    """P(v) of every visible state, by the energies of all pairs of states."""
    p = [sum(np.exp(-naive_energy(rbm, v, h)) for h in all_states(rbm.n_hidden)) for v in all_states(rbm.n_visible)]
    return np.array(p) / np.sum(p)


def divergence(p, q):
    return float((p * np.log(p / q)).sum())


# ---- the restricted machine

@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_free_energy_is_the_sum_over_hidden_states(visible):
    rbm = random_rbm(6, 4, visible)
    v = RNG.integers(0, 2, (9, 6)) if visible == "binary" else RNG.standard_normal((9, 6))
    expected = [-np.log(sum(np.exp(-naive_energy(rbm, row, h)) for h in all_states(4))) for row in v]
    np.testing.assert_allclose(rbm.free_energy(v), expected, rtol=2e-5, atol=2e-5)


def test_features_and_reconstruction():
    rbm = random_rbm(6, 4)
    w, c, b = parts(rbm)
    v = RNG.random((40, 2, 3))
    h = 1 / (1 + np.exp(-(v.reshape(40, 6) @ w.T + c)))
    np.testing.assert_allclose(rbm.transform(v), h, rtol=1e-5)
    np.testing.assert_allclose(nn.Sequential(rbm).predict(v), h, rtol=1e-5)
    np.testing.assert_allclose(rbm.reconstruct(v), 1 / (1 + np.exp(-(h @ w + b))), rtol=1e-5)
    gaussian = random_rbm(6, 4, "gaussian")
    w, c, b = parts(gaussian)
    np.testing.assert_allclose(gaussian.reconstruct(v), gaussian.transform(v) @ w + b, rtol=1e-4, atol=1e-5)


def test_a_step_is_the_contrast_of_its_statistics():
    """One step of CD-1 against the textbook's update, by the samples that the step itself drew."""
    rbm = random_rbm(5, 3)
    before, x = rbm.state_dict(), RNG.integers(0, 2, (20, 5)).astype(np.float32)
    w, c, b = parts(rbm)
    nn.manual_seed(4)
    rbm.fit(x, batch_size=20, epochs=1, learning_rate=0.5, shuffle=False, verbose=0)
    numbers = rbm._random                       # seed, and the step that was made
    hidden = 1 / (1 + np.exp(-(x @ w.T + c)))
    h = nn.functional.bernoulli(hidden.astype(np.float32), **numbers)                   # coin 0 of stream 0
    mean = 1 / (1 + np.exp(-(h @ w + b)))
    from fastnn.ops._random import uniforms
    v = (uniforms(mean, numbers["seed"], numbers["step"], 1 << 16, None) < mean).astype(float)
    model = 1 / (1 + np.exp(-(v @ w.T + c)))
    expected = {"weight": (hidden.T @ x - model.T @ v) / 20, "hidden_bias": (hidden - model).mean(0),
                "visible_bias": (x - v).mean(0)}
    for name, after in rbm.state_dict().items():
        np.testing.assert_allclose(after - before[name], 0.5 * expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("settings", [dict(), dict(persistent=True, k=2), dict(momentum=0.5, weight_decay=1e-3),
                                      dict(persistent=True, epochs=3, shuffle=False)])
def test_many_steps_in_one_call_are_the_steps_one_by_one(settings):
    """A callback that looks at batches has every step made by itself; the last batch is ragged."""
    x, fitted = RNG.random((1003, 6)).astype(np.float32), []
    for watched in (False, True):
        nn.manual_seed(5)
        rbm, seen = RBM(6, 9), []
        callbacks = [nn.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))] if watched else []
        history = rbm.fit(x, batch_size=10, verbose=0, callbacks=callbacks, **{"epochs": 2, **settings})
        fitted.append((rbm.state_dict(), history.history, rbm._random))
        assert len(seen) == (101 * len(history.epoch) if watched else 0)
    (a, *others), (b, *expected) = fitted
    assert others == expected and all(np.array_equal(a[name], b[name]) for name in b)
    assert not np.array_equal(a["weight"], RBM(6, 9).weight.data)


def exact_gradient(rbm, x):
    """Of the mean log-likelihood for the weight, by enumeration."""
    w, c, _ = parts(rbm)
    states = all_states(rbm.n_visible)

    def hidden(v):
        return 1 / (1 + np.exp(-(v @ w.T + c)))
    return hidden(x).T @ x / len(x) - (hidden(states) * distribution(rbm)[:, None]).T @ states


@pytest.mark.parametrize("settings", [dict(k=25), dict(k=3, persistent=True, epochs=20)])
def test_many_steps_give_the_exact_gradient(settings):
    """CD-k comes to the gradient of the likelihood as k grows, persistent chains as they go on."""
    rbm = random_rbm(4, 3, size=0.7)
    x = np.repeat(RNG.integers(0, 2, (6, 4)), 5000, axis=0).astype(np.float32)
    expected, before = exact_gradient(rbm, x), rbm.weight.data.copy()
    small, epochs = 1e-3, settings.pop("epochs", 1)
    if epochs > 1:                              # burn in: the weights stand still
        rbm.fit(x, batch_size=len(x), epochs=1, learning_rate=0.0, verbose=0)
        np.testing.assert_array_equal(rbm.weight.data, before)
    rbm.fit(x, batch_size=len(x), epochs=epochs, learning_rate=small / epochs, verbose=0, **settings)
    found = (rbm.weight.data - before) / small
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_samples_have_the_machine_s_distribution():
    rbm = random_rbm(4, 3, size=0.8)
    samples = rbm.sample(20_000, steps=30)
    assert set(np.unique(samples)) == {0.0, 1.0}
    found = np.bincount(number_of(samples), minlength=16) / len(samples)
    np.testing.assert_allclose(found, distribution(rbm), atol=0.015)
    assert rbm.sample(5, steps=2, start=samples[:5], mean=True).shape == (5, 4)


def test_gaussian_samples():
    """Without hidden units' influence the samples are normal around the bias; with it, a mixture of such."""
    rbm = RBM(2, 1, "gaussian")
    rbm.weight.data[...], rbm.visible_bias.data[...] = 0, [1.0, -2.0]
    samples = rbm.sample(20_000, steps=2)
    np.testing.assert_allclose(samples.mean(0), [1, -2], atol=0.03)
    np.testing.assert_allclose(np.cov(samples.T), np.eye(2), atol=0.04)
    rbm.weight.data[...] = [[2.0, 0.0]]
    on = 1 / (1 + np.exp(-(2 * 1.0 + 2)))           # odds of h = 1: e^(w b + w^2 / 2)
    np.testing.assert_allclose(rbm.sample(20_000, steps=40)[:, 0].mean(), 1 + 2 * on, atol=0.05)


def test_learns_a_distribution():
    """Bars and no bars: of 64 states two are frequent."""
    nn.manual_seed(0)
    x = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], np.float32)[RNG.integers(2, size=600)]
    rbm = RBM(6, 4)
    before = rbm.score_samples(x).mean()
    history = rbm.fit(x, batch_size=20, epochs=60, learning_rate=0.2, momentum=0.5, persistent=True, verbose=0).history
    assert list(history) == ["reconstruction_error"] and len(history["reconstruction_error"]) == 60
    assert distribution(rbm)[[7, 56]].sum() > 0.85 and rbm.score_samples(x).mean() > before + 2
    plain = RBM(6, 4)
    errors = plain.fit(x, batch_size=20, epochs=20, learning_rate=0.2, verbose=0).history["reconstruction_error"]
    assert errors[-1] < 0.5 * errors[0]


def test_pseudo_likelihood_is_that_of_single_units():
    rbm = random_rbm(3, 2)
    x = np.repeat(all_states(3), 2000, axis=0)
    log_p = np.log(distribution(rbm))
    expected = np.zeros(8)
    for i, state in enumerate(all_states(3)):
        for unit in range(3):
            other = i ^ 1 << 2 - unit
            expected[i] += log_p[i] - np.logaddexp(log_p[i], log_p[other])
    np.testing.assert_allclose(rbm.score_samples(x).reshape(8, 2000).mean(1), expected, atol=0.12)


def test_decay_spares_the_biases_and_momentum_counts():
    x = RNG.integers(0, 2, (8, 3)).astype(np.float32)

    def fitted(**settings):
        nn.manual_seed(1)
        rbm = RBM(3, 2)
        rbm.weight.data[...], rbm.visible_bias.data[...], rbm.hidden_bias.data[...] = 1.0, 3.0, 2.0
        rbm.fit(x, batch_size=8, epochs=2, verbose=0, shuffle=False, **settings)
        return rbm
    plain, decayed, momentum = fitted(), fitted(weight_decay=0.5), fitted(momentum=0.9)
    assert np.all(decayed.weight.data < plain.weight.data - 0.05)
    assert np.abs(decayed.visible_bias.data - plain.visible_bias.data).max() < 0.05
    assert np.abs(momentum.weight.data - plain.weight.data).max() > 1e-4
    still = fitted(learning_rate=0.0)
    assert np.all(still.weight.data == 1) and np.all(still.visible_bias.data == 3)


@pytest.mark.parametrize("persistent", [False, True])
def test_same_bits_from_the_same_seed(threads, persistent):
    x = RNG.random((90, 20)).astype(np.float32)

    def trained(seed):
        nn.manual_seed(seed)
        rbm = RBM(20, 12)
        rbm.fit(x, batch_size=40, epochs=2, k=2, persistent=persistent, momentum=0.5, verbose=0)
        return np.concatenate([p.data.ravel() for p in rbm.parameters()] + [rbm.sample(17, steps=3).ravel()])
    threads(1)
    first = trained(7)
    threads(3)
    np.testing.assert_array_equal(first, trained(7))
    assert (first != trained(8)).any()


def test_callbacks_and_what_is_printed(capsys):
    rbm, seen = RBM(3, 2), []
    rates = nn.LearningRateScheduler(lambda epoch, rate: rate / 2)

    def watch(epoch, logs):
        seen.append(rbm.optimizer.lr)
        rbm.stop_training = epoch == 1
    watch = nn.LambdaCallback(on_epoch_end=watch)
    history = rbm.fit(RNG.random((10, 3)), epochs=5, learning_rate=0.4, callbacks=[rates, watch], verbose=2)
    assert seen == [0.2, 0.1] and history.history["learning_rate"] == [0.2, 0.1]
    assert capsys.readouterr().out.count("reconstruction_error") == 2


def test_saved_and_loaded(tmp_path):
    rbm, x = random_rbm(5, 3), RNG.random((4, 5))
    other = RBM(5, 3)
    other.load_state_dict(rbm.state_dict())
    np.testing.assert_array_equal(other.free_energy(x), rbm.free_energy(x))
    rbm.save(tmp_path / "rbm.safetensors", input_shape=(5,))
    np.testing.assert_array_equal(nn.load(tmp_path / "rbm.safetensors").predict(x), rbm.transform(x))


# ---- deep belief networks

def test_deep_belief_network():
    nn.manual_seed(0)
    images, labels = load_digits("train")
    x = images.reshape(len(images), 64) / np.float32(16)
    network = DeepBeliefNetwork([64, 48, 32, 10])
    histories = network.pretrain(x, epochs=8, learning_rate=0.1, batch_size=20, verbose=0)
    errors = histories[1].history["reconstruction_error"]
    assert len(histories) == 2 and errors[-1] < errors[0]
    learnt = network[0].weight.data.copy()
    network.compile(loss="cross_entropy", optimizer=nn.Adam(lr=0.01), metrics=["accuracy"])
    network.fit(x, labels, epochs=6, batch_size=32, verbose=0)
    test, truth = load_digits("test")
    accuracy = network.evaluate(test.reshape(-1, 64) / np.float32(16), truth, return_dict=True)["accuracy"]
    assert accuracy > 0.9 and (network[0].weight.data != learnt).any()
    samples = network.sample(7, steps=5)
    assert samples.shape == (7, 64) and 0 <= samples.min() and samples.max() <= 1


# ---- the general machine

@pytest.mark.parametrize("n_visible, n_hidden", [(4, 0), (3, 2)])
def test_probabilities_by_enumeration(n_visible, n_hidden):
    machine = random_machine(n_visible, n_hidden)
    w, b = machine.weight.data.astype(float), machine.bias.data.astype(float)
    states = all_states(machine.units).astype(float)
    pairs = list(itertools.combinations(range(machine.units), 2))
    energies = np.array([-b @ s - sum(w[i, j] * s[i] * s[j] for i, j in pairs) for s in states])
    p = np.exp(-energies) / np.exp(-energies).sum()
    np.testing.assert_allclose(machine.energy(states), energies, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(machine.probabilities(), p.reshape(1 << n_visible, -1).sum(1), rtol=1e-4)
    machine.weight.data[np.diag_indices(machine.units)] = 5.0                   # plays no part
    np.testing.assert_allclose(machine.energy(states), energies, rtol=1e-4, atol=1e-5)
    found = np.bincount(number_of(machine.sample(20_000, steps=25)), minlength=1 << n_visible) / 20_000
    np.testing.assert_allclose(found, machine.probabilities(), atol=0.015)


SAMPLED = dict(learning="sampled", epochs=12, batch_size=500, learning_rate=0.2, momentum=0.5)


@pytest.mark.parametrize("sizes", [(6, 0), (4, 2)])
@pytest.mark.parametrize("settings", [dict(epochs=300), SAMPLED], ids=["exact", "sampled"])
def test_recovers_a_known_distribution(settings, sizes):
    nn.manual_seed(0)
    rng = np.random.default_rng(5)
    known = random_machine(*sizes, rng=rng)
    p = known.probabilities().astype(np.float64)
    x = all_states(sizes[0])[rng.choice(len(p), 20_000, p=p / p.sum())]
    machine = BoltzmannMachine(*sizes)
    assert divergence(p, machine.probabilities()) > 0.1
    machine.fit(x, verbose=0, **settings)
    assert divergence(p, machine.probabilities()) < 0.01
    np.testing.assert_array_equal(machine.weight.data, machine.weight.data.T)


def test_hidden_units_learn_what_pairs_cannot():
    """Even parity of three: no two of them are correlated, so hidden units are needed."""
    nn.manual_seed(2)
    p = np.where(all_states(3).sum(1) % 2 == 0, 0.25, 0.0)
    x = np.repeat(all_states(3)[p > 0], 250, axis=0)
    plain, hidden = BoltzmannMachine(3), BoltzmannMachine(3, 3)
    plain.fit(x, verbose=0)
    hidden.fit(x, verbose=0, epochs=600)
    assert np.abs(plain.probabilities() - p).sum() > 0.9 and np.abs(hidden.probabilities() - p).sum() < 0.15


# ---- the example, by name

def test_the_example():
    from fastnn import results
    assert results.example("rbm").known_distribution("exact", dict(epochs=300), 0) < 0.01


@pytest.mark.slow
def test_digits_beside_scikit_learn():
    pytest.importorskip("sklearn")
    from fastnn.examples import boltzmann
    rows = list(boltzmann.digits_beside_sklearn(seed=0))
    assert rows[0].holds and rows[0].peer_value > 0.9, rows


# ---- what they refuse

X = np.zeros((4, 3), np.float32)


@pytest.mark.parametrize("call, error, message", [
    (lambda: RBM(0, 3), ValueError, "RBM: n_visible"),
    (lambda: RBM(3, 2.5), TypeError, "RBM: n_hidden"),
    (lambda: RBM(3, 2, "ternary"), ValueError, 'RBM: visible must be "binary" or "gaussian"'),
    (lambda: RBM(3, 2).fit(X[:, :2]), ValueError, r"RBM.fit: x must have rows of n_visible=3 numbers, it has shape \(4, 2\)"),
    (lambda: RBM(3, 2).fit(X[:0]), ValueError, "RBM.fit: x has no rows"),
    (lambda: RBM(3, 2).fit(X + 200), ValueError, "RBM.fit: x must lie between 0 and 1, it holds 200 to 200: divide bytes"),
    (lambda: RBM(3, 2).fit(X * np.nan), ValueError, "RBM.fit: x must lie between 0 and 1"),
    (lambda: RBM(3, 2).fit(X, k=0), ValueError, "RBM.fit: k must be"),
    (lambda: RBM(3, 2).fit(X, learning_rate=-1), ValueError, "lr must be >= 0"),
    (lambda: RBM(3, 2).fit(X, callbacks=[3]), TypeError, "callbacks"),
    (lambda: RBM(3, 2).fit(X.astype(complex)), TypeError, "RBM.fit: x has dtype complex"),
    (lambda: RBM(3, 2).transform(X[0]), ValueError, "RBM.transform: x must have rows"),
    (lambda: RBM(3, 2).sample(4, steps=0), ValueError, "RBM.sample: steps"),
    (lambda: RBM(3, 2).sample(2, start=X), ValueError, "RBM.sample: start has 4 rows, expected n=2"),
    (lambda: RBM(3, 2, "gaussian").score_samples(X), ValueError, "pseudo-likelihood is of binary units"),
    (lambda: DeepBeliefNetwork([4, 2]), ValueError, "DeepBeliefNetwork: sizes must hold"),
    (lambda: DeepBeliefNetwork([4, 0, 2]), ValueError, r"DeepBeliefNetwork: sizes\[1\]"),
    (lambda: BoltzmannMachine(3, -1), ValueError, "BoltzmannMachine: n_hidden"),
    (lambda: BoltzmannMachine(12, 5).fit(np.zeros((4, 12))), ValueError, "17 units have too many states"),
    (lambda: BoltzmannMachine(17).probabilities(), ValueError, "17 units have too many states"),
    (lambda: BoltzmannMachine(3).fit(X + 0.5), ValueError, "BoltzmannMachine.fit: x must hold rows of 0 and 1"),
    (lambda: BoltzmannMachine(3).fit(X, learning="fast"), ValueError, 'learning must be "exact" or "sampled"'),
    (lambda: BoltzmannMachine(3, 1).energy(X), ValueError, r"s must have shape \(N, 4\)"),
])
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_failed_fit_leaves_the_machine_as_it_was():
    rbm = random_rbm(3, 2)
    before = rbm.state_dict()
    with pytest.raises(ValueError):
        rbm.fit(X + 7)
    assert all((before[name] == array).all() for name, array in rbm.state_dict().items())
