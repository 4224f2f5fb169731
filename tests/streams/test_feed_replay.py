"""Clients of a feed arrive at the engine's own state: books, orders and balances.

Random traders on a real exchange; clients that come and go at random, take a snapshot some time
later as public clients do, and apply what they receive. The test sets the time, so that a seed
always gives the same messages.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from fairbook.api.numbers import MarketScales
from fairbook.api.orders import client_id_of
from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.core.records import OrderRecord
from fairbook.streams.channel_source import Channel, ChannelMessage
from fairbook.streams.depth_streams import RING_MAX
from tests.core import wire
from tests.core.stream import FIRST, LAST, SplitMix64, Stream, opening
from tests.core.stream import START_NS as STREAM_START_NS
from tests.streams.feed_harness import ACCOUNTS, MARKET, FeedHarness, folded, limit

Book = dict[tuple[str, str], str]  # (side, price) to quantity


class TestLoop(asyncio.SelectorEventLoop):
    """A loop whose time the test sets; it never waits."""

    __test__ = False
    now_s = 0.0

    def time(self) -> float:
        return self.now_s


def run(play: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=TestLoop) as runner:
        runner.run(play)


def book(harness: FeedHarness, scales: MarketScales) -> tuple[int, Book]:
    """The core's, as (update id, levels)."""
    depth = harness.view.depth(MARKET, 100_000)
    levels = {
        (side, scales.price.text(price)): scales.quantity.text(lots)
        for side, half in (("b", depth.bids), ("a", depth.asks))
        for price, lots in half
    }
    return depth.update_id, levels


class DepthClient:
    """A client of a depth channel that may be slow: then it receives merged messages."""

    def __init__(self, channel: Channel, harness: FeedHarness, chance: random.Random) -> None:
        self.channel = channel
        self.book: Book = {}
        self.update_id = 0  # of the book; 0: no snapshot yet
        self._floor = harness
        self._chance = chance
        self._last_id = 0  # received
        self._received: list[dict[str, Any]] = []
        self._waiting: list[ChannelMessage] = []

    def receive(self, message: ChannelMessage) -> None:
        self._waiting.append(message)
        if self._chance.random() < 0.7:
            self.read()

    def read(self) -> None:
        """Read what waits, merged or not."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        if self._chance.random() < 0.5:
            feed, content = self._floor.feed, waiting[0].content
            for message in waiting[1:]:
                content = feed.merge(self.channel, content, message.content)
            texts = [feed.encode(self.channel, content)]
        else:
            texts = [message.payload for message in waiting]
        for text in texts:
            frame = json.loads(text)
            assert frame["stream"] == self.channel.name
            update = frame["data"]
            assert self._last_id in (0, update["U"] - 1), "a gap, or a double"
            assert update["U"] <= update["u"] or update["a"] == update["b"] == []
            self._last_id = update["u"]
            self._received.append(update)

    def snapshot(self, update_id: int, levels: Book) -> None:
        """A snapshot of REST. The messages received must reach back to it."""
        self.read()
        assert self._received[0]["U"] <= update_id + 1
        self.book, self.update_id = dict(levels), update_id

    def check(self, books: dict[int, Book]) -> int:
        """Apply what was received, and compare after each message; returns their number."""
        if not self.update_id:
            return 0
        compared = 0
        received, self._received = self._received, []
        for update in received:
            if update["u"] <= self.update_id:
                continue
            assert update["U"] <= self.update_id + 1
            for side in ("a", "b"):
                for price, quantity in update[side]:
                    if quantity == "0":
                        self.book.pop((side, price), None)
                    else:
                        self.book[side, price] = quantity
            self.update_id = update["u"]
            assert self.book == books[self.update_id]
            compared += 1
        return compared


class Crowd:
    """Clients of the four depth channels, in the place of a hub."""

    NAMES = ("", "", "200ms.", "600ms.", "1000ms.")

    def __init__(self, harness: FeedHarness, chance: random.Random) -> None:
        self.harness = harness
        self.chance = chance
        self.clients: dict[Channel, list[DepthClient]] = {}
        self.joins = 0
        harness.feed._publisher._publish = self.publish

    def publish(self, channel: Channel, message: ChannelMessage) -> None:
        assert self.clients[channel], "the channel is closed"
        for client in self.clients[channel]:
            client.receive(message)

    async def come(self) -> None:
        channel = Channel(f"depth.{self.chance.choice(self.NAMES)}SOL_USDC")
        clients = self.clients.setdefault(channel, [])
        if not clients:
            await self.harness.feed.open(channel)
        newcomer = DepthClient(channel, self.harness, self.chance)
        greeting = self.harness.feed.initial_messages(channel)
        assert 12 <= len(greeting) <= RING_MAX
        for message in greeting:
            newcomer.receive(message)
        clients.append(newcomer)
        self.joins += 1

    def go(self) -> None:
        channel = self.chance.choice([name for name, clients in self.clients.items() if clients])
        clients = self.clients[channel]
        clients.remove(self.chance.choice(clients))
        if not clients:
            self.harness.feed.close(channel)

    def everyone(self) -> list[DepthClient]:
        return [client for clients in self.clients.values() for client in clients]


def traders(chance: random.Random) -> bytes:
    """One frame: some orders around a price that wanders, some cancels."""
    commands = []
    for _ in range(chance.choice((1, 1, 1, 2, 5, 20))):
        account = chance.choice(ACCOUNTS)
        if chance.random() < 0.02:
            commands.append(records.cancel_all(account=account))
            continue
        commands.append(
            limit(
                account, chance.randrange(2), 10_000 + chance.randrange(-25, 26),
                chance.randrange(1, 60), tif=chance.choice((0, 0, 0, 1)),
            )
        )  # fmt: skip
    return b"".join(commands)


async def follow(seed: int, updates: int) -> None:
    """Until the book has changed so many times."""
    chance = random.Random(seed)
    harness = FeedHarness()
    crowd = Crowd(harness, chance)
    scales = harness.feed._markets[MARKET].scales
    books: dict[int, Book] = {}
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TestLoop)
    now, levels = book(harness, scales)
    compared = 0
    while now < updates:
        # Several frames may be applied before the feed folds them, or a client joins.
        for _ in range(chance.choice((1, 1, 1, 3))):
            harness.apply(traders(chance), seconds=0.001)
            now, levels = book(harness, scales)
            books[now] = levels
            if chance.random() < 0.02:
                await crowd.come()
        if chance.random() < 0.9:
            await folded(harness.feed)
        loop.now_s += 0.005
        for client in crowd.everyone():
            if not client.update_id and chance.random() < 0.1:
                client.snapshot(now, levels)
            compared += client.check(books)
        if len(crowd.everyone()) > 12:
            for _ in range(chance.randrange(8)):
                crowd.go()
    await folded(harness.feed)
    loop.now_s += 2
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ended = 0
    for client in crowd.everyone():
        client.read()
        client.check(books)
        if client.update_id:
            assert (client.update_id, client.book) == (now, levels)
            ended += 1
    assert ended > 0 and crowd.joins > 50
    assert compared > updates / 3


def test_depth_rebuilds_the_book() -> None:
    """At the last update id of every message, whenever a client joined, merged or not."""
    run(follow(1, 20_000))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_depth_rebuilds_the_book_for_long(seed: int) -> None:
    run(follow(seed, 100_000))


class Owner:
    """A client's view of its account: from REST at first, then from messages alone."""

    def __init__(self, harness: FeedHarness, account: int) -> None:
        self.harness = harness
        self.account = account
        self.orders: dict[str, dict[str, Any]] = {}
        self.balances: dict[str, tuple[str, str]] = {}
        self.updates: list[dict[str, Any]] = []
        self.moves: list[dict[str, Any]] = []
        self.ended = 0

    async def join(self, names: tuple[str, ...]) -> None:
        """Subscribe, then ask REST: both at one position."""
        self.updates = await self.harness.join(names[0], self.account)
        self.moves = await self.harness.join("account.balanceUpdate", self.account)
        self.orders = self.open_orders()
        self.balances = {}

    def open_orders(self) -> dict[str, dict[str, Any]]:
        """The engine's open orders, in the form of the stream."""
        return {
            str(record.order_id): self.shown(record)
            for record in self.harness.view.open_orders(self.account)
        }

    def shown(self, record: OrderRecord) -> dict[str, Any]:
        scales = self.harness.feed._listings.scales_of(record.market)
        return {
            "s": scales.symbol,
            "S": "Ask" if record.side else "Bid",
            "c": client_id_of(record),
            "p": scales.price.text(record.price),
            "q": scales.quantity.text(record.quantity),
            "z": scales.quantity.text(record.filled),
            "Z": scales.quote.text(record.quote),
            "X": "PartiallyFilled" if record.filled else "New",
        }

    def check(self) -> None:
        """Apply what was received; the result must equal that of REST."""
        for update in self.updates:
            self.apply(update)
        self.updates.clear()
        assert self.orders == self.open_orders()
        for move in self.moves:
            self.balances[move["a"]] = move["A"], move["L"]
        self.moves.clear()
        there = {}
        for asset, available, locked in self.harness.view.balances(self.account):
            symbol, scale = self.harness.feed._listings.asset_scale(asset)
            there[symbol] = scale.text(available), scale.text(locked)
        for symbol, amounts in there.items():
            assert self.balances.get(symbol, ("0", "0")) == amounts

    def apply(self, update: dict[str, Any]) -> None:
        order_id, event = update["i"], update["e"]
        if event == "orderAccepted":
            assert order_id not in self.orders
            self.orders[order_id] = {}
        known = self.orders[order_id]
        if event == "orderFill":
            assert known["z"] != update["z"] and "t" in update
        now = {key: update.get(key) for key in ("s", "S", "c", "p", "q", "z", "Z", "X")}
        if update["X"] in ("Filled", "Cancelled", "Expired"):
            assert event == {"Filled": "orderFill"}.get(update["X"], f"order{update['X']}")
            assert "R" in update or event != "orderExpired"
            del self.orders[order_id]
            self.ended += 1
        else:
            self.orders[order_id] = now


async def own(seed: int, frames: int) -> None:
    """Every account is subscribed most of the time; sometimes one leaves and comes back."""
    exchange = Exchange()
    stream = Stream(SplitMix64(seed).pick)
    stream.saw(wire.split_events(exchange.apply(opening(), STREAM_START_NS)))
    harness = FeedHarness(exchange)
    chance = random.Random(seed)
    owners = {account: Owner(harness, account) for account in range(FIRST, LAST + 1)}
    away = list(owners)
    for _ in range(frames):
        if away and chance.random() < 0.1:
            account = away.pop()
            await owners[account].join(("account.orderUpdate",))
        if chance.random() < 0.01 and len(away) < 4:
            account = chance.choice([one for one in owners if one not in away])
            for name in ("account.orderUpdate", "account.balanceUpdate"):
                harness.leave(name, account)
            away.append(account)
        harness.time_ns = stream.step()
        events = harness.apply(stream.frame())
        stream.saw(wire.split_events(events))
        if chance.random() < 0.8:
            await folded(harness.feed)
            for account, owner in owners.items():
                if account not in away:
                    owner.check()
    assert not harness.feed.failed.done()
    assert sum(owner.ended for owner in owners.values()) > frames / 4


def test_private_streams_keep_the_state_of_rest() -> None:
    """Open orders and balances of REST, and messages alone, give those of later positions."""
    run(own(1, 3_000))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_private_streams_keep_the_state_of_rest_for_long(seed: int) -> None:
    run(own(seed, 40_000))
