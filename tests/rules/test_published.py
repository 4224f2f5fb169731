"""What is published runs everywhere: no path of one machine, no host of one index, one version."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.rules.source import ROOT, all_files, place

MACHINE_PATH = re.compile(rb"(?<![\w./~$}-])/(?:Users|home|mnt|opt|private|root|tmp|work)/")
INDEX_HOST = re.compile(rb"pythonhosted|pypi\.org|--(?:extra-)?index-url|find-links|npmjs\.org")
LISTS = sorted([*ROOT.glob("requirements*.txt"), *(ROOT / "tests" / "clients").glob("*.txt")])


def test_no_machine_is_named() -> None:
    """No file names a folder of one machine, or the host of a package index."""
    contents = {
        place(path): path.read_bytes() for path in all_files() if path != Path(__file__).resolve()
    }
    assert {p for p, content in contents.items() if MACHINE_PATH.search(content)} == set()
    assert {p for p, content in contents.items() if INDEX_HOST.search(content)} == set()


def pins(path: Path) -> dict[str, str]:
    """name: version, of one list."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.parametrize("path", LISTS, ids=place)
def test_locked_lists_hold_nothing_but_pins_and_hashes(path: Path) -> None:
    """Every entry is NAME==VERSION with at least one sha256."""
    joined = path.read_text().replace("\\\n", " ").splitlines()
    pattern = re.compile(r"[\w.-]+==[\w.]+( ; [^#]*?)?( +--hash=sha256:[0-9a-f]{64})+ *")
    assert [line for line in joined if not pattern.fullmatch(line)] == []


def test_the_lists_agree() -> None:
    """A package in two of the three lists has one version."""
    seen: dict[str, str] = {}
    for name in ("requirements.txt", "requirements-build.txt", "requirements-dev.txt"):
        for package, version in pins(ROOT / name).items():
            assert seen.setdefault(package, version) == version, package


def test_the_lists_hold_what_the_project_asks_for() -> None:
    """After a change in pyproject.toml, `./dev lock` has been run."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = asked["dependency-groups"]
    for texts, name in (
        (asked["project"]["dependencies"], "requirements.txt"),
        (groups["build"], "requirements-build.txt"),
        (groups["dev"], "requirements-dev.txt"),
    ):
        locked = pins(ROOT / name)
        for requirement in map(Requirement, texts):
            assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)])
