"""The same bytes: whatever the number of threads, the target with fused multiply-adds, and the rows that stand beside a row."""
import hashlib

import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F
import networks

native = nn.backend.native
TARGETS = [t for t in (native.targets() if native else ()) if t != "sse2"]          # sse2 has no fused multiply-add
pytestmark = pytest.mark.skipif(native is None, reason="the extension is not built")


def dropout_net():
    return nn.Sequential(nn.Conv2d(1, 5, 3), nn.LeakyReLU(0.1), nn.Dropout(0.3), nn.AvgPool2d(2), nn.Flatten(),
                         nn.Linear(845, 10))


def odd_net():
    """Shapes that are multiples of nothing; 3x3 convolutions that Winograd does."""
    return nn.Sequential(nn.Conv2d(3, 19, 3, padding=1), nn.ReLU(), nn.Conv2d(19, 33, 3, padding=1), nn.ReLU(),
                         nn.Conv2d(33, 32, 3), nn.MaxPool2d(3, 2), nn.Conv2d(32, 7, (3, 2)), nn.Flatten(), nn.Linear(84, 10))


def lstm_net():
    return nn.Sequential(nn.Reshape(14, 14), nn.LSTM(14, 20, batch_first=True, return_sequences=False), nn.Linear(20, 10))


def of(name):
    return lambda: networks.sequential(name)


# the six workloads of the benchmarks, and what they leave out: (network, shape of an image, rows, training steps)
NETWORKS = {"mlp": (of("mlp"), (1, 28, 28), 45, 10), "lenet5": (of("lenet5"), (1, 28, 28), 64, 10),
            "mnist_cnn": (of("mnist_cnn"), (1, 28, 28), 20, 3), "cifar_vgg": (of("cifar_vgg"), (3, 32, 32), 19, 2),
            "resnet20": (of("resnet20"), (3, 32, 32), 19, 2), "lstm": (of("lstm"), (1, 28, 28), 37, 4),
            "residual": (of("residual"), (3, 12, 12), 37, 10), "dropout": (dropout_net, (1, 28, 28), 33, 5),
            "odd": (odd_net, (3, 13, 13), 21, 4), "lstm 20": (lstm_net, (1, 14, 14), 35, 5)}


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:12]


def trained(name):
    """Digests of the losses, the parameters and the predictions of a few training steps, each from one seed."""
    make, shape, rows, steps = NETWORKS[name]
    nn.manual_seed(3)
    model = make()
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.02, momentum=0.9, weight_decay=1e-4))
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((rows, *shape)).astype(np.float32), rng.integers(0, 10, rows)
    before = model.predict(x)
    losses = [model.train_on_batch(x, t) for _ in range(steps)]
    assert np.isfinite(losses).all()
    return digest(before), digest(losses), digest(*model.state_dict().values()), digest(model.predict(x), model.predict(x[:1]))


@pytest.fixture(scope="module")
def expected():
    return {}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("target", TARGETS, indirect=True)
@pytest.mark.parametrize("name", NETWORKS)
def test_same_bytes(name, target, count, threads, expected):
    threads(count)
    found = trained(name)
    assert found == expected.setdefault(name, found)


@pytest.mark.parametrize("op", ["relu", "softmax", "log_softmax"])
def test_ops_on_whole_arrays_share_their_work(op, threads):
    """Large enough to be cut into parts at once; however many threads take them, each part is done, and done once. Every run finds
    other values in the memory than it is to leave there."""
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal((23, 301, 257), np.float32) for _ in range(2)]
    arguments = () if op == "relu" else (1,)
    found = {}
    for count in (1, 2, 3, 5):
        threads(count)
        for i in (0, 1, 0, 1):
            y = digest(getattr(F, op)(arrays[i], *arguments))
            assert y == found.setdefault(i, y), f"{count} threads"


@pytest.mark.parametrize("l2, cut", [(0, True), (1 << 30, False)])
def test_heavy_layers_whatever_the_cache(l2, cut, threads, monkeypatch, expected):
    """How large L2 is decides how the work is shared, and no bit."""
    from fastnn import plan
    monkeypatch.setattr(plan.native, "l2_bytes", lambda: l2)
    plan._cache.clear()
    nn.manual_seed(6)
    model = of("mlp")()
    threads(2)
    y = model.predict_on_batch(np.random.default_rng(3).standard_normal((70, 1, 28, 28)).astype(np.float32))
    (executable,) = model._predictors.values()
    used = {phase[0] for segment in executable.bound(70)[0].segments for phase in segment}
    assert (plan.SHARED in used) == cut
    plan._cache.clear()
    assert digest(y) == expected.setdefault("heavy layers", digest(y))


@pytest.mark.parametrize("target", TARGETS, indirect=True)
@pytest.mark.parametrize("name", NETWORKS)
def test_one_sample_alone_or_in_a_batch(name, target):
    make, shape, _, _ = NETWORKS[name]
    nn.manual_seed(4)
    model = nn.Sequential(*make(), nn.Softmax(1))
    x = np.random.default_rng(1).standard_normal((70, *shape)).astype(np.float32)
    whole = model.predict_on_batch(x)
    for first, last in ((0, 1), (69, 70), (3, 5), (10, 25), (7, 23), (7, 24), (1, 70)):
        np.testing.assert_array_equal(model.predict_on_batch(x[first:last]), whole[first:last], err_msg=f"rows {first}..{last}")
    np.testing.assert_array_equal(model.predict_on_batch(np.ascontiguousarray(x[::-1])), whole[::-1])


@pytest.mark.parametrize("target", TARGETS, indirect=True)
def test_by_hand_as_compiled(target):
    """A step of the compiled plan, weight gradients fused or not, and the same by hand."""
    make, shape, rows, _ = NETWORKS["lenet5"]
    rng, found = np.random.default_rng(0), []
    x, t = rng.standard_normal((rows, *shape)).astype(np.float32), rng.integers(0, 10, rows)
    for by_hand in (False, True):
        nn.manual_seed(5)
        model = make()
        optimizer = nn.SGD(model.parameters(), lr=0.05, momentum=0.9)
        model.compile(loss="cross_entropy", optimizer=optimizer)
        for _ in range(3):
            if by_hand:
                _, dy = nn.cross_entropy(model(x, training=True), t)
                optimizer.zero_grad()
                model.backward(dy, input_gradient=False)
                optimizer.step()
            else:
                model.train_on_batch(x, t)
        found.append(digest(*model.state_dict().values()))
    assert found[0] == found[1]


def test_a_seed_fixes_fit():
    def run():
        nn.manual_seed(11)
        model = dropout_net()
        model.compile(loss="cross_entropy", optimizer="adam")
        rng = np.random.default_rng(0)
        x, t = rng.standard_normal((50, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, 50)
        history = model.fit(x, t, batch_size=16, epochs=2, verbose=0).history["loss"]
        return history, digest(*model.state_dict().values())
    assert run() == run()
