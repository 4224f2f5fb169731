"""One exchange in one event loop: its parts put together, in the order in which they begin and end.

How it works: `build` opens the log (which locks the directory), recovers, brings the demo to its
first state, and starts whoever follows; `listen` opens the two ports, and then lets the maker in.
What was begun is undone in the reverse order by the stack that the caller gave: the maker first,
then, once all who wait are answered, the ports, then the engine, then those who follow it.

Always true:
- nobody is listened to before the state is complete, and whatever an earlier process left connected
  has been ended;
- a part that fails by a bug says so in one of `failures`: the process must exit.

Not here: signals and exit codes (processes.py); what the parts do.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from fairbook import core
from fairbook.accounts.sqlite_accounts import FILE_NAME as ACCOUNTS_NAME
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.app.settings import UpSettings
from fairbook.core.units import NS_PER_SECOND
from fairbook.demo import credentials_file
from fairbook.demo import first_state as demo
from fairbook.demo.generated_day import generate
from fairbook.engine.engine import Engine
from fairbook.engine.snapshots import Snapshots
from fairbook.followers.recorder_link import RecorderLink
from fairbook.followers.replica import ReplicaOptions
from fairbook.followers.replica_monitor import FAIRBOOK, ReplicaMonitor
from fairbook.followers.supervisor import Supervisor
from fairbook.gateway.auth import Authenticator
from fairbook.gateway.cancel_on_disconnect import end_old_sessions
from fairbook.gateway.gateway import Gateway, GatewayLimits
from fairbook.gateway.http_server import HttpServer
from fairbook.history.sqlite_history import SqliteHistory
from fairbook.history.sqlite_store import FILE_NAME as HISTORY_NAME
from fairbook.log.compressor import SegmentCompressor
from fairbook.log.file_log import FileLog
from fairbook.net.control_socket import Control, Request
from fairbook.ports.commands import Stopped
from fairbook.ports.history import HistoryBehind
from fairbook.streams.feed import Feed
from fairbook.streams.hub import Hub
from fairbook.streams.replay_tail import ReplayTail
from fairbook.streams.server import StreamLimits, StreamServer

GENERATED_SEED: Final = 1
ADOPT_WAIT_S: Final = 3.0  # for history; then the ports open without it
ADOPT_AGAIN_S: Final = 1.0

logger = logging.getLogger(__name__)


class Followers(NamedTuple):
    """Who follows the engine, in processes of their own."""

    comparison: ReplicaMonitor
    recording: RecorderLink | None
    history: SqliteHistory | None


class ExchangeApp:
    """A running exchange. It ends with the stack that `build` was given."""

    def __init__(
        self,
        settings: UpSettings,
        leaving: AsyncExitStack,
        engine: Engine,
        accounts: SqliteAccounts,
        owners: dict[str, int],
        followers: Followers,
        gateway: Gateway,
        feed: Feed,
    ) -> None:
        """Use `build`. owners: the account of each of the demo's users, by name."""
        self.engine = engine
        self._gateway = gateway
        self._settings = settings
        self._leaving = leaving
        self._accounts = accounts
        self._followers = followers
        self._owners = owners
        self._feed = feed
        hub = Hub(feed, authority=gateway.logins, requests=gateway.ws_orders)
        self._streams = StreamServer(hub, _stream_limits(settings))
        self._http = HttpServer(gateway)
        self._maker: Supervisor | None = None
        self._has_history = False
        self._failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.failures = [engine.failed, feed.failed, hub.failed, self._failed]
        """Each ends, with the reason, when its part failed."""

    @classmethod
    async def build(cls, settings: UpSettings, leaving: AsyncExitStack) -> ExchangeApp:
        """Everything but the ports. Raises what processes.REFUSALS names, or a bug."""
        directory = settings.data_dir
        snapshots = Snapshots(directory)
        log = FileLog(directory, known=snapshots.newest_known)
        leaving.callback(log.close)
        if settings.with_maker:
            _generate(log)
        logged_until_ms = log.last.time_ns // 1_000_000 + 1
        replay_tail = ReplayTail()
        engine = await Engine.start(log, snapshots, on_replayed=replay_tail.on_frame)
        view, catalogue = await engine.queries.at(0), engine.catalogue
        feed = Feed(view=view, catalogue=catalogue, replay_tail=replay_tail)
        engine.runner.subscribe(feed.on_frame)
        _tell_start(directory, log, engine)
        accounts = SqliteAccounts(directory / ACCOUNTS_NAME)
        leaving.callback(accounts.close)
        followers = _followers(settings, leaving, engine, snapshots)
        leaving.push_async_callback(engine.stop, followers.comparison.approves_snapshot)
        compressor = SegmentCompressor(
            directory, tell=lambda problem: logger.warning("log compressor: %s", problem)
        )
        compressor.start()
        leaving.push_async_callback(asyncio.to_thread, compressor.stop)
        ended = await end_old_sessions(engine.commands, engine.queries)
        if ended:
            logger.info("ended sessions left from before", extra={"count": ended})
        owners = await demo.prepare(engine.commands, engine.queries, engine.catalogue, accounts)
        gateway = _gateway(settings, engine, accounts, followers, logged_until_ms)
        house = cls(settings, leaving, engine, accounts, owners, followers, gateway, feed)
        await house._start()
        return house

    async def _start(self) -> None:
        """Begin what needs no port."""
        leaving, followers = self._leaving, self._followers
        leaving.callback(self._feed.stop)
        if followers.recording is not None:
            followers.recording.start()
        await followers.comparison.start()
        handlers = {**followers.comparison.handlers(), "status": self._status}
        control = Control(self._settings.data_dir, handlers)
        leaving.push_async_callback(control.stop)
        await control.start()

    async def listen(self) -> str:
        """Open the ports, write `demo.json`, let the maker in; return the HTTP address."""
        settings, leaving = self._settings, self._leaving
        await self._adopt_history()
        leaving.push_async_callback(self._http.stop, settings.drain_max_s)
        http_port = await self._http.start(settings.host, settings.http_port)
        leaving.push_async_callback(self._streams.stop, settings.drain_max_s)
        ws_port = await self._streams.start(settings.host, settings.ws_port)
        leaving.push_async_callback(self._answer_all)
        http_url = _url("http", settings.host, http_port)
        ws_url = _url("ws", settings.host, ws_port)
        credentials_file.write_credentials(
            settings.data_dir / credentials_file.FILE_NAME,
            self._accounts,
            self._owners,
            http_url=http_url,
            ws_url=ws_url,
        )
        if settings.with_maker:
            self._let_maker_in(http_url, ws_url)
        return http_url

    async def _answer_all(self) -> None:
        """Refuse what comes, and let what came be answered: connections that are closed before
        would never hear of it.
        """
        self._gateway.stop()
        with suppress(Stopped, TimeoutError):
            async with asyncio.timeout(self._settings.drain_max_s):
                await self.engine.commands.settled()

    def _let_maker_in(self, http_url: str, ws_url: str) -> None:
        """It is a client like any other; only that its process is ours."""
        file = self._settings.data_dir / credentials_file.MAKER_FILE_NAME
        credentials_file.write_credentials(
            file,
            self._accounts,
            self._owners,
            credentials_file.MAKERS,
            http_url=http_url,
            ws_url=ws_url,
        )
        command = [*FAIRBOOK, "maker", "--credentials", str(file), "--lifeline", "0"]
        self._maker = Supervisor("maker", command)
        self._leaving.push_async_callback(self._maker.stop)
        self._maker.start()

    async def _adopt_history(self) -> None:
        """Give the feed the trades of before, as soon as they are recorded: best before anybody
        listens, but trading does not wait for it.
        """
        if self._followers.history is None:
            return
        adopting = asyncio.ensure_future(self._adopt(self._followers.history))
        self._leaving.callback(adopting.cancel)
        await asyncio.wait([adopting], timeout=ADOPT_WAIT_S)

    async def _adopt(self, history: SqliteHistory) -> None:
        position = self.engine.position
        while not self._has_history:
            try:
                await history.reached(position)
                await self._feed.backfill(history)
                self._has_history = True
            except HistoryBehind:
                await asyncio.sleep(ADOPT_AGAIN_S)
            except Exception as bug:  # noqa: BLE001
                self._failed.set_result(bug)
                return

    async def _status(self, request: Request) -> Mapping[str, Any]:
        """What the comparison says, and of everything else."""
        followers = self._followers
        found = dict(await followers.comparison.status(request))
        if followers.recording is not None:
            found["recorder"] = followers.recording.status()
        found["streams"] = {**self._streams.status(), "has_history": self._has_history}
        if self._maker is not None:
            found["maker"] = self._maker.status()
        return found


def _followers(
    settings: UpSettings, leaving: AsyncExitStack, engine: Engine, snapshots: Snapshots
) -> Followers:
    """Who follows; not started yet."""
    directory = settings.data_dir
    comparison = ReplicaMonitor(
        directory,
        engine,
        snapshots,
        ReplicaOptions(settings.snapshot_commands, settings.snapshot_s, settings.allow_faults),
        has_replica=settings.with_replica,
    )
    leaving.push_async_callback(comparison.stop)
    if not settings.with_recorder:
        return Followers(comparison, None, None)
    recording = RecorderLink(directory, engine.runner)
    leaving.push_async_callback(recording.stop)
    history = SqliteHistory(directory / HISTORY_NAME, recording)
    leaving.push_async_callback(history.close)
    return Followers(comparison, recording, history)


def _gateway(
    settings: UpSettings,
    engine: Engine,
    accounts: SqliteAccounts,
    followers: Followers,
    logged_until_ms: int,
) -> Gateway:
    return Gateway(
        commands=engine.commands,
        queries=engine.queries,
        catalogue=engine.catalogue,
        accounts=accounts,
        limits=GatewayLimits(
            account_per_minute=settings.account_per_minute,
            account_burst=settings.account_burst,
            address_per_minute=settings.address_per_minute,
            address_burst=settings.address_burst,
            deadline_s=settings.deadline_s,
        ),
        # Whatever an earlier process took is in the log.
        authenticator=Authenticator(accounts, taken_until_ms=logged_until_ms),
        checkpoints=followers.comparison,
        history=followers.history,
        transfers=accounts.transfers,
        faucet_atoms=demo.faucet_atoms(),
    )


def _stream_limits(settings: UpSettings) -> StreamLimits:
    return StreamLimits(
        connections_max=settings.ws_connections,
        connections_per_address_max=settings.ws_per_address,
        origins=settings.ws_origins,
    )


def _generate(log: FileLog) -> None:
    """The day before the first start of a demo; nothing, if the log has a history of its own."""
    began_s = time.monotonic()
    count = generate(log, now_ns=time.time_ns(), seed=GENERATED_SEED)
    if count:
        took_s = round(time.monotonic() - began_s, 1)
        fields = {"commands": count, "seconds": took_s}
        logger.info("generated a day of trades", extra=fields)


def _url(scheme: str, host: str, port: int) -> str:
    """How a client on this machine reaches what listens on `host`."""
    reached = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{reached}]:{port}" if ":" in reached else f"{scheme}://{reached}:{port}"


def _tell_start(directory: Path, log: FileLog, engine: Engine) -> None:
    """What a person needs to know of this start, before it is ready."""
    if core.COMPILED:
        logger.info("the core is compiled")
    else:
        logger.warning("the core is interpreted: %s", core.WHY_INTERPRETED)
    if log.dropped is not None:
        logger.warning("dropped the torn tail of the log: %s", log.dropped)
    for problem in engine.recovery.problems:
        logger.warning("recovery: %s", problem)
    ahead_s = (log.last.time_ns - time.time_ns()) // NS_PER_SECOND
    if ahead_s > 0:
        # Until then candles stand still, and signed requests without a client id are too early.
        logger.warning("the clock is %d s behind the log, whose time waits for it", ahead_s)
    recovery = engine.recovery
    logger.info(
        "recovered",
        extra={
            "directory": str(directory.resolve()),
            "snapshot": recovery.snapshot_position,
            "replayed": recovery.replayed,
            "position": recovery.position,
        },
    )
