"""`fairbook inspect`: print commands of the log and their events."""

import argparse
from typing import Final

from fairbook.cli.data_directory import REPLAY_ERRORS, replay_log
from fairbook.cli.parser import CommandParser, position
from fairbook.cli.record_text import frame_lines
from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner

ERRORS: Final = REPLAY_ERRORS


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()
    parser.add_argument(
        "--from",
        dest="first",
        type=position,
        default=1,
        metavar="N",
        help="first position to print",
    )
    parser.add_argument(
        "--to", type=position, metavar="N", help="last position to print (default: the end)"
    )


def run(arguments: argparse.Namespace) -> int:
    runner = Runner(Exchange())
    for entry, events in replay_log(arguments.directory, runner, to=arguments.to):
        if entry.position >= arguments.first:
            for line in frame_lines(entry, events, runner.exchange):
                print(line)
    return 0
