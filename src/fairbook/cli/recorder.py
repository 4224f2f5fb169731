"""`fairbook recorder`: record the history of an exchange."""

import argparse

from fairbook.cli import follower
from fairbook.followers import recorder

ERRORS = follower.ERRORS
add_arguments = follower.add_arguments


def run(arguments: argparse.Namespace) -> int:
    return follower.run_follower(
        "recorder", lambda: recorder.run(arguments.directory, arguments.fd)
    )
