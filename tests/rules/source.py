"""The files of the project, parsed, for the rules to look at."""

import ast
import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "fairbook"
CORE = PACKAGE / "core"
NOT_OURS = {"__pycache__", "_compiled", "node_modules", "static"}


def files_under(*folders: Path) -> Iterator[Path]:
    """Every file in `folders` that is not generated or installed, sorted."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            parts = path.relative_to(ROOT).parts
            ours = NOT_OURS.isdisjoint(parts) and not any(x.endswith(".egg-info") for x in parts)
            if ours and path.is_file():
                yield path


def python_files() -> list[Path]:
    """All Python that is written by hand."""
    found = [
        path
        for path in files_under(ROOT / "src", ROOT / "bench", ROOT / "sim", ROOT / "tests")
        if path.suffix == ".py"
    ]
    return [*found, ROOT / "dev.py", ROOT / "setup.py"]


def all_files() -> list[Path]:
    """Everything that is published."""
    top = [path for path in sorted(ROOT.iterdir()) if path.is_file() and path.name != ".git"]
    folders = [ROOT / name for name in ("src", "bench", "sim", "tests", "docs", ".ci")]
    return [*top, *files_under(*folders)]


def core_modules() -> list[Path]:
    """The state machine: all of core/ but the choice between its two forms."""
    return [path for path in sorted(CORE.glob("*.py")) if path.name != "__init__.py"]


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    gc.disable()  # A collection would visit all the trees that are kept.
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    finally:
        gc.enable()


def functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function inside, nested ones included. Expressions are not visited: they hold none."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from functions(child)


def place(path: Path, node: ast.AST | None = None) -> str:
    """Where something is, for a message."""
    line = getattr(node, "lineno", None)
    return f"{path.relative_to(ROOT)}" + (f":{line}" if line else "")
