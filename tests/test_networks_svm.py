"""Support vector machines: against scikit-learn's and against their twins, kernels between guard pages, what they refuse."""
import contextlib

import numpy as np
import pytest

import fastnn as nn
from fastnn.datasets import load_digits, load_mnist
from fastnn.examples import svm as example
from fastnn.networks import SVC, SVR, LinearSVC, RandomFourierFeatures, _smo
from guarded import Memory, isolated

native = nn.backend.native
needs_native = pytest.mark.skipif(native is None, reason="FASTNN_BACKEND=reference: there are no native kernels to test")


def digits(binary, rows=None):
    images, labels = load_digits("all")
    x = images.reshape(len(images), -1)[:rows] / 16
    return x, (labels[:rows] > 4).astype(int) if binary else labels[:rows]


@contextlib.contextmanager
def twins(monkeypatch):
    """NumPy's twins instead of the native kernels, for the solver alone."""
    with monkeypatch.context() as patch:
        patch.setattr(_smo, "backend", type("backend", (), {"native": None}))
        yield


def dual_objectives(model, x):
    return example.dual_objectives(model, 1 / (x.shape[1] * x.var()))


def gaussian(gamma):
    def kernel(x):
        squares = (x ** 2).sum(1)
        return np.exp(-gamma * (squares[:, None] + squares - 2 * x @ x.T))
    return kernel


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly"])
def test_like_scikit_learn(kernel, binary):
    svm = pytest.importorskip("sklearn.svm")
    x, y = digits(binary, 900 if binary else None)
    held_out = np.arange(len(x)) % 5 == 0
    xt, yt, x, y = x[held_out], y[held_out], x[~held_out], y[~held_out]
    price = 0.1 if kernel == "linear" else 1.0               # which takes many steps, and scikit-learn's their time
    ours, theirs = (module.SVC(C=price, kernel=kernel).fit(x, y) for module in (nn.networks, svm))
    np.testing.assert_allclose(dual_objectives(ours, x), dual_objectives(theirs, x), rtol=1e-4)
    assert abs(len(ours.support_) - len(theirs.support_)) <= 0.02 * len(theirs.support_)
    assert np.mean(ours.predict(xt) == theirs.predict(xt)) > 0.995 and abs(ours.score(xt, yt) - theirs.score(xt, yt)) < 0.006
    for name in ("classes_", "n_support_", "dual_coef_", "intercept_", "n_iter_", "support_vectors_"):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert a.ndim == b.ndim and (name in ("dual_coef_", "support_vectors_") or a.shape == b.shape), name
    common, i, j = np.intersect1d(ours.support_, theirs.support_, return_indices=True)
    assert len(common) > 0.97 * len(theirs.support_)
    np.testing.assert_allclose(ours.dual_coef_[:, i], theirs.dual_coef_[:, j], atol=0.05)
    for shape in ("ovo", "ovr"):
        ours.decision_function_shape = theirs.decision_function_shape = shape
        a, b = ours.decision_function(xt), theirs.decision_function(xt)
        assert a.shape == b.shape and a.dtype == np.float64
        close = np.abs(a - b) < 0.02
        assert close.mean() > 0.99                          # a vote that goes the other way moves by 1
    if kernel == "linear":
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=0.02)


def test_regression_like_scikit_learn():
    svm = pytest.importorskip("sklearn.svm")
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, (300, 2))
    y = np.sin(x[:, 0]) + 0.3 * x[:, 1] + 0.1 * rng.standard_normal(300)
    for kernel in ("rbf", "linear", "poly"):
        ours = SVR(C=2.0, epsilon=0.05, kernel=kernel, gamma=0.5, coef0=1.0).fit(x, y)
        theirs = svm.SVR(C=2.0, epsilon=0.05, kernel=kernel, gamma=0.5, coef0=1.0).fit(x, y)
        assert abs(len(ours.support_) - len(theirs.support_)) <= 0.02 * len(theirs.support_)
        np.testing.assert_allclose(ours.predict(x), theirs.predict(x), atol=5e-3)
        assert abs(ours.score(x, y) - theirs.score(x, y)) < 1e-3 and ours.dual_coef_.shape == (1, len(ours.support_))


def test_weights_and_class_weights_like_scikit_learn():
    svm = pytest.importorskip("sklearn.svm")
    x, y = digits(False, 300)
    weight = np.random.default_rng(1).uniform(0, 2, 300)
    for setting in (None, "balanced", {0: 3.0, 5: 0.2}):
        ours = SVC(C=0.5, class_weight=setting).fit(x, y, sample_weight=weight)
        theirs = svm.SVC(C=0.5, class_weight=setting).fit(x, y, sample_weight=weight)
        np.testing.assert_allclose(dual_objectives(ours, x), dual_objectives(theirs, x), rtol=1e-4)


@needs_native
def test_the_twins_take_the_same_steps(monkeypatch):
    """Products of the digits' pixels are exact in float32, so that both walk the same way to the same bits."""
    for binary in (True, False):
        x, y = digits(binary, 250)
        ours = SVC(kernel="linear", gamma=1.0).fit(x, y)
        with twins(monkeypatch):
            twin = SVC(kernel="linear", gamma=1.0).fit(x, y)
        assert (ours.n_iter_ == twin.n_iter_).all() and (ours.support_ == twin.support_).all()
        assert (ours.dual_coef_ == twin.dual_coef_).all()
        np.testing.assert_allclose(ours.intercept_, twin.intercept_, rtol=1e-12, atol=1e-12)


@needs_native
def test_the_twins_agree(monkeypatch):
    x, y = digits(False, 250)
    makers = [lambda: SVC(kernel="poly", degree=4, coef0=0.5), lambda: SVR(kernel="rbf", epsilon=0.3),
              lambda: SVC(cache_size=0.004, C=5.0), lambda: SVC(cache_size=0.1)]
    for make in makers:
        ours = make().fit(x, y)
        with twins(monkeypatch):
            twin = make().fit(x, y)
            other = twin._sums(x)
        np.testing.assert_allclose(ours._sums(x), other, atol=2e-2)
        assert abs(len(ours.support_) - len(twin.support_)) <= 2


def test_the_cache_changes_nothing():
    """All kernel values at once, pair by pair, or rows in a cache too small for them: the same bits."""
    x, y = digits(False, 250)
    found = [SVC(C=2.0, cache_size=size).fit(x, y) for size in (200, 0.1, 0.02, 0.0001)]
    for other in found[1:]:
        assert (other.dual_coef_ == found[0].dual_coef_).all() and (other.intercept_ == found[0].intercept_).all()
    found = [SVR(C=2.0, cache_size=size).fit(x[:100], y[:100]) for size in (200, 0.02, 0.0001)]
    assert all((other.dual_coef_ == found[0].dual_coef_).all() for other in found[1:])


@needs_native
def test_bits_do_not_depend_on_threads_and_targets(threads):
    x, y = digits(False, 300)
    before, found = native.get_target(), {}
    try:
        for target in native.targets():
            native.set_target(target)
            for count in (1, 2, 5):
                threads(count)
                model = SVC(C=2.0).fit(x, y)
                bits = model.dual_coef_.tobytes() + model.intercept_.tobytes() + model.decision_function(x).tobytes()
                found.setdefault(target, set()).add(bits)
    finally:
        native.set_target(before)
    assert all(len(bits) == 1 for bits in found.values())
    assert len(set.union(*[bits for target, bits in found.items() if target != "sse2"] or [set()])) <= 1


def test_any_array():
    images, labels = load_digits("train")
    images, labels = images[:200], labels[:200]
    expected = SVC(kernel="rbf").fit(images.reshape(200, 64).astype(float), labels)
    flat = np.asfortranarray(images.reshape(200, 64))
    readonly = images.copy()
    readonly.flags.writeable = False
    wide = np.repeat(images.reshape(200, 64), 2, axis=1)[:, ::2]
    for x in (images, flat, readonly, wide, flat.astype(">f4"), flat.astype(np.int16)[::-1][::-1], flat.tolist()):
        model = SVC(kernel="rbf").fit(x, list(labels))
        assert (model.dual_coef_ == expected.dual_coef_).all() and (model.predict(x) == expected.predict(flat)).all()
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])[labels]
    model = SVC().fit(images, names)
    assert model.classes_.tolist() == sorted(set(names)) and model.score(images, names) > 0.97
    assert model.predict(images[:0]).shape == (0,) and model.decision_function(images[:1]).shape == (1, 10)
    assert (model.support_vectors_ == images.reshape(200, 64)[model.support_]).all()


def test_a_gaussian_does_not_see_where_the_data_lie():
    x, y = digits(True, 200)
    near, far = SVC(gamma=0.05).fit(x, y), SVC(gamma=0.05).fit(x + 1e6, y)
    np.testing.assert_allclose(far.decision_function(x + 1e6), near.decision_function(x), atol=1e-2)


def test_steps_at_most():
    x, y = digits(True, 200)
    with pytest.warns(RuntimeWarning, match="SVC: stopped after max_iter=7"):
        model = SVC(max_iter=7).fit(x, y)
    assert model.n_iter_.tolist() == [7] and model.fit_status_ == 1 and SVC().fit(x, y).fit_status_ == 0


X, Y = np.arange(12.0).reshape(6, 2), [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("make, message", [
    (lambda: SVC(C=0), "SVC: C must be .* above 0"), (lambda: SVC(C=-1.0), "C must"), (lambda: SVC(C=np.nan), "C must"),
    (lambda: SVC(C="1"), "C must be a number"),
    (lambda: SVC(kernel="sigmoid"), "kernel must be one of 'linear', 'poly', 'rbf'"),
    (lambda: SVC(gamma=0.0), "gamma"), (lambda: SVC(gamma="large"), "gamma"), (lambda: SVC(degree=2.5), "degree"),
    (lambda: SVC(degree=-1), "degree"), (lambda: SVC(tol=0), "tol"), (lambda: SVC(max_iter=-2), "max_iter"),
    (lambda: SVC(cache_size=0), "cache_size"), (lambda: SVC(coef0=np.inf), "coef0"),
    (lambda: SVC(class_weight="some"), "class_weight"),
    (lambda: SVC(decision_function_shape="all"), "decision_function_shape"), (lambda: SVR(epsilon=-0.1), "SVR: epsilon"),
    (lambda: SVC(class_weight={7: 1.0}).fit(X, Y), "class_weight names 7"),
    (lambda: SVC().fit(X, [1] * 6), "SVC: y must have two classes"),
    (lambda: SVC().fit(X, Y[:5]), r"one label a row, shape \(6,\)"),
    (lambda: SVC().fit(X, [0, 0, 0.5, 1, 1, 1]), "must hold labels, got numbers such as 0.5"),
    (lambda: SVC().fit(np.where(X == 5, np.nan, X), Y), r"x holds nan at \[2, 1\]"),
    (lambda: SVC().fit(X[:, 0], Y), "rows and features"),
    (lambda: SVC().fit(np.where(X == 5, np.inf, X), Y), r"x holds inf at \[2, 1\]"), (lambda: SVC().fit(X[:0], []), "empty"),
    (lambda: SVC().fit(X[:, :0], Y), "empty"), (lambda: SVC().fit(X * 1j, Y), "real numbers"),
    (lambda: SVC().fit(X.astype(np.float16), Y), "float16"), (lambda: SVC().fit([["a", "b"]] * 6, Y), "real numbers"),
    (lambda: SVC().predict(X), "SVC: call fit first"),
    (lambda: SVC().fit(X, Y).predict(X[:, :1]), "fitted with 2 features a row, got 1"),
    (lambda: SVC().fit(X, Y).predict(X * np.nan), "x holds nan"), (lambda: SVC().fit(X, Y).score(X, Y[:3]), "one label a row"),
    (lambda: SVC().fit(X, Y, sample_weight=[-1] * 6), "sample_weight"),
    (lambda: SVC().fit(X, Y, sample_weight=[1]), "sample_weight"),
    (lambda: SVC(kernel="poly", degree=40).fit(X * 1e4, Y), "beyond float32's range"), (lambda: SVC().fit(X, Y).coef_, "coef_"),
    (lambda: SVR().fit(X, [np.nan] * 6), "SVR: y holds nan"), (lambda: SVR().fit(X, Y[:2]), "one number a row"),
    (lambda: LinearSVC(C=0), "LinearSVC: C"), (lambda: LinearSVC(loss="log"), "LinearSVC: loss"),
    (lambda: LinearSVC(epochs=0), "epochs"),
    (lambda: LinearSVC().fit(X, [3] * 6), "two classes"), (lambda: LinearSVC().predict(X), "LinearSVC: call fit first"),
    (lambda: LinearSVC(epochs=1).fit(X, Y).predict(X[:, :1]), "fitted with 2 features"),
    (lambda: LinearSVC().fit(np.where(X == 5, np.nan, X), Y), "x holds nan"),
    (lambda: RandomFourierFeatures(gamma=-1), "gamma"), (lambda: RandomFourierFeatures(n_components=0), "n_components"),
    (lambda: RandomFourierFeatures().transform(X), "call fit first"),
    (lambda: RandomFourierFeatures().fit(X).transform(X[:, :1]), "fitted with 2 features")])
def test_what_they_refuse(make, message):
    with pytest.raises((TypeError, ValueError, RuntimeError, AttributeError), match=message):
        make()


def test_a_failed_fit_changes_nothing():
    x, y = digits(True, 100)
    model = SVC().fit(x, y)
    before = model.decision_function(x)
    with pytest.raises(ValueError):
        model.fit(x * np.nan, y)
    assert (model.decision_function(x) == before).all()


# ---- the kernels alone, between guard pages

@needs_native
def test_kernels_stay_inside_their_arrays():
    def check(place):
        rng = np.random.default_rng(0)
        for target in native.targets():
            for rows, columns, features in ((1, 16, 1), (33, 48, 7), (16, 16, 300), (48, 48, 64)):
                for high in (False, True):
                    place.say(f"{target}, {rows} x {columns}, {features} features, high {high}")
                    native.set_target(target)
                    kernel_between_pages(rng, rows, columns, features, high)
    isolated(check)


def kernel_between_pages(rng, rows, columns, features, high):
    def placed(array):
        memory = Memory(1, array.nbytes, high)
        copy = memory.array(array.dtype, array.shape)
        copy[...] = array
        return copy, memory
    (x, _), (z, _) = (placed(rng.standard_normal((n, features)).astype(np.float32)) for n in (_smo.padded(rows), columns))
    left, right = _smo.Rows(x), _smo.Rows(z)
    for side in (left, right):
        side.packed, side.squares = placed(np.zeros_like(side.x))[0], placed(np.zeros(len(side.x), np.float32))[0]
        _smo.launch([("kernel_pack", 1e9, {"packed": side.packed, "squares": side.squares, "x": side.x, "rows": len(side.x),
                                           "features": features})])()
    np.testing.assert_allclose(left.squares, (x.astype(float) ** 2).sum(1), rtol=1e-5)
    for kernel in (_smo.Kernel("linear"), _smo.Kernel("poly", 0.1, 0.5, 3), _smo.Kernel("rbf", 0.01)):
        out, _ = placed(np.full((rows, columns), np.nan, np.float32))
        _smo.run_steps([_smo.matrix_step(kernel, out, left, slice(rows), right, slice(columns))])
        products, squares = x[:rows].astype(float) @ z.T.astype(float), (x[:rows, None].astype(float) - z) ** 2
        expected = {"linear": products, "poly": (0.1 * products + 0.5) ** 3, "rbf": np.exp(-0.01 * squares.sum(-1))}
        expected = expected[kernel.kind]
        np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
        both, _ = placed(np.full((columns, columns), np.nan, np.float32))
        _smo.run_steps([_smo.matrix_step(kernel, both, right, slice(None), right, slice(None))])
        full = np.empty_like(both)
        _smo.run_steps([_smo.matrix_step(kernel, full, right, slice(None), _smo.Rows(z), slice(None))])
        assert (both == full).all() and (both == both.T).all()


@needs_native
def test_the_solver_stays_inside_its_arrays():
    """All arrays of the kernel svm_solve end or begin at a page that cannot be touched; what it only reads stays as it was."""
    x, y = digits(False, 60)
    sizes = (200, 0.0005)
    expected = [SVC(cache_size=size).fit(x, y).dual_coef_ for size in sizes]
    launch = _smo.launch

    def fenced(steps, slots, high):
        (name, cost, fields), copies = steps[0], {}
        for field, value in fields.items():
            if isinstance(value, np.ndarray):
                memory = Memory(1, value.nbytes, high)
                copies[field] = memory.array(value.dtype, value.shape)
                copies[field][...] = value
        run = launch([(name, cost, {**fields, **copies})], slots)

        def go(numbers):
            run(numbers)
            for field, copy in copies.items():
                assert field in ("alpha", "f", "up", "low", "states", "gram", "slots") or (copy == fields[field]).all(), field
                fields[field][...] = copy
        return go

    def check(place):
        for high in (False, True):
            _smo.launch = lambda steps, slots=0: (fenced(steps, slots, high) if steps[0][0] == "svm_solve"
                                                  else launch(steps, slots))
            for size, coefficients in zip(sizes, expected):
                place.say(f"cache of {size} MB, high {high}")
                assert (SVC(cache_size=size).fit(x, y).dual_coef_ == coefficients).all()
    isolated(check)


# ---- linear machines and random features

def test_linear_svc():
    images, labels = load_digits("train")
    xt, yt = load_digits("test")
    for loss in ("hinge", "squared_hinge"):
        nn.manual_seed(0)
        model = LinearSVC(loss=loss, epochs=20).fit(images, labels)
        assert model.coef_.shape == (10, 64) and model.intercept_.shape == (10,) and model.score(xt, yt) > 0.93
        expected = xt.reshape(len(xt), -1) @ model.coef_.T + model.intercept_
        np.testing.assert_allclose(model.decision_function(xt), expected, atol=1e-3)
        assert model.history_.history["loss"][-1] < model.history_.history["loss"][0]
    binary = LinearSVC(epochs=10).fit(images, labels > 4)
    assert binary.coef_.shape == (1, 64) and binary.classes_.tolist() == [False, True] and binary.score(xt, yt > 4) > 0.85


def test_linear_svc_minimizes_what_it_says():
    svm = pytest.importorskip("sklearn.svm")
    x, y = digits(True, 500)
    for loss in ("hinge", "squared_hinge"):
        nn.manual_seed(0)
        ours = LinearSVC(C=0.5, loss=loss, epochs=200).fit(x, y)
        theirs = svm.LinearSVC(C=0.5, loss=loss, max_iter=100000, tol=1e-6).fit(x, y)

        def objective(model):
            rest = np.maximum(0, 1 - np.where(y, 1, -1) * (x @ model.coef_[0] + model.intercept_[0]))
            size = np.sum(model.coef_ ** 2) + np.sum(model.intercept_ ** 2)
            return size / 2 + 0.5 * np.sum(rest ** (2 if loss == "squared_hinge" else 1))
        assert objective(ours) < 1.02 * objective(theirs)


def test_random_features_are_nearly_the_gaussian():
    nn.manual_seed(0)
    x, _ = digits(True, 60)
    features = RandomFourierFeatures(gamma=0.05, n_components=20000)
    z = features.fit_transform(x)
    assert z.shape == (60, 20000) and z.dtype == np.float32 and (features.transform(x[::-1])[::-1] == z).all()
    np.testing.assert_allclose(z @ z.T, gaussian(0.05)(x), atol=0.05)
    assert RandomFourierFeatures("scale", 8).fit(x).gamma_ == pytest.approx(1 / (64 * x.var()))


# ---- the example

@pytest.mark.slow
def test_mnist(data_folder):
    rows = list(example.results(data_folder))
    assert rows and all(row.holds is not False for row in rows), rows


@pytest.mark.slow
def test_a_cache_of_rows_on_mnist(data_folder):
    (x, y), _ = load_mnist(data_folder)
    chosen = np.flatnonzero((y == 3) | (y == 8))[:3000]
    whole, cached = (SVC(cache_size=size).fit(x[chosen] / 255, y[chosen]) for size in (200, 5))
    assert (whole.dual_coef_ == cached.dual_coef_).all()
