"""Prepare the demo in a data directory, and replay its log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.app.venue_file import apply_first_state, load_venue
from fairbook.core import invariants
from fairbook.core.exchange import Exchange
from fairbook.engine.engine import Engine
from fairbook.engine.local_instance import begin_instance
from fairbook.engine.snapshots import Snapshots
from fairbook.log.disk import Disk
from fairbook.log.file_log import FileLog

OWNERS = {"demo1": 2, "demo2": 3, "maker": 4, "taker": 5}


class Unsynced(Disk):
    """Without syncs: a killed process leaves its writes to the operating system."""

    def sync(self, fd: int) -> None:
        pass

    def sync_directory(self, directory: Path) -> None:
        pass


IN_MEMORY = Path(":memory:")  # For SQLite: without syncs, and gone when closed.


def run(
    directory: Path,
    work: Callable[[Engine, SqliteAccounts], Awaitable[None]],
    store: Path | None = None,
) -> None:
    """Do `work` on the engine of a directory; no snapshot is written at the end, as in a crash."""

    async def play() -> None:
        log = FileLog(directory, disk=Unsynced())
        engine = await Engine.start(log, Snapshots(directory))
        accounts = SqliteAccounts(store or directory / "accounts.db")
        try:
            await work(engine, accounts)
        finally:
            accounts.close()
            await engine.commands.stop()
            log.close()

    asyncio.run(play())


def exchange_of(directory: Path) -> Exchange:
    """The state after a replay of the log."""
    exchange = Exchange()
    log = FileLog(directory, read_only=True)
    for entry in log.read(1):
        exchange.apply(entry.frame, entry.time_ns)
    log.close()
    invariants.check(exchange)
    return exchange


def picture(exchange: Exchange) -> object:
    """All that clients can see of a first state, except order ids and times."""
    accounts = range(1, 6)
    return (
        [(asset.id, asset.name, asset.decimals, asset.reserve_cap) for asset in exchange.assets],
        [
            (
                market.id,
                market.name,
                market.base,
                market.quote,
                market.price_step,
                market.price_decimals,
                market.state,
                market.maker_fee_ppm,
                market.taker_fee_ppm,
                market.band_ppm,
                market.update_id,
                exchange.depth(market.id, 100),
            )
            for market in exchange.markets[1:]
        ],
        [exchange.balances(account) for account in accounts],
        [
            [(order.market, order.client_id, order.side, order.price, order.quantity) for order in
             sorted(exchange.open_orders(account), key=lambda order: order.client_id)]
            for account in accounts
        ],
    )  # fmt: skip


async def prepare(engine: Engine, accounts: SqliteAccounts) -> None:
    await begin_instance(engine.commands, engine.runner.exchange)
    exchange = engine.runner.exchange
    owners = await apply_first_state(load_venue(None), engine.commands, exchange, accounts)
    assert owners == OWNERS
