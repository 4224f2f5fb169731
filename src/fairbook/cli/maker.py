"""`fairbook maker`: run the demo's market maker in this process."""

import argparse
import asyncio
import json
import logging
import os
import random
import signal
from pathlib import Path
from typing import Final

import uvloop

from fairbook.app.logs import configure_logs
from fairbook.app.settings import read_settings
from fairbook.cli.parser import CommandParser
from fairbook.demo.demo_venue import demo_venue, market_plans
from fairbook.demo.maker.bot import Bot, CredentialsRefused
from fairbook.demo.maker.plan import read_plan
from fairbook.venue.venue import MAKERS

ERRORS: Final = (OSError,)
CLOSE_S: Final = 0.8  # for closing the connections

logger = logging.getLogger(__name__)


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--credentials",
        type=Path,
        metavar="FILE",
        required=True,
        help="file of addresses and tokens, such as maker.json of the data directory",
    )
    parser.add_argument("--http", metavar="URL", help="HTTP address (default: from FILE)")
    parser.add_argument("--ws", metavar="URL", help="WebSocket address (default: from FILE)")
    parser.add_argument(
        "--lifeline", type=int, metavar="FD", help="a pipe: stop when its other end is closed"
    )


def run(arguments: argparse.Namespace) -> int:
    """Trade until a signal or the end of the lifeline. Raises OSError."""
    configure_logs(read_settings({}, os.environ).json_logs)
    try:
        written = json.loads(arguments.credentials.read_bytes())
        tokens = {name: str(written["accounts"][name]["token"]) for name in MAKERS}
        urls = (arguments.http or str(written["http"]), arguments.ws or str(written["ws"]))
        plans = [read_plan(plan) for plan in written["plans"]] if "plans" in written else None
    except (ValueError, KeyError, TypeError) as error:
        raise OSError(f"{arguments.credentials} is no credentials file: {error!r}") from error
    seed = random.SystemRandom().getrandbits(32)
    bot = Bot(*urls, tokens, seed=seed, plans=plans or list(market_plans(demo_venue())))
    return run_maker(bot, arguments.lifeline)


def run_maker(bot: Bot, lifeline: int | None) -> int:
    """Run until SIGTERM, SIGINT, or the end of the pipe whose descriptor `lifeline` is."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run_until_stopped(bot, lifeline))
    except CredentialsRefused as error:
        logger.error("the exchange refuses the maker's tokens: %s", error)
        return 1
    except Exception:
        logger.exception("bug")
        return 1
    return 0


async def _run_until_stopped(bot: Bot, lifeline: int | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if lifeline is not None:

        def read_lifeline() -> None:
            if not os.read(lifeline, 4096):
                loop.remove_reader(lifeline)
                stop.set()

        loop.add_reader(lifeline, read_lifeline)
    running = asyncio.create_task(bot.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not running.done():
        running.cancel()
        await asyncio.wait((running,), timeout=CLOSE_S)
    if running.done() and not running.cancelled():
        running.result()
