"""The core has no clock, no chance, no I/O and no fractions: equal logs give equal states."""

import ast
from collections.abc import Iterator

import pytest

from tests.rules.source import core_modules, parsed, place

# None of them knows the time, the machine or the order of addresses. Think before adding one.
MAY_IMPORT = {
    "__future__",
    "bisect",
    "hashlib",
    "librt.strings",
    "librt.vecs",
    "mypy_extensions",
    "nacl.bindings",  # verifying a signature: a function of its bytes
    "nacl.exceptions",
    "struct",
    "typing",
}
BANNED_NAMES = {
    # fractions
    "Decimal", "Fraction", "complex", "float", "round",
    # an order that differs from process to process
    "frozenset", "hash", "id", "set",
    # the world outside
    "__import__", "eval", "exec", "input", "open", "print",
}  # fmt: skip


def orderless(tree: ast.Module) -> set[ast.AST]:
    """Sets whose order has no effect: those sorted or counted right where they are made."""
    harmless: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="len" | "sorted"), args=[made]):
                harmless.add(made)
                if isinstance(made, ast.Call):
                    harmless.add(made.func)
    return harmless


def impurities(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Everything in a module that could make two replicas differ."""
    harmless = orderless(tree)
    for node in ast.walk(tree):
        if node in harmless:
            continue
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module)):
                modules = [module]
            case _:
                modules = []
        for module in modules:
            if module not in MAY_IMPORT and not f"{module}.".startswith("fairbook.core."):
                yield node, f"import of {module}"
        match node:
            case ast.Constant(value=float() | complex()):
                yield node, "a number with a fraction"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node, "division that gives a fraction"
            case ast.Set() | ast.SetComp():
                yield node, "a set"
            case ast.Name(id=name) | ast.alias(name=name) if name in BANNED_NAMES:
                yield node, name


def test_the_core_is_pure() -> None:
    """Whole numbers in, whole numbers out."""
    modules = core_modules()
    assert len(modules) >= 10
    assert [
        f"{place(path, node)} {what}" for path in modules for node, what in impurities(parsed(path))
    ] == []


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from datetime import datetime",
        "from os import path",
        "import random, secrets",
        "x = 0.5",
        "x = 1e3",
        "x = 3 / 2",
        "x /= 2",
        "x = float(1)",
        "def f(x: float) -> None: ...",
        "for x in {1, 2}: pass",
        "x = {y for y in z}",
        "x = set(y)",
        "x = sorted(y, key=hash)",
        "x = id(y)",
        "x = sorted([*{1, 2}])",
        "from fairbook.log import log",
    ],
)
def test_the_rule_finds(line: str) -> None:
    """Each of these makes two replicas differ."""
    assert list(impurities(ast.parse(line)))


def test_the_rule_lets_pass() -> None:
    """What the core is made of."""
    fine = "from fairbook.core import book\nx = 7 // 2 % 3\ny = {1: 2}\nz = [*y]\n"
    sets = "x = sorted({z for z in y})\nz = len(set(y))\n"
    assert not list(impurities(ast.parse(fine + sets)))
