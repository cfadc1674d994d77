"""The import rules: who may know whom, what `import fastnn` loads, and what it costs."""
import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn as nn

PACKAGE = Path(nn.__file__).parent
SOURCES = Path(__file__).resolve().parents[1]
MODULES = {".".join(p.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): p for p in PACKAGE.rglob("*.py")}


def imported(path, top_level=False):
    """The modules of the package that a file imports, as names relative to it; with `top_level` only when it is imported."""
    tree = ast.parse(path.read_text())
    here = path.relative_to(PACKAGE).parent.parts
    found, inside = set(), {n for f in ast.walk(tree) if isinstance(f, (ast.FunctionDef, ast.Lambda)) for n in ast.walk(f)}
    for node in ast.walk(tree):
        if top_level and node in inside:
            continue
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.split(".")[0] == "fastnn"}
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = here[:len(here) - node.level + 1]
            named = ".".join((*base, *(node.module or "").split("."))).strip(".")
            for alias in node.names:
                inner = f"{named}.{alias.name}".strip(".")
                found.add(inner if inner in MODULES or inner == "native" else named)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastnn":
            found.add(node.module)
    return found


def foreign(path):
    """The packages from elsewhere that a file imports when it is imported."""
    tree = ast.parse(path.read_text())
    inside = {n for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    found = set()
    for node in ast.walk(tree):
        if node not in inside and isinstance(node, ast.Import):
            found |= {a.name.split(".")[0] for a in node.names}
        elif node not in inside and isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found


ALLOWED = {"graph": {"drawing"},        # within svg() alone
           "plan": {"graph", "native"}, "reference": {"graph"}, "drawing": {"graph"}, "grad": set(),
           "backend": {"native", "", "module"},
           "run": {"graph", "backend", "native", "plan", "reference", "ops"}, "functional": {"graph", "random", "ops"},
           "byhand": {"graph", "run", "module"}}


@pytest.mark.parametrize("name", ALLOWED)
def test_who_knows_whom(name):
    assert imported(MODULES[name]) <= ALLOWED[name]
    assert name not in ("graph", "backend") or imported(MODULES[name], top_level=True) <= {"native"}


@pytest.mark.parametrize("name", [n for n in MODULES if n.split(".")[0] == "ops"])
def test_ops_know_the_graph_alone(name):
    """And the settings in backend.py."""
    assert {m for m in imported(MODULES[name]) if m.split(".")[0] != "ops"} <= {"graph", "backend"}


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith("layers.") and not n.startswith("layers._")])
def test_layers_are_written_with_functions(name):
    known = {m for m in imported(MODULES[name]) if m.split(".")[0] not in ("layers", "ops")}
    assert known <= {"functional", "graph", "module", "parameter", "random", "backend"}


def test_no_import_cycles():
    """Following what is imported at the top of files, no file is reached again."""
    edges = {name: {m for m in imported(path, top_level=True) if m in MODULES and m != name} for name, path in MODULES.items()}
    edges = {name: {m for m in edges[name] if not name.startswith(m + ".")} for name in edges}
    done, stack = set(), []

    def visit(name):
        assert name not in stack, " -> ".join([*stack[stack.index(name):], name])
        if name not in done:
            stack.append(name)
            for other in sorted(edges[name]):
                visit(other)
            done.add(stack.pop())
    for name in sorted(MODULES):
        if name:
            visit(name)


def test_the_package_knows_no_tests():
    for path in MODULES.values():
        assert not re.search(r"^\s*(?:from|import) (?:tests|bench|pytest)\b", path.read_text(), re.M), path
        assert path.name == "make_digits.py" or foreign(path) <= set(sys.stdlib_module_names) | {"numpy", "fastnn"}, path


@pytest.mark.skipif(not (SOURCES / "csrc").is_dir(), reason="the sources are not here")
def test_the_core_knows_no_python():
    for path in (SOURCES / "csrc").rglob("*"):
        if path.suffix in (".c", ".h", ".def"):
            assert not re.search(r"Python\.h|\bPy(?!Torch)[A-Z]\w+|PyObject|numpy/", path.read_text()), path


@pytest.mark.skipif(not (SOURCES / "fastnn" / "native.pyx").exists(), reason="the sources are not here")
def test_the_door_knows_the_core_alone():
    text = (SOURCES / "fastnn" / "native.pyx").read_text()
    assert set(re.findall(r'cdef extern from "([^"]+)"', text)) <= {"execute.h", "fastnn.h"}
    assert not re.search(r"cimport numpy|import fastnn|from \.", text)
    assert set(re.findall(r"^(?:import|from) (\w+)", text, re.M)) <= {"os", "sys", "threading", "libc", "cpython", "cython"}


# ---- what `import fastnn` does, in a process of its own

def python(code, **environment):
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=600,
                          env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_import_loads():
    before, after = (set(python(f"import numpy{more}, sys; print(*sys.modules)").split()) for more in ("", ", fastnn"))
    new = {name.split(".")[0] for name in after - before} - {"fastnn"}
    internal = {n for n in new if n.startswith(("_cython", "cython_runtime"))}
    assert new - internal <= set(sys.stdlib_module_names)
    slow = {"json", "argparse", "logging", "pathlib", "typing", "zipfile", "csv", "inspect", "concurrent", "multiprocessing",
            "importlib.metadata", "numpy.random", "dataclasses", "urllib", "xml", "subprocess", "shutil", "tempfile"}
    assert not slow & (after - before)
    seldom = {"callbacks", "saving", "files", "datasets", "cli", "summary", "drawing", "steps", "progress", "metrics", "networks",
              "results", "objectives"}
    assert not {f"fastnn.{name}" for name in seldom} & after


def test_import_time(tmp_path):
    """At most 10 ms above NumPy's on a quiet machine; processor time, the least of several, and three times that here."""
    code = "from time import process_time as t; import numpy; a = t(); import fastnn; print(1e3 * (t() - a))"
    cached = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    times = sorted(float(python(code, **cached)) for _ in range(6))
    print(f"import fastnn: {times[0]:.1f} ms above numpy")
    assert times[0] < 30


def test_every_public_name_is_there():
    for name in """Sequential Model Module Input Parameter Scalar Residual Concat ModuleList Identity Flatten Reshape Rescaling
            Conv2d Linear MaxPool2d AvgPool2d AdaptiveAvgPool2d BatchNorm1d BatchNorm2d Dropout ReLU LeakyReLU Sigmoid
            RNN GRU LSTM Tanh Softmax LogSoftmax SGD Adam AdamW RMSprop Loss CrossEntropyLoss NLLLoss MSELoss cross_entropy nll
            mse load L1Loss SmoothL1Loss HuberLoss BCELoss BCEWithLogitsLoss HingeLoss MultiMarginLoss l1 smooth_l1 huber hinge
            binary_cross_entropy binary_cross_entropy_with_logits ELU GELU SiLU Softplus
            RandomHorizontalFlip RandomCrop RandomShift RandomRotation
            clip_grad_norm_ clip_grad_value_ StepLR CosineAnnealingLR OneCycleLR init utils l1_penalty l2_penalty
            load_training_state manual_seed set_num_threads get_num_threads show_config no_grad op check_op EarlyStopping
            ModelCheckpoint LearningRateScheduler ReduceLROnPlateau CSVLogger LambdaCallback TerminateOnNaN Callback
            History optim functional networks""".split():
        assert getattr(nn, name) is not None, name
        assert getattr(nn, name).__doc__, f"{name} has no docstring"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nn.nothing


def test_choosing_a_backend_aloud():
    assert python("import fastnn; print(fastnn.backend.name)", FASTNN_BACKEND="reference").strip() == "reference"
    for variable, value, message in (("FASTNN_BACKEND", "cuda", "expected 'native' or 'reference'"),
                                     ("FASTNN_TARGET", "z80", "z80")):
        done = subprocess.run([sys.executable, "-P", "-c", "import fastnn"], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), variable: value})
        if variable == "FASTNN_BACKEND" or nn.backend.native:
            assert done.returncode and "ImportError" in done.stderr and message in done.stderr
