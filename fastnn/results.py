"""What the networks must show, and what they do show: `python -m fastnn results`. Each family's example module measures its
figures, beside the tools people use for the same, in the same run."""
import importlib
import time
from typing import NamedTuple

# name on the command line -> module in fastnn/examples, in the order in which one learns
FAMILIES = {
    "perceptron": "perceptron",
    "mlp": "mlp",
    "cnn": "cnn",
    "resnet": "resnet",
    "autoencoder": "autoencoder",
    "rbm": "boltzmann",
    "gan": "gan",
    "rnn": "rnn",
    "language_model": "language_model",
    "speech": "speech",
    "svm": "svm",
    "faces": "faces",
    "stocks": "stocks",
}


class Result(NamedTuple):
    """One figure. `bar`: what it must reach (higher=False: stay under), None where it is only stated. `peer`: the tool it is
    compared with, `peer_value` that one's figure on the same data in the same run. `note`: what else one should know."""
    what: str
    value: float
    bar: float | None = None
    higher: bool = True
    peer: str = ""
    peer_value: float | None = None
    note: str = ""

    @property
    def holds(self):
        """Is the bar reached? None where there is none; never with NaN."""
        if self.bar is None:
            return None
        return bool(self.value >= self.bar if self.higher else self.value <= self.bar)


def example(name):
    """The example module of a family. ValueError: no family of that name."""
    if name not in FAMILIES:
        raise ValueError(f"there is no family {name!r}; there are {', '.join(FAMILIES)}")
    return importlib.import_module(f".examples.{FAMILIES[name]}", __package__)


def run(data, names=(), seed=0):
    """Trains and measures the families named (all of them by default), with a progress bar; prints a table, that of what is
    done where one fails; -> rows (family, Result).

    data: the folder that holds mnist/, faces/ and the like. seed: of every family anew, so that a figure does not depend on
    which others are asked for. ValueError: an unknown name, raised before anything runs."""
    from .progress import bar, duration
    from .random import manual_seed
    modules = {name: example(name) for name in names or FAMILIES}
    rows, started = [], time.perf_counter()
    try:
        for i, (name, module) in enumerate(modules.items()):
            gone = duration(time.perf_counter() - started)
            print(f"results [{bar(i, len(modules))}] {i}/{len(modules)}  {gone}  {name}", flush=True)
            manual_seed(seed)
            for result in module.results(data, seed=seed):
                rows.append((name, result))
    finally:
        print(f"results after {duration(time.perf_counter() - started)}\n\n{table(rows)}", flush=True)
    return rows


def table(rows):
    """The rows (family, Result) as text."""
    lines = [("family", "what", "value", "bar", "holds", "peer", "peer's", "note")]
    for name, r in rows:
        bar = "" if r.bar is None else f"{'>=' if r.higher else '<='} {_figure(r.bar)}"
        lines.append((name, r.what, _figure(r.value), bar, {True: "yes", False: "NO", None: ""}[r.holds], r.peer,
                      "" if r.peer_value is None else _figure(r.peer_value), r.note))
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines)


def _figure(number):
    return f"{number:.4f}" if 1e-3 <= abs(number) < 10 or number == 0 else f"{number:.4g}"
