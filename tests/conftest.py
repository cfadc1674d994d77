"""What tests share. The native module must be there: a build that went wrong fails the run, it does not skip half of it; only
FASTNN_BACKEND=reference leaves it out."""
import os
from pathlib import Path

import pytest

import fastnn as nn

native = nn.backend.native
TARGETS = native.targets() if native else ()
DATA = Path(os.environ.get("FASTNN_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def pytest_sessionstart(session):
    if native is None and os.environ.get("FASTNN_BACKEND") != "reference":
        raise pytest.UsageError("the native module is missing; FASTNN_BACKEND=reference tests the reference alone")


def pytest_report_header():
    return f"fastnn {nn.__version__}: backend {nn.backend.name}, targets tested here: {', '.join(TARGETS) or 'none'}"


@pytest.fixture(params=TARGETS)
def target(request):
    """Every target that this CPU can run, in use while the test runs."""
    before = native.get_target()
    native.set_target(request.param)
    yield request.param
    native.set_target(before)


@pytest.fixture
def threads():
    """Sets the number of threads; puts it back after the test."""
    before = nn.get_num_threads()
    yield nn.set_num_threads
    nn.set_num_threads(before)


@pytest.fixture(scope="session")
def data_folder():
    """The folder of larger data sets, one a subfolder."""
    if not DATA.is_dir():
        pytest.skip(f"no data sets: {DATA} does not exist (FASTNN_TEST_DATA names another folder)")
    return DATA
