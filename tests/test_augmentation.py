"""Layers that augment images: active in training alone, seeded, saved with the network."""
import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F

RNG = np.random.default_rng(0)
X = RNG.standard_normal((70, 2, 9, 8)).astype(np.float32)
LAYERS = [nn.RandomHorizontalFlip, lambda: nn.RandomCrop((9, 8), 2), lambda: nn.RandomShift((1, 2)), lambda: nn.RandomRotation(20)]


def run(make, seed=0, threads=None, x=X):
    nn.manual_seed(seed)
    model = nn.Sequential(make()).train()
    if threads:
        nn.set_num_threads(threads)
    return np.array(model(x)), np.array(model(x))


@pytest.mark.parametrize("make", LAYERS)
def test_training_and_evaluation(make):
    np.testing.assert_array_equal(nn.Sequential(make())(X), X)
    first, second = run(make)
    assert first.shape == X.shape and (first != second).any() and (first != X).any()
    again = run(make)
    np.testing.assert_array_equal(again[0], first)
    np.testing.assert_array_equal(again[1], second)
    assert (run(make, seed=1)[0] != first).any()
    np.testing.assert_array_equal(run(make, x=X[:5])[0], first[:5])        # each image by itself


@pytest.mark.parametrize("make", LAYERS)
def test_the_same_bits_whatever_the_threads(make):
    before = nn.get_num_threads()
    found = {run(make, threads=t)[0].tobytes() for t in (1, 2, 3)}
    nn.set_num_threads(before)
    assert len(found) == 1


def test_flip_and_shift_move_whole_pixels():
    flipped = run(lambda: nn.RandomHorizontalFlip(0.3))[0]
    mirrored = (flipped == X[..., ::-1]).all((1, 2, 3))
    assert (mirrored | (flipped == X).all((1, 2, 3))).all() and 8 < mirrored.sum() < 35
    shifted, seen = run(lambda: nn.RandomShift((1, 2)))[0], set()
    padded = np.pad(X, ((0, 0), (0, 0), (1, 1), (2, 2)))
    for image, source in zip(shifted, padded):
        places = [(i, k) for i in range(3) for k in range(5) if np.array_equal(image, source[:, i:i + 9, k:k + 8])]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) > 12
    np.testing.assert_array_equal(run(lambda: nn.RandomHorizontalFlip(0.0))[0], X)
    np.testing.assert_array_equal(run(lambda: nn.RandomHorizontalFlip(1.0))[0], X[..., ::-1])


def test_crop():
    model = nn.Sequential(nn.RandomCrop((5, 4)))
    np.testing.assert_array_equal(model(X), X[:, :, 2:7, 2:6])              # the middle
    cut = np.array(model.train()(X))
    windows = np.lib.stride_tricks.sliding_window_view(X, (5, 4), axis=(2, 3))
    assert ((windows == cut[:, :, None, None]).all((1, 4, 5)).any((1, 2))).all()


def test_rotation_turns_about_the_middle():
    x = np.zeros((200, 1, 11, 11), np.float32)
    x[:, :, 5, :] = 1                               # a bar across
    nn.manual_seed(0)
    turned = np.array(nn.Sequential(nn.RandomRotation(30)).train()(x))
    np.testing.assert_allclose(turned[:, 0, 5, 5], 1, rtol=1e-6)
    rows = (turned[:, 0, :, 8] * np.arange(11)).sum(1) / turned[:, 0, :, 8].sum(1) - 5      # where the bar is, three columns right
    angles = np.degrees(np.arctan(rows / 3))
    assert np.abs(angles).max() < 33 and angles.max() > 24 and angles.min() < -24 and abs(angles.mean()) < 5


def test_trained_with_and_saved(tmp_path):
    nn.manual_seed(0)
    model = nn.Sequential(nn.Rescaling(1 / 255), nn.RandomHorizontalFlip(), nn.RandomCrop(8, 1), nn.RandomRotation(5.0),
                          nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    model.compile("adam", "cross_entropy")
    x = RNG.integers(0, 255, (40, 1, 8, 8)).astype(np.uint8)
    model.fit(x, (x.mean((1, 2, 3)) > 127).astype(int), epochs=1, verbose=0, batch_size=20)
    path = str(tmp_path / "m.safetensors")
    model.save(path)
    again = nn.load(path)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert (np.array(again.train()(x)) != model.predict(x)).any()          # the training graph is in the file too


def test_bad_arguments():
    for call, error, message in ((lambda: nn.RandomHorizontalFlip(2), ValueError, "RandomHorizontalFlip: p must be in"),
                                 (lambda: nn.RandomCrop(0), ValueError, "RandomCrop: size"),
                                 (lambda: nn.RandomShift(-1), ValueError, "RandomShift: pixels"),
                                 (lambda: nn.RandomRotation(200), ValueError, "RandomRotation: degrees"),
                                 (lambda: F.random_window(X, 30, 2), ValueError, "larger than the image"),
                                 (lambda: nn.Sequential(nn.RandomCrop(30))(X), ValueError, "RandomCrop: size"),
                                 (lambda: F.random_window(X[0]), ValueError, "channels, height, width")):
        with pytest.raises(error, match=message):
            call()
