"""A feed over a real core, and the messages that its subscribers receive."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.engine.queries import EngineCatalogue, EngineView
from fairbook.streams.channel_source import Channel, ChannelMessage
from fairbook.streams.feed import ANSWER_TURNS, Feed
from fairbook.streams.replay_tail import ReplayTail
from tests.world.contract_check import check_event
from tests.world.markets import BTC, BTC_USDC, SOL, SOL_USDC, USDC, open_accounts, two_markets

START_NS = 1_700_000_000_000_000_000  # 2023-11-14T22:13:20
SECOND_NS = 1_000_000_000
MARKET, OTHER_MARKET = SOL_USDC, BTC_USDC
ANN, BOB, EVE = ACCOUNTS = (2, 3, 4)  # the first accounts that are opened
ATOMS = {SOL: 10**15, USDC: 10**13, BTC: 10**11}


def setup() -> bytes:
    """Two open markets with fees, three funded accounts. A lot is 0.01 SOL, a tick 0.01 USDC."""
    accounts = dict(enumerate(ACCOUNTS, 1))
    return b"".join([*two_markets(), *open_accounts(accounts, ATOMS)])


class FeedHarness:
    """Use in a running loop. `received` has every message by channel, parsed, in order."""

    def __init__(
        self,
        exchange: Exchange | None = None,
        *,
        now_ns: int = 0,
        replay_tail: ReplayTail | None = None,
    ) -> None:
        """exchange: as it is, with its own time; by default a new one after `setup`.

        replay_tail: as Feed.
        """
        if exchange is None:
            exchange = Exchange()
            exchange.apply(setup(), START_NS)
        self.exchange = exchange
        self.time_ns: int = exchange.time_ns
        self.view = EngineView(exchange)
        self.now_ns = now_ns
        self.position = 0
        self.feed = Feed(
            view=self.view, catalogue=EngineCatalogue(exchange), replay_tail=replay_tail,
            now_ns=lambda: self.now_ns,
        )  # fmt: skip
        self.feed.attach(self._publish)
        self.received: dict[Channel, list[dict[str, Any]]] = {}
        self.messages: dict[Channel, list[ChannelMessage]] = {}

    def _publish(self, channel: Channel, message: ChannelMessage) -> None:
        assert channel in self.received, f"{channel} is not open"
        self._keep(channel, message)

    def _keep(self, channel: Channel, message: ChannelMessage) -> None:
        frame = json.loads(message.payload)
        check_event(frame)
        assert list(frame) == ["stream", "data"]
        assert frame["stream"] == channel.name
        self.received[channel].append(frame["data"])
        self.messages[channel].append(message)

    async def join(self, name: str, owner: int = 0) -> list[dict[str, Any]]:
        """Open a channel; returns what is received, initial messages first."""
        channel = Channel(name, owner)
        stream = self.feed.find(name)
        assert stream is not None and not stream.is_silent
        assert stream.is_private == (owner != 0)
        await self.feed.open(channel)
        self.received[channel] = []
        self.messages[channel] = []
        for message in self.feed.initial_messages(channel):
            self._keep(channel, message)
        return self.received[channel]

    def leave(self, name: str, owner: int = 0) -> None:
        """Close a channel. Nothing may be received any more."""
        self.feed.close(Channel(name, owner))
        del self.received[Channel(name, owner)]

    def apply(self, *commands: bytes, seconds: float = 0) -> bytes:
        """One frame, some time after the one before. The feed folds it later."""
        self.time_ns += int(seconds * SECOND_NS)
        frame = b"".join(commands)
        events = self.exchange.apply(frame, self.time_ns)
        self.position += 1
        self.feed.on_frame(self.position, self.time_ns, frame, events)
        return events

    async def run(self, *commands: bytes, seconds: float = 0) -> bytes:
        """The same, and let the feed fold it."""
        events = self.apply(*commands, seconds=seconds)
        await folded(self.feed)
        return events

    async def tick(self, seconds: int = 1) -> None:
        """Let log time pass without trading, second by second."""
        for _ in range(seconds):
            await self.run(admin_records.tick(), seconds=1)


async def folded(*feeds: Feed) -> None:
    """Return when the feeds have folded what they were shown: long frames take more turns."""
    for _ in range(ANSWER_TURNS + 1):
        await asyncio.sleep(0)
    while any(feed._scheduled is not None for feed in feeds):  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)


def limit(
    account: int,
    side: int,
    price: int,
    lots: int,
    *,
    market: int = MARKET,
    tif: int = records.GTC,
    flags: int = 0,
    client_id: int = 0,
    session: int = 0,
) -> bytes:
    """A limit order. A client id of 0: none."""
    return records.place(
        account=account, market=market, side=side, price=price, quantity=lots, tif=tif,
        flags=flags | (records.HAS_CLIENT_ID if client_id else 0), client_id=client_id,
        session=session,
    )  # fmt: skip


def buy(account: int, price: int, lots: int, **more: int) -> bytes:
    """A limit order to buy."""
    return limit(account, records.BID, price, lots, **more)


def sell(account: int, price: int, lots: int, **more: int) -> bytes:
    """A limit order to sell."""
    return limit(account, records.ASK, price, lots, **more)
