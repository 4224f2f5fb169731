"""Events of frames to rows of history.

Design: rows are collected frame by frame and written in one transaction with the position of the
last frame. Orders are written as they are at that moment: closed ones from their event, open ones
from the recorder's own exchange, which is at the same position.

Invariant: every FILL is one trade, every ACCEPTED one order, every MOVED one transfer; rows depend
on nothing but the events and that exchange.
"""

from fairbook.candles.bars import Bar
from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.core.records import GENERATED_SESSION, OrderRecord
from fairbook.core.units import NS_PER_SECOND
from fairbook.history.sqlite_store import SqliteStore, bar_row
from fairbook.history.store import LENGTHS_S, Row, RowBatch


class HistoryProjection:
    """Projects into one store. The exchange is at the store's position at the beginning."""

    def __init__(self, store: SqliteStore, exchange: Exchange) -> None:
        self._store = store
        self._exchange = exchange
        self._rows = RowBatch()  # its orders and bars are made at the commit
        self._closed: dict[int, Row] = {}
        self._touched: dict[int, tuple[int, int]] = {}  # order id: (account, market)
        self._texts: dict[int, str] = {}  # client ids of orders that were accepted meanwhile
        self._seconds: dict[tuple[int, int], Bar] = {}  # (market, second)

    def take(self, time_ns: int, events: bytes) -> None:
        """Collect the rows of one frame, which is the last one that the exchange has applied."""
        session = 0  # of the taker: every FILL follows the ACCEPTED or AMENDED of its command
        text: str | None = None  # of the next ACCEPTED
        at, end = 0, len(events)
        while at < end:
            kind = records.kind_at(events, at)
            if kind == records.ACCEPTED:
                placed = records.read_accepted(events, at)
                session = placed.session
                self._touched[placed.order_id] = (placed.account, placed.market)
                if text is not None:
                    self._texts[placed.order_id] = text
                    text = None
            elif kind == records.TEXT:
                text = records.text_at(events, at)
            elif kind == records.FILL:
                self._fill(records.Fill(events, at), time_ns, session == GENERATED_SESSION)
            elif kind == records.CLOSED:
                order = OrderRecord(events, at)
                order.text = self._texts.get(order.order_id)
                self._closed[order.order_id] = order_row(order, time_ns)
            elif kind == records.AMENDED:
                order = OrderRecord(events, at)
                session = order.session
                self._touched[order.order_id] = (order.account, order.market)
            elif kind == records.MOVED:
                moved = admin_records.Moved(events, at)
                self._rows.transfers.append((
                    moved.account, moved.asset, moved.movement, moved.atoms, moved.fee_atoms,
                    moved.operator, moved.reference, time_ns,
                ))  # fmt: skip
            at = records.next_at(events, at)

    def commit(self, *, position: int, time_ns: int, chain: bytes) -> None:
        """Write the rows. Raises StoreUnavailable (then call again), StoreTaken, StoreInvalid."""
        self._rows.orders = [*self._closed.values(), *self._open_orders()]
        self._rows.bars = self._bars()
        self._store.write(self._rows, position=position, time_ns=time_ns, chain=chain)
        self._rows = RowBatch()
        self._closed = {}
        self._touched = {}
        self._texts = {}
        self._seconds = {}

    def _fill(self, fill: records.Fill, time_ns: int, is_generated: bool) -> None:
        market, price, lots = fill.market, fill.price, fill.lots
        quote = price * lots * self._exchange.markets[market].tick_atoms
        self._rows.trades.append((
            fill.trade_id, market, price, lots, quote, time_ns, fill.side,
            fill.taker_account, fill.maker_account, fill.taker_order_id, fill.maker_order_id,
            fill.taker_fee, fill.maker_fee, is_generated,
        ))  # fmt: skip
        self._touched[fill.maker_order_id] = (fill.maker_account, market)
        second = time_ns // NS_PER_SECOND
        bar = self._seconds.get((market, second))
        if bar is None:
            self._seconds[market, second] = Bar.of_trade(
                second, trade_id=fill.trade_id, price=price, lots=lots, quote=quote
            )
        else:
            bar.add(fill.trade_id, price, lots, quote)

    def _open_orders(self) -> list[Row]:
        """The touched orders that are still open, as they are now."""
        found: list[Row] = []
        for order_id, (account, market) in self._touched.items():
            if order_id not in self._closed:
                order = self._exchange.order(account, market, order_id)
                assert order is not None
                found.append(order_row(order, 0))
        return found

    def _bars(self) -> list[Row]:
        """The collected trades as bars of every length, shortest first."""
        rows: list[Row] = []
        shorter = self._seconds
        for length_s in LENGTHS_S:
            bars: dict[tuple[int, int], Bar] = shorter
            if length_s > 1:
                bars = {}
                for (market, start_s), bar in shorter.items():
                    start_s -= start_s % length_s
                    longer = bars.get((market, start_s))
                    if longer is None:
                        bars[market, start_s] = bar.copy(start_s)
                    else:
                        longer.join(bar)
            rows += [bar_row(market, length_s, bar) for (market, _), bar in bars.items()]
            shorter = bars
        return rows


def order_row(order: OrderRecord, closed_ns: int) -> Row:
    """The row of an order. closed_ns: 0 while it is open."""
    return (
        order.order_id, order.account, order.client_id, order.market, order.side, order.tif,
        order.flags, order.price, order.quantity, order.filled, order.quote, order.fee,
        order.status, order.reason, order.created_ns, closed_ns,
        order.session == GENERATED_SESSION, order.text,
    )  # fmt: skip
