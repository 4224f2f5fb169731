"""Random trades of one market, and reference models of candles and ticker over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from fairbook.candles.bars import Bar
from fairbook.candles.candles import Candles
from fairbook.candles.ticker import RollingTicker, Totals

SECOND_NS = 1_000_000_000


class Trade(NamedTuple):
    time_ns: int
    trade_id: int
    price: int
    lots: int
    quote: int


def seconds(text: str) -> int:
    """Of an ISO date and time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def walk(
    chance: Random,
    *,
    start_s: int,
    trades: int,
    gap_ns: Callable[[Random], int],
    first_id: int = 1,
    price: int = 10_000,
) -> list[Trade]:
    """Trades at times that never decrease, with dense ids."""
    time_ns = start_s * SECOND_NS
    made: list[Trade] = []
    for trade_id in range(first_id, first_id + trades):
        time_ns += gap_ns(chance)
        price = max(1, price + chance.randint(-20, 20))
        lots = chance.randint(1, 10_000)
        made.append(Trade(time_ns, trade_id, price, lots, lots * price))
    return made


def bar_of(trades: Sequence[Trade], start_s: int) -> Bar:
    """The bar of trades in any order; there must be one."""
    by_id = sorted(trades, key=lambda trade: trade.trade_id)
    return Bar(
        start_s,
        open=by_id[0].price,
        high=max(trade.price for trade in by_id),
        low=min(trade.price for trade in by_id),
        close=by_id[-1].price,
        lots=sum(trade.lots for trade in by_id),
        quote=sum(trade.quote for trade in by_id),
        trades=len(by_id),
        first_id=by_id[0].trade_id,
        last_id=by_id[-1].trade_id,
    )


def naive_start(interval: str, time_s: int) -> int:
    """Where a bucket begins, by the calendar."""
    now = datetime.fromtimestamp(time_s, UTC)
    midnight = now.replace(hour=0, minute=0, second=0)
    if interval == "1month":
        start = midnight.replace(day=1)
    elif interval == "1w":
        start = midnight - timedelta(days=midnight.weekday())
    elif interval == "3d":
        start = midnight - timedelta(days=(midnight - datetime(1970, 1, 1, tzinfo=UTC)).days % 3)
    elif interval == "1d":
        start = midnight
    elif interval.endswith("h"):
        start = midnight + timedelta(hours=now.hour - now.hour % int(interval[:-1]))
    elif interval.endswith("m"):
        minutes = now.hour * 60 + now.minute
        start = midnight + timedelta(minutes=minutes - minutes % int(interval[:-1]))
    else:
        start = now
    return int(start.timestamp())


def naive_bars(trades: Sequence[Trade], interval: str) -> dict[int, Bar]:
    """Bars with trades, by start."""
    buckets: dict[int, list[Trade]] = {}
    for trade in trades:
        start_s = naive_start(interval, trade.time_ns // SECOND_NS)
        buckets.setdefault(start_s, []).append(trade)
    return {start_s: bar_of(found, start_s) for start_s, found in buckets.items()}


def naive_totals(trades: Sequence[Trade], now_s: int) -> Totals | None:
    """The window up to the second `now_s`, over all trades that came by then."""
    if not trades:
        return None
    held = [trade for trade in trades if trade.time_ns // SECOND_NS > now_s - 86_400]
    last = trades[-1].price
    if not held:
        return Totals(last, last, last, last, 0, 0, 0)
    prices = [trade.price for trade in held]
    return Totals(
        prices[0], last, max(prices), min(prices),
        sum(trade.lots for trade in held), sum(trade.quote for trade in held), len(held),
    )  # fmt: skip


def feed(view: Candles | RollingTicker, trade: Trade) -> None:
    time_ns, trade_id, price, lots, quote = trade
    view.trade(time_ns, trade_id, price, lots, quote)
