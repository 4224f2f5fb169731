"""Stored bars, joined: candles of every interval, the 24 h ticker, bars up to a given trade.

Design: a time range is covered by the fewest stored bars: long ones in the middle, shorter ones at
both ends. SQLite joins stored bars into longer candles.

Invariants: nothing reaches beyond recorded log time, or the given trade; open and close are those
of the lowest and the highest trade id.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from fairbook.candles.bars import DAY_S, Bar, bucket_end, bucket_start, gapless
from fairbook.candles.ticker import WINDOW_S, Totals
from fairbook.core.units import NS_PER_SECOND
from fairbook.history.sqlite_pool import ReadConnection
from fairbook.history.sqlite_store import LOW_BITS
from fairbook.history.store import LENGTHS_S
from fairbook.ports.history import HistoryBehind

BARS_AT_ONCE: Final = 4_000

_BAR: Final = (
    "start_s, open, high, low, close, lots_high, lots_low, quote_high, quote_low, trades,"
    " first_id, last_id"
)
# The length of the stored bars that an interval is made of: they divide it and are aligned to it.
_BASE_S: Final = {
    "1s": 1, "1m": 60, "3m": 60, "5m": 60, "15m": 900, "30m": 900, "1h": 3_600, "2h": 3_600,
    "4h": 3_600, "6h": 3_600, "8h": 3_600, "12h": 3_600, "1d": DAY_S, "3d": DAY_S, "1w": DAY_S,
    "1month": DAY_S,
}  # fmt: skip

# The first bars of one range.
_ONE_RANGE: Final = (
    "(SELECT * FROM bars WHERE market = ? AND length_s = ? AND start_s >= ? AND start_s < ?"
    " ORDER BY start_s LIMIT ?)"
)

# The bars of each range [length, from, to).
_MANY_RANGES: Final = """(
    SELECT bars.* FROM json_each(?1) piece CROSS JOIN bars
    ON bars.market = ?2 AND bars.length_s = json_extract(piece.value, '$[0]')
    AND bars.start_s >= json_extract(piece.value, '$[1]')
    AND bars.start_s < json_extract(piece.value, '$[2]')
)"""

# The bars of each bucket [from, to), joined, in the order of the buckets. Sums of the halves cannot
# overflow. Trade ids rise with time, so the first bar has the open and the last one the close.
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


class BarRange(NamedTuple):
    """Bars of one length that begin in [from_s, to_s)."""

    length_s: int
    from_s: int
    to_s: int


def fewest_bars(from_s: int, to_s: int, lengths_s: Sequence[int] = LENGTHS_S) -> Iterator[BarRange]:
    """The fewest bars that cover [from_s, to_s), by rising start. lengths_s: as LENGTHS_S."""
    if from_s >= to_s:
        return
    *shorter, length_s = lengths_s
    first_s = -(-from_s // length_s) * length_s
    last_s = to_s // length_s * length_s
    if first_s >= last_s:
        yield from fewest_bars(from_s, to_s, shorter)
        return
    yield from fewest_bars(from_s, first_s, shorter)
    yield BarRange(length_s, first_s, last_s)
    yield from fewest_bars(last_s, to_s, shorter)


def klines(
    reader: ReadConnection, market: int, interval: str, *, start_s: int, end_s: int, bars_max: int
) -> list[Bar]:
    """As History.klines, up to recorded log time."""
    base_s = _BASE_S[interval]
    first = reader.row(
        "SELECT start_s FROM bars WHERE market = ? AND length_s = ? ORDER BY start_s LIMIT 1",
        (market, base_s),
    )
    if first is None:
        return []
    end_s = min(end_s, _recorded_s(reader))
    start_s = max(start_s, bucket_start(interval, first[0]))
    # The first bucket that starts at or after `start_s`.
    start_s = at = bucket_end(interval, bucket_start(interval, start_s - 1))
    buckets: list[tuple[int, int]] = []
    while at <= end_s and len(buckets) < bars_max:
        ending = bucket_end(interval, at)
        buckets.append((at, ending))
        at = ending
    if not buckets:
        return []
    if buckets[0][1] - start_s == base_s:
        rows = reader.rows(_BAR, _ONE_RANGE, (market, base_s, start_s, at, bars_max))
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


def ticker(reader: ReadConnection, market: int) -> Totals | None:
    now_s = _recorded_s(reader)
    # Nothing is recorded after now, so the range may end with the day.
    ranges = list(fewest_bars(now_s - WINDOW_S + 1, (now_s // DAY_S + 1) * DAY_S))
    bars = [_bar(row) for row in reader.rows(_BAR, _MANY_RANGES, (json.dumps(ranges), market))]
    if not bars:
        last = reader.row(
            "SELECT price FROM trades WHERE market = ? ORDER BY trade_id DESC LIMIT 1", (market,)
        )
        return None if last is None else Totals.of(Bar.flat(now_s, last[0]))
    total = bars[0]
    for bar in bars[1:]:
        total.join(bar)
    return Totals.of(total)


def bars_until(
    reader: ReadConnection, market: int, lengths_s: Sequence[int], *, since_s: int,
    trade_id_max: int,
) -> list[Bar]:  # fmt: skip
    """As TradeBars, in bars of these lengths."""
    if trade_id_max == 0:
        return []
    last = reader.row(
        "SELECT time_ns FROM trades WHERE market = ? AND trade_id = ?", (market, trade_id_max)
    )
    if last is None:
        raise HistoryBehind(f"trade {trade_id_max} is not recorded yet")
    last_s = last[0] // NS_PER_SECOND
    found: list[Bar] = []
    for bar_range in fewest_bars(since_s, last_s, lengths_s):
        found += _read_long(reader, market, bar_range)
    # The last second may contain later trades: its bar is made of single trades.
    rows = reader.rows(
        "trade_id, price, lots, quote",
        "(SELECT * FROM trades WHERE market = ?1 AND trade_id <= ?2 AND trade_id >="
        " (SELECT first_id FROM bars WHERE market = ?1 AND length_s = 1 AND start_s = ?3)"
        " ORDER BY trade_id)",
        (market, trade_id_max, last_s),
    )
    trade_id, price, lots, quote = rows[0]
    running = Bar.of_trade(last_s, trade_id=trade_id, price=price, lots=lots, quote=quote)
    for row in rows[1:]:
        running.add(*row)
    return [*found, running]


def _read_long(reader: ReadConnection, market: int, bar_range: BarRange) -> list[Bar]:
    """The bars of a range, read in pieces: decoding many at once would block other threads."""
    found: list[Bar] = []
    length_s, from_s, to_s = bar_range
    while True:
        rows = reader.rows(_BAR, _ONE_RANGE, (market, length_s, from_s, to_s, BARS_AT_ONCE))
        found += [_bar(row) for row in rows]
        if len(rows) < BARS_AT_ONCE:
            return found
        from_s = found[-1].start_s + 1


def _recorded_s(reader: ReadConnection) -> int:
    """Log time as far as it is recorded, in seconds."""
    (time_ns,) = reader.row("SELECT time_ns FROM place")
    return int(time_ns) // NS_PER_SECOND


def _bar(row: Sequence[int]) -> Bar:
    start_s, first, high, low, last, lots_high, lots_low, quote_high, quote_low = row[:9]
    return Bar(
        start_s, first, high, low, last, (lots_high << LOW_BITS) + lots_low,
        (quote_high << LOW_BITS) + quote_low, *row[9:],
    )  # fmt: skip
