"""`fairbook watch`: keep the checkpoints of an exchange, as a witness of its history."""

import argparse
import asyncio
import fcntl
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from fairbook.app.logs import configure_logs
from fairbook.app.watcher import Watcher, WatchRefused
from fairbook.app.witness_server import WitnessGateway
from fairbook.checkpoints.remote_checkpoints import RemoteCheckpoints
from fairbook.checkpoints.signed_note import NoteInvalid
from fairbook.cli.parser import CommandParser
from fairbook.gateway.http_server import HttpServer
from fairbook.gateway.server_state import ServerLimits

ERRORS: Final = (WatchRefused, NoteInvalid, OSError)
EVERY_S: Final = 60.0
DRAIN_S: Final = 2.0
LOCK_SUFFIX: Final = ".lock"
CONNECTIONS_MAX: Final = 256


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("url", type=_remote, metavar="URL", help="address of the exchange")
    parser.add_argument(
        "--keep", type=Path, required=True, metavar="FILE", help="where checkpoints are kept"
    )
    parser.add_argument(
        "--key",
        metavar="KEY",
        help="key of the exchange; without it, at the first start, the one that it names",
    )
    parser.add_argument(
        "--every", type=_seconds, default=EVERY_S, metavar="S",
        help=f"seconds between two rounds (default: {EVERY_S:.0f})",
    )  # fmt: skip
    parser.add_argument(
        "--compare", type=_remote, action="append", default=[], metavar="URL",
        help="another witness of the same exchange; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--serve", type=_address, metavar="HOST:PORT", help="serve what is kept, for others"
    )
    parser.add_argument("--once", action="store_true", help="end after one round")


def run(arguments: argparse.Namespace) -> int:
    """1: a contradiction was found, now or before, or with --once the round was not finished."""
    configure_logs(None)
    lock = hold_file(arguments.keep)
    watcher = Watcher(
        arguments.url, arguments.keep, key=arguments.key, others=arguments.compare,
        report=lambda line: print(line, flush=True),
    )  # fmt: skip
    if arguments.once:
        watcher.round()
        return 1 if watcher.has_contradictions or watcher.problem else 0
    asyncio.run(_watch(watcher, arguments.serve, arguments.every))
    os.close(lock)
    return 1 if watcher.has_contradictions else 0


def hold_file(keep: Path) -> int:
    """Two must not write the same file. Raises WatchRefused, OSError."""
    descriptor = os.open(keep.with_name(keep.name + LOCK_SUFFIX), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise WatchRefused(f"another process keeps {keep}") from None
    return descriptor


async def _watch(watcher: Watcher, address: tuple[str, int] | None, every_s: float) -> None:
    """Until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        if address is not None:
            limits = ServerLimits(connections_max=CONNECTIONS_MAX)
            server = HttpServer(WitnessGateway(watcher), limits)
            stack.push_async_callback(server.stop, DRAIN_S)
            host, port = address
            print(f"serving on port {await server.start(host, port)}", flush=True)
        while not stopped.is_set():
            await asyncio.to_thread(watcher.round)
            try:
                async with asyncio.timeout(every_s):
                    await stopped.wait()
            except TimeoutError:
                pass


def _remote(text: str) -> RemoteCheckpoints:
    try:
        return RemoteCheckpoints(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.05 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"seconds, 0.05 to 86400, not {text!r}")
    return seconds


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 65_536):
        raise argparse.ArgumentTypeError(f"HOST:PORT, not {text!r}")
    return host.strip("[]"), int(port)
