"""The hub's source: folds the events of every frame into the messages of streams.

Design: the runner passes each frame as soon as it is applied. The feed keeps it, and folds what it
kept a few turns of the loop later, so that the answers to the frame's orders are sent first; of a
long frame some events in each turn, so that other work need not wait for all. Fills and levels go
to the MarketStreams of their market, events of an account with open channels to its AccountStreams.

Invariants:
- whenever the feed reads the engine's state it has folded every frame in it: the initial messages
  of a channel and what follows are one sequence;
- after a failure nothing more is published, and `failed` has the reason: the process must stop,
  because clients cannot know what they have missed.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fairbook.api import stream_names
from fairbook.api import streams as stream_texts
from fairbook.api.listings import Listings
from fairbook.api.stream_names import StreamName, parse_stream_name
from fairbook.candles.bars import INTERVALS, bucket_start
from fairbook.candles.ticker import WINDOW_S
from fairbook.core import admin_records, records
from fairbook.core.markets import FIRST_UPDATE_ID
from fairbook.core.records import (
    FILL,
    LEVEL,
    Fill,
    LevelChange,
    OrderRecord,
    kind_at,
    next_at,
)
from fairbook.core.units import NS_PER_SECOND
from fairbook.ports.history import TradeBars
from fairbook.ports.queries import Catalogue, StateView
from fairbook.streams.account_streams import AccountStreams
from fairbook.streams.channel_source import (
    LATEST,
    Channel,
    ChannelMessage,
    Publish,
    StreamKind,
)
from fairbook.streams.depth_streams import DepthDelta
from fairbook.streams.market_streams import MarketStreams
from fairbook.streams.publisher import Publisher
from fairbook.streams.replay_tail import ReplayTail

ANSWER_TURNS: Final = 2  # of the loop, until answers are written: one makes them, one sends them
_STEP_BYTES: Final = 24 * 1024  # of events, folded in one turn: some 200, at most 3 ms
_DONE: Final = object()
_ACCOUNT_EVENTS: Final = frozenset(
    (records.TEXT, records.ACCEPTED, records.CLOSED, records.AMENDED, records.MOVED)
)

_VENUE_EVENTS: Final = frozenset((records.PARAMETER, records.PAUSED, records.MARKET))
_OF_EXCHANGE: Final = (stream_names.VENUE, stream_names.CHECKPOINT)  # neither market nor account


class Feed:
    """All streams of one exchange. For the loop's thread only."""

    def __init__(
        self,
        *,
        view: StateView,
        catalogue: Catalogue,
        replay_tail: ReplayTail | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        announcements: Callable[[], Sequence[str]] = list,
    ) -> None:
        """Requires a running loop. `on_frame` must be called for every frame after those in `view`.

        replay_tail: the last frames that `view` has.
        """
        self._view = view
        self._catalogue = catalogue
        self._listings = Listings(catalogue)
        self._publisher = Publisher(now_ns)
        self.failed = self._publisher.failed
        """Ends, with the reason, when something could not be folded or published."""
        self._pending: deque[tuple[int, bytes]] = deque()  # (time_ns, events)
        self._steps: Iterator[None] | None = None  # of the fold that has begun
        self._scheduled: asyncio.Handle | None = None
        self._is_folding = False
        self._is_stopped = False
        self._announcements = announcements
        self._of_exchange: dict[int, Channel] = {}  # those that are open, by kind
        self._signed: tuple[str, str] | None = None  # the newest checkpoint, and its key
        self._has_venue_changed = False
        self._time_ns = 0
        self._text: str | None = None  # of a TEXT whose ACCEPTED comes next
        self._second_end_ns = 0  # of the running second of log time
        self._markets: dict[int, MarketStreams] = {}
        self._accounts: dict[int, AccountStreams] = {}  # with open channels
        self._quote_changes: dict[int, MarketStreams] = {}  # best prices may have changed
        self._balance_changes: dict[int, AccountStreams] = {}  # balances may have changed
        deltas = replay_tail.depth_deltas() if replay_tail is not None else {}
        for market in catalogue.markets():
            depth = view.depth(market.id, 1)
            self._time_ns = depth.time_ns
            self._markets[market.id] = MarketStreams(
                self._listings.scales_of(market.id), update_id=depth.update_id,
                trade_id=market.last_trade_id, time_ns=depth.time_ns, publisher=self._publisher,
                replayed=deltas.get(market.id, ()),
            )  # fmt: skip

    def on_frame(self, position: int, time_ns: int, frame: bytes, events: bytes) -> None:
        """A subscriber of the runner: a frame was applied."""
        if self._is_stopped:
            return
        self._pending.append((time_ns, events))
        if self._scheduled is None:
            self._fold_after(ANSWER_TURNS)

    async def backfill(self, bars: TradeBars) -> None:
        """Load the earlier trades that tickers and candles need. Frames may come meanwhile.

        Raises what `bars` raises; it may be called again then, and continues.
        """
        for market, streams in list(self._markets.items()):
            if not streams.missing_trade_id:
                continue
            now_s = self._time_ns // NS_PER_SECOND
            start_s = min(bucket_start(interval, now_s) for interval in INTERVALS)
            trade_id_max = streams.missing_trade_id
            seconds = await bars.seconds(
                market, since_s=now_s - WINDOW_S + 1, trade_id_max=trade_id_max
            )
            older = await bars.bars(market, since_s=start_s, trade_id_max=trade_id_max)
            self._fold()
            streams.backfill(seconds, older)

    def stop(self) -> None:
        """Publish nothing more, cancel every timer. The hub closes its channels before."""
        self._is_stopped = True
        if self._scheduled is not None:
            self._scheduled.cancel()
        for streams in self._markets.values():
            streams.stop()

    # Source: what the hub calls.

    def attach(self, publish: Publish) -> None:
        self._publisher.attach(publish)

    def find(self, name: str) -> StreamKind | None:
        stream = parse_stream_name(name)
        if stream is None:
            return None
        if stream.kind == stream_names.SILENT:
            return StreamKind(is_private=stream.is_private, is_silent=True)
        if stream.symbol and self._catalogue.market_named(stream.symbol) is None:
            return None
        if stream.kind == stream_names.KLINE and stream.interval not in INTERVALS:
            return None
        return StreamKind(is_private=stream.is_private)

    def venue_changed(self) -> None:
        """Something was announced."""
        self._publish_of_exchange(stream_names.VENUE)

    def checkpoint_signed(self, note: str, key: str) -> None:
        """A checkpoint was signed with this key."""
        self._signed = note, key
        self._publish_of_exchange(stream_names.CHECKPOINT)

    def _publish_of_exchange(self, kind: int) -> None:
        channel = self._of_exchange.get(kind)
        if channel is not None and not self._is_stopped:
            for message in self._messages_of_exchange(kind, channel):
                self._publisher.publish(channel, message)

    def _messages_of_exchange(self, kind: int, channel: Channel) -> Sequence[ChannelMessage]:
        """What it is now."""
        if kind == stream_names.CHECKPOINT:
            if self._signed is None:
                return []
            content = stream_texts.checkpoint(*self._signed, sent_us=self._publisher.now_us())
            return [ChannelMessage(stream_texts.message(channel.name, content))]
        content = stream_texts.venue(
            self._catalogue.markets(), is_paused=self._view.paused(),
            announcements=list(self._announcements()), sent_us=self._publisher.now_us(),
        )  # fmt: skip
        return [ChannelMessage(stream_texts.message(channel.name, content), LATEST)]

    async def open(self, channel: Channel) -> None:
        self._fold()
        name, market = self._parse(channel)
        if name.kind in _OF_EXCHANGE:
            self._of_exchange[name.kind] = channel
            return
        if not name.is_private:
            self._market_streams(market).open(name, channel, self._view)
            return
        account = self._accounts.get(channel.owner)
        if account is None:
            account = self._accounts[channel.owner] = AccountStreams(
                channel.owner, listings=self._listings, publisher=self._publisher
            )  # fmt: skip
        if name.kind == stream_names.ORDER_UPDATE:
            await account.open_orders(channel, market, self._view, self._fold)
        else:
            account.open_balances(channel, self._view)

    def close(self, channel: Channel) -> None:
        name, market = self._parse(channel)
        if name.kind in _OF_EXCHANGE:
            del self._of_exchange[name.kind]
            return
        if not name.is_private:
            self._market_streams(market).close(name)
            return
        account = self._accounts.get(channel.owner)
        if account is None:
            return
        if name.kind == stream_names.ORDER_UPDATE:
            account.close_orders(market)
        else:
            account.close_balances()
        if account.is_idle:
            del self._accounts[channel.owner]

    def initial_messages(self, channel: Channel) -> Sequence[ChannelMessage]:
        self._fold()
        name, market = self._parse(channel)
        if name.kind in _OF_EXCHANGE:
            return self._messages_of_exchange(name.kind, channel)
        if not name.is_private:
            return self._market_streams(market).initial_messages(name, channel, self._view)
        if name.kind == stream_names.BALANCE_UPDATE:
            account = self._accounts[channel.owner]
            return account.initial_balances(channel, self._view, self._time_ns)
        return []

    def merge(self, channel: Channel, older: object, newer: object) -> object:
        assert isinstance(older, DepthDelta) and isinstance(newer, DepthDelta)
        return older.merged(newer)

    def encode(self, channel: Channel, content: object) -> bytes:
        assert isinstance(content, DepthDelta)
        _, market = self._parse(channel)
        return self._market_streams(market).encode(channel, content)

    # Folding.

    def _fold_after(self, turns: int) -> None:
        loop = asyncio.get_running_loop()
        if turns:
            self._scheduled = loop.call_soon(self._fold_after, turns - 1)
        else:
            self._scheduled = loop.call_soon(self._fold_some)

    def _fold_some(self) -> None:
        self._scheduled = None
        if self._fold_step():
            self._fold_after(0)

    def _fold(self) -> None:
        """Fold all that is pending."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        while self._fold_step():
            pass

    def _fold_step(self) -> bool:
        """Fold some events. False: there are no more."""
        assert not self._is_folding, "a channel is opened in the middle of a step"
        if self._is_stopped or (self._steps is None and not self._pending):
            return False
        if self._steps is None:
            self._steps = self._fold_pending()
        self._is_folding = True
        try:
            is_done = next(self._steps, _DONE) is _DONE
        except Exception as bug:
            self.stop()
            self._publisher.fail(bug)
            raise
        self._is_folding = False
        if is_done:
            self._steps = None
        return not is_done

    def _fold_pending(self) -> Iterator[None]:
        """Fold all frames, also those that come meanwhile; yields where it may be interrupted."""
        while self._pending:
            time_ns, events = self._pending.popleft()
            yield from self._fold_frame(time_ns, events)
        if self._has_venue_changed:
            self._has_venue_changed = False
            self.venue_changed()
        quotes, self._quote_changes = self._quote_changes, {}
        for market in quotes.values():
            market.publish_quote(self._view)
        balances, self._balance_changes = self._balance_changes, {}
        for account in balances.values():
            account.publish_balances(self._view, self._time_ns)

    def _fold_frame(self, time_ns: int, events: bytes) -> Iterator[None]:
        self._time_ns = time_ns
        if time_ns >= self._second_end_ns:
            self._second_end_ns = (time_ns // NS_PER_SECOND + 1) * NS_PER_SECOND
            for market in list(self._markets.values()):
                market.advance(time_ns)
        changed: dict[int, MarketStreams] = {}
        accounts = self._accounts
        at = 0
        end = len(events)
        step_end = _STEP_BYTES
        while at < end:
            if at >= step_end:
                step_end = at + _STEP_BYTES
                yield
            kind = kind_at(events, at)
            if kind == LEVEL:
                level = LevelChange(events, at)
                streams = changed.get(level.market)
                if streams is None:
                    streams = changed[level.market] = self._market_streams(level.market)
                streams.on_level(level, time_ns)
            elif kind == FILL:
                fill = Fill(events, at)
                self._market_streams(fill.market).on_fill(fill, time_ns)
                if accounts:
                    self._fold_fill(fill, events, at, time_ns)
            elif accounts and kind in _ACCOUNT_EVENTS:
                self._fold_account_event(kind, events, at, time_ns)
            elif kind in _VENUE_EVENTS and stream_names.VENUE in self._of_exchange:
                self._has_venue_changed = True
            at = next_at(events, at)
        for streams in changed.values():
            streams.end_frame(time_ns)
            if streams.book_ticker is not None:
                self._quote_changes[streams.scales.id] = streams

    def _fold_fill(self, fill: Fill, events: bytes, at: int, time_ns: int) -> None:
        for is_maker in (False, True):
            account = self._accounts.get(fill.maker_account if is_maker else fill.taker_account)
            if account is not None:
                order_id = fill.maker_order_id if is_maker else fill.taker_order_id
                is_last = _is_filled_by(events, at, order_id)
                account.on_fill(fill, is_maker=is_maker, is_last=is_last, time_ns=time_ns)
                self._balance_changes[account.account] = account

    def _fold_account_event(self, kind: int, events: bytes, at: int, time_ns: int) -> None:
        """Pass an event to its account, if that has open channels."""
        account: AccountStreams | None = None
        if kind == records.TEXT:
            self._text = records.text_at(events, at)
        elif kind == records.ACCEPTED:
            placed = records.read_accepted(events, at)
            text, self._text = self._text, None
            account = self._accounts.get(placed.account)
            if account is not None:
                account.on_accepted(placed, text, time_ns)
        elif kind == records.MOVED:
            account = self._accounts.get(admin_records.Moved(events, at).account)
        else:
            record = OrderRecord(events, at)
            account = self._accounts.get(record.account)
            if account is not None and kind == records.CLOSED:
                account.on_closed(record, time_ns)
            elif account is not None:
                account.on_amended(record, time_ns)
        if account is not None:
            self._balance_changes[account.account] = account

    # Names, markets and assets.

    def _parse(self, channel: Channel) -> tuple[StreamName, int]:
        """The channel's name, and the id of its market; 0: none, or all."""
        name = parse_stream_name(channel.name)
        assert name is not None
        if not name.symbol:
            return name, 0
        market = self._catalogue.market_named(name.symbol)
        assert market is not None
        return name, market.id

    def _market_streams(self, market: int) -> MarketStreams:
        streams = self._markets.get(market)
        if streams is None:
            # Listed after the feed began: no event of it was missed.
            streams = self._markets[market] = MarketStreams(
                self._listings.scales_of(market), update_id=FIRST_UPDATE_ID, trade_id=0,
                time_ns=self._time_ns, publisher=self._publisher,
            )  # fmt: skip
        return streams


def _is_filled_by(events: bytes, at: int, order_id: int) -> bool:
    """Whether the FILL at `at` is the last one of this order, and leaves it FILLED.

    The filled quantity does not tell: a market order by quote has no quantity.
    """
    while True:
        at = next_at(events, at)
        kind = kind_at(events, at)
        if kind == records.CLOSED:
            record = OrderRecord(events, at)
            if record.order_id == order_id:
                return record.status == records.FILLED
        elif kind in (FILL, records.OUTCOME):
            return False
