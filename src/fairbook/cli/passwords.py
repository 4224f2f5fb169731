"""`fairbook passwords`: hash passwords that come over standard input, for the exchange."""

import argparse
from typing import Final

from fairbook.auth.password_process import serve
from fairbook.cli.parser import CommandParser

ERRORS: Final = ()


def add_arguments(parser: CommandParser) -> None:
    """It has none."""


def run(_arguments: argparse.Namespace) -> int:
    try:
        serve()
    except KeyboardInterrupt:
        pass  # The exchange ends it.
    return 0
