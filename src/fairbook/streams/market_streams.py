"""The public streams of one market: depth, best prices, trades, ticker and candles.

Design: the feed passes every event of the market, then the end of each frame, and once per second
that time has passed. The ring of depth changes, ticker and candles are folded all the time, so that
new receivers get them at once; messages are encoded only for open channels.

Invariants:
- one delta for each frame that changed the book, without gaps between their ids;
- tickers and running bars are published at most once per second of log time, as LATEST messages;
  final bars exactly once, as KEEP messages;
- while trades of before the start are missing, nothing is published to which they belong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fairbook.api import stream_names, streams
from fairbook.api.numbers import MarketScales
from fairbook.api.stream_names import StreamName
from fairbook.candles.bars import Bar, bucket_end
from fairbook.candles.candles import Candles
from fairbook.candles.ticker import NO_TRADES, WINDOW_S, RollingTicker, Totals
from fairbook.core.records import Fill, LevelChange
from fairbook.core.units import NS_PER_SECOND
from fairbook.ports.queries import BookDepth, StateView
from fairbook.streams.channel_source import KEEP, LATEST, MERGE, Channel, ChannelMessage
from fairbook.streams.depth_streams import DeltaRing, DepthDelta, MergedDepthStream, first_deltas
from fairbook.streams.publisher import Publisher

INTERVAL_NS: Final = NS_PER_SECOND  # between two messages of a ticker, or of a running bar

_Level = tuple[int, int]
_Quote = tuple[_Level | None, _Level | None]


@dataclass(slots=True)
class _KlineChannel:
    channel: Channel
    due_ns: int = 0
    has_changed: bool = False


class MarketStreams:
    """The streams of one market. `view`: as of the events passed so far."""

    def __init__(
        self,
        scales: MarketScales,
        *,
        update_id: int,
        trade_id: int,
        time_ns: int,
        publisher: Publisher,
        replayed: Sequence[DepthDelta] = (),
    ) -> None:
        """Ids and time: before the first event. replayed: all changes from some on to update_id."""
        self.scales = scales
        self.missing_trade_id = trade_id
        """Trades up to this one are missing in ticker and candles; 0: none are."""
        self.ticker = RollingTicker()
        self.candles = Candles()
        self.book_ticker: Channel | None = None  # the open channel of best prices
        self._publisher = publisher
        known_from = replayed[0].first_id if replayed else update_id + 1
        begin_ns = replayed[0].time_ns if replayed else time_ns
        self._ring = DeltaRing([*first_deltas(known_from - 1, begin_ns), *replayed])
        self._update_id = update_id
        self._delta: DepthDelta | None = None  # of this frame so far
        self._has_traded = False  # in this frame
        self._depth: Channel | None = None
        self._merged: dict[int, MergedDepthStream] = {}
        self._quote: _Quote = (None, None)
        self._trade: Channel | None = None
        self._ticker: Channel | None = None
        self._ticker_due_ns = 0
        self._ticker_sent = NO_TRADES
        self._klines: dict[str, _KlineChannel] = {}
        self._began_s = self._now_s = time_ns // NS_PER_SECOND
        self.advance(time_ns)

    # Events, in their order.

    def on_level(self, change: LevelChange, time_ns: int) -> None:
        delta = self._delta
        if delta is None:
            delta = self._delta = DepthDelta(self._update_id + 1, self._update_id, time_ns)
        delta.set(change.side, change.price, change.lots, change.update_id, time_ns)
        self._update_id += 1

    def on_fill(self, fill: Fill, time_ns: int) -> None:
        price, lots, trade_id = fill.price, fill.lots, fill.trade_id
        quote = price * lots * self.scales.market.tick_atoms
        self.ticker.trade(time_ns, trade_id, price, lots, quote)
        self.candles.trade(time_ns, trade_id, price, lots, quote)
        self._has_traded = True
        if self._trade is not None:
            data = streams.trade(
                self.scales, fill, time_us=time_ns // 1000, sent_us=self._publisher.now_us()
            )
            self._send(self._trade, data)

    def end_frame(self, time_ns: int) -> None:
        """The frame has no more events of this market. Called if it had any."""
        delta, self._delta = self._delta, None
        if delta is not None:
            self._ring.add(delta)
            if self._depth is not None:
                payload = self.encode(self._depth, delta)
                self._publisher.publish(self._depth, ChannelMessage(payload, MERGE, delta))
            for merged in self._merged.values():
                merged.add(delta)
        if self._has_traded:
            self._has_traded = False
            if self._klines or self._ticker is not None:
                for kline in self._klines.values():
                    kline.has_changed = True
                self._publish_due(time_ns)

    def advance(self, time_ns: int) -> None:
        """Log time has come to another second. Called before the events of that time."""
        self._now_s = time_ns // NS_PER_SECOND
        self.ticker.advance(time_ns)
        for interval, bar in self.candles.advance(time_ns):
            kline = self._klines.get(interval)
            if kline is not None and not self._may_miss_trades(bar.start_s):
                kline.has_changed = False
                self._send(kline.channel, self._kline_data(interval, bar, is_final=True))
        if self._klines or self._ticker is not None:
            self._publish_due(time_ns)

    def publish_quote(self, view: StateView) -> None:
        if self.book_ticker is None:
            return
        depth = view.depth(self.scales.id, 1)
        quote = _quote(depth)
        if quote != self._quote:
            self._quote = quote
            self._send(self.book_ticker, self._book_ticker_data(depth), LATEST)

    # Channels.

    def open(self, name: StreamName, channel: Channel, view: StateView) -> None:
        match name.kind:
            case stream_names.DEPTH if name.every_ms:
                assert name.every_ms not in self._merged
                self._merged[name.every_ms] = MergedDepthStream(
                    channel, every_ms=name.every_ms, ring=self._ring, publisher=self._publisher,
                    encode=self.encode,
                )  # fmt: skip
            case stream_names.DEPTH:
                self._depth = channel
            case stream_names.BOOK_TICKER:
                self.book_ticker = channel
                self._quote = _quote(view.depth(self.scales.id, 1))
            case stream_names.TRADE:
                self._trade = channel
            case stream_names.TICKER:
                self._ticker = channel
                self._ticker_sent = self.ticker.totals() or NO_TRADES
            case stream_names.KLINE:
                self._klines[name.interval] = _KlineChannel(channel)

    def close(self, name: StreamName) -> None:
        """Does nothing if it is not open."""
        match name.kind:
            case stream_names.DEPTH if name.every_ms:
                if merged := self._merged.pop(name.every_ms, None):
                    merged.close()
            case stream_names.DEPTH:
                self._depth = None
            case stream_names.BOOK_TICKER:
                self.book_ticker = None
            case stream_names.TRADE:
                self._trade = None
            case stream_names.TICKER:
                self._ticker = None
            case stream_names.KLINE:
                self._klines.pop(name.interval, None)

    def initial_messages(
        self, name: StreamName, channel: Channel, view: StateView
    ) -> Sequence[ChannelMessage]:
        match name.kind:
            case stream_names.DEPTH if name.every_ms:
                return self._merged[name.every_ms].initial_messages()
            case stream_names.DEPTH:
                return self._ring.messages(channel, self.encode)
            case stream_names.BOOK_TICKER:
                data = self._book_ticker_data(view.depth(self.scales.id, 1))
                return [self._message(channel, data, LATEST)]
            case stream_names.TICKER if not self._may_miss_trades(self._now_s - WINDOW_S + 1):
                totals = self.ticker.totals() or NO_TRADES
                return [self._message(channel, self._ticker_data(totals), LATEST)]
            case stream_names.KLINE:
                bar = self.candles.current(name.interval)
                if bar is not None and not self._may_miss_trades(bar.start_s):
                    data = self._kline_data(name.interval, bar, is_final=False)
                    return [self._message(channel, data, LATEST)]
        return []

    def encode(self, channel: Channel, delta: DepthDelta) -> bytes:
        data = streams.depth(
            self.scales, bids=delta.bids, asks=delta.asks, first_id=delta.first_id,
            last_id=delta.last_id, time_us=delta.time_ns // 1000, sent_us=self._publisher.now_us(),
        )  # fmt: skip
        return streams.message(channel.name, data)

    def backfill(self, seconds: Sequence[Bar], older: Sequence[Bar]) -> None:
        """Add the missing trades: those of the ticker's window as one-second bars by rising start,
        those of the running candles as bars of any length up to a day.
        """
        self.missing_trade_id = 0
        self._ticker_sent = NO_TRADES
        self.ticker.backfill(seconds)
        self.candles.backfill(older)
        for kline in self._klines.values():
            kline.has_changed = True

    def stop(self) -> None:
        for merged in self._merged.values():
            merged.close()
        self._merged.clear()

    def _may_miss_trades(self, start_s: int) -> bool:
        """Whether missing trades may belong to the time from this second to now."""
        return self.missing_trade_id > 0 and start_s <= self._began_s

    # Messages.

    def _publish_due(self, time_ns: int) -> None:
        """Publish the ticker and running bars that have changed, if their interval has passed."""
        is_known = not self._may_miss_trades(self._now_s - WINDOW_S + 1)
        if self._ticker is not None and is_known and time_ns >= self._ticker_due_ns:
            totals = self.ticker.totals() or NO_TRADES
            if totals != self._ticker_sent:
                self._ticker_sent = totals
                self._ticker_due_ns = time_ns + INTERVAL_NS
                self._send(self._ticker, self._ticker_data(totals), LATEST)
        for interval, kline in list(self._klines.items()):
            if kline.has_changed and time_ns >= kline.due_ns:
                kline.has_changed = False
                kline.due_ns = time_ns + INTERVAL_NS
                bar = self.candles.current(interval)
                if bar is not None and not self._may_miss_trades(bar.start_s):
                    data = self._kline_data(interval, bar, is_final=False)
                    self._send(kline.channel, data, LATEST)

    def _ticker_data(self, totals: Totals) -> str:
        return streams.ticker(self.scales, totals, sent_us=self._publisher.now_us())

    def _kline_data(self, interval: str, bar: Bar, *, is_final: bool) -> str:
        return streams.kline(
            self.scales, bar, end_s=bucket_end(interval, bar.start_s), is_final=is_final,
            sent_us=self._publisher.now_us(),
        )  # fmt: skip

    def _book_ticker_data(self, depth: BookDepth) -> str:
        return streams.book_ticker(self.scales, depth, sent_us=self._publisher.now_us())

    def _send(self, channel: Channel, data: str, rule: int = KEEP) -> None:
        self._publisher.publish(channel, self._message(channel, data, rule))

    @staticmethod
    def _message(channel: Channel, data: str, rule: int) -> ChannelMessage:
        return ChannelMessage(streams.message(channel.name, data), rule)


def _quote(depth: BookDepth) -> _Quote:
    """The best (price, lots) of bids and asks."""
    return depth.bids[0] if depth.bids else None, depth.asks[0] if depth.asks else None
