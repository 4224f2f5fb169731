"""Streams of ccxt.pro's unmodified class `backpack`, only its URLs overridden, on an otherwise
quiet market.

Each step has its own client, waits for the effects of its own orders, and cancels them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ccxt.pro  # type: ignore[import-not-found,unused-ignore]

from tests.clients import ccxt_client
from tests.clients.ccxt_client import MARKET, SYMBOL, Venue, amount, clean, spread
from tests.clients.scenario import exact, run

PATIENCE_S = 15.0
FIRST_BOOK_S = 1.0
SUBSCRIBED_S = 0.5  # No answer says that one is subscribed.
OTHER = "ETH/USDC"  # where no step ever trades
Watch = Callable[[], Awaitable[Any]]


def fresh(venue: Venue, account: str = "demo1") -> Any:
    """A new ccxt.pro exchange for one of the demo's accounts."""
    keys = venue["accounts"][account]
    made = ccxt.pro.backpack({"apiKey": keys["apiKey"], "secret": keys["apiSecret"]})
    streams = {"public": venue["ws"], "private": venue["ws"]}
    made.urls["api"] = {"public": venue["http"], "private": venue["http"], "ws": streams}
    return made


def play(venue: Venue, story: Callable[[Any], Awaitable[None]]) -> None:
    """Run a story with a client that knows the markets."""

    async def scene() -> None:
        ex = fresh(venue)
        try:
            await ex.load_markets()
            await asyncio.wait_for(story(ex), 4 * PATIENCE_S)
        finally:
            await ex.close()

    asyncio.run(scene())


class Watching:
    """A watch call repeated in the background, so that no update is missed."""

    def __init__(self, watch: Watch, note: Callable[[Any], None]) -> None:
        """note: gets a copy of each result, because ccxt changes what it returned."""
        self._watch = watch
        self._note = note

    async def __aenter__(self) -> Watching:
        self._task = asyncio.ensure_future(self._go_on())
        await asyncio.sleep(SUBSCRIBED_S)
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._task.done():
            self._task.result()
        self._task.cancel()

    async def _go_on(self) -> None:
        while True:
            self._note(await self._watch())

    async def until(self, holds: Callable[[], bool]) -> None:
        last = time.monotonic() + PATIENCE_S
        while not holds():
            if self._task.done():
                self._task.result()
            assert time.monotonic() < last, "it did not come"
            await asyncio.sleep(0.02)


@contextmanager
def no_surprises(ex: Any) -> Iterator[None]:
    """The connection at the end is the same as at the beginning."""
    before = {url: id(client) for url, client in ex.clients.items()}
    yield
    after = {url: id(client) for url, client in ex.clients.items()}
    assert before == after, "the connection was made again"


async def trade(venue: Venue, ex: Any, side: str = "buy") -> Any:
    """demo2 makes and demo1 takes, inside the spread; return the taker's order."""
    _, inside, _ = spread(venue)
    other = "sell" if side == "buy" else "buy"
    ccxt_client.client(venue, "demo2").create_order(SYMBOL, "limit", other, amount(venue), inside)
    taken = await ex.create_order(SYMBOL, "limit", side, amount(venue), inside)
    assert taken["status"] == "closed", taken
    return taken


def test_order_book_of_a_quiet_market(venue: Venue) -> None:
    """The first book comes within a second without any change; later changes follow."""

    async def story(ex: Any) -> None:
        for symbol in (OTHER, SYMBOL):
            began = time.monotonic()
            book = await asyncio.wait_for(ex.watch_order_book(symbol), PATIENCE_S)
            took = time.monotonic() - began
            assert took < FIRST_BOOK_S, f"{symbol}: {took:.2f} s"
            same(book, await ex.fetch_order_book(symbol))
        bid, inside, _ = spread(venue)
        with no_surprises(ex):
            async with Watching(lambda: ex.watch_order_book(SYMBOL), lambda _: None) as watching:
                order = await ex.create_order(SYMBOL, "limit", "buy", amount(venue), inside)
                book = ex.orderbooks[SYMBOL]
                await watching.until(lambda: book["bids"][0][0] > bid)
                assert book["bids"][0][:2] == [inside, amount(venue)], book["bids"][:3]
                same(book, await ex.fetch_order_book(SYMBOL))
                await ex.cancel_order(order["id"], SYMBOL)
                await watching.until(lambda: book["bids"][0][0] == bid)
                same(book, await ex.fetch_order_book(SYMBOL))

    play(venue, story)


def same(watched: Any, fetched: Any) -> None:
    """Level by level, at one update id."""
    assert watched["nonce"] == fetched["nonce"], (watched["nonce"], fetched["nonce"])
    for side in ("bids", "asks"):
        assert [level[:2] for level in watched[side]] == [level[:2] for level in fetched[side]]


def test_order_book_through_many_changes(venue: Venue) -> None:
    """Orders come and go while the book is watched; it is exact when they stop."""

    async def story(ex: Any) -> None:
        maker = ccxt_client.client(venue, "demo2")
        bid = spread(venue)[0]
        prices = [round(bid * 0.9 + step * 0.01, 2) for step in range(40)]

        def churn() -> None:
            for steps in (3, 4, 5):
                for price in prices:
                    maker.create_order(SYMBOL, "limit", "buy", amount(venue, steps), price)
                maker.cancel_all_orders(SYMBOL)
            maker.create_order(SYMBOL, "limit", "buy", amount(venue), prices[0])

        maker.enableRateLimit = False
        churning = asyncio.get_running_loop().run_in_executor(None, churn)
        try:
            async with Watching(lambda: ex.watch_order_book(SYMBOL), lambda _: None) as watching:
                await churning
                book = ex.orderbooks[SYMBOL]
                last = await ex.fetch_order_book(SYMBOL)
                await watching.until(lambda: book["nonce"] == last["nonce"])
                same(book, last)
                assert [prices[0], amount(venue)] in [level[:2] for level in book["bids"]]
        finally:
            await churning
            maker.enableRateLimit = True
            maker.cancel_all_orders(SYMBOL)

    play(venue, story)


def test_trades(venue: Venue) -> None:
    """Each trade once, as in the list of trades."""

    async def story(ex: Any) -> None:
        seen: list[Any] = []
        async with Watching(lambda: ex.watch_trades(SYMBOL), seen.extend) as watching:
            orders = [await trade(venue, ex, side) for side in ("buy", "sell", "buy")]
            await watching.until(lambda: len(seen) >= 3)
        listed = await ex.fetch_trades(SYMBOL)
        assert len(seen) == 3, [each["id"] for each in seen]
        for order, found, known in zip(orders, seen, listed[-3:], strict=True):
            for name in ("id", "price", "amount", "side", "symbol", "takerOrMaker"):
                assert found[name] == known[name], (name, found, known)
            assert abs(found["timestamp"] - known["timestamp"]) < 1000, (found, known)
            assert found["order"] == order["id"], (found, order)

    play(venue, story)


def test_ticker(venue: Venue) -> None:
    """Immediately, and after a trade."""

    async def story(ex: Any) -> None:
        before = await trade(venue, ex)
        first = dict(await asyncio.wait_for(ex.watch_ticker(SYMBOL), PATIENCE_S))
        assert first["last"] == before["price"], first
        seen: list[Any] = []
        async with Watching(lambda: ex.watch_ticker(SYMBOL), seen.append) as watching:
            order = await trade(venue, ex, "sell")
            await watching.until(lambda: bool(seen) and seen[-1]["last"] == order["price"])
            await watching.until(lambda: seen[-1]["baseVolume"] > first["baseVolume"])
        known = await ex.fetch_ticker(SYMBOL)
        for name in ("last", "open", "high", "low", "baseVolume", "quoteVolume", "change"):
            assert seen[-1][name] == known[name], (name, seen[-1], known)
        assert seen[-1]["timestamp"] > first["timestamp"], seen

    play(venue, story)


def test_tickers(venue: Venue) -> None:
    """Of several markets, including one without trades."""

    async def story(ex: Any) -> None:
        last = (await trade(venue, ex))["price"]
        found: dict[str, Any] = {}
        async with Watching(lambda: ex.watch_tickers([SYMBOL, OTHER]), found.update) as watching:
            await watching.until(lambda: SYMBOL in ex.tickers and OTHER in ex.tickers)
        assert ex.tickers[SYMBOL]["last"] == last, ex.tickers

    play(venue, story)


def test_bids_and_asks(venue: Venue) -> None:
    """The best price, and the previous one."""

    async def story(ex: Any) -> None:
        bid, inside, ask = spread(venue)
        seen: list[Any] = []
        watched: Watch = lambda: ex.watch_bids_asks([SYMBOL])  # noqa: E731
        async with Watching(watched, lambda each: seen.append(dict(each[SYMBOL]))) as watching:
            order = await ex.create_order(SYMBOL, "limit", "buy", amount(venue), inside)
            await watching.until(lambda: bool(seen) and seen[-1]["bid"] == inside)
            assert (seen[-1]["bidVolume"], seen[-1]["ask"]) == (amount(venue), ask), seen[-1]
            await ex.cancel_order(order["id"], SYMBOL)
            await watching.until(lambda: seen[-1]["bid"] == bid)
            assert seen[-1]["ask"] == ask and seen[-1]["info"]["u"] > 12, seen[-1]

    play(venue, story)


def test_candles(venue: Venue) -> None:
    """The running candle comes immediately and changes with each trade. ccxt uses its end as its
    time.
    """

    async def story(ex: Any) -> None:
        await trade(venue, ex)
        bars: dict[int, list[Any]] = {}

        def note(found: list[list[Any]]) -> None:
            bars.update({bar[0]: list(bar) for bar in found})

        async with Watching(lambda: ex.watch_ohlcv(SYMBOL, "1m"), note) as watching:
            await watching.until(lambda: bool(bars))
            before = sum(bar[5] for bar in bars.values())
            order = await trade(venue, ex)
            await watching.until(
                lambda: sum(bar[5] for bar in bars.values()) > before + order["filled"] / 2
            )
        time_ms = max(bars)
        known = {bar[0]: bar for bar in await ex.fetch_ohlcv(SYMBOL, "1m", time_ms - 120_000)}
        assert known[time_ms - 60_000] == [time_ms - 60_000, *bars[time_ms][1:]], (bars, known)

    play(venue, story)


def test_orders(venue: Venue) -> None:
    """Placed, cancelled, filled and expired orders are reported, for all markets or for one."""

    async def story(ex: Any, symbol: str | None) -> None:
        told: list[tuple[str, str]] = []

        def note(orders: list[Any]) -> None:
            for order in orders:
                told.append((order["id"], order["status"]))
                assert order["symbol"] == SYMBOL and order["info"]["s"] == MARKET, order

        price = float(ex.price_to_precision(SYMBOL, spread(venue)[0] * 0.8))
        async with Watching(lambda: ex.watch_orders(symbol), note) as watching:
            placed = await ex.create_order(SYMBOL, "limit", "buy", amount(venue), price)
            await watching.until(lambda: (placed["id"], "open") in told)
            await ex.cancel_order(placed["id"], SYMBOL)
            await watching.until(lambda: (placed["id"], "canceled") in told)
            taken = await trade(venue, ex)
            await watching.until(lambda: (taken["id"], "closed") in told)
            expired = await ex.create_order(
                SYMBOL, "limit", "buy", amount(venue), price, {"timeInForce": "IOC"}
            )
            await watching.until(lambda: (expired["id"], "canceled") in told)
        assert {order_id for order_id, _ in told} == {placed["id"], taken["id"], expired["id"]}

    play(venue, lambda ex: story(ex, None))
    play(venue, lambda ex: story(ex, SYMBOL))


def test_balance(venue: Venue) -> None:
    """All balances after subscribing, and changes by orders. 4.5.64 lacks this call."""

    async def story(ex: Any) -> None:
        known = await ex.fetch_balance()
        codes = [code for code, total in known["total"].items() if total]
        seen: dict[str, Any] = {}
        async with Watching(ex.watch_balance, seen.update) as watching:
            await watching.until(lambda: all(seen.get(code, {}) == known[code] for code in codes))
            price = float(ex.price_to_precision(SYMBOL, spread(venue)[0] * 0.8))
            order = await ex.create_order(SYMBOL, "limit", "buy", amount(venue), price)
            locked = exact(price) * exact(amount(venue))
            free, used = (exact(known["USDC"][name]) for name in ("free", "used"))
            await watching.until(lambda: exact(seen["USDC"]["used"]) == used + locked)
            assert exact(seen["USDC"]["free"]) == free - locked, seen["USDC"]
            await ex.cancel_order(order["id"], SYMBOL)
            await watching.until(lambda: seen["USDC"] == known["USDC"])

    async def unknown(ex: Any) -> None:
        assert not ex.has.get("watchBalance"), "this version has it: watch it"

    play(venue, story if ccxt.pro.backpack().has.get("watchBalance") else unknown)


def test_unwatch(venue: Venue) -> None:
    """An unwatched stream sends nothing more, and can be watched again on the same connection."""

    async def story(ex: Any) -> None:
        await trade(venue, ex)
        await asyncio.wait_for(ex.watch_ticker(SYMBOL), PATIENCE_S)
        with no_surprises(ex):
            for _ in range(3):
                await asyncio.wait_for(ex.watch_ohlcv(SYMBOL, "1m"), PATIENCE_S)
                await asyncio.wait_for(ex.un_watch_ohlcv(SYMBOL, "1m"), PATIENCE_S)
                book = await asyncio.wait_for(ex.watch_order_book(SYMBOL), PATIENCE_S)
                assert book["bids"], book
                await asyncio.wait_for(ex.un_watch_order_book(SYMBOL), PATIENCE_S)
            # 4.5.90 keeps it to itself that it unwatches a ticker.
            await asyncio.wait_for(ex.un_watch_ticker(SYMBOL), PATIENCE_S)
            watching = asyncio.gather(ex.watch_trades(SYMBOL), ex.watch_orders(SYMBOL))
            await asyncio.sleep(SUBSCRIBED_S)
            await trade(venue, ex)
            await asyncio.wait_for(watching, PATIENCE_S)
            await asyncio.wait_for(ex.un_watch_trades(SYMBOL), PATIENCE_S)
            await asyncio.wait_for(ex.un_watch_orders(SYMBOL), PATIENCE_S)
            await asyncio.sleep(SUBSCRIBED_S)
            assert SYMBOL not in ex.trades
            known = len(ex.orders)
            await trade(venue, ex)
            # Whatever still came would come before this.
            book = await asyncio.wait_for(ex.watch_order_book(SYMBOL), PATIENCE_S)
            assert SYMBOL not in ex.trades, "a trade came without a watcher"
            assert len(ex.orders) == known, "an order came without a watcher"

    play(venue, story)


run(
    {
        "streams": [
            test_order_book_of_a_quiet_market,
            test_order_book_through_many_changes,
            test_trades,
            test_ticker,
            test_tickers,
            test_bids_and_asks,
            test_candles,
            test_orders,
            test_balance,
            test_unwatch,
        ]
    },
    clean=clean,
)
