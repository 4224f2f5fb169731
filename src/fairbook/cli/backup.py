"""`fairbook backup`: copy a data directory, also while the exchange runs."""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from fairbook.accounts.credentials import AccountsDamaged
from fairbook.app.backup import BackupError, back_up
from fairbook.cli.data_directory import summary
from fairbook.cli.parser import CommandParser
from fairbook.log.command_log import LogDamaged

ERRORS: Final = (BackupError, LogDamaged, AccountsDamaged, OSError)
NICE: Final = 10  # Trading comes first.


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()
    parser.add_argument(
        "to", type=Path, metavar="TO", help="directory to create for the copy; must not exist"
    )
    parser.add_argument(
        "--full", action="store_true", help="also replay the log of the copy from its first entry"
    )


def run(arguments: argparse.Namespace) -> int:
    os.umask(0o077)
    os.nice(NICE)
    runner, warnings = back_up(arguments.directory, arguments.to, full=arguments.full)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(summary(runner))
    return 0
