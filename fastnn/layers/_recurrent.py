"""What LSTM, GRU and RNN share: their parameters, and how layers and directions follow one another."""
import numpy as np

from .. import functional as F
from .. import graph, random
from ..module import Module
from ..parameter import Parameter
from ..ops._recurrent import check_lengths
from ._check import dimensions, integer, number


def _flat(state):
    """A state as a list of arrays or values: None is none, a tuple is several."""
    if state is None:
        return []
    return [part for s in state for part in _flat(s)] if isinstance(state, (tuple, list)) else [state]


def _apart(given):
    """Initial states and lengths apart: lengths are what has one axis and comes last."""
    return (given[:-1], given[-1]) if given and len(given[-1].shape) == 1 else (given, None)


class Recurrent(Module):
    """`gates` rows of weights a unit, `states` (names of the initial states), `step(x, parameters, states, **options)` for one
    direction of one layer; options: reverse, lengths."""
    gates, states = 1, ("h0",)
    in_sequential = {"sequential": True}            # what a Sequential adds to a call

    def __init__(self, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, return_sequences):
        super().__init__()
        name = type(self).__name__
        self.input_size, self.hidden_size = integer(name, "input_size", input_size), integer(name, "hidden_size", hidden_size)
        self.num_layers = integer(name, "num_layers", num_layers)
        self.dropout = number(name, "dropout", dropout, 0.0, 1.0)
        self.bias, self.batch_first, self.bidirectional = bool(bias), bool(batch_first), bool(bidirectional)
        self.return_sequences = bool(return_sequences)
        rows, bound = self.gates * self.hidden_size, self.hidden_size ** -0.5
        for layer in range(self.num_layers):
            features = self.input_size if layer == 0 else self.hidden_size * self.directions
            shapes = dict(weight_ih=(rows, features), weight_hh=(rows, self.hidden_size), bias_ih=(rows,), bias_hh=(rows,))
            for direction in range(self.directions):
                for kind, shape in list(shapes.items())[:4 if self.bias else 2]:
                    setattr(self, self._name(kind, layer, direction), Parameter(random.uniform(shape, bound)))

    @property
    def directions(self):
        """1, or 2 where bidirectional."""
        return 2 if self.bidirectional else 1

    @staticmethod
    def _name(kind, layer, direction):
        return f"{kind}_l{layer}" + ("_reverse" if direction else "")

    def _parameters_of(self, layer, direction):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, self._name(kind, layer, direction), None) for kind in names]

    # -- calling: a state may come as PyTorch's tuple; by hand the states' rows lead, as the rows of every input do

    def __call__(self, x, hx=None, *more, lengths=None, training=None, **named):
        return super().__call__(x, *_flat(hx), *_flat(more), *_flat(lengths), training=training, **named)

    def _run(self, inputs, training):
        x, *states = [np.asarray(a) for a in inputs]
        states, lengths = _apart(states)
        self._check(x, states, lengths)
        if not self.batch_first:
            x = x.swapaxes(0, 1)
        zeros = np.zeros((self.num_layers * self.directions, x.shape[0], self.hidden_size), np.float32)
        states = states or [zeros] * len(self.states)
        results = super()._run([x, *(s.swapaxes(0, 1) for s in states), *_flat(lengths)], training)
        return results[0], results[1] if len(results) == 2 else results[1:]

    def predict(self, x, batch_size=64, verbose=0):
        """Inference on any number of rows, batch_size at a time -> (output, h, ...). Needs batch_first=True."""
        self._rows_lead("predict")
        return super().predict(x, batch_size, verbose)

    def backward(self, dy, y=None, input_gradient=True):
        """As Module.backward; an array dy is the gradient of the output sequence. -> those of x and of the initial states."""
        if y is None and not isinstance(dy, (dict, tuple, list)):
            dy = {"0": dy}
        gradients = super().backward(dy, y, input_gradient)
        if gradients is None:
            return None
        dx, *rest = gradients
        return [dx if self.batch_first else dx.swapaxes(0, 1), *(d.swapaxes(0, 1) for d in rest)]

    def _rows_lead(self, what):
        if not self.batch_first:
            raise ValueError(f"{type(self).__name__}: batch_first=False, and {what} cuts rows along axis 0, which here is "
                             "time; use batch_first=True")

    def _check(self, x, states, lengths):
        name = type(self).__name__
        dimensions(name, x, 3)
        if x.shape[2] != self.input_size:
            raise ValueError(f"{name}: expected input_size={self.input_size} features, got {x.shape[2]} "
                             f"(shape {tuple(x.shape)})")
        if states and len(states) != len(self.states):
            raise ValueError(f"{name}: expected {' and '.join(self.states)} as the initial state, got {len(states)} of them")
        rows = x.shape[0 if self.batch_first else 1]
        wanted = (self.num_layers * self.directions, rows, self.hidden_size)
        for state, value in zip(self.states, states):
            if tuple(value.shape) != wanted:
                raise ValueError(f"{name}: expected {state} of shape (layers * directions, N, hidden_size) = {wanted}, got "
                                 f"{tuple(value.shape)}")
        check_lengths(name, lengths, rows, x.shape[1 if self.batch_first else 0])

    # -- the network

    def forward(self, x, *state, sequential=False):
        """x: (N, steps, input_size), or (steps, N, input_size) without batch_first; state: see the class."""
        session, (states, lengths) = graph.current(), _apart(_flat(state))
        by_hand = states and id(self) not in session.names and session.rows != graph.FUNCTIONAL_ROWS    # see _run
        if sequential and session.labelled:
            self._rows_lead("fit")
        if by_hand:
            states = [[s[:, i] for i in range(s.shape[1])] for s in states]
        else:
            self._check(x, states, lengths)
            states = [[s[i] for i in range(s.shape[0])] for s in states]
            x = x if self.batch_first else x.transpose(0, 1)
        output, finals = self._layers(x, states, lengths)
        if sequential and not self.return_sequences:
            return F.cat(finals[0][-self.directions:], 1)
        output = output if self.batch_first else output.transpose(0, 1)
        if sequential:
            return output
        finals = tuple(F.stack(f, 0) for f in finals)
        return output, finals[0] if len(finals) == 1 else finals

    def _layers(self, x, states, lengths):
        """x (N, steps, features), states: for each its values of every layer and direction -> the output sequence and the final
        states, arranged likewise."""
        finals = [[] for _ in self.states]
        if lengths is not None:                     # whatever lies behind a sequence's end, NaN too, is not looked at
            x = F.where(F.gt(lengths.reshape(-1, 1, 1), np.arange(x.shape[1], dtype=np.float32)[:, None]), x, 0.0)
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self.directions):
                given = [s[layer * self.directions + direction] for s in states] or [None] * len(self.states)
                output, *final = self.step(x, self._parameters_of(layer, direction), given, reverse=bool(direction),
                                           lengths=lengths)
                outputs.append(output)
                for into, value in zip(finals, final):
                    into.append(value)
            x = F.cat(outputs, 2)
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training) if self.dropout else x
        return x, finals

    def extra_repr(self):
        """The arguments, as PyTorch prints them."""
        plain = dict(num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, return_sequences=True)
        changed = [f", {k}={getattr(self, k)}" for k, default in plain.items() if getattr(self, k) != default]
        return f"{self.input_size}, {self.hidden_size}" + "".join(changed)
