"""A reference model of history, computed from the events alone, without the recorder's code.

Events are read by the tests' own reader (tests/core/wire.py). An order is followed from its
ACCEPTED on, fill by fill; candles and ticker visit all trades each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fairbook.candles.bars import Bar
from fairbook.candles.ticker import Totals
from fairbook.core.exchange import Exchange
from fairbook.log.file_log import FileLog
from fairbook.ports.history import FillRow, OrderRow, TradeRow, TransferRow
from tests.core import wire

GENERATED = 0xFFFFFFFF
DAY_S = 86_400
LENGTHS_S = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200,
    "4h": 14400, "6h": 21600, "8h": 28800, "12h": 43200, "1d": DAY_S, "3d": 3 * DAY_S,
}  # fmt: skip


class NaiveHistory:
    """Everything that history should contain."""

    def __init__(self) -> None:
        self.position = 0
        self.time_ns = 0
        self.trades: list[TradeRow] = []
        self.orders: dict[int, OrderRow] = {}
        self.transfers: list[TransferRow] = []
        self._tick_atoms: dict[int, int] = {}

    def take(self, time_ns: int, events: bytes) -> None:
        """One frame."""
        self.position += 1
        self.time_ns = time_ns
        text: str | None = None  # of the next ACCEPTED
        for event in wire.split_events(events):
            match event:
                case wire.MarketListed():
                    self._tick_atoms[event.market] = event.tick_atoms
                case wire.ClientText():
                    text = event.text.decode()
                case wire.Accepted():
                    self.orders[event.order_id] = _accepted(event, text, time_ns)
                    text = None
                case wire.Fill():
                    self._fill(event, time_ns)
                case wire.Closed():
                    self._has(event.order, time_ns)
                case wire.Amended():
                    self._has(event.order, 0)
                case wire.Moved():
                    self._moved(event, time_ns)

    def market(self, market: int) -> list[TradeRow]:
        """Its trades, oldest first."""
        return [trade for trade in self.trades if trade.market == market]

    def fills(self, account: int) -> list[FillRow]:
        """Oldest first."""
        found: list[FillRow] = []
        for trade in sorted(self.trades, key=lambda each: (each.time_ns, *each[1::-1])):
            for is_maker in (False, True):
                if account != (trade.maker_account if is_maker else trade.taker_account):
                    continue
                order = self.orders[trade.maker_order_id if is_maker else trade.taker_order_id]
                found.append(
                    FillRow(
                        trade_id=trade.trade_id,
                        market=trade.market,
                        order_id=order.order_id,
                        client_id=order.client_id if order.flags & 1 else order.client_text,
                        side=order.side,
                        price=trade.price,
                        lots=trade.lots,
                        fee=trade.maker_fee if is_maker else trade.taker_fee,
                        is_maker=is_maker,
                        time_ns=trade.time_ns,
                    )
                )
        return found

    def klines(
        self, market: int, interval: str, *, start_s: int, end_s: int, bars_max: int
    ) -> list[Bar]:
        """Bucket by bucket, from that of the first trade on."""
        trades = self.market(market)
        if not trades:
            return []
        groups: dict[int, list[TradeRow]] = {}
        for trade in trades:
            start, _ = bucket(interval, trade.time_ns // 10**9)
            groups.setdefault(start, []).append(trade)
        found: list[Bar] = []
        at, ending = bucket(interval, trades[0].time_ns // 10**9)
        close = 0
        while at <= min(end_s, self.time_ns // 10**9) and len(found) < bars_max:
            bar = joined(at, groups.get(at, []), close)
            close = bar.close
            if at >= start_s:
                found.append(bar)
            at, ending = bucket(interval, ending)
        return found

    def ticker(self, market: int) -> Totals | None:
        """Of the 24 hours up to now."""
        trades = self.market(market)
        if not trades:
            return None
        now_s = self.time_ns // 10**9
        bar = joined(
            0, [each for each in trades if each.time_ns // 10**9 > now_s - DAY_S], trades[-1].price
        )
        return Totals(bar.open, bar.close, bar.high, bar.low, bar.lots, bar.quote, bar.trades)

    def _fill(self, fill: wire.Fill, time_ns: int) -> None:
        quote = fill.price * fill.lots * self._tick_atoms[fill.market]
        self.trades.append(
            TradeRow(
                trade_id=fill.trade_id,
                market=fill.market,
                price=fill.price,
                lots=fill.lots,
                quote=quote,
                time_ns=time_ns,
                taker_side=fill.side,
                taker_account=fill.taker,
                maker_account=fill.maker,
                taker_order_id=fill.taker_order,
                maker_order_id=fill.maker_order,
                taker_fee=fill.taker_fee,
                maker_fee=fill.maker_fee,
                is_generated=self.orders[fill.taker_order].is_generated,
            )
        )
        both = ((fill.taker_order, fill.taker_fee), (fill.maker_order, fill.maker_fee))
        for order_id, fee in both:
            order = self.orders[order_id]
            self.orders[order_id] = order._replace(
                filled=order.filled + fill.lots,
                quote=order.quote + quote,
                fee=order.fee + fee,
                status=wire.PARTIALLY_FILLED,
            )

    def _moved(self, event: wire.Moved, time_ns: int) -> None:
        self.transfers.append(
            TransferRow(
                transfer_id=len(self.transfers) + 1,
                account=event.account,
                asset=event.asset,
                movement=event.movement,
                atoms=event.atoms,
                fee_atoms=event.fee_atoms,
                operator=event.operator,
                reference=event.reference,
                time_ns=time_ns,
            )
        )

    def _has(self, order: wire.Record, closed_ns: int) -> None:
        """What the event says of an order must be what the events before it made of it."""
        before = self.orders[order.order_id]
        assert (before.filled, before.quote, before.fee) == (order.filled, order.quote, order.fee)
        self.orders[order.order_id] = before._replace(
            price=order.price,
            quantity=order.quantity,
            status=order.status,
            reason=order.reason,
            closed_ns=closed_ns,
        )


def of_log(directory: Path) -> NaiveHistory:
    """The model of a whole log."""
    naive, exchange = NaiveHistory(), Exchange()
    log = FileLog(directory, read_only=True)
    for entry in log.read(1):
        naive.take(entry.time_ns, exchange.apply(entry.frame, entry.time_ns))
    log.close()
    return naive


def joined(start_s: int, trades: Iterable[TradeRow], close: int) -> Bar:
    """The bar of these trades, which are in order; flat at `close` if there are none."""
    trades = list(trades)
    if not trades:
        return Bar.flat(start_s, close)
    prices = [trade.price for trade in trades]
    return Bar(
        start_s,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        lots=sum(trade.lots for trade in trades),
        quote=sum(trade.quote for trade in trades),
        trades=len(trades),
        first_id=trades[0].trade_id,
        last_id=trades[-1].trade_id,
    )


def bucket(interval: str, time_s: int) -> tuple[int, int]:
    """(begin, end) of the bucket that contains a second."""
    at = datetime.fromtimestamp(time_s, UTC)
    day = at.replace(hour=0, minute=0, second=0)
    if interval == "1month":
        begin = day.replace(day=1)
        end = (begin + timedelta(days=32)).replace(day=1)
    elif interval == "1w":
        begin = day - timedelta(days=day.weekday())
        end = begin + timedelta(days=7)
    else:
        length_s = LENGTHS_S[interval]
        start_s = time_s // length_s * length_s
        return start_s, start_s + length_s
    return int(begin.timestamp()), int(end.timestamp())


def _accepted(event: wire.Accepted, text: str | None, time_ns: int) -> OrderRow:
    return OrderRow(
        order_id=event.order_id,
        account=event.account,
        client_id=event.client_id,
        market=event.market,
        side=event.side,
        tif=event.tif,
        flags=event.flags,
        price=event.price,
        quantity=event.quantity,
        filled=0,
        quote=0,
        fee=0,
        status=wire.NEW,
        reason=0,
        created_ns=time_ns,
        closed_ns=0,
        is_generated=event.session == GENERATED,
        client_text=text,
    )
