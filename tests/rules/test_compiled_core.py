"""A compiled core is used for exactly the sources it was made of, and never for others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules.source import CORE

WHICH = (
    "import fairbook.core as core, fairbook.core.units as units; print(core.COMPILED, units.MADE)"
)


class Copy:
    """A package of one module, MADE in its source or, as a stand-in, in its compiled form."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.core = folder / "fairbook" / "core"
        self.core.mkdir(parents=True)
        (folder / "fairbook" / "__init__.py").touch()
        shutil.copy(CORE / "__init__.py", self.core)
        self.edit("first")

    def edit(self, made: str) -> None:
        """Change the source."""
        (self.core / "units.py").write_text(f"MADE = {made!r}\n")

    def build(self) -> None:
        """Put something that is not the source where a compiled core would be."""
        key = self.run("import fairbook.core as core; print(core.key())").stdout.strip()
        folder = self.core / "_compiled" / key
        folder.mkdir(parents=True)
        (folder / "units.py").write_text("MADE = 'of C'\n")
        (folder / "manifest").touch()

    def run(self, program: str = WHICH, core: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program in a new interpreter that has this package."""
        environment = {**os.environ, "PYTHONPATH": str(self.root), "FAIRBOOK_CORE": core}
        command = [sys.executable, "-B", "-c", program]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A package that has not been compiled."""
    return Copy(tmp_path)


def test_without_a_build_the_source_runs(copy: Copy) -> None:
    """Nothing but Python is needed."""
    assert copy.run().stdout == "False first\n"


def test_a_build_of_these_sources_is_used(copy: Copy) -> None:
    """It comes before the source, unless that is asked for."""
    copy.build()
    assert copy.run().stdout == "True of C\n"
    assert copy.run(core="compiled").stdout == "True of C\n"
    assert copy.run(core="interpreted").stdout == "False first\n"


def test_edited_source_is_never_shadowed(copy: Copy) -> None:
    """A stale build is passed over, and is used again when the edit is undone."""
    copy.build()
    copy.edit("second")
    assert copy.run().stdout == "False second\n"
    copy.edit("first")
    assert copy.run().stdout == "True of C\n"


def test_a_new_module_makes_a_build_stale(copy: Copy) -> None:
    """Also if nothing imports it yet."""
    copy.build()
    (copy.core / "other.py").touch()
    assert copy.run().stdout == "False first\n"


def test_a_build_that_did_not_end_is_not_used(copy: Copy) -> None:
    """The manifest is written last."""
    copy.build()
    next(copy.core.glob("_compiled/*/manifest")).unlink()
    assert copy.run().stdout == "False first\n"


def test_compiled_can_be_demanded(copy: Copy) -> None:
    """Then a missing or stale build is an error that says so."""
    assert "the core has not been compiled" in copy.run(core="compiled").stderr
    copy.build()
    copy.edit("second")
    assert "from other sources" in copy.run(core="compiled").stderr
    assert "not 'fast'" in copy.run(core="fast").stderr
