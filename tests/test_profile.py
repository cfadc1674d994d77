"""The profile of a plan: every step is there, with a time; the plan's own results are not disturbed."""
import numpy as np
import pytest

import fastnn as nn
from fastnn import backend, cli
from fastnn.profile import profile

pytestmark = pytest.mark.skipif(backend.name != "native", reason="there are no plans to profile on the reference")


def small():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))


@pytest.mark.parametrize("rows", [1, 40])
def test_a_prediction(rows, capsys):
    model, x = small(), np.ones((rows, 1, 8, 8), np.float32)
    before = model.predict(x)
    profile(model, rows)
    lines = capsys.readouterr().out.splitlines()
    kernels = [line.split()[0] for line in lines[1:-1]]
    assert {"gather", "conv2d_forward", "linear_forward", "export"} <= set(kernels)
    assert all(line.rstrip().endswith("%") for line in lines[1:-1])
    assert np.array_equal(model.predict(x), before)


def test_a_training_step(capsys):
    model = small().compile(loss="cross_entropy", optimizer=nn.SGD(lr=0.1, momentum=0.9))
    profile(model, 32, (1, 8, 8), train=True)
    assert capsys.readouterr().out.count("sgd") == 4


def test_a_saved_model_by_the_command_line(tmp_path, capsys):
    small().save(tmp_path / "m.safetensors", input_shape=(1, 8, 8))
    cli.main(["profile", str(tmp_path / "m.safetensors"), "--rows", "2"])
    assert "linear_forward" in capsys.readouterr().out


def test_what_cannot_be_profiled():
    model = small().double()
    with pytest.raises(ValueError, match="native"):
        profile(model, 2, (1, 8, 8))
