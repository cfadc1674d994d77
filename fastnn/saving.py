"""Saving and loading models: tensors in a safetensors file, and in its metadata the graph itself, so that a subclassed model loads
without its class. No pickle anywhere."""
import numpy as np

from . import files
from .model import LoadedModel
from .parameter import Buffer, Parameter

FORMAT = "1"


def _json(thing):
    import json
    return json.dumps(thing)


def _graph(model, shapes, training):
    graph = model.build(lambda session, inputs: (model.predict_body(session, inputs)), tuple((s, "float32") for s in shapes), 2, training)
    if graph.rows is not None:
        raise ValueError(f"save: this model depends on the number of rows in another way than by multiples of it (at "
                         f"{model.__dict__.get('_depends_on_rows', '?')}), so that its graph holds for one batch size only")
    return graph, model._read_training


def save(model, path, input_shape=None, training_state=False):
    """See Module.save."""
    shapes = model.input_shapes(input_shape)
    names = {id(e): n for n, e in reversed(list(model._entries().items()))}
    eval_graph, read = _graph(model, shapes, False)

    def name_of(holder):
        return names.get(id(holder), holder.name)

    metadata = {"fastnn.format": FORMAT, "fastnn.graph.eval": files.graph_to_json(eval_graph, name_of)}
    if read:
        metadata["fastnn.graph.train"] = files.graph_to_json(_graph(model, shapes, True)[0], name_of)
    tensors = {}
    for name, entry in model._entries().items():
        if names[id(entry)] == name:                # tied weights once
            tensors[name] = entry.array()
    for graph in (eval_graph,):
        for holder in graph.holders:
            tensors.setdefault(name_of(holder), holder.array())
    metadata["fastnn.parameters"] = _json({"names": [n for n, e in model._entries().items() if isinstance(e, Parameter)]})
    metadata["fastnn.trained"] = _json({"names": [names[id(p)] for p in model.parameters() if p.requires_grad]})
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


def load_training_state(model, path):
    """Takes optimizer state, epoch and random state from a file written with training_state=True into a compiled model."""
    tensors, metadata = files.load_file(path)
    if "fastnn.optimizer" not in metadata:
        raise ValueError(f"{path}: was saved without training_state=True")
    plain = files.parse_json(metadata["fastnn.optimizer"])
    state = {int(place): dict(entries) for place, entries in plain["state"].items()}
    for name, array in tensors.items():
        if name.startswith("optimizer."):
            _, place, moment = name.split(".", 2)
            state.setdefault(int(place), {})[moment] = array
    model._compiled.optimizer.load_state_dict({"param_groups": plain["param_groups"], "state": state})
    model.load_state_dict({n: a for n, a in tensors.items() if not n.startswith("optimizer.")})
    saved = files.parse_json(metadata["fastnn.random"])
    model.__dict__["_random"] = dict(saved["dropout"])
    model.__dict__["_epoch"] = int(metadata["fastnn.epoch"])
    from . import random
    random.set_state(saved["generator"])


def load(path):
    """The model in a file that `model.save` wrote: a Model with the same parameters, layer names and outputs; its class is not needed.

    path: str or path. Raises ValueError for a file that is damaged, of a newer format, or not a fastnn model."""
    tensors, metadata = files.load_file(path)
    if metadata.get("fastnn.format") != FORMAT:
        what = metadata.get("fastnn.format")
        raise ValueError(f"{path}: " + ("holds tensors but no fastnn model (load them with fastnn.files.load_file and "
                                        "load_state_dict)" if what is None else f"format {what!r}, this fastnn reads {FORMAT!r}"))
    parameters = set(files.parse_json(metadata["fastnn.parameters"])["names"])
    trained = set(files.parse_json(metadata["fastnn.trained"])["names"])
    holders = {name: Parameter(array, name in trained, name) if name in parameters else Buffer(array, name)
               for name, array in tensors.items() if not name.startswith("optimizer.")}
    graphs = {kind: files.graph_from_json(metadata[f"fastnn.graph.{kind}"], holders)
              for kind in ("eval", "train") if f"fastnn.graph.{kind}" in metadata}
    model = LoadedModel(graphs, holders)
    if "fastnn.scale" in metadata:
        model._byte_scale = float(metadata["fastnn.scale"])
    return model
