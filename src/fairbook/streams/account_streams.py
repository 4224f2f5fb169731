"""The private streams of one account: its orders and balances.

Design: a fill names its orders by id only. Therefore the open orders of the account are kept while
a channel of orders is open: read from the engine when the first one opens, then folded from events.
Balances are read from the engine when an event may have changed them, and compared with those that
were sent.

Invariants:
- per order, for taker and maker alike: accepted, then its fills, then its end; the fill that
  completes it is its end;
- what is kept is bounded by what is open.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from fairbook.api import streams
from fairbook.api.listings import Listings
from fairbook.api.streams import StreamedOrder
from fairbook.core import records
from fairbook.core.records import Fill, OrderRecord, Placed
from fairbook.ports.queries import StateView
from fairbook.streams.channel_source import Channel, ChannelMessage
from fairbook.streams.publisher import Publisher

ORDERS_AT_ONCE: Final = 500  # read in one turn of the loop: about 1 ms


class AccountStreams:
    """An account with open channels. `view`: as of the events passed so far."""

    def __init__(self, account: int, *, listings: Listings, publisher: Publisher) -> None:
        self.account = account
        self._listings = listings
        self._publisher = publisher
        self._orders: dict[int, StreamedOrder] = {}
        self._order_channels: dict[int, Channel] = {}
        """Open channels of orders, by market; 0: of all markets."""
        self._opening = 0  # channels of orders
        self._reading = asyncio.Lock()  # held while orders are read
        self._balance_channel: Channel | None = None
        self._balances_sent: dict[int, tuple[int, int]] = {}

    @property
    def is_idle(self) -> bool:
        return not self._keeps_orders and self._balance_channel is None

    @property
    def _keeps_orders(self) -> bool:
        return self._opening > 0 or bool(self._order_channels)

    # Channels.

    async def open_orders(
        self, channel: Channel, market: int, view: StateView, fold: Callable[[], None]
    ) -> None:
        """market: 0 for the channel of all markets. fold: passes all events that `view` has."""
        self._opening += 1
        async with self._reading:
            if not self._order_channels:
                await self._read_orders(view, fold)
            self._opening -= 1
            self._order_channels[market] = channel

    async def _read_orders(self, view: StateView, fold: Callable[[], None]) -> None:
        """Read the open orders, a part at a time. Events of those that were not read yet are
        skipped: they are in what is read.
        """
        self._orders = {}
        last: OrderRecord | None = None
        while True:
            fold()
            found = view.open_orders(self.account, 0, last, ORDERS_AT_ONCE)
            for record in found:
                self._orders[record.order_id] = StreamedOrder(record, record.text)
            if len(found) < ORDERS_AT_ONCE:
                return
            last = found[-1]
            await asyncio.sleep(0)

    def close_orders(self, market: int) -> None:
        self._order_channels.pop(market, None)
        if not self._keeps_orders:
            self._orders = {}

    def open_balances(self, channel: Channel, view: StateView) -> None:
        self._balance_channel = channel
        self._balances_sent = _balances(view, self.account)

    def close_balances(self) -> None:
        self._balance_channel = None
        self._balances_sent = {}

    def initial_balances(
        self, channel: Channel, view: StateView, time_ns: int
    ) -> Sequence[ChannelMessage]:
        """All balances that are not zero."""
        return [
            self._balance(channel, asset, available, locked, time_ns)
            for asset, (available, locked) in _balances(view, self.account).items()
            if available or locked
        ]

    # Events, in their order.

    def on_accepted(self, placed: Placed, text: str | None, time_ns: int) -> None:
        """text: the client id, if it is one."""
        if self._keeps_orders:
            order = self._orders[placed.order_id] = StreamedOrder(placed, text)
            self._publish(order, streams.ORDER_ACCEPTED, status=records.NEW, time_ns=time_ns)

    def on_amended(self, record: OrderRecord, time_ns: int) -> None:
        known = self._known(record.order_id)
        if known is not None:
            order = self._orders[record.order_id] = StreamedOrder(record, known.text)
            self._publish(order, streams.ORDER_MODIFIED, status=record.status, time_ns=time_ns)

    def on_fill(self, fill: Fill, *, is_maker: bool, is_last: bool, time_ns: int) -> None:
        """One of its orders traded. is_last: that has completed it."""
        order = self._known(fill.maker_order_id if is_maker else fill.taker_order_id)
        if order is None:
            return
        order.filled += fill.lots
        order.quote += (
            fill.price * fill.lots * self._listings.scales_of(order.terms.market).market.tick_atoms
        )
        self._publish(
            order, streams.ORDER_FILL, fill=fill, is_maker=is_maker, time_ns=time_ns,
            status=records.FILLED if is_last else records.PARTIALLY_FILLED,
        )  # fmt: skip

    def on_closed(self, record: OrderRecord, time_ns: int) -> None:
        order = self._known(record.order_id)
        if order is None:
            return
        del self._orders[record.order_id]
        assert order.filled == record.filled and order.quote == record.quote
        if record.status != records.FILLED:
            self._publish(
                order, streams.ORDER_CLOSED[record.status], status=record.status,
                reason=record.reason, time_ns=time_ns,
            )  # fmt: skip

    def _known(self, order_id: int) -> StreamedOrder | None:
        """None if no orders are kept, or this one will be read."""
        if not self._keeps_orders:
            return None
        order = self._orders.get(order_id)
        assert order is not None or self._opening
        return order

    def publish_balances(self, view: StateView, time_ns: int) -> None:
        """Publish the balances that have changed since the last call."""
        if self._balance_channel is None:
            return
        now = _balances(view, self.account)
        before, self._balances_sent = self._balances_sent, now
        for asset, (available, locked) in now.items():
            channel = self._balance_channel
            if before.get(asset, (0, 0)) != (available, locked) and channel is not None:
                message = self._balance(channel, asset, available, locked, time_ns)
                self._publisher.publish(channel, message)

    def _publish(
        self, order: StreamedOrder, event: str, *, status: int, time_ns: int, reason: int = 0,
        fill: Fill | None = None, is_maker: bool = False,
    ) -> None:  # fmt: skip
        """Publish on every open channel to which the order belongs."""
        every, own = self._order_channels.get(0), self._order_channels.get(order.terms.market)
        if every is None and own is None:
            return
        data = streams.order_update(
            order, self._listings.scales_of(order.terms.market), event=event, status=status,
            reason=reason, fill=fill, is_maker=is_maker, time_us=time_ns // 1000,
            sent_us=self._publisher.now_us(),
        )  # fmt: skip
        for channel in (every, own):
            if channel is not None:
                message = ChannelMessage(streams.message(channel.name, data))
                self._publisher.publish(channel, message)

    def _balance(
        self, channel: Channel, asset: int, available: int, locked: int, time_ns: int
    ) -> ChannelMessage:
        symbol, scale = self._listings.asset_scale(asset)
        data = streams.balance(
            symbol, scale, available=available, locked=locked, time_us=time_ns // 1000,
            sent_us=self._publisher.now_us(),
        )  # fmt: skip
        return ChannelMessage(streams.message(channel.name, data))


def _balances(view: StateView, account: int) -> dict[int, tuple[int, int]]:
    return {asset: (available, locked) for asset, available, locked in view.balances(account)}
