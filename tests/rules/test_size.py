"""Size limits of files and functions, and module docstrings."""

import ast

from tests.rules.source import PACKAGE, functions, parsed, place, python_files

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60


def test_files_and_functions_stay_small() -> None:
    """At most 500 lines a file and 60 a function, docstring included, decorators not."""
    too_long = []
    for path in python_files():
        lines = len(path.read_bytes().splitlines())
        if lines > FILE_LINES_MAX:
            too_long.append(f"{place(path)}: {lines} lines")
        for node in functions(parsed(path)):
            size = (node.end_lineno or 0) - node.lineno + 1
            if size > FUNCTION_LINES_MAX:
                too_long.append(f"{place(path, node)} {node.name}: {size} lines")
    assert too_long == []


def test_every_module_has_a_docstring() -> None:
    trees = {place(path): parsed(path) for path in sorted(PACKAGE.rglob("*.py"))}
    assert [p for p, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []
