"""What all tests share: reproducible hypothesis runs, and the environments of public clients."""

import asyncio
import gc
import inspect
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import fairbook.core

ROOT = Path(__file__).resolve().parent.parent
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 4 * 1024**3

# The same examples in every run, and no limit by the clock: what fails here fails everywhere.
settings.register_profile(
    "fixed",
    database=None,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# --hypothesis-profile=search looks further, differently each time.
settings.register_profile("search", settings.get_profile("fixed"), derandomize=False)
settings.load_profile("fixed")


def pytest_configure() -> None:
    """Keep temporary directories in memory where the system has such a place, and enough of it:
    many tests write and sync thousands of small files.
    """
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def pytest_report_header() -> str:
    """Say which core is tested."""
    how = "compiled" if fairbook.core.COMPILED else f"interpreted ({fairbook.core.WHY_INTERPRETED})"
    return f"core: {how}"


@pytest.fixture(autouse=True)
def restored_gc() -> Iterator[None]:
    """Undo the GC policy of an exchange in this process: hypothesis cannot see frozen objects."""
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*thresholds)
    gc.callbacks[:] = callbacks
    gc.enable()
    gc.unfreeze()


@pytest.fixture(scope="session")
def client_python() -> Callable[[str], Path]:
    """Find the Python that has one public client, such as "ccxt-4.5.90" or "bpx-py-2.0.11"."""
    environments = Path(os.environ.get("FAIRBOOK_CLIENTS", ROOT / ".venvs"))

    def find(name: str) -> Path:
        python = environments / name / "bin" / "python"
        if not python.exists():
            pytest.fail(f"{name} is not installed; ./dev test --all does that", pytrace=False)
        return python

    return find
