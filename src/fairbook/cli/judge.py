"""`fairbook judge`: find out which engine is wrong, and complete `verdict.json`."""

import argparse
from typing import Final

from fairbook.cli.parser import CommandParser
from fairbook.core.admin_commands import RulesUnknown
from fairbook.followers.audit_files import summary
from fairbook.followers.judge import judge
from fairbook.log.command_log import LogDamaged

ERRORS: Final = (OSError, ValueError, LogDamaged, RulesUnknown)


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()


def run(arguments: argparse.Namespace) -> int:
    print(summary(judge(arguments.directory)))
    return 0
