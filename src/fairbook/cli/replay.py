"""`fairbook replay`: print the digest of the state at a position of the log."""

import argparse
from typing import Final

from fairbook.cli.data_directory import REPLAY_ERRORS, replay_log, require_position, summary
from fairbook.cli.parser import CommandParser, position
from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner

ERRORS: Final = REPLAY_ERRORS


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()
    parser.add_argument(
        "--to", type=position, metavar="N", help="last position to replay (default: the end)"
    )


def run(arguments: argparse.Namespace) -> int:
    runner = Runner(Exchange())
    for _ in replay_log(arguments.directory, runner, to=arguments.to):
        pass
    require_position(runner, arguments.to)
    print(summary(runner))
    return 0
