"""What all measurements share: what they were made on, and where their figures go.

Not here: what is measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
from collections.abc import Iterable
from pathlib import Path


def machine() -> str:
    """What this was measured on, in a few words."""
    cores = os.cpu_count()
    python = platform.python_version()
    return f"{platform.system()} {platform.machine()}, {cores} cores, Python {python}"


def publish(name: str, report: Iterable[str], into: Path | None) -> None:
    """Print the lines of the bench `name` as they are measured, and put them into a file then."""
    lines: list[str] = []
    for text in report:
        print(text, flush=True)
        lines.append(text)
    if into is not None:
        write_into(into, name, lines)


def parser_of(name: str, about: str) -> argparse.ArgumentParser:
    """What the benches have in common on their command lines. about: a docstring."""
    parser = argparse.ArgumentParser(
        prog=f"bench {name}", description=about.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--quick", action="store_true", help="whether it works, no figures")
    parser.add_argument("--write", type=Path, help="a Markdown file to put the figures into")
    return parser


def write_into(path: Path, name: str, lines: list[str]) -> None:
    """Put the figures of the bench `name` between its two marks in a Markdown file.

    Raises SystemExit if the marks are not there.
    """
    first, last = f"<!-- figures of bench {name} -->", "<!-- end of figures -->"
    before, begin, rest = path.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise SystemExit(f"{path} has no place for the figures: {first} and {last}")
    text = "\n".join([before + begin, *lines, end + after])
    path.write_text(text, encoding="utf-8")


def resident_bytes(process: int | None = None) -> int:
    """Memory of a process that is in RAM now (Linux); of this one, the most ever (elsewhere)."""
    try:
        statm = Path(f"/proc/{process or 'self'}/statm").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
