"""`fairbook replica`: run the second engine of an exchange."""

import argparse

from fairbook.cli import follower
from fairbook.cli.parser import CommandParser
from fairbook.followers import replica
from fairbook.followers.replica import ReplicaOptions

ERRORS = follower.ERRORS


def add_arguments(parser: CommandParser) -> None:
    follower.add_arguments(parser)
    parser.add_argument("--snapshot-commands", type=int, required=True, metavar="N")
    parser.add_argument("--snapshot-s", type=float, required=True, metavar="S")
    parser.add_argument("--without", type=int, default=0, metavar="POSITION")
    parser.add_argument("--allow-faults", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    options = ReplicaOptions(
        arguments.snapshot_commands, arguments.snapshot_s, arguments.allow_faults,
        arguments.without,
    )  # fmt: skip
    return follower.run_follower(
        "replica", lambda: replica.run(arguments.directory, arguments.fd, options)
    )
