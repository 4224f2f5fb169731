"""`fairbook init`: write a configuration to begin with."""

import argparse
from pathlib import Path
from typing import Final

from fairbook.cli.parser import CommandParser
from fairbook.demo.demo_venue import FILE_NAME, demo_text

ERRORS: Final = (OSError,)


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", nargs="?", default=Path(FILE_NAME),
        help=f"file to write (default: {FILE_NAME}); one that exists is kept",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    path: Path = arguments.file
    with path.open("x", encoding="utf-8") as file:
        file.write(demo_text())
    print(
        f"{path} has the demo's configuration. Edit it, then:\n"
        f"  fairbook check {path}\n"
        f"  fairbook up --config {path} --data DIR"
    )
    return 0
