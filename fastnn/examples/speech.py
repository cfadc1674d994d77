"""Spoken digits: each recording becomes a picture of its energies, pitch upwards and time to the right (log-mel features), and
a small convolutional network, or an LSTM, says which digit it was.

    python -m fastnn.examples.speech DATA"""
import sys

import numpy as np

import fastnn as nn
from fastnn.audio import log_mel
from fastnn.datasets import load_spoken_digits
from fastnn.networks import SequenceClassifier
from fastnn.results import Result

FRAMES, BANDS, TEST_TAKES = 64, 40, 5               # 0.65 s; the official test part: takes 0 to 4
EPOCHS = {"cnn": 10, "lstm": 20}


def network():
    """For features (N, FRAMES, BANDS); gives the logits of ten digits."""
    layers, channels = [nn.Reshape(1, FRAMES, BANDS)], 1
    for width in (8, 16, 32, 64):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels, 10))


def features(recordings):
    """(N, FRAMES, BANDS) float32 of standard deviation about 1, and how many frames of each are sound (N,); what is longer is
    cut, what is shorter followed by silence, its faintest energy."""
    x, lengths = np.empty((len(recordings.signals), FRAMES, BANDS), np.float32), np.empty(len(recordings.signals), np.int64)
    for i, signal in enumerate(recordings.signals):
        found = log_mel(signal, recordings.rate, BANDS)[:FRAMES] / 3
        x[i], lengths[i] = found.min(), len(found)
        x[i, :len(found)] = found
    return x, lengths


def augmented(x, copies, rng):
    """`copies` of each recording, each shifted in time and pitch, a few pitches and a stretch of time of it erased
    (SpecAugment: Park et al. 2019, arXiv:1904.08779)."""
    x = np.repeat(x, copies, 0)
    for row in x:
        late, high, faint = rng.integers(9), rng.integers(-3, 4), row.min()
        row[...] = np.roll(row, (late, high), (0, 1))
        row[:late] = faint
        for axis, length in ((0, 9), (1, 7)):
            start = rng.integers(row.shape[axis])
            np.moveaxis(row, axis, 0)[start:start + rng.integers(length)] = row.mean()
    return x


def learn(x, lengths, digits, kind="cnn", epochs=EPOCHS["cnn"], seed=0, verbose="auto"):
    """A network trained on recordings, their features and lengths (only the LSTM asks for these); kind: "cnn" or "lstm"."""
    nn.manual_seed(seed)
    if kind == "lstm":
        model, given = SequenceClassifier("lstm", BANDS, 64, classes=10, bidirectional=True, dropout=0.3), [x, lengths]
    else:
        model, copies = network(), 3
        given, digits = augmented(x, copies, np.random.default_rng(seed)), np.repeat(digits, copies)
    model.compile(loss="cross_entropy", optimizer=nn.Adam(lr=0.004), metrics=["accuracy"])
    falling = nn.LearningRateScheduler(lambda epoch, rate: 0.004 * (0.5 + 0.5 * np.cos(np.pi * epoch / epochs)))
    model.fit(given, digits, batch_size=32, epochs=epochs, verbose=verbose, callbacks=[falling])
    return model


def understood(model, x, lengths):
    """The digits that it hears."""
    return model.predict([x, lengths] if isinstance(model, SequenceClassifier) else x).argmax(1)


def train(data, *, epochs=None, seed=0, quick=False, kind="cnn"):
    """The recipe, on the official split; -> the trained network. `data`: a folder with fsdd/. quick: an epoch, two speakers."""
    recordings = load_spoken_digits(data)
    (x, lengths), digits = features(recordings), recordings.digits
    chosen = np.isin(recordings.speakers, ["george", "jackson"]) if quick else np.full(len(x), True)
    test, known = chosen & (recordings.takes < TEST_TAKES), chosen & (recordings.takes >= TEST_TAKES)
    model = learn(x[known], lengths[known], digits[known], kind, epochs or (1 if quick else EPOCHS[kind]), seed)
    heard = understood(model, x[test], lengths[test])
    print(f"accuracy on {test.sum()} recordings that it has not heard: {np.mean(heard == digits[test]):.4f}. Their speakers it "
          "knows:\nhow well it understands someone new, `results` says, leaving out each speaker in turn. One of them, as it "
          "sees it:")
    show(x[test][0], digits[test][0], heard[0])
    return model


def show(picture, digit, heard):
    """A recording's features as text: time to the right, pitch upwards."""
    shades = np.clip((picture - picture.min()) / (np.ptp(picture) or 1) * 5, 0, 4).astype(int)
    print("\n".join("".join(" .:*#"[shade] for shade in row) for row in shades.T[::-2]))
    print(f"a spoken {digit}, understood as {heard}")


def results(data, *, seed=0):
    """The official split, then every speaker left out in turn."""
    recordings = load_spoken_digits(data)
    (x, lengths), digits, speakers = features(recordings), recordings.digits, recordings.speakers
    test = recordings.takes < TEST_TAKES
    for kind, bar in (("cnn", 0.96), ("lstm", None)):
        model = learn(x[~test], lengths[~test], digits[~test], kind, EPOCHS[kind], seed)
        right = np.mean(understood(model, x[test], lengths[test]) == digits[test])
        yield Result(f"{kind}, spoken digits, official split", right, bar)
    alone = {}
    for speaker in np.unique(speakers):
        new = speakers == speaker
        model = learn(x[~new], lengths[~new], digits[~new], seed=seed)
        alone[speaker] = np.mean(understood(model, x[new], lengths[new]) == digits[new])
    each = ", ".join(f"{speaker} {accuracy:.3f}" for speaker, accuracy in alone.items())
    yield Result("cnn, spoken digits, a speaker left out", np.mean(list(alone.values())), note=f"mean of six: {each}")


if __name__ == "__main__":
    train(*sys.argv[1:2])
