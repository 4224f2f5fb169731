"""Who may import whom: the arrows of ARCHITECTURE.md, and no way around them."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.rules.source import PACKAGE, files_under, parsed, place

# A part may import itself and what stands here. Whatever is not listed is free: it joins parts.
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "log": set(),
    "net": set(),
    "candles": {"core"},
    "ports": {"candles", "core"},
    "api": {"candles", "core", "ports"},
    "accounts": {"api", "core", "ports"},
    "checkpoints": {"log"},
    "cluster": {"core", "log"},
    "engine": {"core", "log", "ports"},
    "liabilities": {"checkpoints", "core", "engine", "log", "ports"},
    "history": {"candles", "core", "ports"},
    "followers": {"checkpoints", "core", "engine", "history", "log", "net", "ports"},
    "gateway": {"api", "candles", "core", "net", "ports"},
    "streams": {"api", "candles", "core", "net", "ports"},
    "client": {"api"},
    "admin": {"accounts", "api", "checkpoints", "core", "gateway", "net", "ports"},
    "auth": {"accounts", "api", "core", "gateway", "net", "ports"},
    "venue": {"api", "core", "ports"},
    "demo": {"accounts", "api", "client", "core", "engine", "log", "ports", "venue"},
}
JOINERS = {"app", "cli", "testing"}
FREE = JOINERS | {"__main__", "__init__"}


def module_name(path: Path) -> str:
    """fairbook.core.book for src/fairbook/core/book.py."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in files_under(PACKAGE) if path.suffix == ".py"}


def imported(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Every module of this project that a module names in an import, wherever that stands in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in below]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "fairbook":
                yield node, name


def part_of(module: str) -> str:
    """The part of the house that a module belongs to: core, gateway, settings, ..."""
    return module.split(".")[1] if "." in module else "__init__"


def test_every_part_has_its_rule() -> None:
    """A new folder is placed in the picture before anything imports it."""
    parts = {part_of(module) for module in MODULES}
    assert parts <= FREE | MAY_IMPORT.keys()


def test_imports_follow_the_arrows() -> None:
    """A part imports only what the architecture allows."""
    wrong = []
    for module, path in MODULES.items():
        allowed = MAY_IMPORT.get(part_of(module))
        if allowed is None:
            continue
        # fairbook itself holds only the version.
        allowed = allowed | {part_of(module), "__init__"}
        wrong += [
            f"{place(path, node)} imports {name}"
            for node, name in imported(parsed(path))
            if part_of(name) not in allowed
        ]
    assert wrong == []


def test_nothing_imports_in_a_circle() -> None:
    """Neither between modules nor between parts."""
    modules = {
        module: {name for _, name in imported(parsed(path)) if name != module}
        for module, path in MODULES.items()
    }
    parts: dict[str, set[str]] = {}
    for module, names in modules.items():
        part = part_of(module)
        if part not in JOINERS:
            parts.setdefault(part, set()).update({part_of(name) for name in names} - {part})
    for graph in (modules, parts):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            pytest.fail(" -> ".join(error.args[1]))


def test_the_rule_sees_every_form_of_import() -> None:
    """Imports inside functions, of packages, and of modules out of packages all count."""
    tree = ast.parse(
        "import fairbook.log.command_log as log\n"
        "from fairbook.core import book, COMPILED\n"
        "def later() -> None:\n"
        "    from fairbook.core.units import TICKS_MAX\n"
    )
    assert [name for _, name in imported(tree)] == [
        "fairbook.log.command_log",
        "fairbook.core.book",
        "fairbook.core",
        "fairbook.core.units",
    ]
