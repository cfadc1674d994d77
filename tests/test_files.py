"""safetensors files and graphs as text: what goes in comes out, bit for bit, and whatever is broken is a ValueError."""
import json
import os
import struct

import numpy as np
import pytest

import fastnn                                                   # noqa: F401  (registers the ops)
from fastnn import files, graph
from fastnn import functional as F

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"]


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


def header_bytes(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


# ---- safetensors

def sample_tensors():
    rng = np.random.default_rng(0)
    made = {f"a.{dtype}": (rng.random((3, 5)) * 50 - (25 if dtype[0] in "if" else 0)).astype(dtype) for dtype in DTYPES}
    whole = rng.random((4, 6)).astype(np.float32)
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32)
    return {**made, "scalar": np.float32(3.5).reshape(()), "empty": np.empty((0, 3), np.float32), "transposed": whole.T,
            "backwards": whole[::-1, ::-2], "big-endian": whole.astype(">f4"), "special": special,
            "ünï \"cödé\"": np.arange(3)}


def test_round_trip(tmp_path):
    tensors, metadata = sample_tensors(), {"format": "x", "ключ": "two\nlines \"quoted\""}
    files.save_file(tensors, tmp_path / "a.safetensors", metadata)
    read, found = files.load_file(tmp_path / "a.safetensors")
    assert found == metadata and list(read) == list(tensors)
    for name, array in tensors.items():
        assert same(read[name], array.astype(array.dtype.newbyteorder("="))), name
        assert read[name].flags.writeable and read[name].flags.c_contiguous and read[name].flags.aligned
    read["transposed"][...] = 0                                 # views of one block do not overlap
    assert same(read["special"], tensors["special"])
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_the_same_tensors_give_the_same_bytes(tmp_path):
    for name in "ab":
        files.save_file(sample_tensors(), tmp_path / name, {"k": "v"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert int.from_bytes((tmp_path / "a").read_bytes()[:8], "little") % 8 == 0


def test_no_tensors(tmp_path):
    files.save_file({}, tmp_path / "a")
    assert files.load_file(tmp_path / "a") == ({}, {})


def test_against_the_reference_library(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    tensors = {name: np.ascontiguousarray(a) for name, a in sample_tensors().items() if a.dtype.isnative}
    files.save_file(tensors, tmp_path / "ours", {"k": "v"})
    theirs = library.load_file(str(tmp_path / "ours"))
    assert theirs.keys() == tensors.keys() and all(same(theirs[n], tensors[n]) for n in tensors)
    library.save_file(tensors, str(tmp_path / "theirs"), {"k": "v"})
    ours, metadata = files.load_file(tmp_path / "theirs")
    assert metadata == {"k": "v"} and ours.keys() == tensors.keys() and all(same(ours[n], tensors[n]) for n in tensors)


def test_unaligned_data_is_read(tmp_path):
    header = {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
              "b": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]}}
    (tmp_path / "a").write_bytes(header_bytes(header, b"\x07" + np.array([1.5, -2], "<f4").tobytes()))
    read, _ = files.load_file(tmp_path / "a")
    assert read["a"].tolist() == [7] and read["b"].tolist() == [1.5, -2] and read["b"].flags.aligned


@pytest.mark.parametrize("tensors, metadata, message", [
    ({"a": np.zeros(2, complex)}, None, "'a' has dtype complex128"), ({"a": np.array(["x"])}, None, "'a' has dtype"),
    ({"a": np.array([None])}, None, "'a' has dtype object"), ({3: np.zeros(2)}, None, "3 cannot"),
    ({"__metadata__": np.zeros(2)}, None, "cannot"), ({}, {"a": 1}, "strings"), ({}, {1: "a"}, "strings")])
def test_what_cannot_be_saved(tmp_path, tensors, metadata, message):
    with pytest.raises(TypeError, match=message):
        files.save_file(tensors, tmp_path / "a", metadata)
    assert not os.listdir(tmp_path)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    files.save_file({"a": np.arange(3)}, path)

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        files.save_file({"a": np.arange(4)}, path)
    assert files.load_file(path)[0]["a"].tolist() == [0, 1, 2] and os.listdir(tmp_path) == ["a"]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    files.save_file({"a": np.arange(3)}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and files.load_file(tmp_path / "a")[0]["a"].tolist() == [0, 1, 2]


ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
SECOND = {"dtype": "F32", "shape": [1], "data_offsets": [16, 20]}


def changed(**fields):
    return {"a": {**ENTRY, **fields}}


BROKEN = {
    "nothing": (b"", "has 0 bytes"),
    "seven bytes": (b"\x02\0\0\0\0\0\0", "has 7 bytes"),
    "length above the limit": (struct.pack("<Q", 100_000_001) + b"{}", "100,000,001"),
    "length of the sky": (b"\xff" * 8 + b"{}", "no safetensors"),
    "header cut": (header_bytes(b"{}")[:-1], "cut short"),
    "not an object": (header_bytes(b"[]"), "start with"),
    "space first": (header_bytes(b" {}"), "start with"),
    "not JSON": (header_bytes(b"{]"), "broken"),
    "not UTF-8": (header_bytes(b'{"\xff": 1}'), "broken"),
    "surrogate": (header_bytes(b'{"\\ud800": ' + json.dumps(SECOND).encode() + b"}"), "surrogates"),
    "deep": (header_bytes(b'{"a":' * 100_000), "broken"),
    "long number": (header_bytes(b'{"a":' + b"9" * 5000 + b"}"), "broken"),
    "NaN": (header_bytes(b'{"a": NaN}'), "NaN"),
    "twice": (header_bytes(b'{"a": 1, "a": 1}'), "twice"),
    "twice inside": (header_bytes(b'{"a": {"dtype": "F32", "dtype": "F32"}}'), "twice"),
    "metadata list": (header_bytes({"__metadata__": []}), "strings"),
    "metadata numbers": (header_bytes({"__metadata__": {"a": 1}}), "strings"),
    "entry number": (header_bytes({"a": 1}), "needs"),
    "field missing": (header_bytes({"a": {"dtype": "F32", "shape": []}}), "needs"),
    "field more": (header_bytes(changed(x=1)), "needs"),
    "dtype": (header_bytes(changed(dtype="F3"), bytes(16)), "'F3'"),
    "dtype list": (header_bytes(changed(dtype=["F32"]), bytes(16)), "dtype"),
    "BF16": (header_bytes(changed(dtype="BF16")), "'BF16'"),
    "shape number": (header_bytes(changed(shape=4), bytes(16)), "shape 4"),
    "shape bool": (header_bytes(changed(shape=[True, 4])), "shape"),
    "shape float": (header_bytes(changed(shape=[4.0])), "shape"),
    "shape negative": (header_bytes(changed(shape=[-2, -2])), "shape"),
    "shape huge": (header_bytes(changed(shape=[2 ** 70])), "shape"),
    "shape overflow": (header_bytes(changed(shape=[2 ** 62, 8])), "needs"),
    "shape empty huge": (header_bytes(changed(shape=[0, 2 ** 62, 2 ** 62], data_offsets=[0, 0])), "cannot have shape"),
    "many axes": (header_bytes(changed(shape=[1] * 60)), "axes"),
    "one offset": (header_bytes(changed(data_offsets=[0])), "data_offsets"),
    "offsets swapped": (header_bytes(changed(data_offsets=[16, 0]), bytes(16)), "needs 16"),
    "too few bytes": (header_bytes(changed(data_offsets=[0, 12]), bytes(12)), "needs 16"),
    "data cut": (header_bytes({"a": ENTRY}, bytes(15)), "cut short"),
    "data more": (header_bytes({"a": ENTRY}, bytes(17)), "too long"),
    "hole first": (header_bytes({"b": SECOND}, bytes(20)), "starts at"),
    "hole": (header_bytes({"a": ENTRY, "b": {**SECOND, "data_offsets": [17, 21]}}, bytes(21)), "starts at"),
    "overlap": (header_bytes({"a": ENTRY, "b": {**SECOND, "data_offsets": [12, 16]}}, bytes(16)), "starts at"),
    "bool of 2": (header_bytes({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\x00\x02"), "neither 0 nor 1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file(tmp_path, name):
    data, message = BROKEN[name]
    path = tmp_path / "broken.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        files.load_file(path)
    assert "broken.safetensors" in str(caught.value)


def mutations(data, count, seed):
    """Copies of data with a few bytes changed, put in, or left out; half of the changes use the characters of JSON."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        made = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            place, kind = int(rng.integers(len(made))), rng.integers(3)
            byte = int(rng.choice([rng.integers(256), rng.choice(list(b'{}[]",:0123456789-.eNa'))]))
            made[place:place + (kind > 0)] = [byte] if kind < 2 else []
        yield bytes(made)


def test_fuzzed_file(tmp_path):
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([True, False]), "c": np.arange(2)}
    files.save_file(tensors, tmp_path / "a", {"k": "v"})
    data, path = (tmp_path / "a").read_bytes(), tmp_path / "fuzzed"
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        with pytest.raises(ValueError, match="fuzzed"):
            files.load_file(path)
    for made in mutations(data, 1000, 0):
        path.write_bytes(made)
        try:
            for array in files.load_file(path)[0].values():
                array.sum()
        except ValueError as error:
            assert "fuzzed" in str(error)


# ---- graphs

class Holder:
    def __init__(self, name, shape, dtype="float32"):
        self.name, self.shape, self.dtype = name, shape, dtype


@graph.op("test::scale", shape=lambda x, **_: x)
def scale(x, *, by, table=None, mode=()):
    return x * by


def traced(rows, weight, table):
    """A little of everything: a state used twice, constants, a slot, batch multiples in shapes and attributes, two outputs."""
    with graph.Session(rows) as session:
        x, second = graph.make_input("x", (rows, 4)), graph.make_input("second", (rows, 2, 2))
        session.scopes.append("first")
        y = F.relu(x * session.state(weight) + np.array([1, np.nan, -0.0, 3], np.float32))
        session.scopes[-1] = "flat"
        flat = F.reshape(y, rows * 2, 2) * 0.5
        y = scale(y, by=float("inf"), table=table, mode=("a", None, True, 1, 1.0, (2, -0.0)))
        y = y * session.slot("lr:0") + F.reshape(second, rows, 4) * session.state(weight)
        updates = [(session.state(weight), session.state(weight) * 2.0)]
    return [x, second], {"y": y, "flat": flat}, updates, {"first": y, "flat": flat}


@pytest.fixture
def made():
    weight = Holder("0.weight", (4,))
    return weight, graph.finish(traced(3, weight, 7), traced(6, weight, 7), 3)


def test_graph_round_trip(made):
    weight, before = made
    text = files.graph_to_json(before)
    after = files.graph_from_json(text, {"0.weight": weight, "unused": Holder("unused", (1,))})
    assert after.key == before.key and after.rows is None and after.holders == [weight]
    assert [v.node.attrs["name"] for v in after.inputs] == ["x", "second"] and list(after.outputs) == ["y", "flat"]
    assert [n.scope for n in after.nodes] == [n.scope for n in before.nodes] and list(after.layers) == ["first", "flat"]
    assert [v.shape for v in after.outputs.values()] == [v.shape for v in before.outputs.values()]
    assert files.graph_to_json(after) == text


def test_graph_for_one_number_of_rows():
    weight = Holder("w", (4,))
    before = graph.finish_fixed(traced(3, weight, 7), 3)
    after = files.graph_from_json(files.graph_to_json(before), {"w": weight})
    assert after.key == before.key and after.rows == 3


def test_names_of_states_can_be_chosen(made):
    weight, before = made
    text = files.graph_to_json(before, name_of=lambda holder: "other")
    assert files.graph_from_json(text, {"other": weight}).key == before.key


def changed_graph(text, change):
    read = json.loads(text)
    change(read)
    return json.dumps(read)


def set_in(*path):
    *path, last, value = path

    def change(read):
        for step in path:
            read = read[step]
        read[last] = value
    return change


@pytest.mark.parametrize("path, message", [
    (("format", "x"), "no graph"),
    (("version", 99), "install a newer"),
    (("rows", -1), "rows"),
    (("nodes", 0, "op", "my::swish"), "import the module"),
    (("nodes", 0, "op", "input"), "not registered"),
    (("nodes", 0, "op", 3), "name"),
    (("nodes", 2, "inputs", [0, 0]), "broken"),
    (("nodes", 0, "inputs", [0, 999]), "value 999"),
    (("nodes", 0, "inputs", [0, -1]), "value -1"),
    (("nodes", 0, "inputs", [0, True]), "value True"),
    (("nodes", 0, "outputs", 0, "shape", [3, 4]), "says"),
    (("nodes", 0, "outputs", 0, "dtype", "object"), "dtype"),
    (("nodes", 0, "outputs", []), "says"),
    (("nodes", 0, "attrs", {"x": {"y": 1}}), "attribute"),
    (("nodes", 0, "attrs", {"x": 1}), "broken"),
    (("inputs", 0, "shape", [{"batch": "1/0", "power": 1}, 4]), "broken"),
    (("inputs", 0, "shape", [-1]), "shape"),
    (("inputs", 0, "shape", [{"batch": "1", "power": -1}]), "shape"),
    (("states", 0, "name", "gone"), "does not hold"),
    (("states", 0, "shape", [5]), "wants"),
    (("constants", 0, "value", None), "constant"),
    (("outputs", "y", 10 ** 9), "value"),
    (("outputs", []), "broken"),
    (("updates", [[1]]), "unpack"),
    (("nodes", None), "broken"),
])
def test_broken_graph(made, path, message):
    weight, before = made
    with pytest.raises(ValueError, match=message):
        files.graph_from_json(changed_graph(files.graph_to_json(before), set_in(*path)), {"0.weight": weight})


def test_an_unregistered_op_says_what_to_import(made):
    weight, before = made
    text = files.graph_to_json(before)
    removed = graph.OPS.pop("test::scale")
    try:
        with pytest.raises(ValueError, match="'test::scale'.*import the module that defines it"):
            files.graph_from_json(text, {"0.weight": weight})
    finally:
        graph.OPS["test::scale"] = removed


def test_an_attribute_that_cannot_be_saved():
    weight = Holder("w", (4,))
    before = graph.finish_fixed(traced(3, weight, {1, 2}), 3)
    with pytest.raises(TypeError, match=r"test::scale .*\{1, 2\}.* set"):
        files.graph_to_json(before)


def test_fuzzed_graph(made):
    weight, before = made
    for text in mutations(files.graph_to_json(before).encode(), 3000, 1):
        try:
            files.graph_from_json(text.decode("utf-8", "replace"), {"0.weight": weight})
        except ValueError:
            pass
