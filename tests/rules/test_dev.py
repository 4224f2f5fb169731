"""./dev: what it answers before it sets anything up."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.rules.source import ROOT


def dev(
    *arguments: str, folder: Path = ROOT, path: str, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ./dev of `folder` with nothing but `path` to find programs in."""
    command = ["/bin/sh", str(folder / "dev"), *arguments]
    environment = {"PATH": path} | (environ or {})
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_it_says_what_it_can_do() -> None:
    """On request it is an answer, without a known command an error."""
    path = str(Path(sys.executable).parent)
    asked = dev("--help", path=path)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "./dev up" in asked.stdout
    for arguments in ((), ("dance",)):
        refused = dev(*arguments, path=path)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "./dev up" in refused.stderr


def test_a_bad_form_of_the_core_is_refused_before_anything_is_set_up() -> None:
    path = str(Path(sys.executable).parent)
    for variable in ("FAIRBOOK_BUILD", "FAIRBOOK_CORE"):
        refused = dev("test", path=path, environ={variable: "nonsense"})
        assert (refused.returncode, refused.stdout) == (2, "")
        assert (
            refused.stderr == f"dev: {variable} must be compiled or interpreted, not 'nonsense'\n"
        )


def test_a_python_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    """A newer one beside it is found; without any there is a clear message."""
    for name in ("dev", "dev.py"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    assert dev("--help", folder=tmp_path, path=str(tmp_path)).stderr == (
        "Fairbook needs Python 3.11 or newer; there is none as python3 or python3.1x.\n"
    )
    (tmp_path / "python3.12").symlink_to(sys.executable)
    assert "./dev up" in dev("--help", folder=tmp_path, path=str(tmp_path)).stdout
