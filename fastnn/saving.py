"""Saving and loading models: tensors in a safetensors file, and in its metadata the graph itself, so that a subclassed model
loads without its class. No pickle anywhere."""
import numpy as np

from . import files
from .model import LoadedModel
from .parameter import Buffer, Parameter, Scalar

FORMAT = "1"


def _json(thing):
    import json
    return json.dumps(thing)


def _graph(model, shapes, training):
    graph = model.build(model.predict_body, tuple((s, "float32") for s in shapes), 2, training)
    if graph.rows is not None:
        raise ValueError(f"save: this model depends on the number of rows in another way than by multiples of it (at "
                         f"{model.__dict__.get('_depends_on_rows', '?')}), so that its graph holds for one batch size only")
    return graph, model._read_training


def _names(model, graphs):
    """{id of a holder: its name in the file}: a state dict's name, the first of several; for what is in none (a Scalar, a
    buffer that is not persistent) the path of its attribute; for what no module holds a name made up."""
    entries = model._entries()
    names = {id(e): n for n, e in reversed(list(entries.items()))}
    for name, holder in model._all(Buffer):
        names.setdefault(id(holder), name)
    for graph in graphs:
        for holder in graph.holders:
            names.setdefault(id(holder), holder.name if holder.name and holder.name not in entries else f"unnamed.{len(names)}")
    return names


def save(model, path, input_shape=None, training_state=False):
    """See Module.save."""
    shapes = model.input_shapes(input_shape)
    graphs = {}
    graphs["eval"], read = _graph(model, shapes, False)
    if read:
        graphs["train"] = _graph(model, shapes, True)[0]
    names, entries = _names(model, graphs.values()), model._entries()
    metadata = {"fastnn.format": FORMAT}
    for kind, graph in graphs.items():
        metadata[f"fastnn.graph.{kind}"] = files.graph_to_json(graph, lambda holder: names[id(holder)])
    holders = {n: e for n, e in entries.items() if names[id(e)] == n}       # tied weights once
    for graph in graphs.values():
        holders.update((names[id(h)], h) for h in graph.holders if names[id(h)] not in holders)
    tensors = {name: holder.array() for name, holder in holders.items()}
    metadata["fastnn.names"] = _json({
        "state": [n for n in holders if n in entries], "trained": [n for n, h in holders.items() if h.requires_grad],
        "parameters": [n for n, h in holders.items() if isinstance(h, Parameter)],
        "scalars": [n for n, h in holders.items() if isinstance(h, Scalar)]})
    if model.__dict__.get("_byte_scale") is not None:
        metadata["fastnn.scale"] = repr(model._byte_scale)
    if training_state:
        _add_training_state(model, tensors, metadata)
    files.save_file(tensors, path, metadata)


def _add_training_state(model, tensors, metadata):
    compiled = getattr(model, "_compiled", None)
    if compiled is None:
        raise ValueError("save(training_state=True): the model has no optimizer, call compile first")
    from . import random
    state = compiled.optimizer.state_dict()
    plain = {"param_groups": state["param_groups"], "state": {}}
    for place, entries in state["state"].items():
        plain["state"][str(place)] = {}
        for name, value in entries.items():
            if isinstance(value, np.ndarray) and value.ndim:
                tensors[f"optimizer.{place}.{name}"] = value
            else:
                plain["state"][str(place)][name] = value.item() if hasattr(value, "item") else value
    metadata["fastnn.optimizer"] = _json(plain)
    metadata["fastnn.epoch"] = str(model.__dict__.get("_epoch", 0))
    metadata["fastnn.random"] = _json({"dropout": model.numbers(), "generator": random.get_state()})


class _Reading:
    """Context: whatever goes wrong with what a file holds becomes a ValueError that names the file."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        pass

    def __exit__(self, kind, error, _):
        if kind is not None and issubclass(kind, (ValueError, TypeError, LookupError, AttributeError, OverflowError)):
            text = str(error) if issubclass(kind, ValueError) else f"{kind.__name__}: {error}"
            raise ValueError(text if str(self.path) in text else f"{self.path}: {text}") from error


def _training_state(tensors, metadata):
    """-> (optimizer's state dict, parameters and buffers, {"dropout", "generator"}, epoch)."""
    plain = files.parse_json(metadata["fastnn.optimizer"])
    state = {int(place): dict(entries) for place, entries in plain["state"].items()}
    for name, array in tensors.items():
        if name.startswith("optimizer."):
            _, place, moment = name.split(".", 2)
            state.setdefault(int(place), {})[moment] = array
    random = files.parse_json(metadata["fastnn.random"])
    numbers = {key: int(random["dropout"][key]) for key in ("seed", "step")}
    own = {n: a for n, a in tensors.items() if not n.startswith("optimizer.")}
    moments = {"param_groups": plain["param_groups"], "state": state}
    return moments, own, {**random, "dropout": numbers}, int(metadata["fastnn.epoch"])


def load_training_state(model, path):
    """Takes the parameters, the optimizer's state and the random state from a file that `save(training_state=True)` wrote into
    a compiled model -> the epochs done, for fit's initial_epoch: training goes on as if it had not been interrupted.

    Raises ValueError for a file that is damaged, does not fit, or was saved without training_state; nothing is changed then."""
    from . import random
    tensors, metadata = files.load_file(path)
    if "fastnn.optimizer" not in metadata:
        raise ValueError(f"{path}: was saved without training_state=True")
    optimizer, before = model._need_compiled("load_training_state").optimizer, model.state_dict()
    with _Reading(path):
        moments, own, numbers, epoch = _training_state(tensors, metadata)
        random_before, moments_before = random.get_state(), optimizer.state_dict()
        try:
            model.load_state_dict({n: a for n, a in own.items() if n in before})
            random.set_state(numbers["generator"])
            optimizer.load_state_dict(moments)
        except Exception:
            model.load_state_dict(before)
            random.set_state(random_before)
            optimizer.load_state_dict(moments_before)
            raise
    model.__dict__["_random"], model.__dict__["_epoch"] = numbers["dropout"], epoch
    return epoch


def load(path):
    """The model in a file that `model.save` wrote: a Model with the same parameters, layer names and outputs; its class is not
    needed.

    path: str or path. Raises ValueError for a file that is damaged, of a newer format, or not a fastnn model."""
    tensors, metadata = files.load_file(path)
    if metadata.get("fastnn.format") != FORMAT:
        what = metadata.get("fastnn.format")
        raise ValueError(f"{path}: format {what!r}, this fastnn reads {FORMAT!r}" if what is not None else
                         f"{path}: holds tensors but no fastnn model (load them with fastnn.files.load_file and load_state_dict)")
    with _Reading(path):
        names = {key: _names_list(value) for key, value in files.parse_json(metadata["fastnn.names"]).items()}
        holders = {n: _holder(n, tensors[n], names) for n in names["state"]}
        others = [n for n in tensors if n not in holders and not n.startswith("optimizer.")]
        holders.update((n, _holder(n, tensors[n], names)) for n in others)
        graphs = {kind: files.graph_from_json(metadata[f"fastnn.graph.{kind}"], holders)
                  for kind in ("eval", "train") if f"fastnn.graph.{kind}" in metadata}
        model = LoadedModel(graphs, holders, names["state"])
        if "fastnn.scale" in metadata:
            model._byte_scale = float(metadata["fastnn.scale"])
    return model


def _names_list(value):
    if not isinstance(value, list) or not all(isinstance(n, str) for n in value):
        raise ValueError("expected lists of names")
    return dict.fromkeys(value)


def _holder(name, array, names):
    if name in names["scalars"]:
        return Scalar(array.reshape(()), name)
    return Parameter(array, name in names["trained"], name) if name in names["parameters"] else Buffer(array, name)
