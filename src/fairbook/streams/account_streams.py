"""What one account is told of its own: its orders and balances.

How it works: a trade names orders by id only, so while somebody listens the account's open orders
are kept here: read from the engine when the first one subscribes, then folded from events. Balances
are read from the engine when an event may have changed them, and compared with what was sent.

Always true:
- per order: accepted, then its fills, then its end, for taker and maker alike; the fill that
  completes it is its end;
- what is kept is bounded by what is open.

Not here: whose event it is (feed.py), texts (api/streams.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fairbook.api import streams
from fairbook.api.numbers import Scale, Terms
from fairbook.api.streams import Order
from fairbook.core import records
from fairbook.core.records import Fill, OrderRecord, Placed
from fairbook.ports.queries import StateView
from fairbook.streams.outlet import Outlet
from fairbook.streams.ports import Channel, Message

TermsOf = Callable[[int], Terms]  # by market id
Amounts = Callable[[int], tuple[str, Scale]]  # symbol and scale of an asset, by id


class AccountStreams:
    """An account that somebody listens to."""

    def __init__(
        self, account: int, *, terms_of: TermsOf, amounts: Amounts, outlet: Outlet
    ) -> None:
        self.account = account
        self.has_balances = False
        self._terms_of = terms_of
        self._amounts = amounts
        self._outlet = outlet
        self._orders: dict[int, Order] = {}
        self._names: dict[int, Channel] = {}
        """Open channels of orders, by market; 0: of all markets."""
        self._balances = Channel("")
        self._sent: dict[int, tuple[int, int]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nobody listens any more."""
        return not self._names and not self.has_balances

    # Channels. `view` is as of the events that were shown.

    def open_orders(self, channel: Channel, market: int, view: StateView) -> None:
        """Begin to tell of orders of one market, or of all (0)."""
        if not self._names:
            self._orders = {
                record.order_id: Order(record) for record in view.open_orders(self.account)
            }
        self._names[market] = channel

    def close_orders(self, market: int) -> None:
        """Tell of them no more."""
        self._names.pop(market, None)
        if not self._names:
            self._orders = {}

    def open_balances(self, channel: Channel, view: StateView) -> None:
        """Begin to tell of balances."""
        self._balances, self.has_balances = channel, True
        self._sent = _balances(view, self.account)

    def close_balances(self) -> None:
        """Tell of them no more."""
        self.has_balances = False
        self._sent = {}

    def greet_balances(self, channel: Channel, view: StateView, time_ns: int) -> Sequence[Message]:
        """All that the account has."""
        return [
            self._balance(channel, asset, available, locked, time_ns)
            for asset, (available, locked) in _balances(view, self.account).items()
            if available or locked
        ]

    # Events, in their order.

    def accepted(self, placed: Placed, time_ns: int) -> None:
        """An order of the account was taken."""
        if self._names:
            order = self._orders[placed.order_id] = Order(placed)
            self._tell(order, streams.order_accepted, time_ns=time_ns)

    def amended(self, record: OrderRecord, time_ns: int) -> None:
        """One of its open orders has new terms."""
        if self._names:
            order = self._orders[record.order_id] = Order(record)
            self._tell(order, streams.order_modified, status=record.status, time_ns=time_ns)

    def filled(self, fill: Fill, *, is_maker: bool, is_last: bool, time_ns: int) -> None:
        """One of its orders traded. is_last: it is FILLED by that."""
        if not self._names:
            return
        order = self._orders[fill.maker_order_id if is_maker else fill.taker_order_id]
        order.filled += fill.lots
        order.quote += fill.price * fill.lots * self._terms_of(order.market).market.tick_atoms
        self._tell(
            order, streams.order_fill,
            status=records.FILLED if is_last else records.PARTIALLY_FILLED,
            trade_id=fill.trade_id, price=fill.price, lots=fill.lots,
            fee=fill.maker_fee if is_maker else fill.taker_fee, is_maker=is_maker,
            time_ns=time_ns,
        )  # fmt: skip

    def closed(self, record: OrderRecord, time_ns: int) -> None:
        """One of its orders is no longer open."""
        if not self._names:
            return
        order = self._orders.pop(record.order_id)
        assert order.filled == record.filled and order.quote == record.quote
        if record.status != records.FILLED:
            self._tell(
                order, streams.order_closed, status=record.status, reason=record.reason,
                time_ns=time_ns,
            )  # fmt: skip

    def settle(self, view: StateView, time_ns: int) -> None:
        """Tell which balances have changed."""
        if not self.has_balances:
            return
        now = _balances(view, self.account)
        sent, self._sent = self._sent, now
        for asset, (available, locked) in now.items():
            if sent.get(asset, (0, 0)) != (available, locked) and self.has_balances:
                channel = self._balances
                message = self._balance(channel, asset, available, locked, time_ns)
                self._outlet.send(channel, message)

    def _tell(
        self, order: Order, text_of: Callable[..., str], *, time_ns: int, **what: int
    ) -> None:
        """Publish on every open channel that the order belongs to."""
        every, own = self._names.get(0), self._names.get(order.market)
        if every is None and own is None:
            return
        text = text_of(
            order, self._terms_of(order.market), **what, time_us=time_ns // 1000,
            sent_us=self._outlet.sent_us(),
        )  # fmt: skip
        if every is not None:
            self._outlet.send(every, Message(streams.message(every.name, text)))
        if own is not None:
            self._outlet.send(own, Message(streams.message(own.name, text)))

    def _balance(
        self, channel: Channel, asset: int, available: int, locked: int, time_ns: int
    ) -> Message:
        symbol, scale = self._amounts(asset)
        text = streams.balance(
            symbol, scale, available=available, locked=locked, time_us=time_ns // 1000,
            sent_us=self._outlet.sent_us(),
        )  # fmt: skip
        return Message(streams.message(channel.name, text))


def _balances(view: StateView, account: int) -> dict[int, tuple[int, int]]:
    return {asset: (available, locked) for asset, available, locked in view.balances(account)}
