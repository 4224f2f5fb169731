"""A recorded history: random commands, applied and recorded in batches of random size."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.history.projection import HistoryProjection
from fairbook.history.sqlite_history import SqliteHistory
from fairbook.history.sqlite_store import FILE_NAME, SqliteStore
from fairbook.log.command_log import GENESIS_CHAIN
from fairbook.ports.history import OrderRow, TradeRow, TransferRow
from tests.core import wire
from tests.core.stream import SplitMix64, Stream, opening
from tests.world.naive_history import NaiveHistory

# Nanoseconds between two frames: mostly little, sometimes hours, seldom days.
STEPS_NS = (0, 0, 10**6, 10**8, 10**9, 10**9, 7 * 10**9, 50 * 10**9, 400 * 10**9)
LONG_STEPS_NS = (3_600 * 10**9, 11_000 * 10**9, 90_000 * 10**9, 5 * 86_400 * 10**9)
START_NS = 1_704_067_100 * 10**9  # 100 seconds before 2024 began

T = TypeVar("T")


class RecordedHistory:
    """An exchange, its projection, and the reference model."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.exchange = Exchange()
        self.store = SqliteStore(directory / FILE_NAME)
        self.recorder = HistoryProjection(self.store, self.exchange)
        self.naive = NaiveHistory()
        self.chance = random.Random(seed)
        self._stream = Stream(SplitMix64(seed).pick)
        self._time_ns = START_NS
        self.frame(opening())

    def frame(self, frame: bytes) -> None:
        """Apply one, and collect its events."""
        events = self.exchange.apply(frame, self._time_ns)
        self.recorder.take(self._time_ns, events)
        self.naive.take(self._time_ns, events)
        self._stream.saw(wire.split_events(events))

    def go_on(self, frames: int) -> None:
        """Random frames at random times."""
        chance = self.chance
        for _ in range(frames):
            long = chance.randrange(100) == 0
            self._time_ns += chance.choice(LONG_STEPS_NS if long else STEPS_NS)
            self.frame(self._stream.frame())

    def commit(self) -> None:
        """Record what was collected."""
        self.recorder.commit(
            position=self.naive.position, time_ns=self._time_ns, chain=GENESIS_CHAIN
        )

    def play(self, frames: int) -> None:
        """Frames, recorded in portions of random size."""
        while frames > 0:
            portion = min(frames, self.chance.choice((1, 1, 2, 5, 20, 100)))
            self.go_on(portion)
            self.commit()
            frames -= portion

    def ask(self, question: Callable[[SqliteHistory], Awaitable[T]]) -> T:
        """What a question to the history is answered."""
        return asked(self.directory, question)


class NeverBehind:
    """A RecorderProgress that is never behind."""

    def __init__(self, time_ns: int = 0) -> None:
        self.time_ns = time_ns
        self.committed = 0

    async def reached(self, position: int) -> None:
        """It is."""


def asked(directory: Path, question: Callable[[SqliteHistory], Awaitable[T]]) -> T:
    """The result of a query on the history of a directory."""

    async def main() -> T:
        history = SqliteHistory(directory / FILE_NAME, NeverBehind())
        try:
            return await question(history)
        finally:
            await history.close()

    return asyncio.run(main())


def tables(directory: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the store, in order."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {
            name: database.execute(f"SELECT * FROM {name} ORDER BY {key}").fetchall()
            for name, key in (
                ("trades", "time_ns, market, trade_id"),
                ("orders", "order_id"),
                ("transfers", "transfer_id"),
                ("bars", "market, length_s, start_s"),
                ("place", "position"),
            )
        }


def require_equal(directory: Path, naive: NaiveHistory) -> None:
    """The tables equal the reference model: nothing missing, nothing twice, the same position."""
    found = tables(directory)
    trades = sorted(naive.trades, key=lambda each: (each.time_ns, each.market, each.trade_id))
    assert [TradeRow._make(row) for row in found["trades"]] == trades
    orders = [naive.orders[order_id] for order_id in sorted(naive.orders)]
    assert [OrderRow._make(row) for row in found["orders"]] == orders
    assert [TransferRow._make(row) for row in found["transfers"]] == naive.transfers
    ((_, position, time_ns, _),) = found["place"]
    assert (position, time_ns) == (naive.position, naive.time_ns)
    require_bars(found)


def require_bars(found: dict[str, list[tuple[Any, ...]]]) -> None:
    """Every stored bar contains the trades of its bucket, and there are no other bars."""
    groups: dict[tuple[int, int, int], list[TradeRow]] = {}
    for row in found["trades"]:
        trade = TradeRow._make(row)
        for length_s in (1, 60, 900, 3_600, 86_400):
            start_s = trade.time_ns // 10**9 // length_s * length_s
            groups.setdefault((trade.market, length_s, start_s), []).append(trade)
    expected: list[tuple[int, ...]] = []
    for key in sorted(groups):
        trades = groups[key]
        prices = [trade.price for trade in trades]
        lots, quote = sum(each.lots for each in trades), sum(each.quote for each in trades)
        expected.append(
            (
                *key,
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
                *divmod(lots, 2**32),
                *divmod(quote, 2**32),
                len(trades),
                trades[0].trade_id,
                trades[-1].trade_id,
            )
        )
    assert found["bars"] == expected


def generated(**terms: Any) -> bytes:
    """A PLACE of the generated first day."""
    return records.place(session=records.GENERATED_SESSION, **terms)
