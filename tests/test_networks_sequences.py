"""SequenceClassifier, LanguageModel, speech and stocks: shapes, what they refuse, what they learn, and that no forecast has
seen the future."""
import io
import os
import wave
import zipfile

import numpy as np
import pytest

import fastnn as nn
from fastnn.audio import log_mel, mel_filters
from fastnn.datasets import load_prices, load_spoken_digits, load_text
from fastnn.examples import language_model, rnn, speech, stocks
from fastnn.networks import LanguageModel, SequenceClassifier
from fastnn.networks.language_model import next_character_loss

RNG = np.random.default_rng(3)


# ---- SequenceClassifier

@pytest.mark.parametrize("cell, states", [("lstm", 2), ("gru", 1), ("RNN", 1)])
def test_classifier_reads_to_the_end_of_each_sequence(cell, states, tmp_path):
    model = SequenceClassifier(cell, 3, 5, classes=4, num_layers=2, bidirectional=True, dropout=0.3)
    x, lengths = RNG.standard_normal((9, 6, 3)).astype(np.float32), np.array([6, 1, 2, 3, 4, 5, 6, 2, 1])
    found = model.predict([x, lengths])
    assert found.shape == (9, 4) and len(model.cell.states) == states
    for i, length in enumerate(lengths):
        np.testing.assert_array_equal(found[i], model.predict(x[i:i + 1, :length])[0])
    model.save(tmp_path / "model.safetensors", input_shape=[(6, 3), ()])
    np.testing.assert_array_equal(nn.load(tmp_path / "model.safetensors").predict([x, lengths]), found)


def test_classifier_learns_from_sequences_of_many_lengths():
    """Which of the two kinds of step comes last; what lies behind the end would mislead it."""
    nn.manual_seed(0)
    n, steps = 400, 8
    lengths, x = RNG.integers(1, steps + 1, n), RNG.choice([-1.0, 1.0], (n, steps, 1))
    labels = (x[np.arange(n), lengths - 1, 0] > 0).astype(np.int64)
    model = SequenceClassifier("gru", 1, 8, classes=2)
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=0.02), metrics=["accuracy"])
    model.fit([x[:300], lengths[:300]], labels[:300], batch_size=32, epochs=6, verbose=0)
    assert model.evaluate([x[300:], lengths[300:]], labels[300:])[1] > 0.95


def test_what_they_refuse():
    for make, message in ((lambda: SequenceClassifier("conv", 3, 5, 2), "SequenceClassifier: unknown cell 'conv'"),
                          (lambda: SequenceClassifier("lstm", 3, 0, 2), "hidden_size"),
                          (lambda: SequenceClassifier("lstm", 3, 5, 0), "SequenceClassifier: classes"),
                          (lambda: LanguageModel(""), "LanguageModel: vocabulary is empty"),
                          (lambda: LanguageModel("ab", "transformer"), "LanguageModel: unknown cell 'transformer'")):
        with pytest.raises(ValueError, match=message):
            make()
    model = LanguageModel("abc", hidden_size=4)
    for call, message in ((lambda: model.encode("abx"), "the vocabulary has no 'x'"), (lambda: model.loss("a"), "at least two"),
                          (lambda: model.fit("abc", steps=3), "a text of more than 3 characters"),
                          (lambda: model.sample(1, prompt=""), "at least one character"),
                          (lambda: model.sample(1, "a", temperature=-1), "temperature must be at least 0, got -1")):
        with pytest.raises(ValueError, match=message):
            call()


# ---- LanguageModel

@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_one_character_at_a_time_is_the_whole_text(cell, tmp_path):
    model = LanguageModel("hello world", cell, hidden_size=7, num_layers=2)
    text = "lord hello world"
    whole, states = model.step(text)
    model.save(tmp_path / "model.safetensors")      # as it was called last: codes and states
    logits, *more = nn.load(tmp_path / "model.safetensors").predict([model.encode(text)[None], *map(np.zeros_like, states)])
    assert logits.shape == (1, len(text), 8) and all(np.array_equal(a, b) for a, b in zip(more, states))
    np.testing.assert_array_equal(whole.shape, (len(text), 8))
    np.testing.assert_allclose(np.exp(whole).sum(1), 1, rtol=1e-5)
    state = None
    for i, character in enumerate(text):
        found, state = model.step(character, state)
        np.testing.assert_array_equal(found[0], whole[i])
    for a, b in zip(states, state):
        np.testing.assert_array_equal(a, b)
    codes = model.encode(text)
    assert model.loss(text) == pytest.approx(-whole[np.arange(len(text) - 1), codes[1:]].mean(), rel=1e-5)
    assert model.loss(text * 40) == pytest.approx(model.loss(text * 40 + text[0]), rel=0.01)         # longer than one call


def test_it_learns_a_text_and_writes_it():
    nn.manual_seed(0)
    model, rate = LanguageModel("abcd ", hidden_size=24), 0.02
    model.compile(loss=next_character_loss, optimizer=nn.Adam(lr=rate))
    history = model.fit("abcd dcba " * 300, steps=20, epochs=12, validation_text="abcd dcba " * 10, verbose=0)
    assert history.history["val_loss"][-1] < 0.3 < history.history["val_loss"][0] and model.optimizer.lr == rate
    assert model.loss("abcd dcba " * 20) < 0.1
    assert model.sample(20, prompt="abcd dcba a", temperature=0) == "bcd dcba abcd dcba a"
    nn.manual_seed(4)
    drawn = model.sample(50, prompt="a", temperature=5.0)
    nn.manual_seed(4)
    assert drawn == model.sample(50, prompt="a", temperature=5.0) and len(drawn) == 50 and set(drawn) <= set(model.vocabulary)


def test_samples_have_the_probabilities():
    model = LanguageModel("abc", "rnn", hidden_size=3)
    expected = np.exp(model.step("a")[0][0])
    nn.manual_seed(1)
    drawn = [model.sample(1, prompt="a") for _ in range(600)]
    np.testing.assert_allclose([drawn.count(c) / 600 for c in "abc"], expected, atol=0.06)


# ---- sound

def test_log_mel_hears_pitch():
    tones = [np.sin(2 * np.pi * pitch * np.arange(4000) / 8000) for pitch in (200, 500, 1000, 2000, 3500)]
    bands = [log_mel(tone).mean(0).argmax() for tone in tones]
    assert bands == sorted(set(bands)) and bands[-1] > 30
    quiet, loud = log_mel(np.arange(900) % 7), log_mel(1000.0 * (np.arange(900) % 7))
    assert quiet.dtype == np.float32 and quiet.shape == (9, 40)
    np.testing.assert_allclose(quiet, loud, atol=1e-4)
    assert log_mel(np.zeros(10)).shape == (1, 40) and np.isfinite(log_mel(np.zeros(0, np.int16))).all()
    assert mel_filters(20, 129, 8000).shape == (20, 129) and (mel_filters(40, 129, 8000).sum(1) > 0).all()
    with pytest.raises(ValueError, match="log_mel: expected finite samples"):
        log_mel(np.full(300, np.nan))


def recording(samples, channels=1):
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((channels, 2, 8000, len(samples), "NONE", ""))
        wav.writeframes(np.asarray(samples, "<i2").tobytes())
    return file.getvalue()


def spoken(folder, speakers=("george", "jackson", "lucas"), takes=9):
    """A folder with a set like the real one: each digit a pitch, evenly spaced for the ear, with noise."""
    rng = np.random.default_rng(0)
    os.mkdir(folder / "fsdd")
    with zipfile.ZipFile(folder / "fsdd" / "recordings.zip", "w") as archive:
        for digit in range(10):
            for i, speaker in enumerate(speakers):
                for take in range(takes):
                    t = np.arange(rng.integers(1800, 6000)) / 8000
                    pitch = 700 * (10 ** ((300 + 180 * digit) / 2595) - 1) + 10 * i
                    tone = np.sin(2 * np.pi * pitch * t) + 0.2 * rng.standard_normal(len(t))
                    archive.writestr(f"{digit}_{speaker}_{take}.wav", recording(3000 * tone))
    return folder


def test_spoken_digits_are_loaded_and_understood(tmp_path, capsys):
    found = load_spoken_digits(spoken(tmp_path))
    assert len(found.signals) == 270 and found.rate == 8000 and found.signals[0].dtype == np.int16
    assert found.digits[:28].tolist() == [0] * 27 + [1] and found.speakers[9] == "jackson" and found.takes[10] == 1
    x, lengths = speech.features(found)
    assert x.shape == (270, 64, 40) and lengths.min() >= 20 and lengths.max() == 64
    model = speech.train(tmp_path, epochs=8, quick=True)
    assert np.mean(speech.understood(model, x, lengths) == found.digits) > 0.4 and "a spoken 0" in capsys.readouterr().out
    model = speech.learn(x, lengths, found.digits, "lstm", epochs=3, verbose=0)
    assert np.mean(speech.understood(model, x, lengths) == found.digits) > 0.3


def test_broken_recordings(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no recordings.zip"):
        load_spoken_digits(tmp_path)
    path = tmp_path / "recordings.zip"
    for content, message in ((recording([1, 2, 3, 4], 2), "2 channels of 16 bits"), (b"RIFFxxxx", "no sound wav file")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("1_george_0.wav", content)
        with pytest.raises(ValueError, match=f"1_george_0.wav.*{message}"):
            load_spoken_digits(tmp_path)
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match="no sound zip file"):
        load_spoken_digits(tmp_path)


# ---- text and prices

def test_load_text(tmp_path):
    (tmp_path / "input.txt").write_text("0123456789" * 3)
    assert load_text(tmp_path) == ("0123456789" * 2 + "0123456", "789") and load_text(tmp_path / "input.txt", 0.5)[1][0] == "5"
    (tmp_path / "input.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ValueError, match="no text in UTF-8"):
        load_text(tmp_path)
    with pytest.raises(ValueError, match="held_out must be between 0 and 1, got 2"):
        load_text(tmp_path, 2)
    with pytest.raises(FileNotFoundError):
        load_text(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="give the folder of data that holds tinyshakespeare/input.txt"):
        load_text(None)


def test_load_prices(tmp_path):
    path = tmp_path / "sp500-2000.csv"
    path.write_text("date,close,adjclose\n2000-01-03,1,2.5\n2000-01-04,1,2.75\n")
    dates, prices = load_prices(tmp_path)
    assert prices.tolist() == [2.5, 2.75] and dates[1] == np.datetime64("2000-01-04") and load_prices(path, "close")[1][0] == 1
    for head, text, message in (("close", "2000-01-03,1\n", "columns date and adjclose"), ("adjclose", "2000-01-03,x\n", "columns"),
                                ("adjclose", "2000-01-03,0\n", "positive"), ("adjclose", "2000-01-03\n", "positive prices"),
                                ("adjclose", "2000-01-04,1\n2000-01-03,1\n", "ascending dates")):
        path.write_text(f"date,{head}\n{text}")
        with pytest.raises(ValueError, match=message):
            load_prices(tmp_path)


def walk(n=420):
    return 100 * np.exp(np.cumsum(0.01 * RNG.standard_normal(n)))


def test_no_forecast_knows_the_future():
    """Whatever the prices from a day on are, no forecast made before that day changes by a bit; those made later do."""
    prices, first = walk(), 300
    found, actual = stocks.walk_forward(prices, first, fold=40, epochs=1)
    assert all(len(f) == len(prices) - first == len(actual) for f in found.values())
    np.testing.assert_allclose(actual, np.diff(np.log(prices))[first - 1:], rtol=0, atol=0)
    for day in (first, 339, 340, 341, 370, len(prices) - 1):    # the forecast of `day` itself was made the day before
        other = prices.copy()
        other[day:] = 50 * walk(len(prices) - day)
        changed = stocks.walk_forward(other, first, fold=40, epochs=1)[0]
        for name in stocks.FORECASTS:
            known = day - first + 1
            np.testing.assert_array_equal(found[name][:known], changed[name][:known], f"{name}, prices from day {day} on")
            if name != "naive" and day < len(prices) - 1:
                assert (found[name][known:] != changed[name][known:]).any()


def test_figures_of_forecasts():
    actual = np.array([0.01, -0.02, 0.0, 0.03])
    found = stocks.figures({"right": actual, "naive": np.zeros(4)}, actual)
    assert found["right"] == (0, 1) and found["naive"] == (pytest.approx(np.sqrt(0.0014 / 4)), 0.75)


# ---- the examples

def test_a_gru_in_the_lstms_place(capsys):
    nn.manual_seed(0)
    (x, y), held_out = rnn.load()
    assert x.shape[1:] == (8, 8) and x.max() == 1
    model = rnn.train(quick=True, cell="gru")
    assert model.evaluate(*held_out)[1] > 0.6 and "digits it has not seen" in capsys.readouterr().out


def test_examples_on_prices(tmp_path, capsys):
    dates = np.datetime64("2001-01-01") + np.arange(400)
    (tmp_path / "sp500-2000.csv").write_text("date,adjclose\n" + "\n".join(f"{d},{p}" for d, p in zip(dates, walk(400))))
    stocks.train(tmp_path, quick=True)
    out = capsys.readouterr().out
    assert "252 days" in out and "naive" in out and "linear" in out


@pytest.mark.slow
@pytest.mark.parametrize("example", [rnn, language_model, speech, stocks], ids=lambda example: example.__name__.split(".")[-1])
def test_bars_on_real_data(example, data_folder):
    rows = list(example.results(data_folder))
    assert rows and all(row.holds is not False for row in rows), rows
