"""Processes: the only place where parts are put together, adapters chosen and signals handled.

How it works: `up` is everything in one process and one event loop. It opens the log (which locks
the directory), recovers, brings the demo to its first state, and only then listens. The first
SIGTERM or SIGINT ends it in order: refuse what comes, answer what is under way, snapshot, exit 0.
Another one ends it at once, which is as safe as a crash. So does a signal before it listens.

Always true:
- `demo.json` is written and the ready message printed when requests are accepted, not before;
- a start that is refused, a log that fails and a bug end with one line on stderr and exit code 1.

Not here: configuration (settings.py); what the parts do.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Final

import structlog
import uvloop

from fairbook import core, demo
from fairbook.accounts.access import AccountsDamaged
from fairbook.accounts.sqlite import SqliteAccounts
from fairbook.engine.comparison import Comparison
from fairbook.engine.control import Control
from fairbook.engine.engine import Engine
from fairbook.engine.replica import Replica, ReplicaOptions
from fairbook.engine.snapshots import Snapshots
from fairbook.events.answers import Stopped
from fairbook.gateway.app import Gateway, GatewayLimits
from fairbook.gateway.auth import Authenticator
from fairbook.gateway.server import HttpServer
from fairbook.log.archive import Archive
from fairbook.log.files import FileLog
from fairbook.log.log import LogDamaged, LogFailed, LogLocked
from fairbook.logs import configure_logs
from fairbook.settings import UpSettings

ACCOUNTS_NAME: Final = "accounts.db"
REPLICA_NICE: Final = 5  # Where processors are short, the engine comes first.
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

# What a person can understand and mend. Everything else that ends the process is a bug.
REFUSALS: Final = (
    LogLocked,
    LogDamaged,
    LogFailed,
    AccountsDamaged,
    demo.DemoFailed,
    Stopped,
    OSError,
)

logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()


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
    directory = settings.data_dir
    _require_free_port(settings.host, settings.http_port)
    _make_directory(directory)
    snapshots = Snapshots(directory)
    log = FileLog(directory, known=snapshots.newest_known)
    logged_until_ms = log.last.time_ns // 1_000_000 + 1
    engine = await Engine.start(log, snapshots)
    _tell_start(directory, log, engine)
    archive = Archive(directory, tell=lambda problem: logger.warning("archive", problem=problem))
    archive.start()
    accounts = None
    comparison = Comparison(
        directory,
        engine,
        snapshots,
        ReplicaOptions(settings.snapshot_commands, settings.snapshot_s, settings.allow_faults),
        has_replica=settings.with_replica,
    )
    control = Control(directory, comparison.handlers())
    try:
        accounts = SqliteAccounts(directory / ACCOUNTS_NAME)
        owners = await demo.prepare(engine.commands, engine.queries, engine.catalogue, accounts)
        file = directory / demo.FILE_NAME
        traders = demo.credentials(file, accounts, owners)
        server = HttpServer(_gateway(engine, accounts, comparison, settings, logged_until_ms))
        await comparison.start()
        await control.start()
        stop = signals.drain()
        port = await server.start(settings.host, settings.http_port)
        try:
            http_url = _url("http", settings.host, port)
            ws_url = _url("ws", settings.host, settings.ws_port)
            demo.write_file(file, http_url=http_url, ws_url=ws_url, traders=traders)
            _tell_ready(http_url, file)
            await _either(stop, engine.failed)
        finally:
            await server.stop(settings.drain_max_s)
    finally:
        try:
            await asyncio.to_thread(archive.stop)
            await control.stop()
            await engine.stop()
        finally:
            await comparison.stop()
            if accounts is not None:
                accounts.close()
    if engine.failed.done():
        raise engine.failed.result()
    logger.info("stopped", position=engine.position)
    return 0


def _gateway(
    engine: Engine,
    accounts: SqliteAccounts,
    comparison: Comparison,
    settings: UpSettings,
    logged_until_ms: int,
) -> Gateway:
    """`logged_until_ms`: the last time in the log before this process began."""
    return Gateway(
        commands=engine.commands,
        queries=engine.queries,
        catalogue=engine.catalogue,
        accounts=accounts,
        limits=_limits(settings),
        # Whatever an earlier process took is in the log.
        authenticator=Authenticator(accounts, taken_until_ms=logged_until_ms),
        checkpoints=comparison,
    )


def _limits(settings: UpSettings) -> GatewayLimits:
    return GatewayLimits(
        account_per_minute=settings.account_per_minute,
        account_burst=settings.account_burst,
        address_per_minute=settings.address_per_minute,
        address_burst=settings.address_burst,
        deadline_s=settings.deadline_s,
    )


def replica(directory: Path, descriptor: int, options: ReplicaOptions) -> int:
    """Be the replica of the engine at the other end of `descriptor`; return the exit code.

    A signal to the whole group, such as Ctrl-C, is for the engine: when that ends, so does this.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    os.nice(REPLICA_NICE)
    configure_logs(None)
    try:
        Replica(directory, socket.socket(fileno=descriptor), options).run()
    except REFUSALS as refusal:
        print(f"fairbook replica: {refusal}", file=sys.stderr)
    except Exception as bug:
        logger.exception("bug")
        print(f"fairbook replica: a bug, trading goes on: {bug!r}", file=sys.stderr)
    else:
        return 0
    return 1


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


async def _either(stop: asyncio.Event, failed: asyncio.Future[Exception]) -> None:
    """Return when `stop` is set, or `failed` is done."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((stopping, failed), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


def _make_directory(directory: Path) -> None:
    """Make the data directory, and its name durable."""
    if directory.is_dir():
        return
    directory.mkdir(parents=True)
    parent = os.open(directory.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def _require_free_port(host: str, port: int) -> None:
    """Raise OSError if nobody could listen there: better now than after a long recovery."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(f"cannot listen on {host} port {port}: {error.strerror}") from error


def _url(scheme: str, host: str, port: int) -> str:
    """How a client on this machine reaches what listens on `host`."""
    reached = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{reached}]:{port}" if ":" in reached else f"{scheme}://{reached}:{port}"


def _tell_start(directory: Path, log: FileLog, engine: Engine) -> None:
    """What a person needs to know of this start, before it is ready."""
    if core.COMPILED:
        logger.info("core", form="compiled")
    else:
        logger.warning("core", form="interpreted", because=core.WHY_INTERPRETED)
    if log.dropped is not None:
        logger.warning("torn tail", dropped=str(log.dropped))
    for problem in engine.recovery.problems:
        logger.warning("snapshot", problem=problem)
    recovery = engine.recovery
    logger.info(
        "recovered",
        directory=str(directory.resolve()),
        snapshot=recovery.snapshot_position,
        replayed=recovery.replayed,
        position=recovery.position,
    )


def _tell_ready(http_url: str, file: Path) -> None:
    logger.info("ready", http=http_url)
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
