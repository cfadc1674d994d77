"""Schedules of the learning rate, by PyTorch's names and arguments: by hand `scheduler.step()` after the optimizer's steps of
an epoch (OneCycleLR: after each); in `fit` the same object as a callback, `callbacks=[nn.StepLR(model.optimizer, 30)]`, which
steps by itself. A change of the rate compiles nothing anew: it is a number that every step reads.

A schedule is a formula of `last_epoch`, how often step was called, and of each group's rate when the schedule was made."""
import math

from .callbacks import Callback

__all__ = ["LRScheduler", "StepLR", "CosineAnnealingLR", "OneCycleLR", "ReduceLROnPlateau"]


class LRScheduler(Callback):
    """What schedules share. A subclass has `rate(base, step)`: a group's rate after so many steps. `every`: "epoch" or "batch",
    when fit steps it. last_epoch: the steps taken; -1: none yet (PyTorch's argument, for resuming)."""
    every = "epoch"

    def __init__(self, optimizer, last_epoch=-1):
        if not hasattr(optimizer, "param_groups") or not optimizer.param_groups:
            raise ValueError(f"{type(self).__name__}: an optimizer with parameters is expected (nn.SGD(model.parameters()), or "
                             f"model.optimizer after compile), got {optimizer!r}")
        self.optimizer, self.last_epoch = optimizer, last_epoch
        if not hasattr(self, "base_lrs"):
            self.base_lrs = [g["lr"] for g in optimizer.param_groups]
        self.step()

    def rate(self, base, step):
        """The rate after `step` steps of a group that began with `base`."""
        raise NotImplementedError

    def step(self, epoch=None):
        """One step on: sets every group's rate. epoch: goes there instead."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        for group, base in zip(self.optimizer.param_groups, self.base_lrs):
            group["lr"] = self.rate(base, self.last_epoch)

    def get_last_lr(self):
        """Every group's rate now."""
        return [g["lr"] for g in self.optimizer.param_groups]

    def state_dict(self):
        """Where the schedule stands and its settings, without the optimizer."""
        return {k: v for k, v in vars(self).items() if k not in ("optimizer", "model", "params")}

    def load_state_dict(self, state_dict):
        """Goes on where state_dict was called; the rates are set anew."""
        self.__dict__.update(state_dict)
        self.step(self.last_epoch)

    def on_train_batch_end(self, batch, logs=None):
        if self.every == "batch":
            self.step()

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = self.optimizer.lr
        if self.every == "epoch":
            self.step()


class StepLR(LRScheduler):
    """Multiplies the rate by gamma every step_size steps. Args: optimizer, step_size, gamma=0.1, last_epoch=-1."""

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        if not step_size >= 1:
            raise ValueError(f"StepLR: step_size must be at least 1, got {step_size!r}")
        self.step_size, self.gamma = int(step_size), float(gamma)
        super().__init__(optimizer, last_epoch)

    def rate(self, base, step):
        return base * self.gamma ** (step // self.step_size)


class CosineAnnealingLR(LRScheduler):
    """From the rate down to eta_min along half a cosine of T_max steps, and up again after it (Loshchilov & Hutter,
    arXiv:1608.03983, without restarts). Args: optimizer, T_max, eta_min=0.0, last_epoch=-1."""

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        if not T_max >= 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be at least 1, got {T_max!r}")
        self.T_max, self.eta_min = T_max, float(eta_min)
        super().__init__(optimizer, last_epoch)

    def rate(self, base, step):
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * step / self.T_max)) / 2


class OneCycleLR(LRScheduler):
    """The rate rises from max_lr / div_factor to max_lr during the first pct_start of the steps and falls to initial /
    final_div_factor in the others, the momentum (or Adam's first beta) the other way round (Smith & Topin, arXiv:1708.07120).
    One step a batch.

    Args: optimizer; max_lr (a number, or one a group); total_steps, or epochs and steps_per_epoch; pct_start=0.3;
    anneal_strategy="cos" or "linear"; cycle_momentum=True, between max_momentum=0.95 and base_momentum=0.85; div_factor=25.0;
    final_div_factor=1e4; last_epoch=-1. A step beyond the last is a ValueError."""
    every = "batch"

    def __init__(self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
                 anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0,
                 final_div_factor=1e4, last_epoch=-1):
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
        self.total_steps = int(total_steps if total_steps is not None else epochs * steps_per_epoch)
        if self.total_steps < 1 or not 0 <= pct_start <= 1 or anneal_strategy not in ("cos", "linear"):
            raise ValueError("OneCycleLR: total_steps >= 1, 0 <= pct_start <= 1 and anneal_strategy 'cos' or 'linear' are "
                             f"expected, got {self.total_steps}, {pct_start!r} and {anneal_strategy!r}")
        self.pct_start, self.anneal_strategy, self.div_factor, self.final_div_factor = (
            pct_start, anneal_strategy, div_factor, final_div_factor)
        self.base_momentum, self.max_momentum = base_momentum, max_momentum
        groups = getattr(optimizer, "param_groups", ())
        self.base_lrs = [float(m) for m in max_lr] if isinstance(max_lr, (list, tuple)) else [float(max_lr)] * len(groups)
        if len(self.base_lrs) != len(groups):
            raise ValueError(f"OneCycleLR: max_lr has {len(self.base_lrs)} rates, the optimizer {len(groups)} groups")
        self.momentum = None
        if cycle_momentum and groups:
            self.momentum = next((name for name in ("betas", "momentum") if groups[0].get(name)), None)
            if self.momentum is None:
                raise ValueError("OneCycleLR: cycle_momentum=True needs an optimizer with momentum or betas; give "
                                 "cycle_momentum=False")
        super().__init__(optimizer, last_epoch)

    def _between(self, step, low, high, end):
        """From low up to high, then down to end."""
        top = self.pct_start * self.total_steps - 1
        if step <= top:
            start, stop, share = low, high, step / top if top else 1.0
        else:
            rest = self.total_steps - 1 - top
            start, stop, share = high, end, min(1.0, (step - top) / rest) if rest > 0 else 1.0
        return stop + (start - stop) * ((1 + math.cos(math.pi * share)) / 2 if self.anneal_strategy == "cos" else 1 - share)

    def rate(self, base, step):
        first = base / self.div_factor
        return self._between(step, first, base, first / self.final_div_factor)

    def step(self, epoch=None):
        after = self.last_epoch + 1 if epoch is None else epoch
        if after >= self.total_steps + (self.last_epoch >= 0):
            raise ValueError(f"OneCycleLR: step {after + 1} of a schedule of {self.total_steps} steps")
        super().step(epoch)
        if self.momentum is not None:
            value = self._between(self.last_epoch, self.max_momentum, self.base_momentum, self.max_momentum)
            for group in self.optimizer.param_groups:
                group[self.momentum] = (value, *group["betas"][1:]) if self.momentum == "betas" else value


class ReduceLROnPlateau:
    """PyTorch's: `step(metric)` multiplies the rates by `factor` when the metric has not got better for more than `patience`
    calls. (In fit use the callback nn.ReduceLROnPlateau, which has Keras's arguments.)

    Args: optimizer; mode="min" or "max"; factor=0.1; patience=10; threshold=1e-4, how much is better, threshold_mode="rel" (a share
    of the best) or "abs"; cooldown=0: calls to rest after a change; min_lr=0; eps=1e-8: smaller changes are not made."""

    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0, min_lr=0,
                 eps=1e-8):
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be in [0, 1), got {factor!r}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: mode 'min' or 'max' and threshold_mode 'rel' or 'abs' are expected, got {mode!r} "
                             f"and {threshold_mode!r}")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.min_lr, self.eps = threshold, threshold_mode, cooldown, min_lr, eps
        self.best, self.num_bad_epochs, self.cooldown_counter, self.last_epoch = math.inf if mode == "min" else -math.inf, 0, 0, 0

    def _better(self, metric):
        sign = 1 if self.mode == "max" else -1
        margin = self.threshold * (abs(self.best) if self.threshold_mode == "rel" and math.isfinite(self.best) else 1)
        return sign * metric > sign * self.best + (margin if math.isfinite(self.best) else 0)

    def step(self, metrics):
        """Told the figure to watch, after an epoch."""
        metric = float(metrics)
        self.last_epoch += 1
        if self._better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                new = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - new > self.eps:
                    group["lr"] = new
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_last_lr(self):
        """Every group's rate now."""
        return [g["lr"] for g in self.optimizer.param_groups]

    def state_dict(self):
        """Where the schedule stands and its settings, without the optimizer."""
        return {k: v for k, v in vars(self).items() if k != "optimizer"}

    def load_state_dict(self, state_dict):
        """Goes on where state_dict was called."""
        self.__dict__.update(state_dict)
