"""The order book of one market on the client's side, from the depth stream and a REST snapshot.

Design: `LocalBook` does no I/O. It keeps the stream's updates until a snapshot comes, drops those
that the snapshot contains, applies the rest, and from then on every update as it comes. After a gap
between update ids it is not live until the next snapshot. `BookFeed` connects it to the exchange.

Invariant: while `is_live`, bids and asks are the exchange's at update `last_id`, in ticks and lots.
"""

import asyncio
import logging
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from typing import Final

from fairbook.client.errors import ClientError, Disconnected
from fairbook.client.grid import Grid
from fairbook.client.messages import Depth, DepthUpdate, Level
from fairbook.client.rest import RestClient
from fairbook.client.websocket import WebSocketClient

UPDATES_KEPT_MAX: Final = 10_000
SNAPSHOT_WAIT_S: Final = 0.2  # before the next request of a snapshot; doubles after an error
SNAPSHOT_WAIT_MOST_S: Final = 5.0

logger = logging.getLogger(__name__)


class LocalBookSide:
    """The levels of one side."""

    __slots__ = ("_lots", "_prices", "_sign")

    def __init__(self, *, is_bid: bool) -> None:
        self._lots: dict[int, int] = {}
        self._sign = 1 if is_bid else -1
        self._prices: list[int] = []  # negated for asks: the best is last

    def set(self, price: int, lots: int) -> None:
        """Set the quantity at a price; 0 removes the level."""
        key = self._sign * price
        if lots:
            if price not in self._lots:
                insort(self._prices, key)
            self._lots[price] = lots
        elif self._lots.pop(price, None) is not None:
            del self._prices[bisect_left(self._prices, key)]

    def best(self) -> tuple[int, int] | None:
        """(price, lots); None if the side is empty."""
        if not self._prices:
            return None
        price = self._sign * self._prices[-1]
        return price, self._lots[price]

    def levels(self) -> list[tuple[int, int]]:
        """All (price, lots), best first."""
        return [(self._sign * key, self._lots[self._sign * key]) for key in reversed(self._prices)]

    def __len__(self) -> int:
        return len(self._prices)


class LocalBook:
    """One market's book."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.bids = LocalBookSide(is_bid=True)
        self.asks = LocalBookSide(is_bid=False)
        self.last_id = 0
        self.is_live = False
        self.gaps = 0
        """The number of gaps found in the stream."""
        self._kept: deque[DepthUpdate] = deque(maxlen=UPDATES_KEPT_MAX)

    def on_update(self, update: DepthUpdate) -> None:
        if self.is_live and update.first_id > self.last_id + 1:
            self.is_live = False
            self.gaps += 1
        if not self.is_live:
            if self._kept and update.first_id > self._kept[-1].last_id + 1:
                self._kept.clear()  # A gap in the stream: earlier updates are useless.
            self._kept.append(update)
        elif update.last_id > self.last_id:
            self._set(update.bids, update.asks)
            self.last_id = update.last_id

    def load(self, snapshot: Depth) -> bool:
        """Begin with a snapshot. False: it is too old for the updates kept, get a newer one."""
        at_id = int(snapshot.last_update_id)
        while self._kept and self._kept[0].last_id <= at_id:
            self._kept.popleft()
        if self._kept and self._kept[0].first_id > at_id + 1:
            return False
        self.bids, self.asks = LocalBookSide(is_bid=True), LocalBookSide(is_bid=False)
        self._set(snapshot.bids, snapshot.asks)
        self.last_id = at_id
        self.is_live = True
        while self._kept and self.is_live:
            self.on_update(self._kept.popleft())
        return self.is_live

    def _set(self, bids: list[Level], asks: list[Level]) -> None:
        price_of, lots_of = self.grid.price.units, self.grid.quantity.units
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, quantity in levels:
                side.set(price_of(price), lots_of(quantity))


class BookFeed:
    """A book that follows one connection, from `start` to `stop` or the connection's end."""

    def __init__(
        self,
        socket: WebSocketClient,
        rest: RestClient,
        grid: Grid,
        *,
        changed: Callable[[LocalBook], None] | None = None,
    ) -> None:
        """changed: called after each change while the book is live. Must not block."""
        self.book = LocalBook(grid)
        self._socket = socket
        self._rest = rest
        self._changed = changed
        self._live = asyncio.Event()
        self._has_changed = asyncio.Event()
        self._loading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._socket.subscribe(self._name, handler=self._on_update)
        self._load()

    async def ready(self) -> LocalBook:
        """The book, once it is live. Raises Disconnected if the connection ends before."""
        await self._wait_for(self._live)
        return self.book

    async def next_change(self) -> LocalBook:
        """The book, once it is live and has changed since the last call. Raises Disconnected."""
        await self._wait_for(self._has_changed)
        await self._wait_for(self._live)
        self._has_changed.clear()
        return self.book

    async def _wait_for(self, event: asyncio.Event) -> None:
        happened = asyncio.create_task(event.wait())
        ended = asyncio.create_task(self._socket.ended.wait())
        try:
            await asyncio.wait((happened, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            happened.cancel()
            ended.cancel()
        if self._socket.ended.is_set():
            raise Disconnected("the connection ended")

    async def stop(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
        if not self._socket.ended.is_set():
            await self._socket.unsubscribe(self._name)

    @property
    def _name(self) -> str:
        return f"depth.{self.book.grid.symbol}"

    def _on_update(self, update: DepthUpdate) -> None:
        was_live = self.book.is_live
        self.book.on_update(update)
        if self.book.is_live:
            self._notify()
        elif was_live:
            logger.warning("gap in %s before update %d", self._name, update.first_id)
            self._live.clear()
            self._load()

    def _load(self) -> None:
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load_snapshot())

    async def _load_snapshot(self) -> None:
        """Request snapshots until one is new enough, or the connection has ended."""
        symbol, wait_s = self.book.grid.symbol, SNAPSHOT_WAIT_S
        while not self._socket.ended.is_set():
            try:
                if self.book.load(await self._rest.depth(symbol)):
                    self._live.set()
                    self._notify()
                    return
            except ClientError as error:
                if wait_s == SNAPSHOT_WAIT_S:
                    logger.info("no snapshot of %s yet: %s", symbol, error)
                wait_s = min(2 * wait_s, SNAPSHOT_WAIT_MOST_S)
            await asyncio.sleep(wait_s)

    def _notify(self) -> None:
        self._has_changed.set()
        if self._changed is not None:
            self._changed(self.book)
