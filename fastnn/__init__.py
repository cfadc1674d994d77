"""fastnn: trains and serves neural networks on the CPU. See README.md; `import fastnn as nn`, `import fastnn.functional as F`."""
__version__ = "0.1.0"

from . import backend, run                          # noqa: F401
from . import functional                            # noqa: F401
from .backend import get_num_threads, set_conv_algorithm, set_num_threads, show_config
from .losses import *                               # noqa: F401,F403
from .module import Module
from .parameter import Buffer, Parameter, Scalar
from .random import initial_seed, manual_seed

_LATER = {"load": "saving", "load_training_state": "saving", "Input": "model", "Model": "model", "no_grad": "grad", "op": "userop",
          "check_op": "userop", "SGD": "optimizers", "Adam": "optimizers", "AdamW": "optimizers", "RMSprop": "optimizers",
          "Optimizer": "optimizers", "StepLR": "lr_scheduler", "CosineAnnealingLR": "lr_scheduler",
          "OneCycleLR": "lr_scheduler", "clip_grad_norm_": "utils", "clip_grad_value_": "utils", "utils": None, "init": None, "lr_scheduler": None,
          "l1_penalty": "penalties", "l2_penalty": "penalties", "optim": None, "callbacks": None, "datasets": None, "files": None, "layers": None,
          "networks": None, "plots": None}


def __getattr__(name):
    """What not every program needs is imported when it is first used: layers (a loaded model has none), callbacks, files."""
    import importlib
    if name in _LATER:
        home = _LATER[name]
        module = importlib.import_module(f".{home or name}", __name__)
        globals()[name] = found = getattr(module, name) if home else module
        return found
    if name[:1].isupper():
        for home in ("layers", "callbacks"):
            module = importlib.import_module(f".{home}", __name__)
            globals().update({public: getattr(module, public) for public in module.__all__})
            if name in globals():
                return globals()[name]
    raise AttributeError(f"module 'fastnn' has no attribute {name!r}")


def __dir__():
    from . import callbacks, layers
    return sorted({*globals(), *_LATER, *layers.__all__, *callbacks.__all__})
