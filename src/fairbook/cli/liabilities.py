"""`fairbook liabilities`: make the trees of a proof of liabilities from a snapshot."""

import argparse
from pathlib import Path
from typing import Final

from fairbook.cli.parser import CommandParser, position
from fairbook.engine.snapshots import SnapshotInvalid
from fairbook.liabilities.sum_tree import ProofWrong
from fairbook.liabilities.tree_builder import make

ERRORS: Final = (SnapshotInvalid, ProofWrong, OSError)


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()
    parser.add_argument("to", type=Path, metavar="FILE", help="file to write")
    parser.add_argument("--position", type=position, required=True, help="of the snapshot")
    parser.add_argument(
        "--digest", type=bytes.fromhex, required=True, help="of the state in the snapshot"
    )


def run(arguments: argparse.Namespace) -> int:
    make(
        arguments.directory, arguments.to, position=arguments.position,
        state_digest=arguments.digest,
    )  # fmt: skip
    return 0
