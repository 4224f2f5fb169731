"""`fairbook apply`: change a running exchange to what its configuration says."""

import argparse
from pathlib import Path
from typing import Final

from fairbook.app.operator_tokens import FILE_NAMES, read_token
from fairbook.app.venue_file import load_venue
from fairbook.cli.parser import CommandParser
from fairbook.net import control_socket
from fairbook.venue.toml_file import ConfigError

ERRORS: Final = (
    ConfigError,
    control_socket.NotRunning,
    control_socket.ControlRefused,
    OSError,
)


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="configuration of the venue")
    parser.add_directory()
    parser.add_argument(
        "--dry-run", action="store_true", help="show the differences, and change nothing"
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"file with the token of an operator (default: {FILE_NAMES[0]} of DIR)",
    )


def run(arguments: argparse.Namespace) -> int:
    load_venue(arguments.file)  # Its own errors need no running exchange.
    directory: Path = arguments.directory
    path: Path = arguments.token_file or directory / FILE_NAMES[0]
    answer = control_socket.ask(
        directory,
        "apply",
        file=str(arguments.file.resolve()),
        dry_run=arguments.dry_run,
        token=read_token(path) or "",
    )
    found: list[tuple[str, bool]] = answer["changes"]
    for text, needs_two in found:
        print(f"  {text}{'  (needs two operators)' if needs_two else ''}")
    for name in answer["not_in_file"]:
        print(f"  {name} is not in the file: it stays as it is")
    if not found:
        print("The exchange is as the file says.")
    elif arguments.dry_run:
        print(f"{len(found)} differences; nothing was changed.")
    else:
        print(f"{answer['done']} of {len(found)} differences were applied.")
    return 0
