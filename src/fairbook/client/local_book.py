"""The order book of one market, kept on this side: depth stream and REST snapshot.

How it works: `LocalBook` is pure. It keeps the stream's updates until a snapshot comes, drops those
that the snapshot contains, applies the rest, and from then on every update as it comes. Ids must
follow each other: on a gap it is no longer live, and needs a new snapshot. `BookFeed` joins it to
a socket and to REST.

Always true: while `is_live`, bids and asks are the exchange's at update `last_id`, exactly; prices
are ticks, quantities lots.

Not here: another source of prices; own orders.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from typing import Final

from fairbook.client.errors import ClientError, Disconnected
from fairbook.client.grid import Grid
from fairbook.client.messages import Depth, DepthUpdate, Level
from fairbook.client.rest import Rest
from fairbook.client.socket import Socket

UPDATES_KEPT_MAX: Final = 10_000
SNAPSHOT_WAIT_S: Final = 0.2  # before a snapshot is asked for again; longer after a refusal
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
        """The quantity at a price from now on; 0: none."""
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

    def lots_at(self, price: int) -> int:
        """The quantity at a price."""
        return self._lots.get(price, 0)

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
        """How often it had to begin again."""
        self._kept: deque[DepthUpdate] = deque(maxlen=UPDATES_KEPT_MAX)

    def take(self, update: DepthUpdate) -> None:
        """The next message of the depth stream."""
        if self.is_live and update.first_id > self.last_id + 1:
            self.is_live = False
            self.gaps += 1
        if self.is_live:
            self._apply(update)
        else:
            if self._kept and update.first_id > self._kept[-1].last_id + 1:
                self._kept.clear()  # The stream itself has a gap: what was before it is no use.
            self._kept.append(update)

    def adopt(self, snapshot: Depth) -> bool:
        """A snapshot. False: it is older than what is kept of the stream, ask for a newer one."""
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
            self.take(self._kept.popleft())
        return self.is_live

    def _apply(self, update: DepthUpdate) -> None:
        if update.last_id > self.last_id:
            self._set(update.bids, update.asks)
            self.last_id = update.last_id

    def _set(self, bids: list[Level], asks: list[Level]) -> None:
        price_of, lots_of = self.grid.price.units, self.grid.quantity.units
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, quantity in levels:
                side.set(price_of(price), lots_of(quantity))


class BookFeed:
    """A book that follows one socket. `start`, then `ready`, and `change` as often as is wanted;
    `stop`, or let the socket end.
    """

    def __init__(
        self,
        socket: Socket,
        rest: Rest,
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
        self._news = asyncio.Event()
        self._loading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Subscribe."""
        await self._socket.subscribe(self._name, handler=self._take)
        self._load()

    async def ready(self) -> LocalBook:
        """The book, once it is live. Raises Disconnected if the connection ends before."""
        await self._happens(self._live)
        return self.book

    async def change(self) -> LocalBook:
        """The book, once it is live and has changed since the last call. Raises Disconnected if
        the connection ends before.
        """
        await self._happens(self._news)
        await self._happens(self._live)
        self._news.clear()
        return self.book

    async def _happens(self, event: asyncio.Event) -> None:
        happens = asyncio.create_task(event.wait())
        ended = asyncio.create_task(self._socket.ended.wait())
        try:
            await asyncio.wait((happens, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            happens.cancel()
            ended.cancel()
        if self._socket.ended.is_set():
            raise Disconnected("the connection ended")

    async def stop(self) -> None:
        """Follow no more."""
        if self._loading is not None:
            self._loading.cancel()
        if not self._socket.ended.is_set():
            await self._socket.unsubscribe(self._name)

    @property
    def _name(self) -> str:
        return f"depth.{self.book.grid.symbol}"

    def _take(self, update: DepthUpdate) -> None:
        was_live = self.book.is_live
        self.book.take(update)
        if self.book.is_live:
            self._tell()
        elif was_live:
            logger.warning("gap in %s before update %d", self._name, update.first_id)
            self._live.clear()
            self._load()

    def _load(self) -> None:
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load_snapshot())

    async def _load_snapshot(self) -> None:
        """Ask until a snapshot fits. Ends with the connection at the latest."""
        symbol, wait_s = self.book.grid.symbol, SNAPSHOT_WAIT_S
        while not self._socket.ended.is_set():
            try:
                if self.book.adopt(await self._rest.depth(symbol)):
                    self._live.set()
                    self._tell()
                    return
            except ClientError as error:
                if wait_s == SNAPSHOT_WAIT_S:
                    logger.info("no snapshot of %s yet: %s", symbol, error)
                wait_s = min(2 * wait_s, SNAPSHOT_WAIT_MOST_S)
            await asyncio.sleep(wait_s)

    def _tell(self) -> None:
        self._news.set()
        if self._changed is not None:
            self._changed(self.book)
