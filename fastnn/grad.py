"""Switching the keeping of runs for backward off: nn.no_grad()."""
import threading

_local = threading.local()


def enabled():
    """Do calls in training mode keep what their backward needs?"""
    return not getattr(_local, "off", 0)


class no_grad:
    """Context manager and decorator: calls inside keep nothing for a backward (PyTorch's no_grad)."""

    def __enter__(self):
        _local.off = getattr(_local, "off", 0) + 1

    def __exit__(self, *_):
        _local.off -= 1

    def __call__(self, function):
        def wrapped(*args, **kwargs):
            with self:
                return function(*args, **kwargs)
        return wrapped
