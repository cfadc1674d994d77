"""Autoencoders and GANs: what they are made of, what they refuse, what they learn, that a seed fixes it, that their parts are
saved."""
import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F
from fastnn import networks
from fastnn.datasets import load_digits
from fastnn.examples import autoencoder, gan

SHAPE = (1, 8, 8)
KINDS = {"Autoencoder": dict(hidden=(48,), code=6), "ConvAutoencoder": dict(channels=(8, 16), code=6),
         "DenoisingAutoencoder": dict(hidden=(48,), code=6, level=0.1), "VariationalAutoencoder": dict(hidden=(48,), code=6)}


def make(kind, **others):
    return getattr(networks, kind)(SHAPE, **{**KINDS[kind], **others})


def digits(n):
    return load_digits("train")[0][:n] / np.float32(16)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


# ---- autoencoders

def test_shapes_and_dtypes(kind):
    model, x = make(kind), digits(5)
    assert model.encode(x).shape == (5, 6) and model.decode(np.zeros((3, 6))).shape == (3, *SHAPE)
    assert model.reconstruct(x).shape == (5, *SHAPE) and model.sample(4).shape == (4, *SHAPE)
    for y in (model.reconstruct(x), model.sample(4)):
        assert y.dtype == np.float32 and 0 <= y.min() and y.max() <= 1
    np.testing.assert_array_equal(model.encode(x.reshape(5, 64)), model.encode(x))               # rows of the same size
    np.testing.assert_array_equal(model.encode(x.astype(np.float64)), model.encode(x))
    model.scale = 1 / 16
    np.testing.assert_array_equal(model.encode((x * 16).astype(np.uint8)), model.encode(x))
    assert model.encode(x[:0]).shape == (0, 6)


def test_learns_a_few_images_by_heart(kind):
    nn.manual_seed(1)
    x, model = digits(16), make(kind, **({"level": 0.02} if kind.startswith("Denoising") else {}))
    model.compile(nn.Adam(lr=0.01))
    first = np.mean((model.reconstruct(x) - x) ** 2)
    history = model.fit(x, batch_size=16, epochs=400, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert np.mean((model.reconstruct(x) - x) ** 2) < first * (0.2 if kind.startswith("Variational") else 0.06)


def test_a_seed_fixes_training_and_samples(kind):
    def once():
        nn.manual_seed(3)
        model = make(kind)
        model.fit(digits(40), batch_size=16, epochs=2, verbose=0)
        return [*model.state_dict().values(), model.sample(5)]
    first, second = once(), once()
    assert all(np.array_equal(a, b) for a, b in zip(first, second))


def test_parts_are_saved(kind, tmp_path):
    model, x = make(kind), digits(20)
    model.fit(x, verbose=0)
    other = make(kind)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.reconstruct(x), model.reconstruct(x))
    nn.manual_seed(0)
    drawn = model.sample(3)
    nn.manual_seed(0)
    np.testing.assert_array_equal(other.sample(3), drawn)
    model.encoder.save(tmp_path / "encoder.safetensors")
    found = nn.load(tmp_path / "encoder.safetensors").predict(x)[:, :6]
    np.testing.assert_array_equal(found, model.encode(x))
    model.save(tmp_path / "whole.safetensors")
    whole = nn.load(tmp_path / "whole.safetensors").predict(x)
    if kind != "VariationalAutoencoder":
        np.testing.assert_array_equal(whole, model.reconstruct(x))
    else:
        assert set(whole) == {"logits", "mean", "log_variance"}
        np.testing.assert_array_equal(whole["mean"], model.encode(x))


def test_fit_takes_validation_and_targets(kind):
    x, model = digits(40), make(kind)
    history = model.fit(x[:30], epochs=2, verbose=0, validation_data=x[30:], callbacks=nn.EarlyStopping(patience=5))
    assert set(history.history) >= {"loss", "val_loss"}
    model.fit((x * 16).astype(np.uint8), x, scale=1 / 16, verbose=0)
    assert model.scale == 1 / 16 and np.isfinite(model.evaluate((x * 16).astype(np.uint8)))


@pytest.mark.parametrize("call, error, message", [
    (lambda: networks.Autoencoder(0), ValueError, r"Autoencoder: shape\[0\]"),
    (lambda: networks.Autoencoder(5, hidden=(3, -1)), ValueError, r"Autoencoder: hidden\[1\]"),
    (lambda: networks.Autoencoder(5, code=2.5), TypeError, "Autoencoder: code"),
    (lambda: networks.Autoencoder(5, activation="sine"), ValueError, "Autoencoder: unknown activation 'sine'"),
    (lambda: networks.ConvAutoencoder((1, 6, 8), (4, 4)), ValueError, "ConvAutoencoder: 2 layers .* by 4.* got 6 x 8"),
    (lambda: networks.ConvAutoencoder((1, 8, 8), ()), ValueError, "ConvAutoencoder: .* at least one layer"),
    (lambda: networks.ConvAutoencoder(64), ValueError, "ConvAutoencoder: shape must be"),
    (lambda: networks.DenoisingAutoencoder(noise="salt"), ValueError, "DenoisingAutoencoder: noise must be .* 'salt'"),
    (lambda: networks.DenoisingAutoencoder(noise="masking", level=1), ValueError, "DenoisingAutoencoder: level"),
    (lambda: make("Autoencoder").fit(np.zeros((3, 1, 9, 9))), ValueError, r"Autoencoder.fit: .* \(N, 1, 8, 8\), got"),
    (lambda: make("Autoencoder").fit(digits(3), digits(2)), ValueError, "x has 3 rows"),
    (lambda: make("Autoencoder").encode(3.0), ValueError, "Autoencoder.encode: .* shape"),
    (lambda: make("Autoencoder").decode(np.zeros((2, 7))), ValueError, r"Autoencoder.decode: expected an array \(N, 6\)"),
    (lambda: make("VariationalAutoencoder").encode(np.zeros((2, 64), complex)), TypeError, "VariationalAutoencoder.posterior"),
    (lambda: make("VariationalAutoencoder").sample(0), ValueError, "sample: n"),
    (lambda: make("VariationalAutoencoder").elbo(digits(2)), RuntimeError, "compile")])
def test_what_autoencoders_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_samples_follow_the_codes_of_the_data():
    nn.manual_seed(0)
    model, x = networks.Autoencoder(SHAPE, (), 3), digits(200)
    model.fit(x, verbose=0)
    codes = model.encode(x).astype(np.float64)
    factor = model.code_factor.data.astype(np.float64)
    np.testing.assert_allclose(model.code_mean.data, codes.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(factor @ factor.T, np.cov(codes.T), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("noise", ["gaussian", "masking"])
def test_noise_is_there_in_training_alone(noise):
    model, x = make("DenoisingAutoencoder", noise=noise, level=0.5), np.ones((500, *SHAPE), np.float32)
    spoilt = model.corrupt(x)
    if noise == "gaussian":
        assert abs((spoilt - x).std() - 0.5) < 0.02
    else:
        assert set(np.unique(spoilt)) == {0.0, 1.0} and abs(spoilt.mean() - 0.5) < 0.02
    np.testing.assert_array_equal(model(x), model(x))
    assert np.abs(model(x, training=True) - model(x)).max() > 0


def test_the_elbo_is_the_textbooks():
    model, x = make("VariationalAutoencoder"), digits(30)
    model.compile()
    out = {name: np.asarray(a, np.float64) for name, a in model.predict_on_batch(x).items()}
    p = 1 / (1 + np.exp(-out["logits"]))
    pixels = -(x * np.log(p) + (1 - x) * np.log(1 - p)).reshape(30, -1).sum(1)
    variance, mean = np.exp(out["log_variance"]), out["mean"]
    divergence = 0.5 * (variance + mean ** 2 - 1 - np.log(variance)).sum(1)
    np.testing.assert_allclose(model.elbo(x, 30), -(pixels + divergence).mean(), rtol=1e-5)
    mean, deviation = model.posterior(x)
    np.testing.assert_allclose(deviation ** 2, variance, rtol=1e-5)
    np.testing.assert_array_equal(mean, model.encode(x))


# ---- GANs

def dense_gan():
    generator = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid(),
                              nn.Reshape(*SHAPE))
    return networks.GAN(generator, nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.LeakyReLU(0.2),
                                                 nn.Linear(32, 1)))


def small_dcgan():
    return networks.DCGAN(SHAPE, channels=(4, 8), latent=5)


@pytest.mark.parametrize("build", [dense_gan, small_dcgan])
def test_a_gan_trains_and_samples(build):
    def once():
        nn.manual_seed(2)
        model = build()
        history = model.fit(load_digits("train")[0][:70], scale=1 / 16, batch_size=32, epochs=2, verbose=0)
        return history.history, [*model.state_dict().values(), model.sample(3)]
    history, first = once()
    assert set(history) == {"loss", "g_loss", "real", "fake"} and all(0 < v < 1 for v in history["real"] + history["fake"])
    assert first[-1].shape == (3, *SHAPE) and 0 <= first[-1].min() and first[-1].max() <= 1
    assert all(np.array_equal(a, b) for a, b in zip(first, once()[1]))


def test_a_turn_moves_one_network_alone():
    model, x = dense_gan(), digits(20)
    model.compile("adam", nn.SGD(lr=0.0))
    before = model.state_dict()
    model.train_on_batch(x)
    moved = {name for name, a in model.state_dict().items() if not np.array_equal(a, before[name])}
    assert {n for n in moved if n.startswith("generator")} == {n for n in before if n.startswith("generator")}
    assert {n for n in moved if n.startswith("discriminator")} == {n for n in before if "running" in n or "batches" in n
                                                                   if n.startswith("discriminator")}
    assert model.generator[1].num_batches_tracked.data == 1
    assert model.discriminator[2].num_batches_tracked.data == 2                  # real and generated ones


def test_the_steps_are_those_of_the_formulas():
    """One step against the losses and the gradients by hand, the discriminator's moved before the generator's turn."""
    nn.manual_seed(4)
    generator = nn.Sequential(nn.Linear(3, 64), nn.Reshape(*SHAPE))
    discriminator = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    model, x = networks.GAN(generator, discriminator), digits(20)
    model.compile(nn.SGD(lr=0.1), nn.SGD(lr=0.1), smoothing=0.1)
    weight, bias = discriminator[1].weight.data.astype(np.float64).copy(), discriminator[1].bias.data.astype(np.float64).copy()
    made = generator[0].weight.data.copy()
    loss = model.train_on_batch(x)
    seed, step = model.__dict__["_random"]["seed"], model.__dict__["_random"]["step"]

    def fakes(at, layer_weight):
        z = F.randn_like(x, (3,), seed=seed, step=at)
        return z, z @ layer_weight.T + generator_bias
    sigmoid = lambda a: 1 / (1 + np.exp(-a))                                                         # noqa: E731
    nn.manual_seed(4)
    again = nn.Sequential(nn.Linear(3, 64), nn.Reshape(*SHAPE))
    generator_bias = again[0].bias.data
    np.testing.assert_array_equal(again[0].weight.data, made)
    real, (_, fake) = x.reshape(20, 64), fakes(step - 1, made)
    logits_real, logits_fake = real @ weight[0] + bias, fake @ weight[0] + bias
    expected = np.log1p(np.exp(-logits_real)) + np.log1p(np.exp(logits_fake)) + 0.1 * logits_real
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-5)
    slope_real, slope_fake = (sigmoid(logits_real) - 0.9) / 20, sigmoid(logits_fake) / 20
    weight -= 0.1 * (slope_real @ real + slope_fake @ fake)
    bias -= 0.1 * (slope_real.sum() + slope_fake.sum())
    np.testing.assert_allclose(discriminator[1].weight.data, weight, rtol=1e-4, atol=1e-6)
    z, fake = fakes(step, made)
    slope = (sigmoid(fake @ weight[0] + bias) - 1) / 20
    np.testing.assert_allclose(generator[0].weight.data, made - 0.1 * np.outer(weight[0], slope @ z), rtol=1e-4, atol=1e-6)


def test_nothing_is_compiled_again():
    model, x = small_dcgan(), digits(64)
    model.fit(x, batch_size=16, verbose=0)
    known = set(map(id, model._cache.values()))
    made = [id(e) for entry in model._cache.values() for e in entry.values()]
    model.fit(x[:50], batch_size=16, epochs=2, verbose=0)                    # a smaller last batch
    assert set(map(id, model._cache.values())) == known and len(made) == 2
    assert [id(e) for entry in model._cache.values() for e in entry.values()] == made


def test_the_average_follows_the_generator():
    nn.manual_seed(0)
    model, x = networks.DCGAN(SHAPE, channels=(4, 8), latent=5, averaging=0.75), digits(32)
    model.compile()
    expected = model.average.state_dict()
    for step in range(1, 9):
        before = model.generator.state_dict()
        model.train_on_batch(x)
        moves = 1 - min(0.75, (2 * step + 1) / (2 * step + 10))
        expected = {name: a + (before[name] - a) * moves for name, a in expected.items()}
    for name, a in model.average.state_dict().items():
        if "tracked" not in name:
            np.testing.assert_allclose(a, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)
    z = np.random.default_rng(0).standard_normal((4, 5))
    np.testing.assert_array_equal(model.predict(z), model.average.predict(z))
    assert not np.array_equal(model.predict(z), model.generator.predict(z))


def test_a_gan_is_saved(tmp_path):
    model = small_dcgan()
    model.fit(digits(20), verbose=0)
    other = small_dcgan()
    other.load_state_dict(model.state_dict())
    z = np.random.default_rng(0).standard_normal((4, 5))
    np.testing.assert_array_equal(other.predict(z), model.predict(z))
    model.save(tmp_path / "gan.safetensors")
    np.testing.assert_array_equal(nn.load(tmp_path / "gan.safetensors").predict(z), model.generator.predict(z))
    with pytest.raises(ValueError, match="DCGAN.save: training_state"):
        model.save(tmp_path / "gan.safetensors", training_state=True)


def test_the_learning_rate_of_both_moves():
    model = small_dcgan().compile(nn.Adam(lr=0.002), nn.Adam(lr=0.001))
    model.fit(digits(20), verbose=0, callbacks=nn.LearningRateScheduler(lambda epoch, lr: lr / 2))
    assert model.optimizer.lr == 0.001 and model.optimizer.discriminator.lr == 0.0005


@pytest.mark.parametrize("call, error, message", [
    (lambda: networks.GAN(nn.Linear(3, 4), None), TypeError, "GAN: discriminator must be a Module, got NoneType"),
    (lambda: networks.GAN(nn.Sequential(nn.ReLU()), nn.Linear(4, 1)), ValueError, "GAN: the generator has no Linear"),
    (lambda: networks.GAN(nn.Linear(3, 4), nn.Linear(4, 1), latent=0), ValueError, "GAN: latent"),
    (lambda: networks.GAN(nn.Linear(3, 4), nn.Linear(4, 1)).fit(digits(3).reshape(3, 64)), ValueError,
     r"GAN: the generator makes \(4,\), real images are \(64,\)"),
    (lambda: networks.GAN(nn.Linear(3, 4), nn.Linear(4, 2)).fit(np.zeros((3, 4))), ValueError, "one logit an image"),
    (lambda: dense_gan().fit(np.zeros((0, *SHAPE))), ValueError, "GAN.fit: x must be images"),
    (lambda: dense_gan().fit(digits(3), validation_split=0.5), ValueError, "GAN.fit: takes no targets"),
    (lambda: dense_gan().fit(np.zeros((3, 64), complex)), TypeError, "GAN.fit: x has dtype complex128"),
    (lambda: dense_gan().compile(smoothing=1), ValueError, "GAN.compile: smoothing"),
    (lambda: dense_gan().train_on_batch(digits(2)), RuntimeError, "train_on_batch: call compile"),
    (lambda: dense_gan().sample(-1), ValueError, "GAN.sample: n"),
    (lambda: networks.DCGAN((1, 6, 8)), ValueError, "DCGAN: 2 layers that halve")])
def test_what_gans_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- the examples

def test_a_grid_of_samples_is_saved(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    autoencoder.save_grid(digits(64), tmp_path / "grid.png")
    assert (tmp_path / "grid.png").read_bytes()[:4] == b"\x89PNG" and "grid.png" in capsys.readouterr().out


def test_pca_is_the_best_linear_code():
    x = np.random.default_rng(0).standard_normal((50, 1, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(autoencoder.pca(x, x, 6), x, atol=1e-5)
    centred = x.reshape(50, 6) - x.reshape(50, 6).mean(0)
    lost = np.sum(np.linalg.svd(centred)[1][2:] ** 2)
    np.testing.assert_allclose(np.sum((autoencoder.pca(x, x, 2) - x) ** 2), lost, rtol=1e-4)


def test_how_samples_are_judged():
    class Judge:
        def predict(self, images):
            return np.eye(10)[images.reshape(-1)] * 50
    confident, entropy = gan.judged(np.repeat(np.arange(10), 3).reshape(-1, 1, 1, 1) / 255, Judge())
    assert confident > 0.999 and abs(entropy - np.log(10)) < 1e-6
    assert abs(gan.judged(np.zeros((5, 1, 1, 1), np.float32), Judge())[1]) < 1e-6


@pytest.mark.slow
def test_mnist(data_folder):
    rows = [*autoencoder.results(data_folder), *gan.results(data_folder)]
    assert rows and all(row.holds is not False for row in rows), rows
