"""The ops, one file a stem. Every module of this folder is loaded, and what its `__all__` names is a public function: it can be
called on arrays and on values, and is found by the methods of values. Adding an op is adding a file."""
import importlib
import os

from .. import graph

__all__ = []
for _file in sorted(os.listdir(os.path.dirname(__file__))):
    if _file.endswith(".py") and not _file.startswith("_"):
        _module = importlib.import_module("." + _file[:-3], __name__)
        for _name in getattr(_module, "__all__", ()):
            graph.functions[_name] = globals()[_name] = getattr(_module, _name)
            __all__.append(_name)
