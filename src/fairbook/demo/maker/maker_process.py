"""The market maker's process: until a signal, the end of its lifeline, or an error."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import Final

import uvloop

from fairbook.demo.maker.bot import Bot, CredentialsRefused

CLOSE_S: Final = 0.8  # for closing the connections

logger = logging.getLogger(__name__)


def run_maker(bot: Bot, lifeline: int | None) -> int:
    """Run until SIGTERM, SIGINT, or the end of the pipe whose descriptor `lifeline` is.

    Returns the exit status: 0, or 1 if the exchange refuses the tokens, or for a bug.
    """
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
