"""The layers and containers, one file each: parameters, their initialisation, and a `forward` written with fastnn.functional.
Every module of this folder is loaded and its `__all__` collected: adding a layer is adding a file."""
import importlib
import os

__all__ = []
for _file in sorted(os.listdir(os.path.dirname(__file__))):
    if _file.endswith(".py") and not _file.startswith("_"):
        _module = importlib.import_module("." + _file[:-3], __name__)
        for _name in getattr(_module, "__all__", ()):
            globals()[_name] = getattr(_module, _name)
            __all__.append(_name)
