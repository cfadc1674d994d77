"""LeNet5 and SmallCNN: their layers against PyTorch's, what they refuse, and that they learn."""
import numpy as np
import pytest

import fastnn as nn
from fastnn.datasets import load_digits
from fastnn.examples import cnn
from fastnn.networks import LeNet5, SmallCNN


def count(model):
    return sum(p.data.size for p in model.parameters())


def test_lenet5_is_pytorchs():
    torch = pytest.importorskip("torch")
    t, relu, pool = torch.nn, torch.nn.ReLU, lambda: torch.nn.MaxPool2d(2)
    peer = t.Sequential(t.Conv2d(1, 6, 5, padding=2), relu(), pool(), t.Conv2d(6, 16, 5), relu(), pool(), t.Flatten(),
                        t.Linear(400, 120), relu(), t.Linear(120, 84), relu(), t.Linear(84, 7))
    model = LeNet5(7)
    peer.load_state_dict({name: torch.tensor(array) for name, array in model.state_dict().items()})
    x = np.random.default_rng(0).random((5, 1, 28, 28), np.float32)
    np.testing.assert_allclose(model.predict(x), peer(torch.tensor(x)).detach().numpy(), atol=1e-6)


def test_sizes():
    assert count(LeNet5()) == 61706
    assert isinstance(LeNet5(activation="tanh")[1], nn.Tanh)
    assert count(SmallCNN(3, 5, widths=(4, 8))) == 3 * 4 * 9 + 8 + 4 * 8 * 9 + 16 + 8 * 16 * 5 + 5
    for size in (4, 8, 15, 28):
        assert SmallCNN(2, 3).predict(np.zeros((2, 2, size, size + 1), np.float32)).shape == (2, 3)


@pytest.mark.parametrize("make, message", [
    (lambda: LeNet5(0), "LeNet5: classes"), (lambda: LeNet5(activation="?"), "LeNet5: unknown"),
    (lambda: SmallCNN(0, 2), "SmallCNN: in_channels"), (lambda: SmallCNN(1, 2, (4, 0)), r"SmallCNN: widths\[1\]")])
def test_what_they_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_smallcnn_learns_the_embedded_digits():
    nn.manual_seed(0)
    model = SmallCNN(1, 10, widths=(16, 32))
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=0.01), metrics=["accuracy"])
    model.fit(*load_digits("train"), batch_size=32, epochs=3, scale=1 / 16, verbose=0)
    assert model.evaluate(*load_digits("test"), return_dict=True)["accuracy"] > 0.9


def test_the_peer_has_the_same_layers(monkeypatch):
    pytest.importorskip("torch")
    x, y = load_digits("all")
    part = (x[:320] * np.uint8(15), y[:320])
    share, took = cnn.training.pytorch(SmallCNN(1, 10, widths=(8, 16)), part, part, lr=0.1, epochs=8, batch_size=32)
    assert share > 0.8 and took > 0


@pytest.mark.slow
def test_mnist(data_folder):
    rows = list(cnn.results(data_folder))
    assert len(rows) == 4 and all(row.holds in (None, True) for row in rows), rows
