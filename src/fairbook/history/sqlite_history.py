"""The History port over the SQLite store: every query is one transaction in a worker thread.

Invariant: a store that is far behind the engine, or has less than the recorder has reported, is not
shown: HistoryBehind.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from fairbook.candles.bars import Bar
from fairbook.candles.ticker import Totals
from fairbook.core.records import ASK, BID, HAS_CLIENT_ID
from fairbook.core.units import NS_PER_SECOND
from fairbook.history import sqlite_bars
from fairbook.history.sqlite_pool import ReadConnection, ReadPool
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
    "trade.trade_id", "trade.market", "fill.order_id",
    f"iif(placed.flags & {HAS_CLIENT_ID}, placed.client_id, placed.client_text)",
    f"iif(is_maker, {BID + ASK} - taker_side, taker_side)",
    "trade.price", "lots", "iif(is_maker, maker_fee, taker_fee)", "is_maker", "trade.time_ns",
)  # fmt: skip
_TRANSFER: Final = (*TransferRow._fields[:-2], "hex(reference)", "time_ns")
_DURING: Final = (
    "max(?2, (SELECT created_ns FROM orders WHERE order_id = ?5 AND account = ?1))"
    " AND min(?3, (SELECT iif(closed_ns, closed_ns, ?3) FROM orders WHERE order_id = ?5))"
)

T = TypeVar("T")


class RecorderProgress(Protocol):
    """The progress of engine and recorder, known without reading the store."""

    @property
    def time_ns(self) -> int:
        """Log time of the engine."""

    @property
    def committed(self) -> int:
        """The last position that the recorder has reported as recorded."""

    async def reached(self, position: int) -> None:
        """As History.reached."""


class SqliteHistory:
    """History and TradeBars, from the recorder's file. For the loop's thread."""

    def __init__(
        self, path: Path, progress: RecorderProgress, *, behind_max_s: float = BEHIND_MAX_S
    ) -> None:
        """path: of the store, which need not exist yet. behind_max_s: in log time."""
        self._progress = progress
        self._pool = ReadPool(path)
        self._behind_max_s = behind_max_s

    async def close(self) -> None:
        await self._pool.close()

    async def reached(self, position: int) -> None:
        await self._progress.reached(position)

    async def trades(self, market: int, page: Page) -> Sequence[TradeRow]:
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
        client_id: int | str | None = None,
    ) -> Sequence[OrderRow]:
        index, terms = "INDEXED BY orders_by_account", ["account = ?"]
        parameters: list[int | str] = [account]
        if order_id:
            index = ""
            terms.append("order_id = ?")
            parameters.append(order_id)
        if client_id is not None:
            is_text = isinstance(client_id, str)
            index = "" if order_id else f"INDEXED BY orders_by_{'text' if is_text else 'client'}"
            terms.append(
                "client_text = ?" if is_text else f"client_id = ? AND flags & {HAS_CLIENT_ID}"
            )
            parameters.append(client_id)
        if market:
            terms.append("market = ?")
            parameters.append(market)
        table = (
            f"(SELECT * FROM orders {index} WHERE {' AND '.join(terms)}"
            f" ORDER BY order_id {_direction(page)} LIMIT ? OFFSET ?)"
        )
        rows = await self._rows(OrderRow._fields, table, (*parameters, page.limit, page.offset))
        return [OrderRow._make([*row[:-2], bool(row[-2]), row[-1]]) for row in rows]

    async def fills(
        self, account: int, page: Page, *, span: Span = ALWAYS, market: int = 0, order_id: int = 0
    ) -> Sequence[FillRow]:
        way = _direction(page)
        order = f"ORDER BY time_ns {way}, market {way}, trade_id {way}"
        # An order's fills are between its times; scanning all of the account's takes too long.
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
        # UNION ALL of two ordered scans is merged lazily: only `offset + limit` rows are read.
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
        movements: Collection[int],
        span: Span = ALWAYS,
        reference: bytes | None = None,
    ) -> Sequence[TransferRow]:
        way = _direction(page)
        of_reference = "" if reference is None else "AND reference = ?6"
        kinds = ", ".join(str(int(movement)) for movement in movements)
        table = (
            f"(SELECT * FROM transfers WHERE account = ?1 AND movement IN ({kinds}) {of_reference}"
            " AND time_ns BETWEEN ?2 AND ?3"
            f" ORDER BY time_ns {way}, transfer_id {way} LIMIT ?4 OFFSET ?5)"
        )
        parameters: list[int | str | bytes] = [account, *span, page.limit, page.offset]
        if reference is not None:
            parameters.append(reference)
        rows = await self._rows(_TRANSFER, table, parameters)
        return [TransferRow._make([*row[:-2], bytes.fromhex(row[-2]), row[-1]]) for row in rows]

    async def klines(
        self, market: int, interval: str, *, start_s: int, end_s: int, bars_max: int
    ) -> Sequence[Bar]:
        return await self._read(
            lambda reader: sqlite_bars.klines(
                reader, market, interval, start_s=start_s, end_s=end_s, bars_max=bars_max
            )
        )

    async def ticker(self, market: int) -> Totals | None:
        return await self._read(lambda reader: sqlite_bars.ticker(reader, market))

    async def bars(self, market: int, *, since_s: int, trade_id_max: int) -> list[Bar]:
        return await self._bars(market, LENGTHS_S, since_s, trade_id_max)

    async def seconds(self, market: int, *, since_s: int, trade_id_max: int) -> list[Bar]:
        return await self._bars(market, LENGTHS_S[:1], since_s, trade_id_max)

    async def _bars(
        self, market: int, lengths_s: Sequence[int], since_s: int, trade_id_max: int
    ) -> list[Bar]:
        return await self._pool.read(
            lambda reader: sqlite_bars.bars_until(
                reader, market, lengths_s, since_s=since_s, trade_id_max=trade_id_max
            )
        )

    async def _rows(
        self, columns: Sequence[str], table: str, parameters: Sequence[int | str | bytes]
    ) -> list[list[Any]]:
        return await self._read(lambda reader: reader.rows(", ".join(columns), table, parameters))

    async def _read(self, query: Callable[[ReadConnection], T]) -> T:
        """The result of a query on a store that is not too far behind."""
        now_ns, committed = self._progress.time_ns, self._progress.committed

        def checked(reader: ReadConnection) -> T:
            position, time_ns = reader.row("SELECT position, time_ns FROM place")
            if position < committed:
                raise HistoryBehind("the store is not the one that the recorder has written")
            behind_s = (now_ns - time_ns) / NS_PER_SECOND
            if behind_s > self._behind_max_s:
                raise HistoryBehind(f"history is {behind_s:.0f} s behind")
            return query(reader)

        return await self._pool.read(checked)


def _direction(page: Page) -> str:
    return "ASC" if page.oldest_first else "DESC"
