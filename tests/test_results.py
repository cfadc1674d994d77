"""The table of what the networks reach: its rows, its bars, what happens when a family fails; and the families' own names."""
import types

import numpy as np
import pytest

from fastnn import cli, random, results
from fastnn.results import Result


@pytest.fixture
def families(monkeypatch):
    """Three families of results made up: all is well, one figure misses its bar, the third fails after its first figure."""
    def well(data, *, seed):
        yield Result("accuracy", 0.99, 0.98, peer="scikit-learn", peer_value=0.97, note=f"{data}, seed {seed}")
        yield Result("error", 1e-5, 1e-4, higher=False)
        yield Result("pictures", 1234567)

    def misses(data, *, seed):
        yield Result("first draw", float(random.generator().random()), 2.0)

    def fails(data, *, seed):
        yield Result("reached", 1.0)
        raise FileNotFoundError("no such data")
    modules = {"well": well, "misses": misses, "fails": fails}
    monkeypatch.setattr(results, "FAMILIES", {name: name for name in modules})
    monkeypatch.setattr(results.importlib, "import_module", lambda name, package: types.SimpleNamespace(
        __file__=name, results=modules[name.split(".")[-1]],
        train=lambda data, *, epochs, seed: print("trained", data, epochs, seed)))


def test_the_table(families, capsys):
    rows = results.run("folder", ["well"], seed=3)
    assert [name for name, _ in rows] == ["well"] * 3 and [r.holds for _, r in rows] == [True, True, None]
    text = capsys.readouterr().out
    assert "0/1" in text and "[" + " " * 24 + "]" in text       # the bar
    lines = [line.split("  ") for line in text.splitlines()[-4:]]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells == [["family", "what", "value", "bar", "holds", "peer", "peer's", "note"],
                     ["well", "accuracy", "0.9900", ">= 0.9800", "yes", "scikit-learn", "0.9700", "folder, seed 3"],
                     ["well", "error", "1e-05", "<= 0.0001", "yes"], ["well", "pictures", "1.235e+06"]]


def test_a_figure_does_not_depend_on_the_families_before(families, capsys):
    alone = results.run("", ["misses"], seed=1)
    assert results.run("", ["well", "misses"], seed=1)[-1:] == alone != results.run("", ["misses"], seed=2)


def test_what_is_done_is_shown_when_a_family_fails(families, capsys):
    with pytest.raises(FileNotFoundError, match="no such data"):
        results.run("", ["well", "fails"])
    text = capsys.readouterr().out
    assert "accuracy" in text and "reached" in text


@pytest.mark.parametrize("value, higher, holds", [(1.0, True, True), (0.9, True, False), (0.9, False, True),
                                                  (1.1, False, False), (np.nan, True, False), (np.nan, False, False)])
def test_bars(value, higher, holds):
    assert Result("", value, 1.0, higher).holds is holds


def test_the_command_fails_where_a_bar_is_missed(families, capsys):
    assert cli.main(["results", "well", "--data", "d"]) == 0
    assert cli.main(["results", "--data", "d", "well", "misses"]) == 1
    assert "misses: first draw" in capsys.readouterr().err
    assert cli.main(["results", "nobody", "--data", "d"]) == 1
    out, err = capsys.readouterr()
    assert "no family 'nobody'; there are well, misses, fails" in err and not out


def test_train_by_name(families, capsys):
    assert cli.main(["train", "--model", "well", "--data", "d", "--epochs", "2", "--seed", "5"]) == 0
    assert capsys.readouterr().out == "trained d 2 5\n"         # what has no save is not saved
    assert cli.main(["train", "--model", "well", "--lr", "1"]) == 1
    assert "--lr" in capsys.readouterr().err


@pytest.mark.parametrize("name", results.FAMILIES)
def test_every_family_has_its_example(name):
    module = results.example(name)
    assert module.__doc__ and callable(module.train) and callable(module.results)
