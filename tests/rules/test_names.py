"""One name, one meaning: names of public classes and of module files in the package."""

import ast
from collections import defaultdict

from tests.rules.source import PACKAGE, parsed, place

CLIENT = "the client is used without the rest; its names are those of the public contract"
FOLDERS_BY_SUBJECT = {
    "cli": "a command is named after the module that it runs",
    "client": CLIENT,
    "endpoints": "an endpoint is named after what it answers about",
    "ports": "a port is named after what it gives access to",
}
"""Folders in which a file may have the name of one elsewhere, and the reason."""


def repeated(places: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: found for name, found in places.items() if len(found) > 1}


def test_a_file_name_stands_once() -> None:
    """Packages and folders by subject apart."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        if not path.name.startswith("__") and path.parent.name not in FOLDERS_BY_SUBJECT:
            places[path.name].append(place(path))
    assert repeated(places) == {}


def test_a_class_name_stands_once() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(place(path, node))
    assert repeated(places) == {}
