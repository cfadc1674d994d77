"""What a saved graph says is described again before it runs: sizes that do not fit each other never reach a kernel."""
import json

import numpy as np
import pytest

import fastnn as nn
import fastnn.functional as F
from fastnn import files, graph


class Wide(nn.Module):
    """Most of what a forward can hold."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.pool = nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), nn.MaxPool2d(3, 2, ceil_mode=True)
        self.lstm, self.gru, self.rnn = (c(4, 3, batch_first=True, bidirectional=b) for c, b in ((nn.LSTM, True), (nn.GRU, False), (nn.RNN, False)))
        self.drop, self.fc, self.scale = nn.Dropout(0.3), nn.Linear(6, 5), nn.Scalar(0.5)
        self.rescale = nn.Rescaling(0.5, 0.1)

    def forward(self, x):
        y = F.leaky_relu(self.norm(self.conv(self.rescale(x))), 0.2)
        y = F.avg_pool2d(self.pool(y), 2, 1, count_include_pad=False) + F.adaptive_avg_pool2d(y, (1, 1))
        seq = y.flatten(2).permute(0, 2, 1)
        both = F.cat([self.lstm(seq)[0], self.gru(seq)[0], self.rnn(seq)[0]], 2)
        z = (both.mean(1) * self.scale)[:, ::2][:, :6].clip(-1, 1) ** 2
        z = self.drop(z.max(1, keepdim=True).expand(-1, 6) - z / 3.0)
        return F.softmax(self.fc(z) @ self.fc.weight, 1), F.where(z > 0.1, z, -z).sum(1)


def test_what_fits_loads(tmp_path):
    model, x = Wide(), np.random.default_rng(0).standard_normal((5, 2, 9, 9)).astype(np.float32)
    before = model.predict(x)
    model.save(tmp_path / "m.safetensors")
    after = nn.load(tmp_path / "m.safetensors").predict(x)
    for a, b in zip(before, after.values() if isinstance(after, dict) else after):
        assert np.array_equal(a, b)


class Layers(nn.Module):
    """The layers that Wide has no place for."""

    def __init__(self):
        super().__init__()
        self.up, self.table = nn.ConvTranspose2d(2, 4, 3, 2, 1, 1, groups=2), nn.Embedding(3, 2, padding_idx=1)
        self.norm, self.sequence = nn.LayerNorm((6, 5), 0.1), nn.Sequential(nn.Conv1d(2, 3, 3, padding="same"), nn.MaxPool1d(2), nn.AvgPool1d(2))
        self.larger = [nn.Upsample(scale_factor=1.7), nn.Upsample((3, 9), mode="bilinear", align_corners=True)]

    def forward(self, x):
        y = self.norm(x)
        return self.up(x), self.table((x > 0.5) * 2.0), self.sequence(y.flatten(2)), *(layer(y) for layer in self.larger)


def test_more_that_fits_loads(tmp_path):
    model, x = Layers(), np.random.default_rng(0).standard_normal((5, 2, 6, 5)).astype(np.float32)
    before = model.predict(x)
    model.save(tmp_path / "m.safetensors")
    after = nn.load(tmp_path / "m.safetensors").predict(x)
    for a, b in zip(before, after):
        assert np.array_equal(a, b)


def text_and_holders(layer, shape):
    model = nn.Sequential(layer)
    return files.graph_to_json(model.graph(shape)), {p.name: p for p in model.parameters()}


def altered(text, change):
    read = json.loads(text)
    change(read)
    return json.dumps(read)


def test_groups_that_do_not_fit():
    text, holders = text_and_holders(nn.Conv2d(4, 4, 3), (4, 8, 8))
    files.graph_from_json(text, holders)
    with pytest.raises(ValueError, match="groups"):
        files.graph_from_json(altered(text, lambda read: read["nodes"][0]["attrs"].update(groups=2)), holders)


def test_more_elements_than_there_are():
    text, holders = text_and_holders(nn.Reshape(2, 3), (6,))

    def change(read):
        read["nodes"][0]["attrs"]["shape"][1] = read["nodes"][0]["outputs"][0]["shape"][1] = 200
        read["layers"] = {}
    with pytest.raises(ValueError, match="elements"):
        files.graph_from_json(altered(text, change), holders)


def test_a_bias_of_another_length():
    text, holders = text_and_holders(nn.Linear(4, 3), (4,))
    holders["0.bias"] = nn.Parameter(np.zeros(2), name="0.bias")

    def change(read):
        next(s for s in read["states"] if s["name"] == "0.bias")["shape"] = [2]
    with pytest.raises(ValueError, match="bias"):
        files.graph_from_json(altered(text, change), holders)


def test_operands_of_different_shapes():
    x, y = (graph.make_input(name, (graph.FUNCTIONAL_ROWS, 3), "float32") for name in "xy")
    made = graph.finish(([x, y], {"out": F.add(x, y)}, [], {}))

    def change(read):
        read["inputs"][1]["shape"][1] = 1
    with pytest.raises(ValueError, match="broken"):
        files.graph_from_json(altered(files.graph_to_json(made), change), {})


def test_a_slice_beyond_the_end():
    x = graph.make_input("x", (graph.FUNCTIONAL_ROWS, 8), "float32")
    made = graph.finish(([x], {"out": x[:, 2:5]}, [], {}))
    with pytest.raises(ValueError):
        files.graph_from_json(altered(files.graph_to_json(made), lambda read: read["nodes"][0]["attrs"]["start"].__setitem__(1, 700)), {})
