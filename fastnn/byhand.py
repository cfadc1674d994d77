"""Forward and backward by hand: a call in training mode keeps what its backward needs, tied to the arrays it returned. Several may
wait (a GAN's discriminator on real and on fake); each is spent by its backward, or freed with its arrays."""
import weakref

import numpy as np

from . import graph as g
from . import run


class Waiting:
    """A forward whose backward may come. `outputs`: [(name, id of the array, shape)]; the caller alone holds the arrays."""

    def __init__(self, model, waiting, names):
        arrays = waiting.outputs[:len(names)]
        waiting.outputs[:len(names)] = [None] * len(names)
        self.model, self.run = model, waiting
        self.outputs = [(name, id(y), y.shape) for name, y in zip(names, arrays)]
        for array in arrays:
            run.remember(array, self)

    def backward(self, gradients, input_gradient=False):
        """gradients: {id of an output array: its gradient}, zeros where one is left out. Adds to every parameter's grad.
        -> gradient of the input, a list of them for several, None without input_gradient."""
        late = [self.gradient(name, shape, gradients.get(array)) for name, array, shape in self.outputs]
        if self.run.spent:
            raise RuntimeError("backward: this run has had its backward already; call the model again first")
        executable, owners = self.run.executable, {id(p): p for p in self.model.parameters()}
        with self.model._lock():
            owners = [owners[int(name[2:])] if name.startswith("d:") else None for name in executable.names]
            for i, p in enumerate(owners):          # a first gradient is written where it stays
                if p is not None and executable.native and not p._has_gradient:
                    self.run.outputs[i] = p.gradient_memory()
            results = self.run.finish(late, input_gradient)
            for p, gradient in zip(owners, results):
                if p is not None:
                    p.take_gradient(gradient)
        dx = [r for name, r in zip(executable.names, results) if name.startswith("dx:")]
        return (dx[0] if len(dx) == 1 else dx or None) if input_gradient else None

    @staticmethod
    def gradient(name, shape, dy):
        """A checked gradient of an output; zeros for None."""
        if dy is None:
            return np.zeros(shape, np.float32)
        dy = run.check_array("backward", f"the gradient of {name}", dy)
        if dy.size != np.prod(shape):
            raise ValueError(f"backward: a gradient of shape {dy.shape} given, the output has shape {shape}")
        return dy.reshape(shape)


class ByHand:
    """The part of Module that runs forward and backward by hand."""

    def run_by_hand(self, arrays):
        """A forward in training mode that keeps what its backward needs."""
        from .module import structure
        executable, n = self.executable("by hand", self.by_hand_body, arrays, True)
        with self._lock():
            started = executable.start(arrays, n, self.numbers(advance=True))
        names = [k for k in executable.names if not k.startswith(("d:", "dx:"))]
        outputs = started.outputs[:len(names)]
        waiting = Waiting(self, started, names)
        self._waiting = [w for w in self.__dict__.get("_waiting", ()) if w() is not None and not w().run.spent]
        self._waiting.append(weakref.ref(waiting))
        return structure(names, outputs)

    def by_hand_body(self, session, inputs):
        """Outputs; then, from late gradients of each, the gradients of parameters ("d:") and inputs ("dx:")."""
        from .module import outputs_of
        outputs = outputs_of(self(*inputs))
        late = [g.make_input(f"dy:{name}", v.shape, "float32", late=True) for name, v in outputs.items()]
        parameters = [p for p in self.parameters() if p.requires_grad]
        states = [session.state(p) for p in parameters]
        found = g.gradients(list(outputs.values()), late, [*states, *inputs])
        for p, gradient in zip(parameters, found):
            if gradient is not None:
                outputs[f"d:{id(p)}"] = gradient
        for i, gradient in enumerate(found[len(states):]):
            if gradient is not None:
                outputs[f"dx:{i}"] = gradient
        return outputs, session.updates, late

    def backward(self, dy, y=None, input_gradient=True):
        """Backward of the newest run not yet used, or of the run that returned `y`: adds to every parameter's grad.

        dy: gradient of the loss with respect to the output; for several outputs a tuple, or a dict by output name (zeros where
        one is left out). -> gradient with respect to the input (a list for several inputs; None with input_gradient=False). Raises
        RuntimeError where there is no run in training mode left, or it is spent."""
        if y is not None:
            owner, waiting = run.owner(y)
            if waiting is None:
                raise RuntimeError("backward: `y` was not returned by this model in training mode, or its run is spent and gone")
            return waiting.backward({id(owner): dy}, input_gradient)
        alive = [w() for w in self.__dict__.get("_waiting", ()) if w() is not None and not w().run.spent]
        if not alive:
            raise RuntimeError("backward: no run in training mode waits for it: call model(x, training=True) first")
        waiting = alive[-1]
        if not isinstance(dy, dict):
            if len(waiting.outputs) > 1 and isinstance(dy, (tuple, list)) and len(dy) == len(waiting.outputs):
                dy = {name: gradient for (name, *_), gradient in zip(waiting.outputs, dy)}
            elif len(waiting.outputs) > 1:
                raise ValueError(f"backward: there are several outputs, give a dict of gradients for {[n for n, *_ in waiting.outputs]}")
            else:
                dy = {waiting.outputs[0][0]: dy}
        ids = {name: array for name, array, _ in waiting.outputs}
        unknown = [name for name in dy if name not in ids]
        if unknown:
            raise ValueError(f"backward: gradients of {unknown} given, the outputs are {list(ids)}")
        return waiting.backward({ids[name]: gradient for name, gradient in dy.items()}, input_gradient)
