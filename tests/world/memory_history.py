"""The History port in memory: rows made from the events of a real core, by hand and in full.

`lag` holds it back: what comes after that position is not recorded until it is lifted.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from fairbook.candles.bars import Bar, bucket_start, gapless
from fairbook.candles.ticker import Totals
from fairbook.core import records
from fairbook.core.records import Change, Fill, Outcome, Placed, kind_at, next_at
from fairbook.ports.commands import Answer
from fairbook.ports.history import (
    ALWAYS,
    FillRow,
    HistoryBehind,
    OrderRow,
    Page,
    Span,
    TradeRow,
    TransferRow,
)
from tests.world.direct_exchange import DirectExchange

NS = 1_000_000_000
DAY_S = 86_400
PATIENCE_S = 0.6  # longer than the gateway's moment for public requests

Row = TypeVar("Row")


class MemoryHistory:
    """Everything since the beginning, as rows."""

    def __init__(self, exchange: DirectExchange) -> None:
        self.exchange = exchange
        self.lag: int | None = None
        self.patience_s = PATIENCE_S
        self.broken = False
        self.waits = 0
        self._read = 0
        self._trades: list[TradeRow] = []
        self._orders: dict[int, OrderRow] = {}
        self._transfers: list[TransferRow] = []

    @property
    def position(self) -> int:
        last = self.exchange.position
        return last if self.lag is None else min(self.lag, last)

    async def reached(self, position: int) -> None:
        self.waits += 1
        deadline = asyncio.get_running_loop().time() + self.patience_s
        while self.position < position:
            if asyncio.get_running_loop().time() > deadline:
                raise HistoryBehind
            await asyncio.sleep(0.005)

    async def trades(self, market: int, page: Page) -> Sequence[TradeRow]:
        self._record()
        return _part(self._trades, lambda row: row.market == market, page)

    async def klines(
        self, market: int, interval: str, *, start_s: int, end_s: int, bars_max: int
    ) -> Sequence[Bar]:
        self._record()
        bars: dict[int, Bar] = {}
        close = None
        for row in self._trades:
            if row.market != market:
                continue
            begins_s = bucket_start(interval, row.time_ns // NS)
            if begins_s < start_s:
                close = row.price
            elif begins_s in bars:
                bars[begins_s].add(row.trade_id, row.price, row.lots, row.quote)
            elif begins_s <= end_s:
                bars[begins_s] = Bar.of_trade(
                    begins_s, trade_id=row.trade_id, price=row.price, lots=row.lots,
                    quote=row.quote,
                )  # fmt: skip
        now_s = self.exchange.time_ns // NS
        return gapless(
            bars.values(), interval, start_s=start_s, end_s=min(end_s, now_s), close=close,
            bars_max=bars_max,
        )  # fmt: skip

    async def ticker(self, market: int) -> Totals | None:
        self._record()
        trades = [row for row in self._trades if row.market == market]
        if not trades:
            return None
        since_s = self.exchange.time_ns // NS - DAY_S
        inside = [row for row in trades if row.time_ns // NS > since_s]
        if not inside:
            last = trades[-1].price
            return Totals(last, last, last, last, 0, 0, 0)
        prices = [row.price for row in inside]
        return Totals(
            prices[0], prices[-1], max(prices), min(prices), sum(row.lots for row in inside),
            sum(row.quote for row in inside), len(inside),
        )  # fmt: skip

    async def orders(
        self,
        account: int,
        page: Page,
        *,
        market: int = 0,
        order_id: int = 0,
        client_id: int | None = None,
    ) -> Sequence[OrderRow]:
        self._record()

        def fits(row: OrderRow) -> bool:
            has_client_id = row.flags & records.HAS_CLIENT_ID
            return (
                row.account == account
                and market in (0, row.market)
                and order_id in (0, row.order_id)
                and (client_id is None or (bool(has_client_id) and row.client_id == client_id))
            )

        return _part(self._orders.values(), fits, page)

    async def fills(
        self, account: int, page: Page, *, span: Span = ALWAYS, market: int = 0, order_id: int = 0
    ) -> Sequence[FillRow]:
        self._record()
        fills: list[FillRow] = []
        for row in self._trades:
            sides = (
                (row.taker_account, row.taker_order_id, row.taker_side, row.taker_fee, False),
                (row.maker_account, row.maker_order_id, 1 - row.taker_side, row.maker_fee, True),
            )
            for owner, own_order, side, fee, is_maker in sides:
                order = self._orders[own_order]
                client_id = order.client_id if order.flags & records.HAS_CLIENT_ID else None
                if owner == account:
                    fills.append(
                        FillRow(
                            row.trade_id,
                            row.market,
                            own_order,
                            client_id,
                            side,
                            row.price,
                            row.lots,
                            fee,
                            is_maker,
                            row.time_ns,
                        )
                    )

        def fits(row: FillRow) -> bool:
            return (
                market in (0, row.market)
                and order_id in (0, row.order_id)
                and span.from_ns <= row.time_ns <= span.to_ns
            )

        return _part(fills, fits, page)

    async def transfers(
        self,
        account: int,
        page: Page,
        *,
        side: int,
        span: Span = ALWAYS,
        reference: int | None = None,
    ) -> Sequence[TransferRow]:
        self._record()

        def fits(row: TransferRow) -> bool:
            return (
                (row.account, row.side) == (account, side)
                and reference in (None, row.reference)
                and span.from_ns <= row.time_ns <= span.to_ns
            )

        return _part(self._transfers, fits, page)

    def _record(self) -> None:
        if self.broken:
            raise HistoryBehind
        while self._read < len(self.exchange.answers):
            answer = self.exchange.answers[self._read]
            if answer.position > self.position:
                break
            at = 0
            while at < len(answer.events):
                self._take(answer, at)
                at = next_at(answer.events, at)
            self._read += 1

    def _take(self, answer: Answer, at: int) -> None:
        kind, events = kind_at(answer.events, at), answer.events
        if kind == records.ACCEPTED:
            placed = Placed(events, at, is_event=True)
            self._orders[placed.order_id] = OrderRow(
                placed.order_id, placed.account, placed.client_id, placed.market, placed.side,
                placed.tif, placed.flags, placed.price, placed.quantity, filled=0, quote=0, fee=0,
                status=records.NEW, reason=0, created_ns=answer.time_ns, closed_ns=0,
                is_generated=False,
            )  # fmt: skip
        elif kind == records.FILL:
            self._fill(Fill(events, at), answer.time_ns)
        elif kind in (records.CLOSED, records.AMENDED):
            order = records.OrderRecord(events, at)
            is_closed = kind == records.CLOSED
            self._orders[order.order_id] = self._orders[order.order_id]._replace(
                price=order.price,
                quantity=order.quantity,
                filled=order.filled,
                quote=order.quote,
                fee=order.fee,
                status=order.status,
                reason=order.reason if is_closed else 0,
                closed_ns=answer.time_ns if is_closed else 0,
            )
        elif kind == records.MOVED:
            moved = Change(events, at)
            account, reference, atoms = moved.words
            self._transfers.append(
                TransferRow(
                    len(self._transfers) + 1,
                    account,
                    moved.subject,
                    int(moved.is_debit),
                    atoms,
                    reference,
                    answer.time_ns,
                )
            )
        else:
            assert kind != records.OUTCOME or Outcome(events, at).sequence

    def _fill(self, fill: Fill, time_ns: int) -> None:
        quote = fill.price * fill.lots * self.exchange.market(fill.market).tick_atoms
        self._trades.append(
            TradeRow(
                fill.trade_id,
                fill.market,
                fill.price,
                fill.lots,
                quote,
                time_ns,
                fill.side,
                fill.taker_account,
                fill.maker_account,
                fill.taker_order_id,
                fill.maker_order_id,
                fill.taker_fee,
                fill.maker_fee,
                is_generated=False,
            )
        )
        for order_id, fee in (
            (fill.taker_order_id, fill.taker_fee),
            (fill.maker_order_id, fill.maker_fee),
        ):
            row = self._orders[order_id]
            self._orders[order_id] = row._replace(
                filled=row.filled + fill.lots, quote=row.quote + quote, fee=row.fee + fee,
                status=records.PARTIALLY_FILLED,
            )  # fmt: skip


def _part(rows: Iterable[Row], fits: Callable[[Row], bool], page: Page) -> list[Row]:
    """`rows` are in the order in which they began."""
    found = [row for row in rows if fits(row)]
    in_order = found if page.oldest_first else found[::-1]
    return in_order[page.offset : page.offset + page.limit]
