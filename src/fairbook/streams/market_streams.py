"""What one market publishes: its depth, best prices, trades, ticker and candles.

How it works: the feed shows the tape every event of the market, then the end of each frame, and
once a second that time has passed. Ring, ticker and candles go on all the time, so that whoever
subscribes finds them; texts are made only for open channels.

Always true:
- one delta for each frame that changed the book, ids without gaps;
- tickers and running bars are sent at most once per second of log time, and a slow reader gets only
  the newest; final bars are sent exactly once, and kept for him;
- as long as trades of before the start are missing, nothing is said that they belong to.

Not here: which events are whose (feed.py), private streams (holder.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fairbook.api import channels, streams
from fairbook.api.channels import StreamName
from fairbook.api.numbers import Terms
from fairbook.candles.bars import Bar, bucket_end
from fairbook.candles.candles import Candles
from fairbook.candles.ticker import WINDOW_S, RollingTicker, Totals
from fairbook.core.records import Fill, LevelChange
from fairbook.core.units import NS_PER_SECOND
from fairbook.ports.queries import BookDepth, StateView
from fairbook.streams.depth_streams import Frame, Merged, Ring, first_deltas
from fairbook.streams.depth_view import Delta
from fairbook.streams.outlet import Outlet
from fairbook.streams.ports import KEEP, LATEST, MERGE, Channel, Message

PACE_NS: Final = NS_PER_SECOND  # between two messages of a ticker, or of a running bar
NOTHING: Final = Totals(0, 0, 0, 0, 0, 0, 0)  # before the first trade

Level = tuple[int, int]
Best = tuple[Level | None, Level | None]


class Kline:
    """An open channel of candles."""

    __slots__ = ("channel", "due_ns", "stale")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.due_ns = 0
        self.stale = False


class MarketStreams:
    """One market, as everyone may see it."""

    def __init__(
        self,
        terms: Terms,
        *,
        update_id: int,
        trade_id: int,
        time_ns: int,
        outlet: Outlet,
        recent: Sequence[Frame] = (),
    ) -> None:
        """update_id, trade_id, time_ns: the last ones before the events that will be shown.

        recent: what is known of the changes up to update_id, without a gap.
        """
        self.terms = terms
        self.missing_to = trade_id
        """Trades up to this one are not in ticker and candles; 0: all are."""
        self.ticker = RollingTicker()
        self.candles = Candles()
        self.has_book_ticker = False
        self._outlet = outlet
        known_from = recent[0].changes[0].update_id if recent else update_id + 1
        begin_ns = recent[0].time_ns if recent else time_ns
        self._ring = Ring([*first_deltas(known_from - 1, begin_ns), *recent])
        self._update_id = update_id
        self._frame: Frame | None = None  # what this one has changed so far
        self._traded = False
        self._depth: Channel | None = None
        self._merged: dict[int, Merged] = {}
        self._book_ticker = Channel("")
        self._best: Best = (None, None)
        self._trade: Channel | None = None
        self._ticker: Channel | None = None
        self._ticker_due_ns = 0
        self._ticker_sent = NOTHING
        self._klines: dict[str, Kline] = {}
        self._began_s = self._now_s = time_ns // NS_PER_SECOND
        self.advance(time_ns)

    # Events, in their order.

    def level(self, change: LevelChange, time_ns: int) -> None:
        """A level of the book has changed."""
        frame = self._frame
        if frame is None:
            frame = self._frame = Frame(time_ns)
        frame.changes.append(change)
        self._update_id += 1
        assert change.update_id == self._update_id, "a frame is missing"

    def trade(self, fill: Fill, time_ns: int) -> None:
        """Somebody bought from somebody."""
        price, lots, trade_id = fill.price, fill.lots, fill.trade_id
        quote = price * lots * self.terms.market.tick_atoms
        self.ticker.trade(time_ns, trade_id, price, lots, quote)
        self.candles.trade(time_ns, trade_id, price, lots, quote)
        self._traded = True
        if self._trade is not None:
            text = streams.trade(
                self.terms, trade_id=trade_id, price=price, lots=lots, taker_side=fill.side,
                taker_order_id=fill.taker_order_id, maker_order_id=fill.maker_order_id,
                time_us=time_ns // 1000, sent_us=self._outlet.sent_us(),
            )  # fmt: skip
            self._send(self._trade, text)

    def end_frame(self, time_ns: int) -> None:
        """Nothing more of this frame is about this market. To be called if anything was."""
        frame = self._frame
        if frame is not None:
            self._frame = None
            self._ring.add(frame)
            if self._depth is not None:
                delta = frame.delta()
                text = self.encode(self._depth, delta)
                self._outlet.send(self._depth, Message(text, MERGE, delta))
            for merged in self._merged.values():
                merged.add(frame.delta())
        if self._traded:
            self._traded = False
            if self._klines or self._ticker is not None:
                for kline in self._klines.values():
                    kline.stale = True
                self._send_paced(time_ns)

    def advance(self, time_ns: int) -> None:
        """Log time has come to another second. To be called before the events of that time."""
        self._now_s = time_ns // NS_PER_SECOND
        self.ticker.advance(time_ns)
        for interval, bar in self.candles.advance(time_ns):
            kline = self._klines.get(interval)
            if kline is not None and not self._is_lacking(bar.start_s):
                kline.stale = False
                self._send(kline.channel, self._kline_text(interval, bar, is_final=True))
        if self._klines or self._ticker is not None:
            self._send_paced(time_ns)

    def quote(self, view: StateView) -> None:
        """Send the best prices, if they have changed. `view` is as of the events shown."""
        if not self.has_book_ticker:
            return
        depth = view.depth(self.terms.id, 1)
        best = _best(depth)
        if best != self._best:
            self._best = best
            self._send(self._book_ticker, self._book_ticker_text(depth), LATEST)

    # Channels.

    def open(self, name: StreamName, channel: Channel, view: StateView) -> None:
        """Begin to publish on it."""
        match name.kind:
            case channels.DEPTH if name.every_ms:
                assert name.every_ms not in self._merged
                self._merged[name.every_ms] = Merged(
                    channel, every_ms=name.every_ms, ring=self._ring, outlet=self._outlet,
                    encode=self.encode,
                )  # fmt: skip
            case channels.DEPTH:
                self._depth = channel
            case channels.BOOK_TICKER:
                self._book_ticker, self.has_book_ticker = channel, True
                self._best = _best(view.depth(self.terms.id, 1))
            case channels.TRADE:
                self._trade = channel
            case channels.TICKER:
                self._ticker = channel
                self._ticker_sent = self.ticker.totals() or NOTHING
            case channels.KLINE:
                self._klines[name.interval] = Kline(channel)

    def close(self, name: StreamName) -> None:
        """Publish on it no more. Does nothing if it is not open."""
        match name.kind:
            case channels.DEPTH if name.every_ms:
                merged = self._merged.pop(name.every_ms, None)
                if merged is not None:
                    merged.close()
            case channels.DEPTH:
                self._depth = None
            case channels.BOOK_TICKER:
                self.has_book_ticker = False
            case channels.TRADE:
                self._trade = None
            case channels.TICKER:
                self._ticker = None
            case channels.KLINE:
                self._klines.pop(name.interval, None)

    def greet(self, name: StreamName, channel: Channel, view: StateView) -> Sequence[Message]:
        """What a newcomer is sent first."""
        match name.kind:
            case channels.DEPTH if name.every_ms:
                return self._merged[name.every_ms].messages()
            case channels.DEPTH:
                return self._ring.messages(channel, self.encode)
            case channels.BOOK_TICKER:
                text = self._book_ticker_text(view.depth(self.terms.id, 1))
                return [self._message(channel, text, LATEST)]
            case channels.TICKER if not self._is_lacking(self._now_s - WINDOW_S + 1):
                totals = self.ticker.totals() or NOTHING
                return [self._message(channel, self._ticker_text(totals), LATEST)]
            case channels.KLINE:
                bar = self.candles.current(name.interval)
                if bar is not None and not self._is_lacking(bar.start_s):
                    text = self._kline_text(name.interval, bar, is_final=False)
                    return [self._message(channel, text, LATEST)]
        return []

    def encode(self, channel: Channel, delta: Delta) -> bytes:
        """The text of a message of a depth channel."""
        text = streams.depth(
            self.terms, bids=delta.bids, asks=delta.asks, first_id=delta.first_id,
            last_id=delta.last_id, time_us=delta.time_ns // 1000, sent_us=self._outlet.sent_us(),
        )  # fmt: skip
        return streams.message(channel.name, text)

    def adopt(self, seconds: Sequence[Bar], older: Sequence[Bar]) -> None:
        """Take in the missing trades: those of the ticker's window as one-second bars by rising
        start, those of the running candles as bars of any length up to a day.
        """
        self.missing_to = 0
        self._ticker_sent = NOTHING
        self.ticker.backfill(seconds)
        self.candles.backfill(older)
        for kline in self._klines.values():
            kline.stale = True

    def end(self) -> None:
        """Stop every timer."""
        for merged in self._merged.values():
            merged.close()
        self._merged.clear()

    def _is_lacking(self, start_s: int) -> bool:
        """Whether missing trades may belong to what goes from this second to now."""
        return self.missing_to > 0 and start_s <= self._began_s

    # Texts.

    def _send_paced(self, time_ns: int) -> None:
        """Send what has changed and may be sent again: ticker and running bars."""
        is_known = not self._is_lacking(self._now_s - WINDOW_S + 1)
        if self._ticker is not None and is_known and time_ns >= self._ticker_due_ns:
            totals = self.ticker.totals() or NOTHING
            if totals != self._ticker_sent:
                self._ticker_sent = totals
                self._ticker_due_ns = time_ns + PACE_NS
                self._send(self._ticker, self._ticker_text(totals), LATEST)
        for interval, kline in list(self._klines.items()):
            if kline.stale and time_ns >= kline.due_ns:
                kline.stale = False
                kline.due_ns = time_ns + PACE_NS
                bar = self.candles.current(interval)
                if bar is not None and not self._is_lacking(bar.start_s):
                    text = self._kline_text(interval, bar, is_final=False)
                    self._send(kline.channel, text, LATEST)

    def _ticker_text(self, totals: Totals) -> str:
        return streams.ticker(
            self.terms, first=totals.first, last=totals.last, high=totals.high, low=totals.low,
            lots=totals.lots, quote=totals.quote, trades=totals.trades,
            sent_us=self._outlet.sent_us(),
        )  # fmt: skip

    def _kline_text(self, interval: str, bar: Bar, *, is_final: bool) -> str:
        return streams.kline(
            self.terms, start_s=bar.start_s, end_s=bucket_end(interval, bar.start_s),
            first=bar.open, last=bar.close, high=bar.high, low=bar.low, lots=bar.lots,
            trades=bar.trades, is_final=is_final, sent_us=self._outlet.sent_us(),
        )  # fmt: skip

    def _book_ticker_text(self, depth: BookDepth) -> str:
        bid, ask = _best(depth)
        return streams.book_ticker(
            self.terms, bid=bid, ask=ask, update_id=depth.update_id,
            time_us=depth.time_ns // 1000, sent_us=self._outlet.sent_us(),
        )  # fmt: skip

    def _send(self, channel: Channel, text: str, rule: int = KEEP) -> None:
        self._outlet.send(channel, self._message(channel, text, rule))

    @staticmethod
    def _message(channel: Channel, text: str, rule: int) -> Message:
        return Message(streams.message(channel.name, text), rule)


def _best(depth: BookDepth) -> Best:
    """The first (price, lots) of bids and asks."""
    return depth.bids[0] if depth.bids else None, depth.asks[0] if depth.asks else None
