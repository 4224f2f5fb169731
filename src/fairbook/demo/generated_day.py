"""The generated day: the 24 hours before a demo's first start, so that charts are not empty.

How it works: the log is given what a day of two traders would have left in it, at times in the
past: the demo's first state, then frames about 30 s apart. In each frame, in each market, a maker
takes back its quotes and gives new ones around a middle price, and a taker trades with them. The
middle walks with bursts of unrest and a pull towards the market's own middle, where it ends. All of
it follows from the seed and the last instant; nothing is asked of the exchange on the way.

Always true:
- the engine that opens the log next finds ordinary commands; every generated PLACE carries the
  session GENERATED_SESSION, and what rests at the end is taken back;
- an import that was cut short is finished by the next call with the same seed and size; a log that
  is anything else is left as it is.

Not here: the ladder, which a start adds (demo.py); what goes on from there (maker).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Final

from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.core.units import NS_PER_SECOND
from fairbook.demo import first_state as demo
from fairbook.engine.queries import EngineCatalogue, EngineView
from fairbook.log.log import CommandLog

DAY_NS: Final = 86_400 * NS_PER_SECOND
FRAMES_MAX: Final = 2_880
SETUP_AHEAD_NS: Final = 60 * NS_PER_SECOND  # The first state, before the day begins.
JITTER: Final = 0.3  # Of the time between two frames, either way: a frame in each minute at least.

LEVELS: Final = 2  # Quotes on each side.
QUOTING: Final = 1 + 2 * LEVELS  # Commands: all back, new ones.
TAKERS: Final = 1.5  # Orders of the taker in a frame and market, in the middle.
TAKERS_MAX: Final = 5

DAY_SPREAD: Final = 0.025  # How far a day without pull would take the price, as one deviation.
START_SPREAD: Final = 0.025  # How far from the market's middle the day begins, at most.
PULL: Final = 3.0  # How often in a day the distance to the middle would be taken back.
TOGETHER: Final = 0.6  # How much of a move all markets share.
UNREST_FADES: Final = 8.0  # How often in a day a burst of unrest fades to its third.
UNREST: Final = 0.45  # Its deviation, as a logarithm.
BURSTS: Final = 6.0  # Sudden ones, in a day.
BURST: Final = 1.1

HALF_GAP: Final = 0.00025  # From the middle to the first quote.
LEVEL_GAP: Final = 0.0005  # From there to the next; sometimes
LEVEL_GAP_WIDE: Final = 0.002  # this, which makes a long wick.
WIDE_SHARE: Final = 0.05
TRADE_SHARE: Final = 0.11  # A usual trade, of a level of the demo's ladder.
TRADE_SPREAD: Final = 0.9  # Of sizes, as a logarithm.


@dataclass(slots=True)
class _Budget:
    """How many commands of the taker are left, for how many visits to a market."""

    commands: int
    visits: int

    def take(self, wanted: float) -> int:
        """How many for this visit: about `wanted` times the usual, and one at least."""
        usual = self.commands / self.visits
        most = self.commands - (self.visits - 1)  # The others get one at least, too.
        count = max(1, min(most, TAKERS_MAX, round(usual * wanted)))
        self.commands -= count
        self.visits -= 1
        return count


def generate(log: CommandLog, *, now_ns: int, seed: int, commands_max: int = 60_000) -> int:
    """Write the day before `now_ns` into an empty log; return the number of commands written.

    A log that holds the beginning of a day of the same seed and size is given the rest of it: its
    day still ends when it would have ended. Any other log is left as it is: 0. Blocks: a sync for
    each frame. Raises LogFailed; ValueError if `commands_max` is too small for a day.
    """
    if log.last.position:
        begin_ns = next(log.read(1)).time_ns
        if begin_ns + SETUP_AHEAD_NS + DAY_NS > now_ns:
            return 0  # No day that has passed begins there.
    else:
        begin_ns = now_ns - SETUP_AHEAD_NS - DAY_NS
    setup, owners = _first_state(begin_ns)
    spare = commands_max - sum(len(frame) for frame in setup) // records.COMMAND_BYTES - 1
    per_frame = len(demo.MARKETS) * (QUOTING + TAKERS)
    count = min(FRAMES_MAX, int(spare / per_frame))
    if count < 2:
        raise ValueError(f"a day takes more than {commands_max} commands")
    if log.last.position >= len(setup) + count + 1:
        return 0  # Whatever it is, it is no part of a day.

    entries = log.read(1)
    written = 0
    for time_ns, frame in chain(
        zip((begin_ns, begin_ns + NS_PER_SECOND), setup, strict=True),
        _day(Random(seed), begin_ns + SETUP_AHEAD_NS, count, owners, spare),
    ):
        found = next(entries, None)
        if found is None:
            log.append(frame, time_ns)
            written += len(frame) // records.COMMAND_BYTES
        elif (found.time_ns, found.frame) != (time_ns, frame):
            return 0  # The beginning of something else.
    return written


def _first_state(time_ns: int) -> tuple[list[bytes], dict[str, int]]:
    """The frames that bring an empty log to the demo's first state without its ladder, and the
    account of each of its users.
    """
    exchange = Exchange()
    catalogue = EngineCatalogue(exchange)
    frames: list[bytes] = []

    def apply(commands: Iterable[bytes]) -> list[records.Outcome]:
        frames.append(b"".join(commands))
        events = exchange.apply(frames[-1], time_ns)
        outcomes = [records.read_outcome(part) for part in records.split(events)]
        demo.require_done(outcomes)
        return outcomes

    owners = demo.owners_in(apply([*demo.listings(catalogue), *demo.account_openings()]))
    view = EngineView(exchange)
    due = (credit for account in owners.values() for credit in demo.credits_due(view, account))
    apply([*due, *demo.market_openings(catalogue)])
    return frames, owners


def _day(
    chance: Random, begin_ns: int, count: int, owners: dict[str, int], commands_max: int
) -> Iterator[tuple[int, bytes]]:
    """`count` frames with trades and one that ends the day, with their times."""
    visits = count * len(demo.MARKETS)
    budget = _Budget(commands_max - visits * QUOTING, visits)
    gap_ns = DAY_NS // count
    unrest = _unrest(chance, count)
    shared = [chance.gauss(0, 1) for _ in range(count)]
    traders = [
        _Market(chance, number, market, owners, _middles(chance, unrest, shared))
        for number, market in enumerate(demo.MARKETS, start=1)
    ]
    for step in range(count):
        moved = 0.5 + chance.uniform(-JITTER, JITTER)
        frame = [command for trader in traders for command in trader.commands(step, unrest, budget)]
        yield begin_ns + int((step + moved) * gap_ns), b"".join(frame)
    end = records.end_session(account=owners["maker"], session=records.GENERATED_SESSION)
    yield begin_ns + DAY_NS - NS_PER_SECOND, end


def _unrest(chance: Random, count: int) -> list[float]:
    """How lively the markets are in each frame: about 1, in bursts and with the time of day."""
    kept = math.exp(-UNREST_FADES / count)
    noise = UNREST * math.sqrt(1 - kept * kept)
    level = chance.gauss(0, UNREST)
    phase = chance.random()
    found: list[float] = []
    for step in range(count):
        level = kept * level + chance.gauss(0, noise)
        if chance.random() < BURSTS / count:
            level += BURST
        hour = 0.3 * math.sin(2 * math.pi * (step / count + phase))
        found.append(math.exp(max(-1.2, min(level + hour, 1.6))))
    return found


def _middles(chance: Random, unrest: Sequence[float], shared: Sequence[float]) -> list[float]:
    """The middle of each frame, as a part of the market's own middle; the last one is 1."""
    count = len(unrest)
    usual = DAY_SPREAD / math.sqrt(count)
    own = math.sqrt(1 - TOGETHER * TOGETHER)
    begin = chance.uniform(-START_SPREAD, START_SPREAD)
    away = begin
    walk = [away]
    for step in range(count - 1):
        push = TOGETHER * shared[step] + own * chance.gauss(0, 1)
        away += usual * unrest[step] * push - away * PULL / count
        walk.append(away)
    # A bridge: what is left at the end is taken off little by little on the way.
    return [math.exp(place - away * step / (count - 1)) for step, place in enumerate(walk)]


class _Market:
    """The two traders in one market."""

    def __init__(
        self,
        chance: Random,
        number: int,
        market: demo.DemoMarket,
        owners: dict[str, int],
        middles: Sequence[float],
    ) -> None:
        self._chance = chance
        self._number = number
        self._market = market
        self._maker = owners["maker"]
        self._taker = owners["taker"]
        self._middles = middles
        self._usual_move = DAY_SPREAD / math.sqrt(len(middles))

    def commands(self, step: int, unrest: Sequence[float], budget: _Budget) -> Iterator[bytes]:
        """Of one frame: new quotes, and trades with them."""
        heat = unrest[step]
        middle = self._middles[step]
        after = self._middles[min(step + 1, len(self._middles) - 1)]
        lean = 0.3 * math.tanh((after - middle) / (middle * self._usual_move))
        quotes = self._quotes(middle * self._market.middle_ticks, heat)
        yield records.cancel_all(account=self._maker, market=self._number)
        for side, levels in enumerate(quotes):
            for price, lots in levels:
                yield records.place(
                    account=self._maker,
                    market=self._number,
                    side=side,
                    price=price,
                    quantity=lots,
                    flags=records.POST_ONLY,
                    session=records.GENERATED_SESSION,
                )
        left = [sum(lots for _, lots in levels) for levels in quotes]
        activity = heat * self._chance.lognormvariate(0, 0.5)
        for _ in range(budget.take(activity)):
            side = records.BID if self._chance.random() < 0.5 + lean else records.ASK
            against = 1 - side
            if left[against] < 2:
                side, against = against, side
            yield self._trade(side, quotes[against], left, activity)

    def _quotes(self, middle: float, heat: float) -> list[list[tuple[int, int]]]:
        """(price, lots) of the bids and of the asks, best first; the two sides do not meet."""
        chance = self._chance
        sides: list[list[tuple[int, int]]] = []
        for sign in (-1, 1):
            levels: list[tuple[int, int]] = []
            away = middle * HALF_GAP * math.sqrt(heat) * chance.uniform(0.4, 1.6)
            for level in range(LEVELS):
                # Bids are rounded down, asks up, and each level lies beyond the one before.
                price = math.floor(middle - away) if sign < 0 else math.floor(middle + away) + 1
                if levels:
                    beyond = levels[-1][0] + sign
                    price = min(price, beyond) if sign < 0 else max(price, beyond)
                lots = self._market.level_lots * chance.uniform(0.4, 1.2) * (1 + level) / 2
                levels.append((price, max(1, round(lots))))
                gap = LEVEL_GAP_WIDE if chance.random() < WIDE_SHARE else LEVEL_GAP
                away += middle * gap * heat * chance.uniform(0.3, 1.7)
            sides.append(levels)
        return sides

    def _trade(
        self, side: int, levels: Sequence[tuple[int, int]], left: list[int], activity: float
    ) -> bytes:
        """One order of the taker. The first of a visit always finds somebody; it never takes all
        that is `left` on the other side, as long as there are two lots.
        """
        chance = self._chance
        size = self._market.level_lots * TRADE_SHARE * math.sqrt(activity)
        wanted = round(size * chance.lognormvariate(0, TRADE_SPREAD))
        lots = max(1, min(wanted, left[1 - side] - 1))
        left[1 - side] -= lots
        by_market = chance.random() < 0.5
        return records.place(
            account=self._taker,
            market=self._number,
            side=side,
            price=0 if by_market else levels[-1][0],
            quantity=lots,
            tif=records.IOC,
            flags=records.MARKET_ORDER if by_market else 0,
            session=records.GENERATED_SESSION,
        )
