"""Which backend runs: the native kernels, or the NumPy reference alone. Decided once, aloud."""
import importlib
import os

_asked = os.environ.get("FASTNN_BACKEND", "")
if _asked not in ("", "native", "reference"):
    raise ImportError(f"FASTNN_BACKEND={_asked!r}: expected 'native' or 'reference'")
native = None
if _asked != "reference":
    try:
        native = importlib.import_module(".native", __package__)
    except ImportError as error:
        if _asked == "native" or os.environ.get("FASTNN_TARGET") or "FASTNN" in str(error):
            raise
        import warnings
        warnings.warn("fastnn was installed without its compiled kernels (no C compiler at build time?): the slow NumPy reference "
                      f"runs instead [{error}]", RuntimeWarning, stacklevel=2)

name = "native" if native else "reference"

conv_algorithm = "auto"         # of convolutions that are not told one


def set_conv_algorithm(algorithm):
    """What convolutions do from now on that have no `algorithm` of their own.

    "auto" (the default): 3x3 convolutions of stride 1 whose shape makes it faster run by Winograd's F(4x4, 3x3). Its error is
    bounded by eps * (largest input of the tile) * sum |weight|, not pixel by pixel: where one image holds numbers of very
    different sizes, or exact zeros and ties matter, choose "direct", which sums the products as they stand.
    Raises ValueError for anything else. Source: Lavin and Gray, arXiv:1509.09308."""
    global conv_algorithm
    from .module import changed
    conv_algorithm = checked_algorithm("set_conv_algorithm", algorithm)
    changed()                                       # networks are traced anew


def checked_algorithm(name, algorithm):
    """`algorithm`, or the global setting for None."""
    if algorithm not in (None, "auto", "direct"):
        raise ValueError(f"{name}: algorithm must be 'auto' or 'direct', got {algorithm!r}")
    return algorithm or conv_algorithm


def get_num_threads():
    """The number of threads that native kernels use (1 on the reference)."""
    return native.get_num_threads() if native else 1


def set_num_threads(n):
    """Sets the number of threads, the caller's included. Results do not depend on it, bit for bit.

    Raises ValueError for n < 1."""
    if int(n) != n or n < 1:
        raise ValueError(f"set_num_threads: expected a whole number of at least 1, got {n!r}")
    if native:
        native.set_num_threads(int(n))


def show_config():
    """Prints which backend, CPU target, threads and versions run."""
    import platform
    import numpy
    from . import __version__
    lines = {"fastnn": __version__, "backend": name,
             "target": f"{native.get_target()} (possible here: {', '.join(native.targets())})" if native else "none: NumPy",
             "threads": get_num_threads(), "float64": "runs on the NumPy reference, slowly, for gradient checks",
             "python": platform.python_version(), "numpy": numpy.__version__,
             "machine": f"{platform.machine()} {platform.system()}"}
    for key, value in lines.items():
        print(f"{key:9s} {value}")
