"""Prose: files that are named exist, lines of docs are short, and plain words are used."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.rules.source import ROOT, files_under, parsed, python_files

LINE_MAX = 120
DOCS = [
    *sorted(ROOT.glob("*.md")),
    *(path for path in files_under(ROOT / "docs") if path.suffix == ".md"),
]
# A file as prose names it: with its folder, or as its name alone.
NAMED = re.compile(r"(?<![\w./:~*<>{}-])((?:[\w.-]+/)*[\w-]+\.(?:py|md|toml))(?![\w*/])")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
# Files of others: a compiled core to compare with, what pip writes.
FOREIGN = {"core_mypyc.py", "pyproject.toml"}
AVOIDED = re.compile(r"\b(?:whoever|somebody|nobody|of ours)\b", re.IGNORECASE)
EXISTING = {path.name for path in [*python_files(), *DOCS]} | {"pyproject.toml", "venue.toml"}
PLACES = (ROOT, ROOT / "src" / "fairbook", ROOT / "src", ROOT / "tests", ROOT / "docs")


def exists(named: str, beside: Path) -> bool:
    """Whether prose in `beside` may name this file: by its place, or by its name alone."""
    if Path(named).name in FOREIGN:
        return True
    if "/" not in named:
        return named in EXISTING
    return any((place / named).is_file() for place in (*PLACES, beside.parent))


def prose_of(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings and comments of a Python file, by line."""
    tree = parsed(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first.lineno, str(first.value.value)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        _, mark, comment = line.partition("# ")
        if mark:
            yield number, comment


def without_code(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a Markdown page outside of tables, fenced code, figures of benches and code
    that is indented.
    """
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code and not line.startswith(("|", "    ")):
            yield number, line


def test_every_file_that_is_named_exists() -> None:
    """In docs, and in the heads, docstrings and comments of sources."""
    texts = [(path, number, line) for path in DOCS for number, line in numbered(path)]
    for path in python_files():
        texts += [(path, number, text) for number, text in prose_of(path)]
    wrong = [
        f"{path.relative_to(ROOT)}:{number} names {named}"
        for path, number, text in texts
        for named in NAMED.findall(text)
        if not exists(named, path)
    ]
    assert wrong == []


def test_every_link_of_the_docs_leads_to_a_file() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{number} links to {target}"
        for path in DOCS
        for number, line in numbered(path)
        for target in LINK.findall(line)
        if not (path.parent / target).exists()
    ]
    assert wrong == []


def test_every_page_is_listed() -> None:
    """docs/README.md lists all pages by reader."""
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / target).resolve() for target in LINK.findall(index.read_text())}
    pages = {path for path in DOCS if path.is_relative_to(ROOT / "docs") and path != index}
    assert pages - listed == set()


def test_lines_of_docs_are_short() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{number} has {len(line)} characters"
        for path in DOCS
        for number, line in without_code(path.read_text(encoding="utf-8"))
        if len(line) > LINE_MAX
    ]
    assert wrong == []


def test_plain_words_are_used() -> None:
    """Say who it is: client, caller, reader, process."""
    wrong = [
        f"{path.relative_to(ROOT)}:{number} says {word}"
        for folder in ("src", "bench", "sim", "tests", "docs")
        for path in files_under(ROOT / folder)
        if path.suffix in (".py", ".md") and path != Path(__file__)
        for number, line in numbered(path)
        for word in AVOIDED.findall(line)
    ]
    assert wrong == []


def numbered(path: Path) -> Iterator[tuple[int, str]]:
    yield from enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
