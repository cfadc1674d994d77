"""Optimizers: which parameters move, by which numbers, and the update nodes that a training step's graph ends with.

Design: an update is an op like any other (`sgd`, `adam`), so that a plan runs it inside the step. What may change from one
step to the next (learning rates, Adam's bias corrections) is a slot, read before every run (`slot_values`); what changes the
graph (momentum or none, Nesterov) is `structure()`, part of the plan's key. A parameter moves only where a gradient was
computed for it."""
import functools

import numpy as np

from . import graph
from .parameter import Buffer

__all__ = ["Optimizer", "SGD", "Adam", "AdamW", "RMSprop"]


@functools.lru_cache(maxsize=None)
def _slot_keys(names, place):
    """(name, its slot's name) of the settings of group `place`."""
    return [(name, f"{name}:{place}") for name in names]


class Optimizer:
    """What optimizers share. A subclass names its `defaults`, its `moments` (arrays kept for each parameter) and its update.

    clipnorm, global_clipnorm, clipvalue (Keras's, at most one; every optimizer takes them): what is done to the gradients
    before an update, in the compiled step and by hand: each scaled to a norm of at most clipnorm, all together to a norm of at
    most global_clipnorm, each element held between -clipvalue and clipvalue. The attributes may be changed between steps.
    param_groups: PyTorch's list of dicts {"params": [...], "lr": ..., ...}, whose numbers may be changed between steps.
    state: {parameter: {name of a moment: Buffer}}. lr, learning_rate: the first group's; setting them sets every group's."""
    op = None                               # the name of the update's op
    slots = ()                              # the settings that every update reads

    def __init__(self, params, defaults, learning_rate=None, *, clipnorm=None, global_clipnorm=None, clipvalue=None):
        self.clipnorm, self.global_clipnorm, self.clipvalue = clipnorm, global_clipnorm, clipvalue
        self._clipping()
        if isinstance(params, (int, float)):        # SGD(0.1), as Keras has it
            params, defaults["lr"] = None, params
        if learning_rate is not None:
            defaults["lr"] = learning_rate
        self.defaults = defaults
        self._check(defaults)
        self.param_groups, self.state, self._place, self.bound_by_user = [], {}, {}, params is not None
        if params is not None:
            if hasattr(params, "shape"):
                raise TypeError(f"{self.name}: params must be an iterable of parameters or of dicts, got one "
                                f"{type(params).__name__}")
            params = list(params)
            if not params:
                raise ValueError(f"{self.name}: params is empty, there is nothing to move")
            for group in params if isinstance(params[0], dict) else [{"params": params}]:
                self.add_param_group(group)

    @property
    def name(self):
        """The class's name, for messages."""
        return type(self).__name__

    # ---- groups

    def _check(self, settings):
        for name in ("lr", "weight_decay", "eps"):
            if name in settings and not float(settings[name]) >= 0:
                raise ValueError(f"{self.name}: {name} must be >= 0, got {settings[name]!r}")

    def add_param_group(self, group):
        """Adds {"params": iterable of parameters, "lr": ..., ...}; settings that are left out are the optimizer's defaults."""
        group = dict(group)
        params = group["params"]
        params = [params] if hasattr(params, "shape") else [p[1] if isinstance(p, tuple) else p for p in params]
        if "learning_rate" in group:
            group["lr"] = group.pop("learning_rate")
        unknown = [k for k in group if k not in self.defaults and k != "params"]
        if unknown:
            raise ValueError(f"{self.name}: unknown setting {unknown[0]!r} in a parameter group, expected "
                             f"{sorted(self.defaults)}")
        group = {**self.defaults, **group, "params": params}
        self._check(group)
        for p in params:
            if not hasattr(type(p), "requires_grad"):
                raise TypeError(f"{self.name}: params must be Parameters, got {type(p).__name__}")
            if id(p) in self._place:
                raise ValueError(f"{self.name}: the parameter {p.name or tuple(p.shape)} is given more than once")
            self._place[id(p)] = (len(self.param_groups), len(self._place))
        self.param_groups.append(group)

    def bind(self, parameters):
        """Takes a model's parameters, if the optimizer was made without any; called by compile. Bound again, to a model that
        has the known parameters among others, it takes the new ones into the last group."""
        parameters = list(parameters)
        given = {id(p) for p in parameters}
        if self.param_groups and not any(i in given for i in self._place):
            raise ValueError(f"this {self.name} moves the parameters of another model: make a new one for this model")
        if self.bound_by_user:
            return self
        new = [p for p in parameters if id(p) not in self._place]
        if not self.param_groups:
            self.add_param_group({"params": parameters})
        elif new:
            group = self.param_groups[-1]
            for p in new:
                self._place[id(p)] = (len(self.param_groups) - 1, len(self._place))
            group["params"] = [*group["params"], *new]
        return self

    def parameters(self):
        """The parameters that this optimizer moves, in order."""
        return [p for group in self.param_groups for p in group["params"]]

    def __contains__(self, parameter):
        return id(parameter) in self._place

    def group_of(self, parameter):
        """The parameter's group, a dict."""
        return self.param_groups[self._place[id(parameter)][0]]

    @property
    def lr(self):
        return self.param_groups[0]["lr"] if self.param_groups else self.defaults["lr"]

    @lr.setter
    def lr(self, value):
        self._check({"lr": value})
        for settings in (self.defaults, *self.param_groups):
            settings["lr"] = value

    learning_rate = lr

    # ---- inside a graph

    def moments(self, parameter):
        """The parameter's moments {name: Buffer}, zeros at first, made when first asked for."""
        state = self.state.setdefault(parameter, {})
        for name in self.moment_names(self.group_of(parameter)):
            if name not in state:
                state[name] = Buffer(np.zeros(parameter.shape, parameter.dtype), name, str(parameter.dtype))
            elif state[name].dtype != parameter.dtype:
                state[name].to_dtype(parameter.dtype)
        return state

    def moment_names(self, group):
        """The names of the moments that a group's settings ask for."""
        raise NotImplementedError

    def structure(self, params=None):
        """What the update graph depends on besides the parameters it moves (`params`): hashable; equal as long as a plan can be
        used again."""
        return (self._clipping()[0], *self.layout(params))

    def layout(self, params=None):
        """The part of `structure` that differs from optimizer to optimizer."""
        raise NotImplementedError

    def _clipping(self):
        """(name, number) of the clipping that is on, (None, None) without."""
        values = (("clipnorm", self.clipnorm), ("global_clipnorm", self.global_clipnorm), ("clipvalue", self.clipvalue))
        given = [pair for pair in values if pair[1] is not None]
        if len(given) > 1:
            raise ValueError(f"{self.name}: give one of clipnorm, global_clipnorm and clipvalue, got {dict(given)}")
        if given and not float(given[0][1]) > 0:
            raise ValueError(f"{self.name}: {given[0][0]} must be above 0, got {given[0][1]!r}")
        return given[0] if given else (None, None)

    def _clipped(self, session, pairs):
        """Symbolic: the pairs with their gradients clipped."""
        kind, functions = self._clipping()[0], graph.functions
        if kind is None or not pairs:
            return pairs
        bound = session.slot("clip")
        if kind == "clipvalue":
            return [(p, functions["clip"](g, session.slot("-clip"), bound)) for p, g in pairs]
        squares = [functions["sum"](functions["square"](graph.as_value(g))) for _, g in pairs]
        together = kind == "global_clipnorm"
        factors = [bound / functions["maximum"](functions["sqrt"](s), bound)
                   for s in ([sum(squares[1:], squares[0])] if together else squares)]
        return [(p, functions["mul"](g, f)) for (p, g), f in zip(pairs, factors * len(pairs) if together else factors)]

    def updates(self, pairs):
        """Symbolic: [(parameter, gradient value)] -> [(state value, new value)] for parameters and moments."""
        session, result = graph.current(), []
        pairs = [(p, g) for p, g in pairs if g is not None and id(p) in self._place]
        self.prepare([p for p, _ in pairs])
        for parameter, gradient in self._clipped(session, pairs):
            place = self._place[id(parameter)][0]
            moments = [graph.as_value(m) for m in self._moment_list(parameter)]
            numbers = [session.slot(f"{name}:{place}") for name in self.slots]
            weight = graph.as_value(parameter)
            new = self._update(session, parameter, weight, gradient, moments, numbers)
            result += zip([weight, *moments], new if isinstance(new, tuple) else (new,))
        return result

    def _moment_list(self, parameter):
        state = self.moments(parameter)
        return [state[name] for name in self.moment_names(self.group_of(parameter))]

    def slot_values(self, params=None):
        """{name of a slot: number} for the coming step."""
        values = {key: group[name] for i, group in enumerate(self.param_groups) for name, key in _slot_keys(self.slots, i)}
        if not self.clipnorm is self.global_clipnorm is self.clipvalue is None:
            bound = float(self._clipping()[1])
            values["clip"], values["-clip"] = bound, -bound
        return values

    def steady(self):
        """Are slot_values the same at every step, while no setting is changed?"""
        return False

    def prepare(self, params):
        """Told which parameters a step moves, before its updates are built."""

    def advance(self, params):
        """Told that a step has moved `params`."""

    # ---- by hand

    def step(self, closure=None):
        """Moves every parameter that has a gradient (`grad` is not None), by that gradient. `closure`: PyTorch's: called
        first, its loss is returned."""
        from . import run
        loss = None if closure is None else closure()
        params = [p for group in self.param_groups for p in group["params"] if p.requires_grad and p.grad is not None]
        if not self.param_groups:
            raise ValueError(f"{self.name}.step: the optimizer has no parameters: make it by {self.name}(model.parameters()), "
                             "or give it to model.compile(optimizer=...)")
        if params:
            run.apply_updates(self, params)
        return loss

    def zero_grad(self, set_to_none=True):
        """Forgets the gradients of all its parameters: `grad` is None again. set_to_none=False: zeros instead."""
        for p in self.parameters():
            if set_to_none or p.grad is None:
                p.grad = None
            else:
                p.grad[...] = 0

    def state_dict(self):
        """PyTorch's layout: {"state": {place of the parameter: {name: array}}, "param_groups": [{..., "params": [places]}]},
        copies."""
        places = {id(p): i for i, p in enumerate(self.parameters())}
        state = {places[id(p)]: {**self._counts(p), **{k: m.data.copy() for k, m in moments.items()}}
                 for p, moments in self.state.items() if self._has_state(p)}
        groups = [{**{k: v for k, v in g.items() if k != "params"}, "params": [places[id(p)] for p in g["params"]]}
                  for g in self.param_groups]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Takes what state_dict gave, PyTorch's own too (arrays are whatever np.asarray takes). Groups must fit in number and
        size; settings are taken over. ValueError, and nothing changed, where they do not fit."""
        groups, params = state_dict["param_groups"], self.parameters()
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(f"{self.name}.load_state_dict: groups of {[len(g['params']) for g in groups]} parameters given, "
                             f"expected {[len(g['params']) for g in self.param_groups]}")
        for flag in ("maximize", "amsgrad"):
            if any(g.get(flag) for g in groups):
                raise ValueError(f"{self.name}.load_state_dict: {flag}=True is not supported")
        order = {place: p for place, p in zip((i for g in groups for i in g["params"]), params)}
        loaded = {}
        for place, entries in state_dict["state"].items():
            p = order[int(place)]
            loaded[p] = {k: None if v is None else np.asarray(v) for k, v in entries.items()}
            for name, array in loaded[p].items():
                if name != "step" and array is not None and array.shape != tuple(p.shape):
                    raise ValueError(f"{self.name}.load_state_dict: {name} of {p.name or f'parameter {place}'} has shape "
                                     f"{array.shape}, expected {tuple(p.shape)}")
        for mine, given in zip(self.param_groups, groups):
            mine.update({k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k in self.defaults})
        self._reset()
        for p, entries in loaded.items():
            for name, buffer in self.moments(p).items():
                if entries.get(name) is not None:
                    buffer.data = entries[name]
        self._load_counts(loaded)

    def _has_state(self, parameter):
        return True

    def _counts(self, parameter):
        return {}

    def _reset(self):
        for moments in self.state.values():
            for buffer in moments.values():
                buffer.data[...] = 0

    def _load_counts(self, loaded):
        pass

    def __repr__(self):
        settings = self.param_groups[0] if self.param_groups else self.defaults
        numbers = ", ".join(f"{k}={v}" for k, v in settings.items() if k != "params")
        return f"{self.name}({numbers})"


class SGD(Optimizer):
    """Stochastic gradient descent, PyTorch's:

        g += weight_decay * w;   v = momentum * v + (1 - dampening) * g  (v = g at the first step);   w -= lr * v
        (nesterov: w -= lr * (g + momentum * v))

    params: None (compile gives the model's), or an iterable of parameters or of groups [{"params": ..., "lr": ...}, ...].
    lr=0.01 (learning_rate too), momentum=0, dampening=0, weight_decay=0, nesterov=False (needs momentum > 0 and dampening = 0).
    clipnorm, global_clipnorm, clipvalue: as Optimizer says. Sutskever et al. 2013."""
    op, slots = "sgd", ("lr", "momentum", "dampening", "weight_decay")

    def __init__(self, params=None, lr=0.01, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, learning_rate=None,
                 **clipping):
        self._moved = set()                 # the parameters whose velocity has begun
        super().__init__(params, dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
                                      nesterov=nesterov), learning_rate, **clipping)

    def _check(self, settings):
        super()._check(settings)
        if float(settings.get("momentum", 0)) < 0:
            raise ValueError(f"{self.name}: momentum must be >= 0, got {settings['momentum']!r}")
        if settings.get("nesterov") and (settings["momentum"] <= 0 or settings["dampening"] != 0):
            raise ValueError(f"{self.name}: nesterov=True needs momentum > 0 and dampening = 0, got "
                             f"momentum={settings['momentum']}, dampening={settings['dampening']}")

    def moment_names(self, group):
        return ("momentum_buffer",) if group["momentum"] else ()

    def layout(self, params=None):
        return ("sgd", tuple([(g["momentum"] != 0, g["dampening"] != 0, bool(g["nesterov"]), len(g["params"]))
                              for g in self.param_groups]))

    def _update(self, session, parameter, weight, gradient, moments, numbers):
        group, place = self.group_of(parameter), self._place[id(parameter)][1]
        # the first velocity is g itself; without dampening the formula gives that from zeros
        first = session.slot(f"first:{place}", "int64") if moments and group["dampening"] else 0
        return graph.OPS[self.op](weight, gradient, *(moments or [None]), first, *numbers, nesterov=bool(group["nesterov"]))

    def slot_values(self, params=None):
        values = super().slot_values()
        for group in self.param_groups:
            if group["momentum"] and group["dampening"]:
                values.update({f"first:{self._place[id(p)][1]}": int(id(p) not in self._moved) for p in group["params"]})
        return values

    def steady(self):
        return not any([group["momentum"] and group["dampening"] for group in self.param_groups])

    def advance(self, params):
        if len(self._moved) < len(self._place) and any([group["momentum"] for group in self.param_groups]):
            self._moved.update(id(p) for p in params if self.group_of(p)["momentum"])

    def _has_state(self, parameter):
        return id(parameter) in self._moved

    def _reset(self):
        super()._reset()
        self._moved.clear()

    def _load_counts(self, loaded):
        self._moved.update(id(p) for p, entries in loaded.items() if entries.get("momentum_buffer") is not None)


class _Clock:
    """Steps taken by the parameters that share it, and beta1^steps, beta2^steps as repeated products (the same bits
    everywhere)."""
    __slots__ = ("steps", "size", "group", "betas", "powers")

    def __init__(self, steps, size, group):
        self.steps, self.size, self.group, self.betas, self.powers = steps, size, group, None, None

    def corrections(self, betas):
        """1 - beta^t of both betas for the coming step t."""
        if self.betas != betas:                     # never asked before, or the betas were changed
            self.betas, self.powers = betas, [1.0, 1.0]
            for _ in range(self.steps):
                self._multiply()
        return 1.0 - self.powers[0] * betas[0], 1.0 - self.powers[1] * betas[1]

    def _multiply(self):
        self.powers = [power * beta for power, beta in zip(self.powers, self.betas)]

    def tick(self):
        """One step more."""
        self.steps += 1
        if self.betas is not None:
            self._multiply()


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980), PyTorch's:

        g += weight_decay * w;   m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
        w -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    params: None (compile gives the model's), or an iterable of parameters or of groups [{"params": ..., "lr": ...}, ...].
    lr=1e-3 (learning_rate too), betas=(0.9, 0.999), eps=1e-8, weight_decay=0. t counts each parameter's own steps."""
    op, slots, decoupled = "adam", ("lr", "eps", "weight_decay"), False

    def __init__(self, params=None, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, *, learning_rate=None,
                 **clipping):
        self._clocks, self._clock_of = [], {}       # the clocks; parameter -> the place of its clock
        self._counted = self._counted_list = None   # who stepped last
        super().__init__(params, dict(lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay), learning_rate, **clipping)

    def _check(self, settings):
        super()._check(settings)
        betas = settings.get("betas", (0, 0))
        if len(betas) != 2 or not all(0 <= b < 1 for b in betas):
            raise ValueError(f"{self.name}: betas must be two numbers in [0, 1), got {betas!r}")

    def moment_names(self, group):
        return ("exp_avg", "exp_avg_sq")

    def layout(self, params=None):
        if params is not None and not self._clocks:
            self.prepare([p for p in params if p.requires_grad and id(p) in self._place])
        return (self.op, self.decoupled, tuple([len(g["params"]) for g in self.param_groups]), tuple(self._clock_of.values()))

    def prepare(self, params):
        """Gives the parameters that step together one clock a group and count: those that never step must not slow the
        others."""
        if params is self._counted_list:            # a step gives the same list each time
            return
        key, self._counted_list = tuple(map(id, params)), params
        if key == self._counted:
            return
        moving = {}
        for p in params:
            moving.setdefault((self._place[id(p)][0], self._clock_of.get(id(p))), []).append(p)
        for (_, number), together in moving.items():
            if number is None or self._clocks[number].size > len(together):
                self._start_clock(together, 0 if number is None else self._clocks[number].steps)
        self._counted, self._ticking = key, {self._clock_of[i] for i in key}

    def _start_clock(self, params, steps):
        for p in params:
            if id(p) in self._clock_of:
                self._clocks[self._clock_of[id(p)]].size -= 1
            self._clock_of[id(p)] = len(self._clocks)
        self._clocks.append(_Clock(steps, len(params), self._place[id(params[0])][0]))

    def _update(self, session, parameter, weight, gradient, moments, numbers):
        place, clock = self._place[id(parameter)][0], self._clock_of[id(parameter)]
        lr, eps, weight_decay = numbers
        beta1, beta2 = session.slot(f"beta1:{place}"), session.slot(f"beta2:{place}")
        corrections = session.slot(f"correction1:{clock}"), session.slot(f"correction2:{clock}")
        return graph.OPS[self.op](weight, gradient, *moments, lr, beta1, beta2, eps, weight_decay, *corrections,
                                  decoupled=self.decoupled)

    def slot_values(self, params=None):
        if params is not None:
            self.prepare(params)
        values = super().slot_values()
        for i, group in enumerate(self.param_groups):
            values[f"beta1:{i}"], values[f"beta2:{i}"] = group["betas"]
        for i, clock in enumerate(self._clocks):
            if clock.size:
                betas = tuple(self.param_groups[clock.group]["betas"])
                values[f"correction1:{i}"], values[f"correction2:{i}"] = clock.corrections(betas)
        return values

    def advance(self, params):
        self.prepare(params)
        for number in self._ticking:
            self._clocks[number].tick()

    def _has_state(self, parameter):
        return id(parameter) in self._clock_of and self._clocks[self._clock_of[id(parameter)]].steps > 0

    def _counts(self, parameter):
        return {"step": np.array(self._clocks[self._clock_of[id(parameter)]].steps, np.float32)}

    def _reset(self):
        super()._reset()
        self._clocks, self._clock_of, self._counted, self._counted_list = [], {}, None, None

    def _load_counts(self, loaded):
        together = {}
        for p, entries in loaded.items():
            together.setdefault((self._place[id(p)][0], int(entries.get("step", 0))), []).append(p)
        for (_, steps), params in together.items():
            self._start_clock(params, steps)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101): w -= lr * weight_decay * w before Adam's
    step on the plain gradient. Arguments as Adam's; weight_decay=0.01 (PyTorch's default)."""
    decoupled = True

    def __init__(self, params=None, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, *, learning_rate=None,
                 **clipping):
        super().__init__(params, lr, betas, eps, weight_decay, learning_rate=learning_rate, **clipping)


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012), PyTorch's:

        g += weight_decay * w;   s = alpha s + (1 - alpha) g^2   (centered: m = alpha m + (1 - alpha) g, and s - m^2 for s)
        d = g / (sqrt(s) + eps)   (momentum: v = momentum * v + d, and v for d);   w -= lr * d

    params: None (compile gives the model's), or an iterable of parameters or of groups [{"params": ..., "lr": ...}, ...].
    lr=0.01 (learning_rate too), alpha=0.99 (Keras's rho is 0.9), eps=1e-8, weight_decay=0, momentum=0, centered=False."""
    op, slots = "rmsprop", ("lr", "alpha", "eps", "weight_decay", "momentum")

    def __init__(self, params=None, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, *,
                 learning_rate=None, **clipping):
        self._steps = {}                    # id of a parameter -> the steps it has taken, for state_dict alone
        super().__init__(params, dict(lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered,
                                      weight_decay=weight_decay), learning_rate, **clipping)

    def _check(self, settings):
        super()._check(settings)
        if float(settings.get("momentum", 0)) < 0:
            raise ValueError(f"{self.name}: momentum must be >= 0, got {settings['momentum']!r}")
        if not 0 <= float(settings.get("alpha", 0)) <= 1:
            raise ValueError(f"{self.name}: alpha must be in [0, 1], got {settings['alpha']!r}")

    def moment_names(self, group):
        return ("square_avg", *(["grad_avg"] if group["centered"] else []), *(["momentum_buffer"] if group["momentum"] else []))

    def layout(self, params=None):
        return ("rmsprop", tuple([(g["momentum"] != 0, bool(g["centered"]), len(g["params"])) for g in self.param_groups]))

    def _update(self, session, parameter, weight, gradient, moments, numbers):
        given = dict(zip(self.moment_names(self.group_of(parameter)), moments))
        states = [given.get(name) for name in ("square_avg", "grad_avg", "momentum_buffer")]
        return graph.OPS[self.op](weight, gradient, *states, *numbers)

    def advance(self, params):
        for p in params:
            self._steps[id(p)] = self._steps.get(id(p), 0) + 1

    def _has_state(self, parameter):
        return id(parameter) in self._steps

    def _counts(self, parameter):
        return {"step": np.array(self._steps[id(parameter)], np.float32)}

    def _reset(self):
        super()._reset()
        self._steps.clear()

    def _load_counts(self, loaded):
        self._steps.update((id(p), int(entries.get("step", 0))) for p, entries in loaded.items())


NAMES = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


def resolve(spec):
    """compile's `optimizer` argument as an Optimizer: a name in any case, a class, or an instance."""
    if isinstance(spec, str) and spec.lower() in NAMES:
        return NAMES[spec.lower()]()
    if isinstance(spec, type) and issubclass(spec, Optimizer):
        return spec()
    if isinstance(spec, Optimizer):
        return spec
    raise ValueError(f"compile: optimizer must be one of {sorted(NAMES)} or an optimizer like nn.SGD(), got {spec!r}")
