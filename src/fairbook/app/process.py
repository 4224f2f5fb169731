"""`fairbook up`: one exchange in one process, its signals and its exit code.

Design: the first SIGTERM or SIGINT stops the exchange in order: refuse new requests, answer pending
ones, write a snapshot, exit 0. A later signal, or one before the ports are open, ends the process
at once, as a crash does: nothing that was acknowledged is lost. A signal that is repeated within
REPEATED_S counts once, because wrappers and terminals send it to the process and to its group.

Invariants:
- `demo.json` is written and the ready message printed when requests are accepted, not before;
- a refused start, a failed log and a bug end with one line on stderr and exit code 1.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvloop

from fairbook.accounts.credentials import AccountsDamaged
from fairbook.app.exchange_app import ExchangeApp, Urls
from fairbook.app.logs import configure_logs
from fairbook.app.settings import SettingError, UpSettings
from fairbook.app.venue_file import VenueFile
from fairbook.core.admin_commands import RulesUnknown
from fairbook.demo.credentials_file import FILE_NAME
from fairbook.engine.local_instance import LogNotLocal
from fairbook.history.store import StoreUnavailable
from fairbook.log.command_log import LogDamaged, LogFailed, LogLocked
from fairbook.log.durable_file import make_directory
from fairbook.ports.commands import Stopped
from fairbook.venue.toml_file import ConfigError

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

REPEATED_S: Final = 1.0
EARLIEST_S: Final = 1_704_067_200  # 2024-01-01, before the first release

# Errors that an operator can fix. Every other exception is a bug.
REFUSALS: Final = (
    SettingError,
    LogLocked,
    LogDamaged,
    LogFailed,
    RulesUnknown,
    AccountsDamaged,
    StoreUnavailable,
    LogNotLocal,
    ConfigError,
    Stopped,
    OSError,
)

logger = logging.getLogger(__name__)


def up(settings: UpSettings, file: VenueFile) -> int:
    """Run an exchange until a signal; return the exit code."""
    os.umask(0o077)  # Files are for their owner alone.
    configure_logs(settings.json_logs)
    with Signals() as signals:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_up(settings, file, signals))
        except REFUSALS as refusal:
            print(f"fairbook up: {refusal}", file=sys.stderr)
        except Exception as bug:
            logger.exception("bug")
            print(f"fairbook up: bug, nothing acknowledged is lost: {bug!r}", file=sys.stderr)
        return 1


def _require_right_clock(now_s: float) -> None:
    """Raises OSError for a clock that was never set: a log would keep its time for ever."""
    if now_s < EARLIEST_S:
        raise OSError(f"the clock of this machine shows {time.ctime(now_s)}: set it, then start")


async def _up(settings: UpSettings, file: VenueFile, signals: Signals) -> int:
    _require_right_clock(time.time())
    _require_free_port(settings.host, settings.http_port)
    _require_free_port(settings.host, settings.ws_port)
    _require_free_port(settings.admin_host, settings.admin_port)
    make_directory(settings.data_dir)
    async with AsyncExitStack() as stack:
        app = await ExchangeApp.build(settings, file, stack)
        stop = signals.drain()
        urls = await app.listen()
        _print_ready(urls, settings.data_dir / FILE_NAME, file)
        await asyncio.wait([stop, *app.failures], return_when=asyncio.FIRST_COMPLETED)
    for failed in app.failures:
        if failed.done():
            raise failed.result()
    logger.info("stopped", extra={"position": app.engine.position})
    return 0


class Signals:
    """Handlers of SIGTERM and SIGINT. They run also while the loop is blocked."""

    def __init__(self) -> None:
        self._stop: asyncio.Future[None] | None = None
        self._first_s = 0.0  # when the first came, by the monotonic clock; 0: none

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def drain(self) -> asyncio.Future[Any]:
        """From here on the first signal ends the returned future, not the process."""
        self._stop = asyncio.get_running_loop().create_future()
        return self._stop

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._stop is None:
            # No request was accepted yet, so there is nothing to drain.
            os._exit(0)
        now_s = time.monotonic()
        if self._first_s:
            if now_s - self._first_s >= REPEATED_S:
                os._exit(128 + number)
            return
        self._first_s = now_s
        self._stop.get_loop().call_soon_threadsafe(self._stop.set_result, None)


def _require_free_port(host: str, port: int) -> None:
    """Raise OSError if the port is taken: better now than after a long recovery."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(f"cannot listen on {host} port {port}: {error.strerror}") from error


def _print_ready(urls: Urls, keys: Path, file: VenueFile) -> None:
    logger.info("ready", extra={"http": urls.http_url, "ws": urls.ws_url})
    lines = [f"Fairbook is ready: {urls.http_url}", f"  streams: {urls.ws_url}"]
    if names := [account.name for account in file.venue.accounts if account.write_key]:
        lines.append(f"  keys and tokens of {', '.join(names)}: {keys.resolve()}")
    text = "\n".join([*lines, "  Press Ctrl-C to stop."])
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader has gone; the exchange goes on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
