"""The typed WebSocket client against the real hub and core: streams, orders, ends."""

import asyncio
import random
from typing import Any

import msgspec
import pytest

from fairbook.client.credentials import BearerToken, Credentials
from fairbook.client.errors import Disconnected, OutcomeUnknown, RequestRefused
from fairbook.client.grid import Grid
from fairbook.client.local_book import BookFeed, LocalBook
from fairbook.client.messages import (
    BalanceUpdate,
    BookTicker,
    KlineUpdate,
    NewOrder,
    OrderUpdate,
    TickerUpdate,
    TradeUpdate,
)
from fairbook.client.reconnect import Backoff, Reconnecting, hinted_s
from fairbook.client.rest import RestClient
from fairbook.client.websocket import WebSocketClient
from tests.client.test_rest import ALICE, BID, SIGNS
from tests.world.direct_exchange import live_exchange
from tests.world.memory_accounts import ALICE as ALICE_ID
from tests.world.memory_accounts import BOB_TOKEN
from tests.world.running_exchange import RunningExchange, with_live_exchange
from tests.world.waiting import until

BOB = BearerToken(BOB_TOKEN)


def limit(side: str, price: str, quantity: str) -> NewOrder:
    return NewOrder(symbol="SOL_USDC", side=side, price=price, quantity=quantity)


async def logged_in(venue: RunningExchange, who: Credentials = ALICE) -> WebSocketClient:
    socket = await WebSocketClient.open(venue.ws_url)
    await socket.login(who)
    return socket


@pytest.mark.parametrize("client_id", [7, "007"])
@pytest.mark.parametrize("who", [ALICE, SIGNS], ids=["token", "signature"])
@with_live_exchange(live_exchange)
async def test_an_order_from_placing_to_cancelling(
    venue: RunningExchange, who: Credentials, client_id: int | str
) -> None:
    async with await logged_in(venue, who) as socket:
        order = await socket.place(msgspec.structs.replace(BID, client_id=client_id))
        assert (order.status, order.client_id) == ("New", client_id)
        assert await socket.open_order("SOL_USDC", client_id=client_id) == order
        less = await socket.amend("SOL_USDC", order_id=order.id, quantity="1")
        assert (less.id, less.quantity) == (order.id, "1")
        gone = await socket.cancel("SOL_USDC", client_id=client_id)
        assert gone.status == "Cancelled"
        placed = [await socket.place(limit("Bid", f"9{n}", "0.1")) for n in range(3)]
        gone_all = await socket.cancel_all("SOL_USDC")
        assert [order.id for order in gone_all] == [order.id for order in placed]


@with_live_exchange(live_exchange)
async def test_many_orders_in_flight_keep_their_order(venue: RunningExchange) -> None:
    async with await logged_in(venue) as socket:
        orders = [limit("Bid", f"0.{1 + n % 9}", "1") for n in range(1_500)]
        answers = await asyncio.gather(*[socket.place(order) for order in orders])
        ids = [int(answer.id) for answer in answers]
        assert ids == sorted(set(ids))
        assert [answer.price for answer in answers] == [order.price for order in orders]


@with_live_exchange(live_exchange)
async def test_the_connection_survives_a_refusal(venue: RunningExchange) -> None:
    async with await WebSocketClient.open(venue.ws_url) as socket:
        for wrong in (socket.place(BID), socket.login(BearerToken("wrong"))):
            with pytest.raises(RequestRefused) as refusal:
                await wrong
            assert refusal.value.status == 401
        with pytest.raises(RequestRefused) as refusal:
            await socket.subscribe("depth.NO_SUCH", "trade.SOL_USDC", handler=lambda _: None)
        assert refusal.value.code == "4006"
        with pytest.raises(RequestRefused):
            await socket.call("order.unreceived", {})
        await socket.login(ALICE)
        with pytest.raises(RequestRefused) as refusal:
            await socket.place(limit("Bid", "100000", "1000"))
        assert refusal.value.code == "INSUFFICIENT_FUNDS"
        assert (await socket.place(BID)).status == "New"


@with_live_exchange(live_exchange)
async def test_every_stream_is_typed(venue: RunningExchange) -> None:
    """One trade between two accounts: the message of each stream is decoded."""
    received: list[Any] = []
    async with await logged_in(venue) as alice, await logged_in(venue, BOB) as bob:
        await alice.subscribe(
            "bookTicker.SOL_USDC",
            "trade.SOL_USDC",
            "ticker.SOL_USDC",
            "kline.1m.SOL_USDC",
            "account.orderUpdate",
            "account.balanceUpdate",
            "markPrice.SOL_USDC",
            handler=received.append,
        )
        bid = msgspec.structs.replace(limit("Bid", "10", "2"), client_id="typed/1")
        assert (await alice.place(bid)).client_id == "typed/1"
        await bob.place(limit("Ask", "10", "0.5"))
        kinds = (BookTicker, TradeUpdate, TickerUpdate, KlineUpdate, OrderUpdate, BalanceUpdate)
        await until(lambda: {type(message) for message in received} == set(kinds))
        await until(lambda: any(isinstance(m, KlineUpdate) and m.open for m in received))
        updates = [m for m in received if isinstance(m, OrderUpdate)]
        assert [(u.event, u.status, u.executed) for u in updates] == [
            ("orderAccepted", "New", "0"),
            ("orderFill", "PartiallyFilled", "0.5"),
        ]
        assert [u.client_id for u in updates] == ["typed/1", "typed/1"]
        assert (updates[1].fill_price, updates[1].fee, updates[1].is_maker) == (
            "10",
            "0.0004",
            True,
        )
        trade = next(m for m in received if isinstance(m, TradeUpdate))
        assert (trade.price, trade.quantity, trade.is_buyer_maker) == ("10", "0.5", True)

        await alice.unsubscribe("trade.SOL_USDC")
        await bob.place(limit("Ask", "10", "0.5"))
        await until(lambda: [m.executed for m in received if isinstance(m, OrderUpdate)][-1] == "1")
        assert sum(isinstance(m, TradeUpdate) for m in received) == 1


@with_live_exchange(live_exchange)
async def test_cancel_on_disconnect_cancels_orders_placed_after_it(
    venue: RunningExchange,
) -> None:
    """And after the end every request raises Disconnected."""
    async with RestClient(venue.http_url, ALICE) as rest:
        async with await logged_in(venue) as socket:
            stays = await socket.place(limit("Bid", "10", "1"))
            await socket.cancel_on_disconnect()
            await socket.place(limit("Bid", "11", "1"))
            await socket.cancel_on_disconnect(enabled=False)
            stays_too = await socket.place(limit("Bid", "12", "1"))
        assert socket.ended.is_set()
        with pytest.raises(Disconnected):
            await socket.place(BID)
        await until(lambda: len(venue.exchange.open_orders(ALICE_ID)) == 2)
        assert await rest.open_orders() == [stays, stays_too]


@with_live_exchange(live_exchange)
async def test_a_lost_connection_leaves_outcomes_unknown(venue: RunningExchange) -> None:
    async with await logged_in(venue) as socket:
        venue.exchange.held = []
        waiting = [asyncio.create_task(socket.place(limit("Bid", "9", "1"))) for _ in range(3)]
        await until(lambda: len(venue.exchange.held or []) == 3)
        for connection in list(venue.streams.connections):
            connection.abort()
        for task in waiting:
            with pytest.raises(OutcomeUnknown):
                await task
        await socket.ended.wait()
        with pytest.raises(Disconnected):
            await socket.place(BID)
        venue.exchange.release()


@with_live_exchange(live_exchange)
async def test_no_answer_in_time_is_unknown(venue: RunningExchange) -> None:
    async with await WebSocketClient.open(venue.ws_url, timeout_s=0.2) as socket:
        await socket.login(ALICE)
        venue.exchange.held = []
        with pytest.raises(OutcomeUnknown):
            await socket.place(BID)
        venue.exchange.release()
        assert (await socket.open_order("SOL_USDC", client_id=7)).status == "New"


@with_live_exchange(live_exchange)
async def test_an_exception_of_a_handler_ends_the_connection(venue: RunningExchange) -> None:
    def fails(_: Any) -> None:
        raise ZeroDivisionError

    async with await logged_in(venue) as socket:
        await socket.subscribe("account.orderUpdate", handler=fails)
        async with RestClient(venue.http_url, ALICE) as rest:
            await rest.place(BID)
        await socket.ended.wait()
        assert isinstance(socket.failure, ZeroDivisionError)


@with_live_exchange(live_exchange)
async def test_reconnecting_yields_new_connections(venue: RunningExchange) -> None:
    """Each round is a new connection; without a server it keeps trying; the hint is obeyed."""
    backoff = Backoff(random.Random(1), wait_least_s=0.01, wait_most_s=0.05)
    seen = []
    async for socket in Reconnecting(venue.ws_url, backoff=backoff):
        async with socket:
            await socket.login(ALICE)
            seen.append(socket)
            if len(seen) == 3:
                break
            for connection in list(venue.streams.connections):
                connection.abort()
            await socket.ended.wait()
            if len(seen) == 1:
                await venue.close()
                asyncio.get_running_loop().call_later(
                    0.2, lambda: asyncio.ensure_future(venue.open())
                )
    assert len(set(seen)) == 3


@with_live_exchange(live_exchange)
async def test_the_time_in_a_close_reason_is_obeyed(venue: RunningExchange) -> None:
    async with await WebSocketClient.open(venue.ws_url) as socket:
        await venue.close()
        await socket.ended.wait()
        assert socket.close_code == 1001
        assert hinted_s(socket.close_reason) >= 1
    await venue.open()


def test_hints_are_bounded() -> None:
    assert hinted_s("going away, reconnect in 2.5 s") == 2.5
    assert hinted_s("reconnect in 999999 s") == 60
    assert hinted_s("going away") == hinted_s("reconnect in soon s") == 0


def test_waits_double_and_are_spread() -> None:
    backoff = Backoff(random.Random(3))
    waits = [backoff.wait_s(0) for _ in range(12)]
    for number, wait_s in enumerate(waits):
        bound_s = min(0.1 * 2**number, 5)
        assert bound_s / 2 <= wait_s <= bound_s
    assert backoff.wait_s(60) <= 0.1, "a connection that lasted begins anew"
    others = [Backoff(random.Random(seed)).wait_s(0) for seed in range(20)]
    assert len(set(others)) == 20


@with_live_exchange(live_exchange)
async def test_a_book_follows_the_exchange(venue: RunningExchange) -> None:
    """Through a thousand orders, and through a snapshot that is fetched amid them."""
    chance = random.Random(11)
    changes: list[int] = []

    async def disturb(socket: WebSocketClient, count: int) -> None:
        for _ in range(count):
            side = chance.choice(("Bid", "Ask"))
            price = str(chance.randrange(45, 55))
            orders = [limit(side, price, "0.01") for _ in range(chance.randrange(1, 4))]
            await asyncio.gather(*[socket.place(order) for order in orders])

    async with (
        RestClient(venue.http_url, ALICE) as rest,
        await logged_in(venue, BOB) as bob,
        await logged_in(venue) as socket,
    ):
        grid = Grid((await rest.markets())[0])
        busy = asyncio.create_task(disturb(bob, 300))
        await asyncio.sleep(0.02)
        feed = BookFeed(socket, rest, grid, changed=lambda book: changes.append(book.last_id))
        await feed.start()
        book = await feed.ready()
        await busy
        await until(lambda: book.last_id == venue.exchange.core.markets[1].update_id)
        assert same(book, venue)
        assert changes == sorted(changes)
        await feed.stop()


def same(book: LocalBook, venue: RunningExchange) -> bool:
    bids, asks = venue.exchange.core.depth(1, 1_000)
    return book.bids.levels() == bids and book.asks.levels() == asks


@with_live_exchange(live_exchange)
async def test_a_gap_is_repaired(venue: RunningExchange) -> None:
    """After a lost message the book is not live until the next snapshot, and then right."""
    async with (
        RestClient(venue.http_url, ALICE) as rest,
        await logged_in(venue) as socket,
    ):
        grid = Grid((await rest.markets())[0])
        feed = BookFeed(socket, rest, grid)
        await feed.start()
        book = await feed.ready()
        await socket.place(limit("Bid", "10", "1"))
        await until(lambda: book.bids.best() is not None)
        book.bids.set(1_000, 0)
        book.last_id -= 1  # As if the message had not come.
        await socket.place(limit("Bid", "11", "1"))
        await until(lambda: book.gaps == 1 and book.is_live)
        assert same(book, venue)
