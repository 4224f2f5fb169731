"""`fairbook maker`: run the demo's market maker."""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path
from typing import Final

from fairbook.app.logs import configure_logs
from fairbook.app.settings import read_settings
from fairbook.cli.parser import CommandParser
from fairbook.demo.credentials_file import MAKERS
from fairbook.demo.maker.bot import Bot
from fairbook.demo.maker.maker_process import run_maker

ERRORS: Final = (OSError,)


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--credentials",
        type=Path,
        metavar="FILE",
        required=True,
        help="addresses and tokens, as in maker.json of the data directory",
    )
    parser.add_argument("--http", metavar="URL", help="of the exchange (default: as in FILE)")
    parser.add_argument("--ws", metavar="URL", help="of its WebSocket (default: as in FILE)")
    parser.add_argument(
        "--lifeline", type=int, metavar="FD", help="descriptor: the maker ends when it is closed"
    )


def run(arguments: argparse.Namespace) -> int:
    """Trade until a signal or the end of the lifeline. Raises OSError."""
    configure_logs(read_settings({}, os.environ).json_logs)
    try:
        written = json.loads(arguments.credentials.read_bytes())
        tokens = {name: str(written["accounts"][name]["token"]) for name in MAKERS}
        urls = (arguments.http or str(written["http"]), arguments.ws or str(written["ws"]))
    except (ValueError, KeyError, TypeError) as error:
        raise OSError(f"{arguments.credentials} is not readable: {error!r}") from error
    bot = Bot(*urls, tokens, seed=random.SystemRandom().getrandbits(32))
    return run_maker(bot, arguments.lifeline)
