"""Asking history: trades, candles, the ticker, and what an account did.

How it works: every question is one transaction on the recorder's file, in a worker thread.

Always true: an answer is of one moment of the record; one that is far behind, or has less than the
recorder said, is not shown.

Not here: what is stored (store.py); how bars are put together (bars.py); what it looks like to
clients (the gateway).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from fairbook.candles.candles import Bar
from fairbook.candles.ticker import Totals
from fairbook.core.records import ASK, BID, HAS_CLIENT_ID
from fairbook.core.units import NS_PER_SECOND
from fairbook.history import bars as stored
from fairbook.history.read_pool import ReadConnection, ReadPool
from fairbook.history.store import LENGTHS_S
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

BEHIND_MAX_S: Final = 60.0

_FILL: Final = (
    "trade.trade_id",
    "trade.market",
    "fill.order_id",
    f"iif(placed.flags & {HAS_CLIENT_ID}, placed.client_id, NULL)",
    f"iif(is_maker, {BID + ASK} - taker_side, taker_side)",
    "trade.price",
    "lots",
    "iif(is_maker, maker_fee, taker_fee)",
    "is_maker",
    "trade.time_ns",
)
_DURING: Final = (
    "max(?2, (SELECT created_ns FROM orders WHERE order_id = ?5 AND account = ?1))"
    " AND min(?3, (SELECT iif(closed_ns, closed_ns, ?3) FROM orders WHERE order_id = ?5))"
)

T = TypeVar("T")


class Recorded(Protocol):
    """What is known of recorder and engine without asking the store."""

    @property
    def time_ns(self) -> int:
        """Log time of the engine."""

    @property
    def committed(self) -> int:
        """The position up to which the recorder has said that everything is recorded."""

    async def reached(self, position: int) -> None:
        """Wait until everything up to `position` is recorded; not for ever: HistoryBehind."""


class SqliteHistory:
    """`History` of gateway/ports.py, from the recorder's file. For the loop's thread."""

    def __init__(
        self,
        path: Path,
        recorded: Recorded,
        *,
        connections: ReadPool | None = None,
        behind_max_s: float = BEHIND_MAX_S,
    ) -> None:
        """path: of the store; it need not be there yet.

        behind_max_s: a record that is further behind the engine, in log time, is not shown.
        """
        self._recorded = recorded
        self._connections = connections or ReadPool(path)
        self._behind_max_s = behind_max_s

    async def close(self) -> None:
        """Close the file."""
        await self._connections.close()

    async def reached(self, position: int) -> None:
        """As History."""
        await self._recorded.reached(position)

    async def trades(self, market: int, page: Page) -> Sequence[TradeRow]:
        """As History."""
        # Trade ids are dense: no row before the page is read.
        first = (
            "trade_id >= (SELECT min(trade_id) FROM trades WHERE market = ?1) + ?2"
            if page.oldest_first
            else "trade_id <= (SELECT max(trade_id) FROM trades WHERE market = ?1) - ?2"
        )
        table = (
            f"(SELECT * FROM trades WHERE market = ?1 AND {first}"
            f" ORDER BY trade_id {_direction(page)} LIMIT ?3)"
        )
        rows = await self._rows(TradeRow._fields, table, (market, page.offset, page.limit))
        return [TradeRow._make([*row[:-1], bool(row[-1])]) for row in rows]

    async def orders(
        self,
        account: int,
        page: Page,
        *,
        market: int = 0,
        order_id: int = 0,
        client_id: int | None = None,
    ) -> Sequence[OrderRow]:
        """As History."""
        index, terms, parameters = "INDEXED BY orders_by_account", ["account = ?"], [account]
        if order_id:
            index = ""
            terms.append("order_id = ?")
            parameters.append(order_id)
        if client_id is not None:
            index = "" if order_id else "INDEXED BY orders_by_client"
            terms.append(f"client_id = ? AND flags & {HAS_CLIENT_ID}")
            parameters.append(client_id)
        if market:
            terms.append("market = ?")
            parameters.append(market)
        table = (
            f"(SELECT * FROM orders {index} WHERE {' AND '.join(terms)}"
            f" ORDER BY order_id {_direction(page)} LIMIT ? OFFSET ?)"
        )
        rows = await self._rows(OrderRow._fields, table, (*parameters, page.limit, page.offset))
        return [OrderRow._make([*row[:-1], bool(row[-1])]) for row in rows]

    async def fills(
        self, account: int, page: Page, *, span: Span = ALWAYS, market: int = 0, order_id: int = 0
    ) -> Sequence[FillRow]:
        """As History."""
        way = _direction(page)
        order = f"ORDER BY time_ns {way}, market {way}, trade_id {way}"
        # A named order's fills are looked for between its times: all of the account's may be many.
        during = _DURING if order_id else "?2 AND ?3"
        parts: list[str] = []
        for is_maker, role in enumerate(("taker", "maker")):
            part = (
                f"SELECT time_ns, market, trade_id, {role}_order_id AS order_id,"
                f" {is_maker} AS is_maker FROM trades INDEXED BY trades_by_{role}"
                f" WHERE {role}_account = ?1 AND time_ns BETWEEN {during}"
            )
            part += " AND market = ?4" if market else ""
            part += f" AND {role}_order_id = ?5" if order_id else ""
            parts.append(part)
        # Merged as they come: no more is read than is shown or passed over.
        found = f"SELECT * FROM ({' UNION ALL '.join(parts)} {order} LIMIT ?6 OFFSET ?7)"
        table = (
            f"({found}) fill CROSS JOIN trades trade"
            " ON trade.market = fill.market AND trade.trade_id = fill.trade_id"
            " LEFT JOIN orders placed ON placed.order_id = fill.order_id"
        )
        parameters = (account, *span, market, order_id, page.limit, page.offset)
        rows = await self._rows(_FILL, table, parameters)
        return [FillRow._make([*row[:8], bool(row[8]), row[9]]) for row in rows]

    async def transfers(
        self,
        account: int,
        page: Page,
        *,
        side: int,
        span: Span = ALWAYS,
        reference: int | None = None,
    ) -> Sequence[TransferRow]:
        """As History."""
        way = _direction(page)
        of_reference = "" if reference is None else "AND reference = ?7"
        table = (
            f"(SELECT * FROM transfers WHERE account = ?1 AND side = ?2 {of_reference}"
            " AND time_ns BETWEEN ?3 AND ?4"
            f" ORDER BY time_ns {way}, transfer_id {way} LIMIT ?5 OFFSET ?6)"
        )
        parameters = [account, side, *span, page.limit, page.offset]
        if reference is not None:
            parameters.append(reference)
        rows = await self._rows(TransferRow._fields, table, parameters)
        return [TransferRow(*row) for row in rows]

    async def klines(
        self, market: int, interval: str, *, start_s: int, end_s: int, bars_max: int
    ) -> Sequence[Bar]:
        """As History."""
        return await self._ask(
            lambda reader: stored.klines(
                reader, market, interval, start_s=start_s, end_s=end_s, bars_max=bars_max
            )
        )

    async def ticker(self, market: int) -> Totals | None:
        """As History."""
        return await self._ask(lambda reader: stored.ticker(reader, market))

    async def bars(self, market: int, *, since_s: int, trade_id_max: int) -> list[Bar]:
        """The fewest bars with all trades from `since_s` up to that one, by rising start.

        Their lengths are `LENGTHS_S`. The last one has that trade, also if that was before
        `since_s`: it is the last price. Empty for trade 0. Raises HistoryBehind if the trade is not
        recorded yet.
        """
        return await self._connections.ask(
            lambda reader: stored.bars_until(
                reader, market, LENGTHS_S, since_s=since_s, trade_id_max=trade_id_max
            )
        )

    async def seconds(self, market: int, *, since_s: int, trade_id_max: int) -> list[Bar]:
        """As `bars`, but of one second each."""
        return await self._connections.ask(
            lambda reader: stored.bars_until(
                reader, market, LENGTHS_S[:1], since_s=since_s, trade_id_max=trade_id_max
            )
        )

    async def _rows(
        self, columns: Sequence[str], table: str, parameters: Sequence[int]
    ) -> list[list[Any]]:
        return await self._ask(lambda reader: reader.rows(", ".join(columns), table, parameters))

    async def _ask(self, question: Callable[[ReadConnection], T]) -> T:
        """What a question is answered by a record that is not too far behind."""
        now_ns, committed = self._recorded.time_ns, self._recorded.committed

        def asked(reader: ReadConnection) -> T:
            position, time_ns = reader.row("SELECT position, time_ns FROM place")
            if position < committed:
                raise HistoryBehind("another store is in the place of the one that was recorded")
            behind_s = (now_ns - time_ns) / NS_PER_SECOND
            if behind_s > self._behind_max_s:
                raise HistoryBehind(f"history is {behind_s:.0f} s behind")
            return question(reader)

        return await self._connections.ask(asked)


def _direction(page: Page) -> str:
    return "ASC" if page.oldest_first else "DESC"
