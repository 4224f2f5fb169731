"""The History port in memory: NaiveHistory over the events of a DirectExchange.

Set `lag` to hold it back: later positions are not recorded until it is lifted.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from fairbook.candles.bars import Bar
from fairbook.candles.ticker import Totals
from fairbook.core import records
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
from tests.world.naive_history import NaiveHistory

PATIENCE_S = 0.6  # longer than the gateway waits for public requests

Row = TypeVar("Row")


class MemoryHistory:
    def __init__(self, exchange: DirectExchange) -> None:
        self.exchange = exchange
        self.lag: int | None = None
        self.patience_s = PATIENCE_S
        self.broken = False
        self.waits = 0
        self._naive = NaiveHistory()

    def forge(self, movement: int, account: int, asset: int, atoms: int, reference: bytes) -> None:
        """Add a transfer that never happened."""
        transfers = self._recorded().transfers
        transfers.append(
            TransferRow(
                len(transfers) + 1, account, asset, movement, atoms, 0, 0, reference,
                self.exchange.time_ns,
            )
        )  # fmt: skip

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
        return _page(self._recorded().market(market), page)

    async def klines(
        self, market: int, interval: str, *, start_s: int, end_s: int, bars_max: int
    ) -> Sequence[Bar]:
        return self._recorded().klines(
            market, interval, start_s=start_s, end_s=end_s, bars_max=bars_max
        )

    async def ticker(self, market: int) -> Totals | None:
        return self._recorded().ticker(market)

    async def orders(
        self,
        account: int,
        page: Page,
        *,
        market: int = 0,
        order_id: int = 0,
        client_id: int | str | None = None,
    ) -> Sequence[OrderRow]:
        def fits(row: OrderRow) -> bool:
            own_id = row.client_id if row.flags & records.HAS_CLIENT_ID else row.client_text
            return (
                row.account == account
                and market in (0, row.market)
                and order_id in (0, row.order_id)
                and client_id in (None, own_id)
            )

        return _page(filter(fits, self._recorded().orders.values()), page)

    async def fills(
        self, account: int, page: Page, *, span: Span = ALWAYS, market: int = 0, order_id: int = 0
    ) -> Sequence[FillRow]:
        def fits(row: FillRow) -> bool:
            return (
                market in (0, row.market)
                and order_id in (0, row.order_id)
                and span.from_ns <= row.time_ns <= span.to_ns
            )

        return _page(filter(fits, self._recorded().fills(account)), page)

    async def transfers(
        self,
        account: int,
        page: Page,
        *,
        movements: Collection[int],
        span: Span = ALWAYS,
        reference: bytes | None = None,
    ) -> Sequence[TransferRow]:
        def fits(row: TransferRow) -> bool:
            return (
                row.account == account
                and row.movement in movements
                and reference in (None, row.reference)
                and span.from_ns <= row.time_ns <= span.to_ns
            )

        return _page(filter(fits, self._recorded().transfers), page)

    def _recorded(self) -> NaiveHistory:
        """The rows up to `position`."""
        if self.broken:
            raise HistoryBehind
        naive = self._naive
        for answer in self.exchange.answers[naive.position : self.position]:
            naive.take(answer.time_ns, answer.events)
        naive.time_ns = self.exchange.time_ns
        return naive


def _page(rows: Iterable[Row], page: Page) -> list[Row]:
    """rows: oldest first."""
    found = list(rows)
    return (found if page.oldest_first else found[::-1])[page.offset : page.offset + page.limit]
