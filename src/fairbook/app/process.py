"""The exchange's process, from its first line to its exit code, and what signals mean to it.

How it works: `up` is the exchange (house.py) in one process and one event loop. The first SIGTERM
or SIGINT ends it in order: refuse what comes, answer what is under way, snapshot, exit 0. Another
one ends it at once, which is as safe as a crash. So does a signal before it listens.

Always true:
- `demo.json` is written and the ready message printed when requests are accepted, not before;
- a start that is refused, a log that fails and a bug end with one line on stderr and exit code 1.

Not here: configuration (settings.py); how parts are put together (house.py); the processes beside
it (cli/children.py).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvloop

from fairbook.accounts.credentials import AccountsDamaged
from fairbook.app.exchange_app import ExchangeApp
from fairbook.app.logs import configure_logs
from fairbook.app.settings import UpSettings
from fairbook.demo.credentials_file import FILE_NAME
from fairbook.demo.first_state import DemoError
from fairbook.history.store import StoreUnavailable
from fairbook.log.command_log import LogDamaged, LogFailed, LogLocked
from fairbook.log.durable_file import make_directory
from fairbook.ports.commands import Stopped

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

# What a person can understand and mend. Everything else that ends the process is a bug.
REFUSALS: Final = (
    LogLocked,
    LogDamaged,
    LogFailed,
    AccountsDamaged,
    StoreUnavailable,
    DemoError,
    Stopped,
    OSError,
)

logger = logging.getLogger(__name__)


def up(settings: UpSettings) -> int:
    """Run the demo exchange until a signal; return the exit code."""
    os.umask(0o077)  # Whatever is made here is for the owner alone.
    configure_logs(settings.json_logs)
    with Signals() as signals:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_up(settings, signals))
        except REFUSALS as refusal:
            print(f"fairbook up: {refusal}", file=sys.stderr)
        except Exception as bug:
            logger.exception("bug")
            print(f"fairbook up: a bug, nothing acknowledged is lost: {bug!r}", file=sys.stderr)
        return 1


async def _up(settings: UpSettings, signals: Signals) -> int:
    _require_free_port(settings.host, settings.http_port)
    _require_free_port(settings.host, settings.ws_port)
    make_directory(settings.data_dir)
    async with AsyncExitStack() as leaving:
        house = await ExchangeApp.build(settings, leaving)
        stop = signals.drain()
        http_url = await house.listen()
        _tell_ready(http_url, settings.data_dir / FILE_NAME)
        await _any_of(stop, house.failures)
    for failed in house.failures:
        if failed.done():
            raise failed.result()
    logger.info("stopped", extra={"position": house.engine.position})
    return 0


class Signals:
    """SIGTERM and SIGINT: what they mean depends on how far the process is.

    The handlers run wherever the interpreter is, also when the loop is busy.
    """

    def __init__(self) -> None:
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen = False

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def drain(self) -> asyncio.Event:
        """From here on the first signal does not end the process, but sets the event."""
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        return self._stop

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._loop is None or self._stop is None:
            # Nothing was accepted yet, so there is nothing to drain. The log is always whole.
            os._exit(0)
        if self._seen:
            os._exit(128 + number)
        self._seen = True
        self._loop.call_soon_threadsafe(self._stop.set)


async def _any_of(stop: asyncio.Event, failures: Sequence[asyncio.Future[Exception]]) -> None:
    """Return when `stop` is set, or one of `failures` is done."""
    stopping = asyncio.ensure_future(stop.wait())
    waiting: list[asyncio.Future[Any]] = [stopping, *failures]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


def _require_free_port(host: str, port: int) -> None:
    """Raise OSError if nobody could listen there: better now than after a long recovery."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(f"cannot listen on {host} port {port}: {error.strerror}") from error


def _tell_ready(http_url: str, file: Path) -> None:
    logger.info("ready", extra={"http": http_url})
    text = (
        f"Fairbook is ready: {http_url}\n"
        f"  keys and tokens of demo1 and demo2: {file.resolve()}\n"
        "  Ctrl-C ends it."
    )
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Whoever wanted to read this has gone; the exchange goes on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
