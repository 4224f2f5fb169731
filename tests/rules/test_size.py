"""How large things may become, and that each module says what it is."""

import ast
from pathlib import Path

import pytest

from tests.rules.source import PACKAGE, parsed, place, python_files

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60


def relative(path: Path) -> str:
    """A short name for a test's title."""
    return place(path)


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_files_and_functions_stay_small(path: Path) -> None:
    """At most 500 lines a file and 60 a function, docstring included, decorators not."""
    lines = len(path.read_bytes().splitlines())
    assert lines <= FILE_LINES_MAX
    functions = [
        node
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    too_long = [
        f"{place(path, node)} {node.name}: {size} lines"
        for node in functions
        if (size := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert too_long == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=relative)
def test_every_module_says_what_it_is(path: Path) -> None:
    """A module that holds anything starts with a docstring."""
    tree = parsed(path)
    assert not tree.body or ast.get_docstring(tree)
