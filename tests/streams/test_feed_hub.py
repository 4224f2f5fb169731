"""Feed and hub together: connections that come and go on a busy exchange, some of them slow.

Subscriptions and send buffers are real; only the transport is a fake. It is full at random, so that
the hub merges messages. What a client receives must rebuild the book and contain every trade once.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from fairbook.engine.queries import EngineCatalogue, EngineView
from fairbook.net.ws_frames import TRY_LATER
from fairbook.streams.feed import Feed
from fairbook.streams.hub import Hub, HubLimits
from tests.streams.feed_harness import MARKET, FeedHarness, folded
from tests.streams.hub_harness import MemoryConnection
from tests.streams.test_feed_replay import Book, TestLoop, book, traders

DEPTHS = ("depth.SOL_USDC", "depth.200ms.SOL_USDC", "depth.1000ms.SOL_USDC")
OTHERS = ("trade.SOL_USDC", "bookTicker.SOL_USDC", "ticker.SOL_USDC", "kline.1m.SOL_USDC")


class Reader:
    """One connection, and what it makes of what it reads."""

    def __init__(self, hub: Hub, chance: random.Random) -> None:
        self.chance = chance
        self.wire = MemoryConnection(hub, room=chance.choice((10**9, 10**9, 2_000, 20_000)))
        self.seen: Counter[str] = Counter()
        self.trade_id = 0
        self.books: dict[str, Book] = {}
        self.last_id: dict[str, int] = {}
        self.waiting: dict[str, list[dict[str, Any]]] = {}
        names = [chance.choice(DEPTHS), *chance.sample(OTHERS, 2)]
        self.wire.subscribe(*names)
        self.depth = names[0]

    def read(self, books: dict[int, Book]) -> None:
        """Take everything in, if it is not slow just now."""
        if self.wire.unread > self.wire.room and self.chance.random() < 0.97:
            return
        frames = self.wire.texts()
        self.wire.written.clear()
        self.wire.read()
        for frame in frames:
            name, update = frame["stream"], frame["data"]
            self.seen[name] += 1
            if name == "trade.SOL_USDC":
                assert self.trade_id in (0, update["t"] - 1)
                self.trade_id = update["t"]
            elif update["e"] == "depth":
                assert self.last_id.get(name, update["U"] - 1) == update["U"] - 1
                self.last_id[name] = update["u"]
                if name == DEPTHS[0]:
                    self.seen["merged"] += any(
                        at in books for at in range(update["U"], update["u"])
                    )
                self.take(update, books)

    def take(self, update: dict[str, Any], books: dict[int, Book]) -> None:
        """The book as of the first message is the snapshot; every later one must lead to the
        exchange's.
        """
        at = update["u"]
        known = self.books.get(self.depth)
        if known is None:
            if at in books:
                self.books[self.depth] = dict(books[at])
            return
        for side in ("a", "b"):
            for price, quantity in update[side]:
                known[side, price] = quantity
                if quantity == "0":
                    del known[side, price]
        assert known == books[at]


async def crowd(seed: int, frames: int) -> Counter[str]:
    """What happened, and how often."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TestLoop)
    chance = random.Random(seed)
    harness = FeedHarness()
    view = EngineView(harness.exchange)
    feed = harness.feed = Feed(view=view, catalogue=EngineCatalogue(harness.exchange))
    limits = HubLimits(waiting_bytes_max=32 * 1024)
    hub = Hub(feed, limits=limits, now_ns=lambda: int(loop.now_s * 10**9))
    scales = feed._markets[MARKET].scales
    now, levels = book(harness, scales)
    books = {now: levels}
    readers: list[Reader] = []
    happened: Counter[str] = Counter()
    for _ in range(frames):
        if chance.random() < 0.1:
            readers.append(Reader(hub, chance))
        harness.apply(traders(chance), seconds=0.01)
        now, levels = book(harness, scales)
        books[now] = levels
        if chance.random() < 0.8:
            await folded(harness.feed)
            await asyncio.sleep(0)
        loop.now_s += 0.01
        for reader in list(readers):
            reader.read(books)
            if reader.wire.closed is not None or chance.random() < 0.004:
                readers.remove(reader)
                happened += reader.seen
                if reader.wire.closed is None:
                    reader.wire.client.connection_lost()
                else:
                    assert reader.wire.closed[0] == TRY_LATER
                    happened["closed"] += 1
    for _ in range(4):  # Timers, fold, flush, and what waited.
        loop.now_s += 2
        await folded(harness.feed)
        await asyncio.sleep(0)
        for reader in readers:
            reader.wire.read()
    for reader in readers:
        reader.wire.room = 10**9
        reader.read(books)
        if reader.wire.closed is None:
            assert reader.last_id[reader.depth] == now
            assert reader.books.get(reader.depth, levels) == levels
            happened["ended"] += 1
    assert not hub.failed.done() and not feed.failed.done()
    for reader in readers:
        if reader.wire.closed is None:
            reader.wire.client.connection_lost()
    assert hub.status()["channels"] == 0
    return happened


def run(seed: int, frames: int) -> None:
    with asyncio.Runner(loop_factory=TestLoop) as runner:
        happened = runner.run(crowd(seed, frames))
    assert min(happened[name] for name in (*DEPTHS, *OTHERS, "merged", "closed", "ended")) > 3, (
        happened
    )


def test_every_connection_rebuilds_the_book() -> None:
    """Fast ones from every message, slow ones from merged ones."""
    run(1, 2_000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_every_connection_rebuilds_the_book_for_long(seed: int) -> None:
    run(seed, 30_000)
