"""What every bench shares: its options, its run, tables, and the file the figures go into.

A bench is a module with OPTIONS, by name, and `sections(run)`: the lines of each section that it
writes, measured while they are read.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeVar

from fairbook.core import COMPILED

T = TypeVar("T", bound=Any)


class Option(NamedTuple):
    """A command-line option: its value, and its value with --quick. A path's value is None."""

    full: Any
    quick: Any
    about: str


def rounds(count: int) -> Option:
    return Option(count, 1, "report the median of so many")


def seconds(length: float, quick: float) -> Option:
    return Option(length, quick, "length of a slice")


SEED = Option(1, 1, "of all that is random")


class Run:
    """One run of a bench. problems: wrong answers so far; the run fails if there are any."""

    def __init__(self, options: argparse.Namespace, folder: Path, leaving: ExitStack) -> None:
        self.options = options
        self.folder = folder
        self.problems: list[bytes] = []
        self._leaving = leaving

    def until_end(self, thing: T) -> T:
        """Close it when the run ends."""
        return self._leaving.enter_context(closing(thing))


def run(name: str, bench: Any, arguments: Sequence[str]) -> None:
    """Measure; print each section line by line; then write all of them into a file."""
    options = _parse(name, bench, arguments)
    written: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, ExitStack() as leaving:
        one = Run(options, Path(folder), leaving)
        for section, lines in bench.sections(one).items():
            written[section] = []
            for line in _between_conditions(lines):
                print(line, flush=True)
                written[section].append(line)
    if one.problems:
        raise SystemExit(f"{len(one.problems)} answers were wrong, the first: {one.problems[0]!r}")
    for section, measured in written.items():
        if options.write is not None:
            write_into(options.write, section, measured)


def _parse(name: str, bench: Any, arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"./dev bench {name}",
        description=bench.__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for option, (full, _, about) in bench.OPTIONS.items():
        kind: dict[str, Any] = {"type": Path if full is None else type(full)}
        kind = {"action": "store_true"} if full is False else kind
        parser.add_argument(f"--{option.replace('_', '-')}", default=full, help=about, **kind)
    parser.add_argument("--quick", action="store_true", help="only check that the bench works")
    parser.add_argument("--folder", type=Path, help="where temporary files are made")
    parser.add_argument("--write", type=Path, help="a Markdown file to put the figures into")
    options = parser.parse_args(arguments)
    if options.quick:
        for option, (full, quick, _) in bench.OPTIONS.items():
            if getattr(options, option) == full:
                setattr(options, option, quick)
    return options


def _between_conditions(section: Iterable[str]) -> Iterator[str]:
    begun_s = time.perf_counter()
    form = "compiled" if COMPILED else "interpreted"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    yield f"Machine: {machine}, Python {platform.python_version()}, core {form};"
    yield f"load average at the start {os.getloadavg()[0]:.1f}."
    yield from section
    spent_s = time.perf_counter() - begun_s
    yield f"Load average at the end: {os.getloadavg()[0]:.1f}; {spent_s:.0f} s in all."


def write_into(path: Path, name: str, lines: Sequence[str]) -> None:
    """Put the figures of a section between its two marks in a Markdown file.

    Raises SystemExit if the marks are not there.
    """
    first, last = f"<!-- figures of bench {name} -->", "<!-- end of figures -->"
    before, begin, rest = path.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise SystemExit(f"{path} has no place for the figures: {first} and {last}")
    path.write_text("\n".join([before + begin, *lines, end + after]), encoding="utf-8")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A Markdown table, and an empty line. Each row is printed as soon as it is measured."""
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
    yield ""


def spread(values: Sequence[float], form: str = ".2f") -> tuple[str, str]:
    """Two cells: the median, and the range."""
    return f"{median(values):{form}}", f"{min(values):{form}}-{max(values):{form}}"


def percentiles(seconds_each: Iterable[float]) -> list[str]:
    """Cells in ms: p50, p99, p99.9 and the longest."""
    ordered = sorted(seconds_each)
    last = len(ordered) - 1
    return [f"{ordered[int(last * share)] * 1e3:.2f}" for share in (0.5, 0.99, 0.999, 1.0)]
