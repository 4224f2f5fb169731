"""A data directory that the demo is prepared in, and what its log says afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.core import invariants
from fairbook.core.exchange import Exchange
from fairbook.demo import first_state as demo
from fairbook.engine.engine import Engine
from fairbook.engine.snapshots import Snapshots
from fairbook.log.disk import Disk
from fairbook.log.file_log import FileLog

OWNERS = {"demo1": 2, "demo2": 3, "maker": 4, "taker": 5}


class Unsynced(Disk):
    """A process that dies leaves to the system what it wrote: syncing would only cost time."""

    def sync(self, fd: int) -> None:
        pass

    def sync_directory(self, directory: Path) -> None:
        pass


IN_MEMORY = Path(":memory:")  # for SQLite: a store that syncs nothing, and is gone when closed


def run(
    directory: Path,
    story: Callable[[Engine, SqliteAccounts], Awaitable[None]],
    store: Path | None = None,
) -> None:
    """Open the directory, let the story happen, and close it; without a snapshot, as in a crash."""

    async def play() -> None:
        log = FileLog(directory, disk=Unsynced())
        engine = await Engine.start(log, Snapshots(directory))
        accounts = SqliteAccounts(store or directory / "accounts.db")
        try:
            await story(engine, accounts)
        finally:
            accounts.close()
            await engine.commands.stop()
            log.close()

    asyncio.run(play())


def exchange_of(directory: Path) -> Exchange:
    """What the log says."""
    exchange = Exchange()
    log = FileLog(directory, read_only=True)
    for entry in log.read(1):
        exchange.apply(entry.frame, entry.time_ns)
    log.close()
    invariants.check(exchange)
    return exchange


def picture(exchange: Exchange) -> object:
    """Everything a client could tell two first states apart by, but for order ids and times."""
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
    """Bring it to the demo's first state."""
    owners = await demo.prepare(engine.commands, engine.queries, engine.catalogue, accounts)
    assert owners == OWNERS
