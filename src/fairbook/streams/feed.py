"""Fairbook's source of messages: the events of every frame, as streams.

How it works: the runner shows each frame as soon as it is applied; the feed only keeps it, and
folds what it kept some turns of the loop later, so that the answers to the frame's orders come
first.
One pass over the events of a frame: fills and levels go to the tape of their market, and those of
an account that somebody listens to, to its holder.

Always true:
- when the feed reads the engine's state it has folded every frame in it: a newcomer's first
  messages and what follows are of one sequence;
- after a failure nothing more is published, and `failed` says why: the process must stop, because
  clients cannot know what they were not told.

Not here: subscribers and connections (hub.py), what is said (tape.py, holder.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from fairbook.api import channels
from fairbook.api.channels import StreamName, read_name
from fairbook.api.numbers import Scale, Terms, amounts
from fairbook.candles.bars import INTERVALS, bucket_start
from fairbook.candles.ticker import WINDOW_S
from fairbook.core import records
from fairbook.core.markets import FIRST_UPDATE_ID
from fairbook.core.records import (
    ACCEPTED,
    AMENDED,
    CLOSED,
    FILL,
    LEVEL,
    MOVED,
    Change,
    Fill,
    LevelChange,
    OrderRecord,
    kind_at,
    next_at,
    read_accepted,
)
from fairbook.core.units import NS_PER_SECOND
from fairbook.ports.history import TradeBars
from fairbook.ports.queries import Catalogue, StateView
from fairbook.streams.account_streams import AccountStreams
from fairbook.streams.depth_streams import Frame
from fairbook.streams.depth_view import Delta
from fairbook.streams.market_streams import MarketStreams
from fairbook.streams.outlet import Outlet
from fairbook.streams.ports import Channel, Message, Publish, Stream

ANSWER_TURNS: Final = 2  # of the loop, until answers are written: one to make them, one to send
_OF_ONE_ACCOUNT: Final = frozenset((ACCEPTED, CLOSED, AMENDED, MOVED))


class Feed:
    """Everything that clients may listen to. All of it is for the loop's thread."""

    def __init__(
        self,
        *,
        view: StateView,
        catalogue: Catalogue,
        recent: Iterable[tuple[int, bytes]] = (),
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """To be made in a running loop, and to be shown (`take`) every frame that `view` does not
        have yet, from the next one on.

        recent: (time_ns, events) of the last frames that `view` has, as many as are known.
        """
        self._view = view
        self._catalogue = catalogue
        self._outlet = Outlet(now_ns)
        self.failed = self._outlet.failed
        """Ends, with the reason, when something could not be folded or sent."""
        self._pending: list[tuple[int, bytes]] = []
        self._scheduled: asyncio.Handle | None = None
        self._folding = False
        self._ended = False
        self._time_ns = 0
        self._turn_ns = 0  # where the running second of log time ends
        self._tapes: dict[int, MarketStreams] = {}
        self._holders: dict[int, AccountStreams] = {}
        self._quoted: dict[int, MarketStreams] = {}  # best prices may have changed
        self._moved: dict[int, AccountStreams] = {}  # balances may have changed
        self._scales: dict[int, tuple[str, Scale]] = {}
        changes = _changes(recent)
        for market in catalogue.markets():
            depth = view.depth(market.id, 1)
            self._time_ns = depth.time_ns
            self._tapes[market.id] = MarketStreams(
                self._terms(market.id), update_id=depth.update_id, trade_id=market.last_trade_id,
                time_ns=depth.time_ns, outlet=self._outlet, recent=changes.get(market.id, ()),
            )  # fmt: skip

    def take(self, position: int, time_ns: int, frame: bytes, events: bytes) -> None:
        """A frame that was applied: a runner's subscriber."""
        if self._ended:
            return
        self._pending.append((time_ns, events))
        if self._scheduled is None:
            self._fold_after(ANSWER_TURNS)

    async def adopt(self, bars: TradeBars) -> None:
        """Load what tickers and candles need of the trades of before. Trades may come meanwhile.

        Raises what `bars` raises; then it may be tried again, and goes on where it stopped.
        """
        for market, tape in list(self._tapes.items()):
            if not tape.missing_to:
                continue
            now_s = self._time_ns // NS_PER_SECOND
            start_s = min(bucket_start(interval, now_s) for interval in INTERVALS)
            seconds = await bars.seconds(
                market, since_s=now_s - WINDOW_S + 1, trade_id_max=tape.missing_to
            )
            older = await bars.bars(market, since_s=start_s, trade_id_max=tape.missing_to)
            self._fold()
            tape.adopt(seconds, older)

    def end(self) -> None:
        """Publish nothing more, stop every timer. The hub closes channels before."""
        self._ended = True
        if self._scheduled is not None:
            self._scheduled.cancel()
        for tape in self._tapes.values():
            tape.end()

    # Source: what the hub calls.

    def attach(self, publish: Publish) -> None:
        """Where to publish. Called once, before anything else."""
        self._outlet.attach(publish)

    def find(self, name: str) -> Stream | None:
        """The stream of exactly this name; None if there is none."""
        what = read_name(name)
        if what is None:
            return None
        if what.kind == channels.SILENT:
            return Stream(is_private=what.is_private, is_silent=True)
        if what.symbol and self._catalogue.market_named(what.symbol) is None:
            return None
        if what.kind == channels.KLINE and what.interval not in INTERVALS:
            return None
        return Stream(is_private=what.is_private)

    async def open(self, channel: Channel) -> None:
        """Begin to publish on it."""
        self._fold()
        name, market = self._named(channel)
        if not name.is_private:
            self._tape(market).open(name, channel, self._view)
            return
        holder = self._holders.get(channel.owner)
        if holder is None:
            holder = self._holders[channel.owner] = AccountStreams(
                channel.owner, terms_of=self._terms_of, amounts=self._amounts, outlet=self._outlet
            )
        if name.kind == channels.ORDER_UPDATE:
            holder.open_orders(channel, market, self._view)
        else:
            holder.open_balances(channel, self._view)

    def close(self, channel: Channel) -> None:
        """Publish on it no more."""
        name, market = self._named(channel)
        if not name.is_private:
            self._tape(market).close(name)
            return
        holder = self._holders.get(channel.owner)
        if holder is None:
            return
        if name.kind == channels.ORDER_UPDATE:
            holder.close_orders(market)
        else:
            holder.close_balances()
        if holder.is_idle:
            del self._holders[channel.owner]

    def greet(self, channel: Channel) -> Sequence[Message]:
        """What a newcomer is sent first. What is published after this call follows without a gap.

        The channel is open.
        """
        self._fold()
        name, market = self._named(channel)
        if not name.is_private:
            return self._tape(market).greet(name, channel, self._view)
        if name.kind == channels.BALANCE_UPDATE:
            holder = self._holders[channel.owner]
            return holder.greet_balances(channel, self._view, self._time_ns)
        return []

    def merge(self, channel: Channel, older: object, newer: object) -> object:
        """One delta that says what two of the channel say, the newer right after the older."""
        assert isinstance(older, Delta) and isinstance(newer, Delta)
        return older.merged(newer)

    def encode(self, channel: Channel, content: object) -> bytes:
        """The text of a message with this delta."""
        assert isinstance(content, Delta)
        _, market = self._named(channel)
        return self._tape(market).encode(channel, content)

    # The fold.

    def _fold_after(self, turns: int) -> None:
        """Fold in the turn of the loop after so many."""
        loop = asyncio.get_running_loop()
        if turns:
            self._scheduled = loop.call_soon(self._fold_after, turns - 1)
        else:
            self._scheduled = loop.call_soon(self._fold)

    def _fold(self) -> None:
        """Fold every frame that was taken, and publish what came of it."""
        assert not self._folding, "a newcomer in the middle of a frame"
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        if not self._pending or self._ended:
            return
        pending, self._pending = self._pending, []
        self._folding = True
        try:
            for time_ns, events in pending:
                self._frame(time_ns, events)
            if self._quoted:
                quoted, self._quoted = self._quoted, {}
                for tape in quoted.values():
                    tape.quote(self._view)
            if self._moved:
                moved, self._moved = self._moved, {}
                for holder in moved.values():
                    holder.settle(self._view, self._time_ns)
        except Exception as bug:
            self.end()
            self._outlet.fail(bug)
            raise
        self._folding = False

    def _frame(self, time_ns: int, events: bytes) -> None:
        """One pass over the events of one frame."""
        if time_ns >= self._turn_ns:
            self._pass_time(time_ns)
        self._time_ns = time_ns
        changed: dict[int, MarketStreams] = {}
        holders = self._holders
        at = 0
        end = len(events)
        while at < end:
            kind = kind_at(events, at)
            if kind == LEVEL:
                level = LevelChange(events, at)
                tape = changed.get(level.market)
                if tape is None:
                    tape = changed[level.market] = self._tape(level.market)
                tape.level(level, time_ns)
            elif kind == FILL:
                fill = Fill(events, at)
                self._tape(fill.market).trade(fill, time_ns)
                if holders:
                    self._fill(fill, events, at, time_ns)
            elif holders and kind in _OF_ONE_ACCOUNT:
                self._private(kind, events, at, time_ns)
            at = next_at(events, at)
        for tape in changed.values():
            tape.end_frame(time_ns)
            if tape.has_book_ticker:
                self._quoted[tape.terms.id] = tape

    def _fill(self, fill: Fill, events: bytes, at: int, time_ns: int) -> None:
        """A trade, as its two sides see it."""
        holder = self._holders.get(fill.taker_account)
        if holder is not None:
            is_last = _is_filled_by(events, at, fill.taker_order_id)
            holder.filled(fill, is_maker=False, is_last=is_last, time_ns=time_ns)
            self._moved[holder.account] = holder
        holder = self._holders.get(fill.maker_account)
        if holder is not None:
            is_last = _is_filled_by(events, at, fill.maker_order_id)
            holder.filled(fill, is_maker=True, is_last=is_last, time_ns=time_ns)
            self._moved[holder.account] = holder

    def _private(self, kind: int, events: bytes, at: int, time_ns: int) -> None:
        """An event of one account, if somebody listens to it."""
        if kind == ACCEPTED:
            placed = read_accepted(events, at)
            holder = self._holders.get(placed.account)
            if holder is not None:
                holder.accepted(placed, time_ns)
        elif kind == MOVED:
            holder = self._holders.get(Change(events, at).words[0])
        else:
            record = OrderRecord(events, at)
            holder = self._holders.get(record.account)
            if holder is not None and kind == CLOSED:
                holder.closed(record, time_ns)
            elif holder is not None:
                holder.amended(record, time_ns)
        if holder is not None:
            self._moved[holder.account] = holder

    def _pass_time(self, time_ns: int) -> None:
        """Log time has come to another second."""
        self._time_ns = time_ns
        self._turn_ns = (time_ns // NS_PER_SECOND + 1) * NS_PER_SECOND
        for tape in list(self._tapes.values()):
            tape.advance(time_ns)

    # Names and markets.

    def _named(self, channel: Channel) -> tuple[StreamName, int]:
        """What the channel is, and the id of its market; 0: of none, or all."""
        name = read_name(channel.name)
        assert name is not None
        if not name.symbol:
            return name, 0
        market = self._catalogue.market_named(name.symbol)
        assert market is not None
        return name, market.id

    def _tape(self, market: int) -> MarketStreams:
        tape = self._tapes.get(market)
        if tape is None:
            # Listed after the feed began: it has seen all that there was.
            tape = self._tapes[market] = MarketStreams(
                self._terms(market), update_id=FIRST_UPDATE_ID, trade_id=0, time_ns=self._time_ns,
                outlet=self._outlet,
            )  # fmt: skip
        return tape

    def _terms_of(self, market: int) -> Terms:
        return self._tape(market).terms

    def _terms(self, market_id: int) -> Terms:
        market = self._catalogue.market(market_id)
        return Terms(
            market,
            base=self._catalogue.asset(market.base),
            quote=self._catalogue.asset(market.quote),
        )

    def _amounts(self, asset_id: int) -> tuple[str, Scale]:
        """Symbol and scale of an asset."""
        found = self._scales.get(asset_id)
        if found is None:
            asset = self._catalogue.asset(asset_id)
            found = self._scales[asset_id] = asset.name, amounts(asset)
        return found


def _changes(recent: Iterable[tuple[int, bytes]]) -> dict[int, list[Frame]]:
    """What frames have changed, by market."""
    found: dict[int, list[Frame]] = {}
    for time_ns, events in recent:
        of_frame: dict[int, Frame] = {}
        at = 0
        while at < len(events):
            if kind_at(events, at) == LEVEL:
                change = LevelChange(events, at)
                frame = of_frame.get(change.market)
                if frame is None:
                    frame = of_frame[change.market] = Frame(time_ns)
                    found.setdefault(change.market, []).append(frame)
                frame.changes.append(change)
            at = next_at(events, at)
    return found


def _is_filled_by(events: bytes, at: int, order_id: int) -> bool:
    """Whether the FILL at `at` is the last of this order of it, and has left it FILLED.

    How much of it was filled does not say so: a market order by quote has no quantity.
    """
    while True:
        at = next_at(events, at)
        kind = kind_at(events, at)
        if kind == CLOSED:
            record = OrderRecord(events, at)
            if record.order_id == order_id:
                return record.status == records.FILLED
        elif kind in (FILL, records.OUTCOME):
            return False
