"""One exchange in one event loop: builds its parts, in the order in which they start and stop.

Design: `build` opens the log (which locks the directory), recovers, completes the first state, and
starts the followers; `listen` opens the ports, and starts the maker. Each part puts its stop on the
caller's exit stack, so they stop in the reverse order: the maker first, then, once pending requests
are answered, the ports, then the engine, then its followers.

Invariants:
- the ports open only when the state is complete and the instance of an earlier process is ended;
- a part that fails by a bug ends one of `failures`: the process must exit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from fairbook import core
from fairbook.admin.admin_control import AdminControl
from fairbook.admin.admin_gateway import AdminGateway
from fairbook.admin.announcements import Announcements
from fairbook.admin.hooks import Hooks
from fairbook.app import admin_port
from fairbook.app.config_apply import ConfigApply
from fairbook.app.disk_watch import DiskWatch
from fairbook.app.gateway_parts import (
    AccountParts,
    Followers,
    account_parts,
    auth_endpoints,
    public_gateway,
)
from fairbook.app.metrics import LoopDelay, MetricsCollector, work_status
from fairbook.app.monitoring import monitoring_endpoints
from fairbook.app.operator_tokens import write_address, write_tokens
from fairbook.app.settings import UpSettings
from fairbook.app.signing import SigningParts, checkpoints_path, key_change, signing_parts
from fairbook.app.venue_file import VenueFile, apply_first_state, approves_withdrawal
from fairbook.auth.password_process import PasswordProcess
from fairbook.core.units import NS_PER_SECOND
from fairbook.demo.credentials_file import FILE_NAME, MAKER_FILE_NAME, write_credentials
from fairbook.demo.generated_day import generate
from fairbook.engine import local_instance
from fairbook.engine.engine import Engine
from fairbook.engine.snapshots import Snapshots
from fairbook.followers.full_replay_link import FullReplayLink
from fairbook.followers.recorder_link import RecorderLink
from fairbook.followers.replica import ReplicaOptions
from fairbook.followers.replica_monitor import ReplicaMonitor
from fairbook.followers.supervisor import Supervisor, fairbook_command
from fairbook.gateway.authentication import Authenticator
from fairbook.gateway.gateway import Gateway
from fairbook.gateway.http_server import HttpServer
from fairbook.gateway.server_state import ServerLimits
from fairbook.history.sqlite_history import SqliteHistory
from fairbook.history.sqlite_store import FILE_NAME as HISTORY_NAME
from fairbook.log.compressor import SegmentCompressor
from fairbook.log.file_log import FileLog
from fairbook.net.control_socket import ControlRequest, ControlServer
from fairbook.net.descriptors import connection_budget
from fairbook.net.hosts import own_names
from fairbook.net.proxies import TrustedProxies
from fairbook.ports.commands import Stopped
from fairbook.ports.history import HistoryBehind
from fairbook.streams.feed import Feed
from fairbook.streams.hub import Hub
from fairbook.streams.replay_tail import ReplayTail
from fairbook.streams.ws_server import StreamLimits, StreamServer
from fairbook.venue.venue import MAKERS, Venue

GENERATED_SEED: Final = 1
BACKFILL_WAIT_S: Final = 3.0  # then the ports open without history
BACKFILL_RETRY_S: Final = 1.0
COMPARED_S: Final = 2.0  # before the ports open; the rest of the accounts is compared afterwards

logger = logging.getLogger(__name__)


class Urls(NamedTuple):
    """Where clients on this machine reach the ports."""

    http_url: str
    ws_url: str


@dataclass
class ExchangeApp:
    """A running exchange. It ends with the stack that `build` was given."""

    engine: Engine
    _settings: UpSettings
    _file: VenueFile
    _stack: AsyncExitStack
    _accounts: AccountParts
    _numbers: dict[str, int]  # of the file's accounts, by name
    _followers: Followers
    _gateway: Gateway
    _admin: AdminGateway
    _feed: Feed
    _disk: DiskWatch
    _authenticator: Authenticator
    _passwords: PasswordProcess
    _hooks: Hooks
    _signing: SigningParts

    def __post_init__(self) -> None:
        gateway, settings = self._gateway, self._settings
        hub = Hub(self._feed, authority=gateway.logins, requests=gateway.ws_orders)
        proxies = TrustedProxies(settings.trusted_proxies)
        hosts = None if "*" in settings.hosts else own_names(settings.host, settings.hosts)
        limits = StreamLimits(
            connections_max=settings.ws_connections,
            connections_per_address_max=settings.ws_per_address,
            origins=settings.ws_origins,
            hosts=hosts,
            proxies=proxies,
        )
        budget = connection_budget()
        self._streams = StreamServer(hub, limits, budget=budget)
        self._http = HttpServer(
            gateway,
            ServerLimits(origins=settings.ws_origins, hosts=hosts, proxies=proxies),
            upgrade=self._streams.adopt,
            budget=budget,
        )
        self._maker: Supervisor | None = None
        self._delay = LoopDelay()
        self._has_history = False
        self._failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.failures = [self.engine.failed, self._feed.failed, hub.failed, self._failed]
        """Each ends, with the reason, when its part failed."""

    @classmethod
    async def build(
        cls, settings: UpSettings, file: VenueFile, stack: AsyncExitStack
    ) -> ExchangeApp:
        """Everything but the ports. Raises what process.REFUSALS names, and what a bug raises."""
        directory = settings.data_dir
        snapshots = Snapshots(directory)
        log = FileLog(directory, newest_known=snapshots.newest_known)
        stack.callback(log.close)
        disk = DiskWatch(directory, low_bytes=settings.disk_low_mib << 20)
        if settings.with_maker and file.venue.generated_day:
            _generate(log, file.venue)
        logged_until_ms = log.last.time_ns // 1_000_000 + 1
        replay_tail = ReplayTail()
        engine = await Engine.start(log, snapshots, on_replayed=replay_tail.on_frame)
        view, catalogue = await engine.queries.at(0), engine.catalogue
        _log_start(settings, log, engine)
        approves = partial(approves_withdrawal, file.venue, engine.runner.exchange)
        accounts = account_parts(settings, stack, engine, view, approves)
        reader = partial(admin_port.read_frame, log)
        announcements = Announcements(accounts.store.operators, reader)
        await announcements.load()
        feed = Feed(
            view=view, catalogue=catalogue, replay_tail=replay_tail,
            announcements=announcements.texts,
        )  # fmt: skip
        announcements.on_change = feed.venue_changed
        engine.runner.subscribe(feed.on_frame)
        followers = _followers(settings, stack, engine, snapshots)
        stack.push_async_callback(engine.stop, followers.replica.approves_snapshot)
        hooks = _hooks(file, stack)
        signing = await signing_parts(
            settings, log, engine.runner, followers, feed.checkpoint_signed, hooks.emit
        )
        _compress(directory, stack)
        exchange = engine.runner.exchange
        if ended := await local_instance.begin_instance(engine.commands, exchange):
            logger.info("cancelled orders of an earlier process", extra={"count": ended})
        await _compare_accounts(accounts)
        numbers = await apply_first_state(file, engine.commands, exchange, accounts.store)
        await write_tokens(directory, file.venue.operators, engine.commands, exchange)
        await admin_port.store_operators(file.venue, exchange, accounts.store)
        admin = admin_port.admin_gateway(
            directory, engine, log, accounts.store, file.webhook_secret, announcements, hooks.emit,
            key_change(signing.signer),
        )  # fmt: skip
        authenticator = _authenticator(accounts, logged_until_ms)
        passwords = _passwords(stack)
        auth = auth_endpoints(settings, file.venue, engine, accounts, passwords, reader, hooks.emit)
        gateway = public_gateway(
            settings, file.venue, engine, accounts, authenticator, followers, auth,
            signing.liabilities, announcements.texts, hooks.emit, signing.proofs,
        )  # fmt: skip
        app = cls(
            engine, settings, file, stack, accounts, numbers, followers, gateway, admin, feed, disk,
            authenticator, passwords, hooks, signing,
        )  # fmt: skip
        await app._start()
        return app

    async def _start(self) -> None:
        """Everything that runs beside the engine and needs no port."""
        stack, accounts, followers, engine = (
            self._stack, self._accounts, self._followers, self.engine
        )  # fmt: skip
        stack.callback(self._feed.stop)
        accounts.comparison.start().add_done_callback(self._stop_if_failed)
        stack.push_async_callback(accounts.comparison.stop)
        stack.callback(asyncio.ensure_future(accounts.withdrawals.run()).cancel)
        if followers.recorder is not None:
            followers.recorder.start()
        followers.replica.start()
        if followers.full_replay is not None:
            followers.full_replay.start()
        for work in (
            self._signing.signer.run(),
            self._signing.witnesses.run(),
            self._signing.liabilities.run(self.engine.position),
            self._disk.run(engine.commands, engine.runner.exchange),
        ):
            task = asyncio.ensure_future(work)
            task.add_done_callback(self._stop_if_failed)
            stack.callback(task.cancel)
        handlers = {
            **followers.replica.handlers(),
            "status": self._status,
            "confirm-clock": self._confirm_clock,
            "admin": AdminControl(self._admin).handle,
            "apply": ConfigApply(
                engine.commands, engine.runner.exchange, accounts.store.operators
            ).apply,
        }
        control = ControlServer(self._settings.data_dir, handlers)
        stack.push_async_callback(control.stop)
        await control.start()

    async def listen(self) -> Urls:
        """Open the ports, write `demo.json`, start the maker; return the addresses."""
        settings, stack = self._settings, self._stack
        await self._start_backfill()
        stack.push_async_callback(self._http.stop, settings.drain_max_s)
        http_port = await self._http.start(settings.host, settings.http_port)
        stack.push_async_callback(self._streams.stop, settings.drain_max_s)
        ws_port = await self._streams.start(settings.host, settings.ws_port)
        self._delay.start()
        stack.callback(self._delay.stop)
        self._admin.add(
            monitoring_endpoints(
                MetricsCollector(self.engine.commands.measurements, self._measured, self._delay),
                self._admin.is_operator,
                lambda: self._followers.replica.numbers()["engine"],
            )
        )
        port = await admin_port.serve(self._admin, settings, stack)
        admin_url = _url("http", settings.admin_host, port)
        write_address(settings.data_dir, admin_url)
        logger.info("operators are served", extra={"url": admin_url})
        stack.push_async_callback(self._drain)
        urls = Urls(
            _url("http", settings.host, http_port), _url("ws", settings.host, ws_port)
        )  # fmt: skip
        written = [account.name for account in self._file.venue.accounts if account.write_key]
        await self._write_credentials(FILE_NAME, urls, written)
        if settings.with_maker and self._file.plans:
            await self._start_maker(urls)
        return urls

    async def _write_credentials(
        self, file_name: str, urls: Urls, names: Sequence[str], **more: Any
    ) -> Path:
        """A file of addresses, and keys and tokens of accounts; its path."""
        path = self._settings.data_dir / file_name
        numbers = {name: self._numbers[name] for name in names}
        accounts = self._accounts
        await write_credentials(
            path, accounts.lookup, accounts.registry, numbers, **urls._asdict(), **more
        )
        return path

    def _stop_if_failed(self, task: asyncio.Task[None]) -> None:
        """A task for the whole life of the process has ended."""
        bug = None if task.cancelled() else task.exception()
        if isinstance(bug, Exception) and not self._failed.done():
            self._failed.set_result(bug)

    async def _drain(self) -> None:
        """Refuse new requests, and answer pending ones before their connections are closed."""
        self._gateway.stop()
        with suppress(Stopped, TimeoutError):
            async with asyncio.timeout(self._settings.drain_max_s):
                await self.engine.commands.settled()

    async def _start_maker(self, urls: Urls) -> None:
        """The maker is an ordinary API client; only its process is run from here."""
        plans = [msgspec.to_builtins(plan) for plan in self._file.plans]
        file = await self._write_credentials(MAKER_FILE_NAME, urls, MAKERS, plans=plans)
        command = fairbook_command("maker", "--credentials", str(file), "--lifeline", "0")
        self._maker = Supervisor("maker", command)
        self._stack.push_async_callback(self._maker.stop)
        self._maker.start()

    async def _start_backfill(self) -> None:
        """Load the recorded trades into the feed, if possible before the ports open."""
        if self._followers.history is None:
            return
        backfill = asyncio.ensure_future(self._backfill(self._followers.history))
        self._stack.callback(backfill.cancel)
        await asyncio.wait([backfill], timeout=BACKFILL_WAIT_S)

    async def _backfill(self, history: SqliteHistory) -> None:
        position = self.engine.position
        while not self._has_history:
            try:
                await history.reached(position)
                await self._feed.backfill(history)
                self._has_history = True
            except HistoryBehind:
                await asyncio.sleep(BACKFILL_RETRY_S)
            except Exception as bug:  # noqa: BLE001
                self._failed.set_result(bug)
                return

    async def _confirm_clock(self, _request: ControlRequest) -> Mapping[str, Any]:
        refused_ms = self._authenticator.refuses_until_ms
        self._authenticator.confirm_clock()
        clock = self.engine.clock
        refused_s = clock.jump_ns // NS_PER_SECOND
        clock.confirm()
        if refused_ms:
            return {"done": "signed requests are accepted again"}
        return {"done": f"log time follows the wall clock; it was {refused_s} s behind"}

    async def _status(self, request: ControlRequest) -> Mapping[str, Any]:
        found = {**await self._followers.replica.status(request), **self._measured()}
        if self._maker is not None:
            found["maker"] = self._maker.status()
        return found

    def _measured(self) -> dict[str, Any]:
        """What the metrics are made from; no file is read."""
        followers = self._followers
        found = followers.replica.numbers()
        found["signed_after_ms"] = self._authenticator.refuses_until_ms
        found["disk"] = self._disk.status()
        found["accounts"] = self._accounts.comparison.status()
        found["passwords"] = self._passwords.status()
        found["hooks"] = self._hooks.status()
        found["checkpoint"] = self._signing.signer.status()
        found["witnesses"] = self._signing.witnesses.status()
        found["liabilities"] = self._signing.liabilities.status()
        if followers.recorder is not None:
            found["recorder"] = followers.recorder.status()
        if followers.full_replay is not None:
            found["full_replay"] = followers.full_replay.status()
        found["streams"] = {**self._streams.status(), "has_history": self._has_history}
        found["http"] = {"connections": len(self._http.state.connections)}
        found["work"] = work_status(self.engine.commands.measurements, self._delay)
        return found


async def _compare_accounts(accounts: AccountParts) -> None:
    """Finish what a crash interrupted, and name rows that contradict the log. They open nothing,
    so the exchange starts.
    """
    comparison = accounts.comparison
    comparison.add(await accounts.withdrawals.finish())
    with suppress(TimeoutError):
        async with asyncio.timeout(COMPARED_S):
            await comparison.compare_all(pause_s=0.0)


def _followers(
    settings: UpSettings, stack: AsyncExitStack, engine: Engine, snapshots: Snapshots
) -> Followers:
    """The followers, not started yet."""
    directory = settings.data_dir
    replica = ReplicaMonitor(
        directory,
        engine,
        snapshots,
        ReplicaOptions(settings.snapshot_commands, settings.snapshot_s, settings.allow_faults),
        has_replica=settings.with_replica,
    )
    stack.push_async_callback(replica.stop)
    full_replay = None
    if settings.full_replay_days:
        full_replay = FullReplayLink(
            directory, engine.runner, on_difference=replica.audit.add_replayed,
            after_s=settings.full_replay_after_s, days=settings.full_replay_days,
            checkpoints=checkpoints_path(settings), witnesses=settings.witnesses,
        )  # fmt: skip
        stack.push_async_callback(full_replay.stop)
    if not settings.with_recorder:
        return Followers(replica, None, full_replay, None)
    recorder = RecorderLink(directory, engine.runner)
    stack.push_async_callback(recorder.stop)
    history = SqliteHistory(directory / HISTORY_NAME, recorder)
    stack.push_async_callback(history.close)
    return Followers(replica, recorder, full_replay, history)


def _hooks(file: VenueFile, stack: AsyncExitStack) -> Hooks:
    hooks = Hooks(file.hooks())
    stack.push_async_callback(hooks.stop)
    return hooks


def _authenticator(accounts: AccountParts, logged_until_ms: int) -> Authenticator:
    """Commands of an earlier process are in the log."""
    authenticator = Authenticator(accounts.lookup, taken_until_ms=logged_until_ms)
    if authenticator.refuses_until_ms:
        logger.warning("the log is ahead of the clock: signed requests are refused meanwhile")
    return authenticator


def _passwords(stack: AsyncExitStack) -> PasswordProcess:
    passwords = PasswordProcess(fairbook_command("passwords"))
    stack.push_async_callback(passwords.stop)
    return passwords


def _generate(log: FileLog, venue: Venue) -> None:
    """Generate a day of trades for a new exchange; nothing if the log has entries."""
    began_s = time.monotonic()
    rules = local_instance.first_rules()
    if count := generate(log, venue, now_ns=time.time_ns(), seed=GENERATED_SEED, rules=rules):
        took_s = round(time.monotonic() - began_s, 1)
        logger.info("generated a day of trades", extra={"commands": count, "seconds": took_s})


def _compress(directory: Path, stack: AsyncExitStack) -> None:
    """Compress old segments while the exchange runs."""
    compressor = SegmentCompressor(
        directory, on_problem=lambda problem: logger.warning("log compressor: %s", problem)
    )
    compressor.start()
    stack.push_async_callback(asyncio.to_thread, compressor.stop)


def _url(scheme: str, host: str, port: int) -> str:
    """The address at which a client on this machine reaches a server on `host`."""
    reached = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{reached}]:{port}" if ":" in reached else f"{scheme}://{reached}:{port}"


def _log_start(settings: UpSettings, log: FileLog, engine: Engine) -> None:
    recovery = engine.recovery
    if core.COMPILED:
        logger.info("the core is compiled")
    else:
        logger.warning("the core is interpreted: %s", core.WHY_INTERPRETED)
    if log.dropped is not None:
        logger.warning("dropped the torn tail of the log: %s", log.dropped)
    for problem in recovery.problems:
        logger.warning("recovery: %s", problem)
    ahead_s = (log.last.time_ns - time.time_ns()) // NS_PER_SECOND
    if ahead_s > 0:
        # Until then candles stand still, and signed requests without a client id are too early.
        logger.warning("the clock is %d s behind the log; log time stands still", ahead_s)
    logger.info(
        "recovered",
        extra={
            "directory": str(settings.data_dir.resolve()),
            "snapshot": recovery.snapshot_position,
            "replayed": recovery.replayed,
            "position": engine.position,
        },
    )
