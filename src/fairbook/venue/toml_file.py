"""Read TOML strictly into the tables of a venue: every error names its line.

Design: `tomllib` gives values without lines, and `msgspec` names what is wrong by a path, such as
`$.markets[0].tick`. The line of a path is looked up in the text afterwards.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from fairbook.venue.config_tables import VenueTable

Path = tuple[str | int, ...]
"""Where something stands: names of tables and fields, and numbers in arrays."""

_TOML_LINE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_PATH: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*?)`")
_MISSING: Final = re.compile(r"Object missing required field `(.*?)`")
_KIND: Final = re.compile(r"Expected `(\w+)[^`]*`, got")
_KINDS: Final = {
    "str": "it must be a text in quotes",
    "int": "it must be a whole number",
    "bool": "it must be true or false",
    "array": "it must be a list",
    "object": "it must be a table",
}


class ConfigError(Exception):
    """A configuration cannot be used. The message begins with the file and, if known, the line."""


class Problem(Exception):
    """What is wrong at a path of the file; `at_line` makes a ConfigError of it."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path

    def at_line(self, text: str, name: str) -> ConfigError:
        line = line_of(text, self.path)
        place = f"{name}:{line}" if line else name
        return ConfigError(f"{place}: {self}")


def parse(text: str) -> VenueTable:
    """Raises Problem."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _TOML_LINE.search(message)
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        raise Problem((line,), _TOML_LINE.sub("", message)) from None
    except RecursionError:
        raise Problem((), "tables are nested too deeply") from None
    try:
        return msgspec.convert(content, VenueTable)
    except msgspec.ValidationError as error:
        raise _problem(str(error)) from None


def _problem(message: str) -> Problem:
    """What msgspec says, in our words."""
    message, _, at = message.partition(" - at `$")
    path: Path = tuple(name or int(number) for name, number in _PATH.findall(at))
    if unknown := _UNKNOWN.search(message):
        known = _fields_at(path)
        return Problem((*path, unknown[1]), f"unknown field {unknown[1]}{hint(unknown[1], known)}")
    if missing := _MISSING.search(message):
        return Problem(path, f"{missing[1]} is missing")
    field = f"{path[-1]}: " if path and isinstance(path[-1], str) else ""
    kind = _KIND.match(message)
    if kind and kind[1] in _KINDS:
        return Problem(path, f"{field}{_KINDS[kind[1]]}")
    return Problem(path, f"{field}{message[:1].lower()}{message[1:]}")


def _fields_at(path: Path) -> Iterable[str]:
    """The fields of the table at a path."""
    table: Any = msgspec.inspect.type_info(VenueTable)
    for part in path:
        if isinstance(table, msgspec.inspect.StructType):
            table = next(field.type for field in table.fields if field.name == part)
        elif isinstance(table, msgspec.inspect.VarTupleType):
            table = table.item_type
        if isinstance(table, msgspec.inspect.UnionType):
            table = table.types[0]
    return [field.name for field in getattr(table, "fields", ())]


def hint(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest of the known ones."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known: {', '.join(names)}" if len(names) <= 12 else ""


def line_of(text: str, path: Path) -> int:
    """The line of the longest known beginning of a path; 0: none. A path of one number: itself."""
    if len(path) == 1 and isinstance(path[0], int):
        return path[0]
    lines = _lines(text)
    for length in range(len(path), 0, -1):
        for known in (path[:length], (*path[:length], 0)):
            if known in lines:
                return lines[known]
    return 0


def _lines(text: str) -> dict[Path, int]:
    """The line of each table and field that begins a line."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.strip()
        if word.startswith("["):
            is_array = word.startswith("[[")
            names = [name.strip(' "') for name in word.strip("[ ").partition("]")[0].split(".")]
            table = ()
            for at, name in enumerate(names):
                table = (*table, name)
                if is_array and at == len(names) - 1:
                    counts[table] = counts.get(table, 0) + 1
                if table in counts:
                    table = (*table, counts[table] - 1)
            found.setdefault(table, number)
        elif "=" in word and not word.startswith("#"):
            names = [name.strip(' "') for name in word.partition("=")[0].split(".")]
            found.setdefault((*table, *names), number)
    return found
