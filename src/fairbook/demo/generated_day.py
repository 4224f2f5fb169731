"""The generated day: 24 hours of trades before a demo's first start, so that charts are not empty.

Design: an empty log is given what a day of two traders would have left in it, at times in the past:
the demo's first state, then frames about 30 s apart. In each frame, in each market, a maker
replaces its quotes around a middle price, and a taker trades with them. The middle price is a
random walk with bursts of volatility and a pull towards the market's own middle, where it ends. All
of it follows from the seed and the last time; the exchange is not asked on the way.

Invariants:
- the commands are ordinary ones; every generated PLACE has the session GENERATED_SESSION of an
  instance of its own, and what rests at the end is cancelled;
- the next call with the same seed and size completes a day that was cut short; any other log is
  left as it is.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Final, NamedTuple

from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.core.units import NS_PER_SECOND
from fairbook.log.command_log import CommandLog
from fairbook.venue.first_state import steps
from fairbook.venue.venue import MAKERS, FirstBook, Venue

DAY_NS: Final = 86_400 * NS_PER_SECOND
FRAMES_MAX: Final = 2_880
SETUP_AHEAD_NS: Final = 60 * NS_PER_SECOND  # The first state, before the day begins.
JITTER: Final = 0.3  # Of the time between two frames, either way: a frame in each minute at least.

LEVELS: Final = 2  # Quotes per side.
QUOTE_COMMANDS: Final = 1 + 2 * LEVELS  # Cancel all, and new quotes.
TAKER_ORDERS: Final = 1.5  # Per frame and market, on average.
TAKER_ORDERS_MAX: Final = 5

DAY_DEVIATION: Final = 0.025  # Standard deviation of the price after a day without pull.
START_DISTANCE_MAX: Final = 0.025  # From the market's middle, when the day begins.
PULL: Final = 3.0  # How often in a day the distance to the middle would be taken back.
COMMON_SHARE: Final = 0.6  # How much of a move all markets share.
VOLATILITY_DECAY: Final = 8.0  # How often in a day volatility falls to 1/e of its excess.
VOLATILITY_DEVIATION: Final = 0.45  # Of its logarithm.
BURSTS: Final = 6.0  # Of volatility, in a day.
BURST_SIZE: Final = 1.1  # Of its logarithm.

HALF_SPREAD: Final = 0.00025  # From the middle to the first quote.
LEVEL_GAP: Final = 0.0005  # From there to the next; sometimes
LEVEL_GAP_WIDE: Final = 0.002  # this, which makes a long wick.
WIDE_SHARE: Final = 0.05
TRADE_SHARE: Final = 0.11  # A usual trade, as a share of a level of the demo's ladder.
TRADE_DEVIATION: Final = 0.9  # Of the logarithm of trade sizes.


@dataclass(slots=True)
class _TakerBudget:
    """The taker's orders that are left for the rest of the day."""

    commands: int
    visits: int
    """To a market, each with one order at least."""

    def take(self, wanted: float) -> int:
        """The number of orders for the next visit: about `wanted` times the average."""
        usual = self.commands / self.visits
        most = self.commands - (self.visits - 1)
        count = max(1, min(most, TAKER_ORDERS_MAX, round(usual * wanted)))
        self.commands -= count
        self.visits -= 1
        return count


def generate(
    log: CommandLog,
    venue: Venue,
    *,
    now_ns: int,
    seed: int,
    rules: bytes,
    commands_max: int = 60_000,
) -> int:
    """Write the day before `now_ns` into an empty log; return the number of commands written.

    A log with the beginning of a day of the same seed and size gets the rest of that day. Any other
    log is left as it is: 0. rules: the first command of a new log, with its id and salt. Blocks: a
    sync for each frame. Raises LogFailed; ValueError if `commands_max` is too small for a day.
    """
    if log.last.position:
        first = next(log.read(1))
        begin_ns, rules = first.time_ns, first.frame[: records.COMMAND_BYTES]
        if rules[0] != records.RULES or begin_ns + SETUP_AHEAD_NS + DAY_NS > now_ns:
            return 0  # No day began there, or it has not ended.
    else:
        begin_ns = now_ns - SETUP_AHEAD_NS - DAY_NS
    setup, markets = _first_state(venue, begin_ns, rules)
    spare = commands_max - sum(len(frame) for frame in setup) // records.COMMAND_BYTES - 1
    per_frame = len(markets) * (QUOTE_COMMANDS + TAKER_ORDERS)
    count = min(FRAMES_MAX, int(spare / per_frame))
    if count < 2:
        raise ValueError(f"a day takes more than {commands_max} commands")
    if log.last.position >= len(setup) + count + 1:
        return 0  # Not a part of a day.

    entries = log.read(1)
    written = 0
    for time_ns, frame in chain(
        zip((begin_ns, begin_ns + NS_PER_SECOND), setup, strict=True),
        _day(Random(seed), begin_ns + SETUP_AHEAD_NS, count, markets, spare),
    ):
        found = next(entries, None)
        if found is None:
            log.append(frame, time_ns)
            written += len(frame) // records.COMMAND_BYTES
        elif (found.time_ns, found.frame) != (time_ns, frame):
            return 0  # Not the beginning of this day.
    return written


class _TradedMarket(NamedTuple):
    """A market of the day, and who trades in it."""

    number: int
    book: FirstBook
    maker: int
    taker: int


def _first_state(
    venue: Venue, time_ns: int, rules: bytes
) -> tuple[list[bytes], list[_TradedMarket]]:
    """The frames of the first state without its orders and operators, and the traded markets."""
    exchange = Exchange()
    begin = [rules, admin_records.begin_gateway()]
    frames: list[bytes] = []
    for step in steps(venue, exchange, is_complete=False):
        frames.append(b"".join([*begin, *(change.command for change in step)]))
        begin = []
        for part in records.split(exchange.apply(frames[-1], time_ns)):
            assert records.read_outcome(part).status != records.REJECTED, "the file was checked"
    numbers = {market.name: market.id for market in exchange.markets[1:]}
    maker, taker = (exchange.account_of_user(venue.user_ids[name]) for name in MAKERS)
    return frames, [
        _TradedMarket(numbers[market.name], market.book, maker, taker)
        for market in venue.markets
        if market.book is not None
    ]


def _day(
    random: Random,
    begin_ns: int,
    count: int,
    markets: Sequence[_TradedMarket],
    commands_max: int,
) -> Iterator[tuple[int, bytes]]:
    """(time, frame) of `count` frames with trades and of one that ends the day."""
    visits = count * len(markets)
    budget = _TakerBudget(commands_max - visits * QUOTE_COMMANDS, visits)
    frame_gap_ns = DAY_NS // count
    volatility = _volatility(random, count)
    shared = [random.gauss(0, 1) for _ in range(count)]
    days = [
        _MarketDay(random, market, volatility, _mid_prices(random, volatility, shared))
        for market in markets
    ]
    for step in range(count):
        moved = 0.5 + random.uniform(-JITTER, JITTER)
        frame = b"".join(command for day in days for command in day.commands(step, budget))
        yield begin_ns + int((step + moved) * frame_gap_ns), frame
    end = records.end_session(account=markets[0].maker, session=records.GENERATED_SESSION)
    yield begin_ns + DAY_NS - NS_PER_SECOND, end


def _volatility(random: Random, count: int) -> list[float]:
    """The factor on moves and sizes in each frame: about 1, with bursts and the time of day."""
    kept = math.exp(-VOLATILITY_DECAY / count)
    noise = VOLATILITY_DEVIATION * math.sqrt(1 - kept * kept)
    level = random.gauss(0, VOLATILITY_DEVIATION)
    phase = random.random()
    found: list[float] = []
    for step in range(count):
        level = kept * level + random.gauss(0, noise)
        if random.random() < BURSTS / count:
            level += BURST_SIZE
        hour = 0.3 * math.sin(2 * math.pi * (step / count + phase))
        found.append(math.exp(max(-1.2, min(level + hour, 1.6))))
    return found


def _mid_prices(
    random: Random, volatility: Sequence[float], shared: Sequence[float]
) -> list[float]:
    """The middle price in each frame, as a multiple of the market's own middle; the last is 1."""
    count = len(volatility)
    usual = DAY_DEVIATION / math.sqrt(count)
    own = math.sqrt(1 - COMMON_SHARE * COMMON_SHARE)
    away = random.uniform(-START_DISTANCE_MAX, START_DISTANCE_MAX)
    walk = [away]
    for step in range(count - 1):
        push = COMMON_SHARE * shared[step] + own * random.gauss(0, 1)
        away += usual * volatility[step] * push - away * PULL / count
        walk.append(away)
    # A bridge: the distance at the end is taken off in equal steps on the way.
    return [math.exp(each - away * step / (count - 1)) for step, each in enumerate(walk)]


@dataclass(slots=True)
class _MarketDay:
    """Quotes and trades in one market."""

    random: Random
    market: _TradedMarket
    volatility: Sequence[float]
    mid_prices: Sequence[float]

    def commands(self, step: int, budget: _TakerBudget) -> Iterator[bytes]:
        """One frame's: new quotes, and trades with them."""
        volatility = self.volatility[step]
        middle = self.mid_prices[step]
        after = self.mid_prices[min(step + 1, len(self.mid_prices) - 1)]
        usual_move = DAY_DEVIATION / math.sqrt(len(self.mid_prices))
        lean = 0.3 * math.tanh((after - middle) / (middle * usual_move))
        quotes = self._quotes(middle * self.market.book.middle_ticks, volatility)
        yield records.cancel_all(account=self.market.maker, market=self.market.number)
        for side, levels in enumerate(quotes):
            for price, lots in levels:
                yield records.place(
                    account=self.market.maker,
                    market=self.market.number,
                    side=side,
                    price=price,
                    quantity=lots,
                    flags=records.POST_ONLY,
                    session=records.GENERATED_SESSION,
                )
        left = [sum(lots for _, lots in levels) for levels in quotes]
        activity = volatility * self.random.lognormvariate(0, 0.5)
        for _ in range(budget.take(activity)):
            side = records.BID if self.random.random() < 0.5 + lean else records.ASK
            against = 1 - side
            if left[against] < 2:
                side, against = against, side
            yield self._trade(side, quotes[against], left, activity)

    def _quotes(self, middle: float, volatility: float) -> list[list[tuple[int, int]]]:
        """(price, lots) of the bids and of the asks, best first; the sides do not cross."""
        random = self.random
        sides: list[list[tuple[int, int]]] = []
        for sign in (-1, 1):
            levels: list[tuple[int, int]] = []
            away = middle * HALF_SPREAD * math.sqrt(volatility) * random.uniform(0.4, 1.6)
            for level in range(LEVELS):
                # Bids are rounded down, asks up, and each level lies beyond the one before.
                price = math.floor(middle - away) if sign < 0 else math.floor(middle + away) + 1
                if levels:
                    beyond = levels[-1][0] + sign
                    price = min(price, beyond) if sign < 0 else max(price, beyond)
                lots = self.market.book.level_lots * random.uniform(0.4, 1.2) * (1 + level) / 2
                levels.append((price, max(1, round(lots))))
                gap = LEVEL_GAP_WIDE if random.random() < WIDE_SHARE else LEVEL_GAP
                away += middle * gap * volatility * random.uniform(0.3, 1.7)
            sides.append(levels)
        return sides

    def _trade(
        self, side: int, levels: Sequence[tuple[int, int]], left: list[int], activity: float
    ) -> bytes:
        """One order of the taker, within what is `left` on the other side, less one lot."""
        random = self.random
        size = self.market.book.level_lots * TRADE_SHARE * math.sqrt(activity)
        wanted = round(size * random.lognormvariate(0, TRADE_DEVIATION))
        lots = max(1, min(wanted, left[1 - side] - 1))
        left[1 - side] -= lots
        by_market = random.random() < 0.5
        return records.place(
            account=self.market.taker,
            market=self.market.number,
            side=side,
            price=0 if by_market else levels[-1][0],
            quantity=lots,
            tif=records.IOC,
            flags=records.MARKET_ORDER if by_market else 0,
            session=records.GENERATED_SESSION,
        )
