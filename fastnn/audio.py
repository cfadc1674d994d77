"""What a network hears: sound as log-mel features, in NumPy."""
import numpy as np


def log_mel(signal, rate=8000, bands=40, window=0.032, hop=0.010):
    """The energy of a signal in bands of equal width on the mel scale of pitch -> (frames, bands) float32.

    signal: (samples,), int16 or float on any scale; rate: samples a second; a frame is `window` seconds long (Hann), and begins
    `hop` seconds after the one before. log(energy + a ten-millionth of the loudest), the mean taken off. A signal shorter than
    a frame is filled up with silence. Source: Davis, Mermelstein 1980, doi:10.1109/TASSP.1980.1163420.
    ValueError: not one axis, or samples that are not finite."""
    signal = np.asarray(signal, np.float64)
    if signal.ndim != 1 or not np.isfinite(signal).all():
        raise ValueError(f"log_mel: expected finite samples (N,), got shape {signal.shape}")
    width, step = round(window * rate), round(hop * rate)
    signal = np.pad(signal, (0, max(0, width - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(signal, width)[::step]
    power = np.abs(np.fft.rfft(frames * np.hanning(width + 1)[:-1])) ** 2
    energy = power @ mel_filters(bands, power.shape[1], rate).T
    logs = np.log(energy + max(energy.max() * 1e-7, np.finfo(np.float64).tiny))
    return (logs - logs.mean()).astype(np.float32)


def mel_filters(bands, bins, rate):
    """Triangles over the frequencies 0 .. rate / 2 of `bins` Fourier coefficients -> (bands, bins)."""
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    frequencies = np.linspace(0, rate / 2, bins)
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rising, falling))
