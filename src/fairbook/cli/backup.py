"""`fairbook backup`: copy a data directory, also while the exchange runs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from fairbook.accounts.credentials import AccountsDamaged
from fairbook.app.backup import BackupError, back_up
from fairbook.cli.parser import CommandParser
from fairbook.cli.replay_log import summary
from fairbook.log.command_log import LogDamaged

ERRORS: Final = (BackupError, LogDamaged, AccountsDamaged, OSError)
NICE: Final = 10  # Trading comes first.


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()
    parser.add_argument("to", type=Path, metavar="TO", help="name of the copy; must not exist yet")
    parser.add_argument(
        "--full", action="store_true", help="check the copy by a replay from its first entry, too"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print where the copy ends."""
    os.umask(0o077)
    os.nice(NICE)
    backup = back_up(arguments.directory, arguments.to, full=arguments.full)
    for problem in backup.invalid_snapshots:
        print(f"warning: a snapshot was not copied: {problem}", file=sys.stderr)
    for name in backup.unknown_files:
        print(f"warning: {name} was not copied: it is not a file of an exchange", file=sys.stderr)
    print(summary(backup.runner))
    return 0
