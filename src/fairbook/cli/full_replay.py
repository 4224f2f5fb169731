"""`fairbook full-replay`: execute the whole log beside a running exchange, and compare."""

import argparse
from pathlib import Path

from fairbook.cli import follower
from fairbook.cli.parser import CommandParser
from fairbook.followers import full_replay

ERRORS = follower.ERRORS


def add_arguments(parser: CommandParser) -> None:
    follower.add_arguments(parser)
    parser.add_argument("--pass-max-s", type=float, required=True, metavar="S")
    parser.add_argument("--checkpoints", type=Path, required=True, metavar="FILE")
    parser.add_argument("--witness", action="append", default=[], metavar="URL")


def run(arguments: argparse.Namespace) -> int:
    options = full_replay.ReplayOptions(
        arguments.pass_max_s, arguments.checkpoints, arguments.witness
    )
    return follower.run_follower(
        "full-replay", lambda: full_replay.run(arguments.directory, arguments.fd, options)
    )
