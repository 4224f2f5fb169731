"""What every bench shares: its options, its run, tables, and the file the figures go into.

A bench is a module with OPTIONS, by name, and `report(run)`: the lines that it writes, measured
while they are read. docs/internals/performance.md says what each one measures, and how.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from fairbook.core import COMPILED

SEED: Final = 1
ROUNDS: Final = "report the median of so many"
SECONDS: Final = "length of a slice"


class Option(NamedTuple):
    """A command-line option: its value, and its value with --quick. A path's value is None."""

    full: Any
    quick: Any
    about: str


class Run:
    """One run of a bench. problems: wrong answers so far; the run fails if there are any."""

    def __init__(self, options: argparse.Namespace, folder: Path, leaving: ExitStack) -> None:
        self.options = options
        self.folder = folder
        self.answers = 0
        self.problems: list[bytes] = []
        self._leaving = leaving

    def at_end(self, call: Callable[[], None]) -> None:
        self._leaving.callback(call)


def run(name: str, bench: Any, arguments: Sequence[str]) -> None:
    options = _parse(name, bench, arguments)
    lines = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, ExitStack() as leaving:
        one = Run(options, Path(folder), leaving)
        for line in _between_conditions(one, bench):
            print(line, flush=True)
            lines.append(line)
    if one.problems:
        raise SystemExit(f"{len(one.problems)} answers were wrong, the first: {one.problems[0]!r}")
    if options.write is not None:
        write_into(options.write, name, lines)


def _parse(name: str, bench: Any, arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"./dev bench {name}",
        description=bench.__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for option, (full, _, about) in bench.OPTIONS.items():
        kind = Path if full is None else type(full)
        parser.add_argument(f"--{option.replace('_', '-')}", default=full, help=about, type=kind)
    parser.add_argument("--quick", action="store_true", help="only check that the bench works")
    parser.add_argument("--folder", type=Path, help="where temporary files are made")
    parser.add_argument("--write", type=Path, help="a Markdown file to put the figures into")
    options = parser.parse_args(arguments)
    if options.quick:
        for option, (full, quick, _) in bench.OPTIONS.items():
            if getattr(options, option) == full:
                setattr(options, option, quick)
    return options


def _between_conditions(run: Run, bench: Any) -> Iterator[str]:
    begun_s = time.perf_counter()
    form = "compiled" if COMPILED else "interpreted"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    yield f"Machine: {machine}, Python {platform.python_version()}, core {form};"
    yield f"load average at the start {os.getloadavg()[0]:.1f}."
    plain = [name for name, option in bench.OPTIONS.items() if option.full is not None]
    yield f"Options: {', '.join(f'{name} {getattr(run.options, name)}' for name in plain)}."
    yield ""
    yield from bench.report(run)
    spent_s = time.perf_counter() - begun_s
    yield f"Load average at the end: {os.getloadavg()[0]:.1f}; {spent_s:.0f} s in all;"
    yield f"{run.answers:,} answers, {len(run.problems)} of them wrong."


def write_into(path: Path, name: str, lines: Sequence[str]) -> None:
    """Put the figures of a bench between their two marks in a Markdown file."""
    first, last = f"<!-- figures of bench {name} -->", "<!-- end of figures -->"
    before, begin, rest = path.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise SystemExit(f"{path} has no place for the figures: {first} and {last}")
    path.write_text("\n".join([before + begin, *lines, end + after]), encoding="utf-8")


def table(headings: str, rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A Markdown table, and an empty line. Each row is printed as soon as it is measured.

    headings: separated by ` | `.
    """
    yield f"| {headings} |"
    yield "|" + "---|" * len(headings.split(" | "))
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
    yield ""


def spread(values: Sequence[float], form: str = ".2f") -> tuple[str, str]:
    """Two cells: the median, and the range."""
    return f"{median(values):{form}}", f"{min(values):{form}} to {max(values):{form}}"


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[int((len(ordered) - 1) * share)]


def percentiles(seconds_each: Iterable[float]) -> list[str]:
    """Cells in ms: p50, p99, p99.9 and the longest."""
    ordered = sorted(seconds_each)
    return [f"{percentile(ordered, share) * 1e3:.2f}" for share in (0.5, 0.99, 0.999, 1.0)]
