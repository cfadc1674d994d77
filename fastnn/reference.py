"""The reference backend: walks the graph itself, unfused, node by node, in NumPy and in the dtype of its arrays. It defines what
the native plans must compute."""
import numpy as np

from .graph import CONSTANT, SLOT, STATE, at


def checked(op, array, shape):
    """What a user's op returned, as an array of the shape that its rule said."""
    array = np.asarray(array)
    if array.shape != tuple(shape):
        raise ValueError(f"{op.name}: returned an array of shape {array.shape}, its shape rule says {tuple(shape)}")
    return array


class Reference:
    """Runs a Graph. `run(inputs, n, slots, index)` -> {output name: array} of what needs no late input; `finish(env, late)` the rest."""

    def __init__(self, graph, dtype="float32"):
        self.graph, self.dtype = graph, np.dtype(dtype)
        self.late = {v for v in graph.inputs if v.node.attrs["late"]}
        waits = set(self.late)
        self.early_nodes, self.late_nodes = [], []
        for node in graph.nodes:
            if any(v is not None and v in waits for v in node.inputs):
                waits.update(node.outputs)
                self.late_nodes.append(node)
            else:
                self.early_nodes.append(node)
        self.waits = waits

    def cast(self, array, dtype):
        """An input or constant in the type it is computed in."""
        return np.asarray(array, np.int64 if dtype == "int64" else self.dtype)

    def sources(self, slots, n):
        env = {v: h.array() for v, h in zip(self.graph.states, self.graph.holders)}
        for v in self.graph.constants:
            value = at(v.node.attrs["value"], n)
            env[v] = value if v.shape == () else self.cast(value, v.dtype)
        for v in self.graph.slots:
            env[v] = slots[v.node.attrs["name"]]
        return env

    def start(self, inputs, n, slots, index=None):
        """Everything that needs no late input: -> the values so far."""
        env = self.sources(slots, n)
        for value, array in zip(self.graph.inputs, inputs):
            if value not in self.late:
                env[value] = self.cast(np.asarray(array) if index is None else np.asarray(array)[index], value.dtype)
        self.walk(self.early_nodes, env, n)
        return env

    def finish(self, env, late, n):
        """The nodes that wait for the late inputs, in order of the graph's late inputs."""
        for value, array in zip([v for v in self.graph.inputs if v in self.late], late):
            env[value] = self.cast(array, value.dtype)
        self.walk(self.late_nodes, env, n)
        return env

    def walk(self, nodes, env, n):
        with np.errstate(all="ignore"):
            for node in nodes:
                attrs = {k: at(v, n) for k, v in node.attrs.items()}
                made = node.op.reference(*[None if v is None else env[v] for v in node.inputs], **attrs)
                for value, array in zip(node.outputs, made if isinstance(made, tuple) else (made,)):
                    env[value] = array if node.op.native else checked(node.op, array, at(value.shape, n))

    def commit(self, env, late):
        """Writes the updates whose values are there (late: those that waited) into their states, after all else succeeded."""
        for state, value in self.graph.updates:
            if (value in self.waits) == late:
                holder = state.node.attrs["holder"]
                holder.array()[...] = env[value]
