"""What can run a benchmark here: targets of the native backend, the NumPy reference, other libraries where installed."""
import importlib.util

import fastnn as nn

native = nn.backend.native
TARGETS = native.targets() if native else ()
INSTALLED = {name: importlib.util.find_spec(name) is not None for name in ("torch", "onnxruntime", "onnx")}
LIBRARIES = (["torch", "torch_last"] if INSTALLED["torch"] else []) + (["onnxruntime"] if all(INSTALLED.values()) else [])
ENGINES = [*TARGETS, "reference", *LIBRARIES]
