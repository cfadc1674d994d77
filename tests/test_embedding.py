"""Embedding in networks: integers in, trained, checked, saved."""
import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F

RNG = np.random.default_rng(0)


def words(*shape, dtype=np.int64):
    return RNG.integers(0, 9, shape).astype(dtype)


def network():
    nn.manual_seed(1)
    return nn.Sequential(nn.Embedding(9, 5, padding_idx=0), nn.Flatten(), nn.Linear(20, 3))


def test_starts_as_pytorchs():
    nn.manual_seed(0)
    table = nn.Embedding(2000, 50, padding_idx=-1)
    data = table.weight.data
    assert data.shape == (2000, 50) and data.dtype == np.float32 and table.padding_idx == 1999
    assert not data[1999].any() and abs(data.mean()) < 0.02 and abs(data.std() - 1) < 0.02
    assert list(table.state_dict()) == ["weight"] and repr(table) == "Embedding(2000, 50, padding_idx=1999)"
    nn.manual_seed(0)
    assert np.array_equal(nn.Embedding(2000, 50, padding_idx=-1).weight.data, data)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5,), (37,), (5, 4), (37, 2, 3)])
def test_indices_of_any_shape_and_dtype(shape, dtype):
    table, x = nn.Embedding(9, 5), words(*shape, dtype=dtype)
    expected = table.weight.data[x.astype(int)]
    assert np.array_equal(table(x), expected) and np.array_equal(table.predict(x), expected)
    assert table(x[:0]).shape == (0, *shape[1:], 5)


@pytest.mark.parametrize("rows", [3, 40])
def test_gradients_by_hand(rows):
    model, x = network(), words(rows, 4)
    y = model(x, training=True)
    dy = RNG.standard_normal(y.shape).astype(np.float32)
    assert model.backward(dy) is None
    expected = np.zeros((9, 5))
    np.add.at(expected, x, (dy @ model[2].weight.data).reshape(rows, 4, 5))
    expected[0] = 0
    np.testing.assert_allclose(model[0].weight.grad, expected, rtol=1e-4, atol=1e-5)


def trained(threads):
    nn.set_num_threads(threads)
    model, x = network(), np.random.default_rng(5).integers(0, 9, (200, 4))
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=0.02), metrics=["accuracy"])
    history = model.fit(x, (x[:, 0] + x[:, 1]) // 6, epochs=40, batch_size=50, verbose=0).history
    return model, x, history


def test_learns_with_the_same_bits_on_any_thread_count():
    before = nn.get_num_threads()
    models = [trained(threads) for threads in (1, 2, 3)]
    nn.set_num_threads(before)
    assert models[0][2]["accuracy"][-1] > 0.85 and models[0][2]["accuracy"][0] < 0.8
    for model, _, _ in models:
        assert model[0].weight.data.tobytes() == models[0][0][0].weight.data.tobytes()
        assert not model[0].weight.data[0].any()


def test_saved_and_loaded(tmp_path):
    model, x, _ = trained(1)
    model.save(tmp_path / "m.safetensors")
    loaded = nn.load(tmp_path / "m.safetensors")
    assert np.array_equal(loaded.predict(x), model.predict(x))
    with pytest.raises(IndexError, match=r"x\[2, 1\] is 9, .* from 0 to 8 \(the table has 9 rows\)"):
        loaded.predict(np.array([[0, 1, 2, 3], [1, 1, 1, 1], [2, 9, 0, 0]]))


@pytest.mark.parametrize("wrong", [9, -1, 1 << 40, -(1 << 62)])
@pytest.mark.parametrize("rows", [3, 40])
def test_an_index_out_of_range_changes_nothing(rows, wrong):
    model, x = network(), words(rows, 4)
    x[rows - 1, 2] = x[rows - 1, 3] = wrong
    model.compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.1, momentum=0.9))
    before = model.state_dict()
    message = rf"embedding: x\[{rows - 1}, 2\] is {wrong}, indices must be whole numbers from 0 to 8"
    for call in (lambda: model.train_on_batch(x, words(rows) % 3), lambda: model.fit(x, words(rows) % 3, shuffle=False, verbose=0),
                 lambda: model.predict_on_batch(x), lambda: model.predict_on_batch(x), lambda: model(x, training=True),
                 lambda: F.embedding(x, model[0].weight.data), lambda: model[0](x)):
        with pytest.raises(IndexError, match=message):
            call()
    for name, array in model.state_dict().items():
        assert np.array_equal(array, before[name])
    assert np.isfinite(model.predict(words(rows, 4))).all()


def test_an_index_behind_other_steps_is_named():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(4, 2)

        def forward(self, x):
            return self.table(x[:, 1:].permute(0, 2, 1))
    x = np.zeros((3, 3, 2), np.int64)
    x[1, 2, 0] = 7
    with pytest.raises(IndexError, match=r"x\[1, 0, 1\] is 7"):
        Shifted()(x)


def test_a_fraction_is_no_index():
    with pytest.raises(IndexError, match=r"x\[1\] is 1.5, indices must be whole"):
        nn.Embedding(4, 2)(np.array([1, 1.5], np.float32))


def test_an_input_of_integers():
    x = nn.Input(4, dtype="int64")
    model = nn.Model(x, nn.Embedding(9, 2)(x).flatten(1))
    given = words(5, 4)
    assert np.array_equal(model.predict(given), model.embedding.weight.data[given].reshape(5, 8))


def test_tied_to_the_output():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(9, 5)

        def forward(self, x):
            return F.linear(self.table(x).mean(1), self.table.weight)
    model, x = Tied(), words(20, 4)
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=0.05))
    losses = [model.train_on_batch(x, x[:, 0]) for _ in range(60)]
    assert losses[-1] < 0.7 * losses[0]
