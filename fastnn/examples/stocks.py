"""Tomorrow's stock market from the last weeks: an LSTM on the daily returns of the S&P 500, beside a linear model and beside
the forecast that tomorrow's price is today's. Read what comes out of it before you invest.

    python -m fastnn.examples.stocks DATA"""
import sys

import numpy as np

import fastnn as nn
from fastnn.datasets import load_prices
from fastnn.results import Result

WINDOW, FOLD = 20, 252                              # days that a forecast looks back; a year of trading, forecast by one model
FORECASTS = ("lstm", "linear", "naive")


def windows(prices):
    """Returns log(price / price of the day before) -> x (N, WINDOW), the returns before each day, y (N,), that day's. Row i is
    about day i + WINDOW + 1 and knows the prices up to the day before."""
    returns = np.diff(np.log(prices))
    return np.lib.stride_tricks.sliding_window_view(returns[:-1], WINDOW), returns[WINDOW:]


def walk_forward(prices, first, fold=FOLD, epochs=8, seed=0):
    """Forecasts of the returns of the days from `first` on: for every stretch of `fold` days, models are made of all the days
    before it, and on those alone -> {"lstm", "linear", "naive": (days,)}, and what the returns were (days,)."""
    x, y = windows(prices)
    found = {name: [] for name in FORECASTS}
    for start in range(first - WINDOW - 1, len(y), fold):
        stop = min(start + fold, len(y))
        scale = y[:start].std()                     # of the past: what is measured on all the days would know the future
        past, answers, now = x[:start] / scale, y[:start] / scale, x[start:stop] / scale
        found["lstm"].append(forecast(fit_lstm(past, answers, epochs, seed), now) * scale)
        found["linear"].append(with_one(now) @ np.linalg.lstsq(with_one(past), answers, rcond=None)[0] * scale)
        found["naive"].append(np.zeros(stop - start))
    return {name: np.concatenate(parts) for name, parts in found.items()}, y[first - WINDOW - 1:]


def with_one(x):
    """A column of ones in front: the linear model's constant."""
    return np.hstack([np.ones((len(x), 1)), x])


def fit_lstm(x, y, epochs, seed):
    """An LSTM that reads a window day by day; trained on rows in units of the standard deviation."""
    nn.manual_seed(seed)
    model = nn.Sequential(nn.LSTM(1, 16, batch_first=True, return_sequences=False), nn.Dropout(0.2), nn.Linear(16, 1))
    model.compile(loss="mse", optimizer=nn.AdamW(lr=0.002, weight_decay=0.01))
    model.fit(x[:, :, None], y[:, None], batch_size=64, epochs=epochs, verbose=0)
    return model


def forecast(model, x):
    """(N,) of windows (N, WINDOW)."""
    return model.predict(x[:, :, None])[:, 0].astype(np.float64)


def figures(found, actual):
    """{name: (error, right)}: the root mean squared error of the returns, and the share of days on which a rise or fall was
    foretold rightly (of the naive forecast, which foretells none: as if it always said rise)."""
    return {name: (np.sqrt(np.mean((f - actual) ** 2)), np.mean((f >= 0) == (actual >= 0))) for name, f in found.items()}


def train(data, *, epochs=None, seed=0, quick=False):
    """The recipe; -> the network for the days after the last. `data`: a folder with stocks/. quick: the last year only."""
    dates, prices = load_prices(data)
    first = len(prices) - FOLD if quick else len(prices) // 2
    epochs = epochs or (1 if quick else 8)
    found, actual = walk_forward(prices, first, epochs=epochs, seed=seed)
    print(f"{len(actual):,} days from {dates[first]} to {dates[-1]}, each forecast from the {WINDOW} before it:")
    for name, (error, right) in figures(found, actual).items():
        print(f"  {name:6}  error {100 * error:.3f} % of the price  rise or fall right on {100 * right:.1f} % of days")
    print("No forecast of such prices is much better than that tomorrow will be as today: what can be known of tomorrow is in\n"
          "today's price already. A network that looks far better here has usually seen the future by mistake.")
    x, y = windows(prices)
    return fit_lstm(x / y.std(), y / y.std(), epochs, seed)


def results(data, *, seed=0):
    """The second half of the days, by folds of a year."""
    _, prices = load_prices(data)
    found, actual = walk_forward(prices, len(prices) // 2, seed=seed)
    of = figures(found, actual)
    for name in ("linear", "naive"):
        gain = (found[name] - actual) ** 2 - (found["lstm"] - actual) ** 2
        yield Result("lstm, S&P 500, error of the return", of["lstm"][0], higher=False, peer=name, peer_value=of[name][0],
                     note=f"root mean square, {len(actual)} days; the LSTM's lead is {gain.mean() / gain.std() * len(gain) ** 0.5:+.1f} "
                          "standard errors (under 2: chance)")
    for name in ("linear", "naive"):
        yield Result("lstm, S&P 500, rise or fall right", of["lstm"][1], peer=name, peer_value=of[name][1],
                     note="share of days; naive: always rise")


if __name__ == "__main__":
    train(*sys.argv[1:2])
