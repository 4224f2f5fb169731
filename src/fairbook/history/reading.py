"""Asking history: trades, candles, the ticker, and what an account did.

How it works: every question is one transaction on the recorder's file, in a worker thread.
Stretches of time are put together from the fewest stored bars: long ones in the middle, shorter
ones at both ends.

Always true: an answer is of one moment of the record; candles and ticker reach up to recorded log
time, and no further.

Not here: what is stored (store.py); what it looks like to clients (the gateway).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from fairbook.core.records import ASK, BID, HAS_CLIENT_ID
from fairbook.events.answers import HistoryBehind
from fairbook.history.connections import Connections, Reader
from fairbook.history.store import LENGTHS_S, LOW_BITS
from fairbook.views.candles import Bar, bucket_end, bucket_start, gapless
from fairbook.views.rows import FillRow, OrderRow, TradeRow, TransferRow
from fairbook.views.ticker import Totals

DAY_S: Final = 86_400
BEHIND_MAX_S: Final = 60.0
SECONDS_AT_ONCE: Final = 4_000
ANY_NS: Final = 2**63 - 1

_SECOND_NS: Final = 1_000_000_000
_BAR: Final = (
    "start_s, open, high, low, close, lots_high, lots_low, quote_high, quote_low, trades,"
    " first_id, last_id"
)
# Which stored bars an interval is made of. They divide it, and begin where it begins.
_BASE_S: Final = {
    "1s": 1, "1m": 60, "3m": 60, "5m": 60, "15m": 900, "30m": 900, "1h": 3_600, "2h": 3_600,
    "4h": 3_600, "6h": 3_600, "8h": 3_600, "12h": 3_600, "1d": DAY_S, "3d": DAY_S, "1w": DAY_S,
    "1month": DAY_S,
}  # fmt: skip

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

# The first bars of a stretch, as they are.
_STRETCH: Final = (
    "(SELECT * FROM bars WHERE market = ? AND length_s = ? AND start_s >= ? AND start_s < ?"
    " ORDER BY start_s LIMIT ?)"
)

# The bars of each piece [length, from, to), as they are.
_PIECES: Final = """(
    SELECT bars.* FROM json_each(?1) piece CROSS JOIN bars
    ON bars.market = ?2 AND bars.length_s = json_extract(piece.value, '$[0]')
    AND bars.start_s >= json_extract(piece.value, '$[1]')
    AND bars.start_s < json_extract(piece.value, '$[2]')
)"""

# The bars of each bucket [from, to), joined; in the order of the buckets. Sums of halves cannot
# overflow. Trades of earlier bars have lower ids: so the first bar opens, and the last one closes.
_BUCKETS: Final = """(
    SELECT bucket.start_s, opening.open, high, low, closing.close, lots_high, lots_low,
        quote_high, quote_low, bucket.trades, bucket.first_id, bucket.last_id
    FROM (
        SELECT json_extract(each.value, '$[0]') AS start_s,
            min(bars.start_s) AS first_s, max(bars.start_s) AS last_s,
            max(bars.high) AS high, min(bars.low) AS low,
            sum(bars.lots_high) AS lots_high, sum(bars.lots_low) AS lots_low,
            sum(bars.quote_high) AS quote_high, sum(bars.quote_low) AS quote_low,
            sum(bars.trades) AS trades,
            min(bars.first_id) AS first_id, max(bars.last_id) AS last_id
        FROM json_each(?1) each CROSS JOIN bars
        ON bars.market = ?2 AND bars.length_s = ?3
        AND bars.start_s >= json_extract(each.value, '$[0]')
        AND bars.start_s < json_extract(each.value, '$[1]')
        GROUP BY each.key ORDER BY each.key
    ) bucket
    CROSS JOIN (SELECT start_s, open FROM bars WHERE market = ?2 AND length_s = ?3) opening
        ON opening.start_s = bucket.first_s
    CROSS JOIN (SELECT start_s, close FROM bars WHERE market = ?2 AND length_s = ?3) closing
        ON closing.start_s = bucket.last_s
)"""

T = TypeVar("T")


class Recorded(Protocol):
    """What is known of recorder and engine without asking the store."""

    @property
    def time_ns(self) -> int:
        """Log time of the engine."""

    async def reached(self, position: int) -> None:
        """Wait until everything up to `position` is recorded; not for ever: HistoryBehind."""


class Stretch(NamedTuple):
    """Bars of one length that begin in [from_s, to_s)."""

    length_s: int
    from_s: int
    to_s: int


class SqliteHistory:
    """`History` of gateway/ports.py, from the recorder's file. For the loop's thread."""

    def __init__(
        self,
        path: Path,
        recorded: Recorded,
        *,
        connections: Connections | None = None,
        behind_max_s: float = BEHIND_MAX_S,
    ) -> None:
        """path: of the store; it need not be there yet.

        behind_max_s: a record that is further behind the engine, in log time, is not shown.
        """
        self._recorded = recorded
        self._connections = connections or Connections(path)
        self._behind_max_s = behind_max_s

    async def close(self) -> None:
        """Close the file."""
        await self._connections.close()

    async def reached(self, position: int) -> None:
        """As History."""
        await self._recorded.reached(position)

    async def trades(self, market: int, *, limit: int, offset: int = 0) -> Sequence[TradeRow]:
        """As History."""
        newest = "(SELECT max(trade_id) FROM trades WHERE market = ?1)"
        table = (
            f"(SELECT * FROM trades WHERE market = ?1 AND trade_id <= {newest} - ?2"
            " ORDER BY trade_id DESC LIMIT ?3)"
        )
        rows = await self._rows(TradeRow._fields, table, (market, offset, limit))
        return [TradeRow._make([*row[:-1], bool(row[-1])]) for row in rows]

    async def orders(
        self,
        account: int,
        *,
        market: int = 0,
        order_id: int = 0,
        client_id: int | None = None,
        limit: int,
        offset: int = 0,
        rising: bool = False,
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
            f" ORDER BY order_id {_direction(rising)} LIMIT ? OFFSET ?)"
        )
        rows = await self._rows(OrderRow._fields, table, (*parameters, limit, offset))
        return [OrderRow._make([*row[:-1], bool(row[-1])]) for row in rows]

    async def fills(
        self,
        account: int,
        *,
        market: int = 0,
        order_id: int = 0,
        from_ns: int = 0,
        to_ns: int = ANY_NS,
        limit: int,
        offset: int = 0,
        rising: bool = False,
    ) -> Sequence[FillRow]:
        """As History."""
        way = _direction(rising)
        order = f"ORDER BY time_ns {way}, market {way}, trade_id {way}"
        parts: list[str] = []
        for is_maker, role in enumerate(("taker", "maker")):
            part = (
                f"SELECT time_ns, market, trade_id, {role}_order_id AS order_id,"
                f" {is_maker} AS is_maker FROM trades INDEXED BY trades_by_{role}"
                f" WHERE {role}_account = ?1 AND time_ns BETWEEN ?2 AND ?3"
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
        limits = (from_ns, min(to_ns, ANY_NS), market, order_id, limit, offset)
        rows = await self._rows(_FILL, table, (account, *limits))
        return [FillRow._make([*row[:8], bool(row[8]), row[9]]) for row in rows]

    async def transfers(
        self,
        account: int,
        *,
        side: int,
        reference: int | None = None,
        from_ns: int = 0,
        to_ns: int = ANY_NS,
        limit: int,
        offset: int = 0,
    ) -> Sequence[TransferRow]:
        """As History."""
        of_reference = "" if reference is None else "AND reference = ?7"
        table = (
            f"(SELECT * FROM transfers WHERE account = ?1 AND side = ?2 {of_reference}"
            " AND time_ns BETWEEN ?3 AND ?4"
            " ORDER BY time_ns DESC, transfer_id DESC LIMIT ?5 OFFSET ?6)"
        )
        parameters = [account, side, from_ns, min(to_ns, ANY_NS), limit, offset]
        if reference is not None:
            parameters.append(reference)
        rows = await self._rows(TransferRow._fields, table, parameters)
        return [TransferRow(*row) for row in rows]

    async def klines(
        self, market: int, interval: str, *, start_s: int, end_s: int, bars_max: int
    ) -> Sequence[Bar]:
        """As History."""
        return await self._ask(
            lambda reader: _klines(reader, market, interval, start_s, end_s, bars_max)
        )

    async def ticker(self, market: int) -> Totals | None:
        """As History."""
        return await self._ask(lambda reader: _ticker(reader, market))

    async def bars(self, market: int, *, since_s: int, trade_id_max: int) -> list[Bar]:
        """The fewest bars with all trades from `since_s` up to that one, by rising start.

        Their lengths are `LENGTHS_S`. The last one has that trade, also if that was before
        `since_s`: it is the last price. Empty for trade 0. Raises HistoryBehind if the trade is not
        recorded yet.
        """
        return await self._connections.ask(
            lambda reader: _bars_until(reader, market, since_s, trade_id_max, LENGTHS_S)
        )

    async def seconds(self, market: int, *, since_s: int, trade_id_max: int) -> list[Bar]:
        """As `bars`, but of one second each."""
        return await self._connections.ask(
            lambda reader: _bars_until(reader, market, since_s, trade_id_max, LENGTHS_S[:1])
        )

    async def _rows(
        self, columns: Sequence[str], table: str, parameters: Sequence[int]
    ) -> list[list[Any]]:
        return await self._ask(lambda reader: reader.rows(", ".join(columns), table, parameters))

    async def _ask(self, question: Callable[[Reader], T]) -> T:
        """What a question is answered by a record that is not too far behind."""
        now_ns = self._recorded.time_ns

        def asked(reader: Reader) -> T:
            behind_s = (now_ns - _time_ns(reader)) / _SECOND_NS
            if behind_s > self._behind_max_s:
                raise HistoryBehind(f"history is {behind_s:.0f} s behind")
            return question(reader)

        return await self._connections.ask(asked)


def cover(from_s: int, to_s: int, lengths_s: Sequence[int] = LENGTHS_S) -> Iterator[Stretch]:
    """The fewest bars that together are [from_s, to_s): by rising start.

    lengths_s: those there are, shortest first; each divides the next, the first is 1.
    """
    if from_s >= to_s:
        return
    *shorter, length_s = lengths_s
    first_s = -(-from_s // length_s) * length_s
    last_s = to_s // length_s * length_s
    if first_s >= last_s:
        if shorter:
            yield from cover(from_s, to_s, shorter)
        return
    if shorter:
        yield from cover(from_s, first_s, shorter)
    yield Stretch(length_s, first_s, last_s)
    if shorter:
        yield from cover(last_s, to_s, shorter)


def _klines(
    reader: Reader, market: int, interval: str, start_s: int, end_s: int, bars_max: int
) -> list[Bar]:
    base_s = _BASE_S[interval]
    first = reader.row(
        "SELECT start_s FROM bars WHERE market = ? AND length_s = ? ORDER BY start_s LIMIT 1",
        (market, base_s),
    )
    if first is None:
        return []
    end_s = min(end_s, _time_ns(reader) // _SECOND_NS)
    start_s = max(start_s, bucket_start(interval, first[0]))
    if start_s > end_s:
        return []
    buckets: list[tuple[int, int]] = []
    at = bucket_start(interval, start_s)
    if at < start_s:
        at = bucket_end(interval, at)
    start_s = at
    while at <= end_s and len(buckets) < bars_max:
        ending = bucket_end(interval, at)
        buckets.append((at, ending))
        at = ending
    if not buckets:
        return []
    if buckets[0][1] - start_s == base_s:
        rows = reader.rows(_BAR, _STRETCH, (market, base_s, start_s, at, bars_max))
    else:
        rows = reader.rows(_BAR, _BUCKETS, (json.dumps(buckets), market, base_s))
    before = reader.row(
        "SELECT close FROM bars WHERE market = ? AND length_s = ? AND start_s < ?"
        " ORDER BY start_s DESC LIMIT 1",
        (market, base_s, start_s),
    )
    return gapless(
        [_bar(row) for row in rows],
        interval,
        start_s=start_s,
        end_s=buckets[-1][0],
        close=None if before is None else before[0],
        bars_max=bars_max,
    )


def _ticker(reader: Reader, market: int) -> Totals | None:
    now_s = _time_ns(reader) // _SECOND_NS
    # Nothing is recorded after now: so the end may be that of the day.
    stretches = list(cover(now_s - DAY_S + 1, (now_s // DAY_S + 1) * DAY_S))
    bars = _read(reader, market, stretches)
    if not bars:
        last = reader.row(
            "SELECT price FROM trades WHERE market = ? ORDER BY trade_id DESC LIMIT 1", (market,)
        )
        if last is None:
            return None
        return Totals(last[0], last[0], last[0], last[0], lots=0, quote=0, trades=0)
    total = bars[0]
    for bar in bars[1:]:
        total.join(bar)
    return Totals(
        first=total.open,
        last=total.close,
        high=total.high,
        low=total.low,
        lots=total.lots,
        quote=total.quote,
        trades=total.trades,
    )


def _bars_until(
    reader: Reader, market: int, since_s: int, trade_id_max: int, lengths_s: Sequence[int]
) -> list[Bar]:
    if trade_id_max == 0:
        return []
    last = reader.row(
        "SELECT time_ns FROM trades WHERE market = ? AND trade_id = ?", (market, trade_id_max)
    )
    if last is None:
        raise HistoryBehind(f"trade {trade_id_max} is not recorded yet")
    last_s = last[0] // _SECOND_NS
    found: list[Bar] = []
    for stretch in cover(since_s, last_s, lengths_s):
        found += _read_long(reader, market, stretch)
    # In its last second there may be trades after that one.
    rows = reader.rows(
        "trade_id, price, lots, quote",
        "(SELECT * FROM trades WHERE market = ?1 AND trade_id <= ?2 AND trade_id >="
        " (SELECT first_id FROM bars WHERE market = ?1 AND length_s = 1 AND start_s = ?3)"
        " ORDER BY trade_id)",
        (market, trade_id_max, last_s),
    )
    trade_id, price, lots, quote = rows[0]
    running = Bar(last_s, trade_id=trade_id, price=price, lots=lots, quote=quote)
    for row in rows[1:]:
        running.add(*row)
    return [*found, running]


def _read_long(reader: Reader, market: int, stretch: Stretch) -> list[Bar]:
    """The bars of a stretch, which may be many: some at a time, so that no other thread waits long
    for this one.
    """
    found: list[Bar] = []
    length_s, from_s, to_s = stretch
    while True:
        rows = reader.rows(_BAR, _STRETCH, (market, length_s, from_s, to_s, SECONDS_AT_ONCE))
        found += [_bar(row) for row in rows]
        if len(rows) < SECONDS_AT_ONCE:
            return found
        from_s = found[-1].start_s + 1


def _read(reader: Reader, market: int, stretches: Sequence[Stretch]) -> list[Bar]:
    return [_bar(row) for row in reader.rows(_BAR, _PIECES, (json.dumps(stretches), market))]


def _time_ns(reader: Reader) -> int:
    """Log time, as far as it is recorded."""
    (time_ns,) = reader.row("SELECT time_ns FROM place")
    recorded: int = time_ns
    return recorded


def _bar(row: Sequence[int]) -> Bar:
    start_s, first, high, low, last, lots_high, lots_low, quote_high, quote_low = row[:9]
    trades, first_id, last_id = row[9:]
    return Bar.restored(
        start_s,
        open=first,
        high=high,
        low=low,
        close=last,
        lots=(lots_high << LOW_BITS) + lots_low,
        quote=(quote_high << LOW_BITS) + quote_low,
        trades=trades,
        first_id=first_id,
        last_id=last_id,
    )


def _direction(rising: bool) -> str:
    return "ASC" if rising else "DESC"
