"""No request holds the event loop for long, with every table full: what others wait for is measured
as the CPU time of each turn of the loop.

Asserted at three times the bound of 5 ms, because the machine may be slow.
"""

import asyncio
import gc
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fairbook.core import records
from tests.world.direct_exchange import DirectExchange, list_and_fund
from tests.world.http_client import HttpClient
from tests.world.markets import SOL_USDC
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB
from tests.world.memory_history import MemoryHistory
from tests.world.money import credit
from tests.world.running_exchange import NO_LIMITS, Extras, RunningExchange, play, with_exchange
from tests.world.socket_client import SocketClient
from tests.world.ws_frames import says

TURN_MS_MAX = 15
ORDERS = 10_000
LEVELS = 1_000


class Turns:
    """The longest turn: a callback of the loop, in CPU time of its thread."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.of = ""

    def add(self, ns: int, handle: asyncio.Handle) -> None:
        if ns / 1e6 > self.longest_ms:
            self.longest_ms, self.of = ns / 1e6, repr(handle)


@contextmanager
def measured_turns() -> Iterator[Turns]:
    turns = Turns()
    run: Callable[[asyncio.Handle], None] = asyncio.Handle._run

    def run_measured(handle: asyncio.Handle) -> None:
        started = time.thread_time_ns()
        run(handle)
        turns.add(time.thread_time_ns() - started, handle)

    gc.disable()  # A process of its own looks at few objects: see engine/gc_policy.py.
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio.Handle, "_run", run_measured)
            yield turns
    finally:
        gc.enable()


def full_exchange(exchange: DirectExchange) -> None:
    """Alice has as many open orders as an account may, with texts; both books are deep."""
    list_and_fund(exchange)
    for asset in range(1, 4):
        exchange.do(credit(account=ALICE, asset=asset, atoms=10**17))
        exchange.do(credit(account=BOB, asset=asset, atoms=10**17))
    for number in range(1, 1001):
        for account, side in ((BOB, records.ASK), (ALICE, records.BID)):
            exchange.do(
                records.place(
                    account=account, market=SOL_USDC, side=side, quantity=100,
                    price=9000, text=f"{account}-{number}",
                )
            )  # fmt: skip
    for number in range(ORDERS):
        exchange.do(
            records.place(
                account=ALICE, market=SOL_USDC, side=records.BID, quantity=100,
                price=5000 + number % LEVELS, text=f"a-rather-long-name-of-order-{number}",
            )
        )  # fmt: skip


def play_full(story: Callable[[RunningExchange, HttpClient], Awaitable[None]]) -> None:
    exchange = DirectExchange()
    history = MemoryHistory(exchange)
    full_exchange(exchange)
    play(
        story, exchange=exchange, extras=Extras(history=history), streams=True, within_s=120,
        loop_factory=asyncio.new_event_loop,
    )  # fmt: skip


QUERIES = {
    b"/api/v1/account/limits/borrow": "symbol=USDC",
    b"/api/v1/account/limits/order": "symbol=SOL_USDC&side=Ask",
    b"/api/v1/account/limits/withdrawal": "symbol=USDC",
    b"/api/v1/depth": "symbol=SOL_USDC&limit=1000",
    b"/api/v1/market": "symbol=SOL_USDC",
    b"/api/v1/order": "symbol=SOL_USDC&clientId=a-rather-long-name-of-order-77",
    b"/api/v1/trades": "symbol=SOL_USDC&limit=1000",
    b"/api/v1/trades/history": "symbol=SOL_USDC&limit=1000",
    b"/wapi/v1/history/fills": "limit=1000",
    b"/wapi/v1/history/orders": "limit=1000",
}
OF_THE_TEST = (b"/api/v1/klines", b"/api/v1/ticker", b"/api/v1/tickers")
"""Paths whose time is that of the tests' history, which answers in the loop."""


def test_no_read_holds_the_loop() -> None:
    """Every endpoint of GET; and the open orders in ways of their own."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        paths = [path for method, path in venue.gateway.routes.endpoints if method == b"GET"]
        assert set(QUERIES) | set(OF_THE_TEST) <= set(paths)
        urls = [
            f"{path.decode()}?{QUERIES.get(path, '')}" for path in paths if path not in OF_THE_TEST
        ]
        urls += [f"/api/v1/orders?{query}" for query in ("symbol=SOL_USDC", "offset=9900&limit=60")]
        await client.ask("GET", "/api/v1/tickers")  # The tests' history reads the whole log.
        sizes = {}
        for url in urls:
            with measured_turns() as turns:
                reply = await client.ask("GET", url, token=ALICE_TOKEN)
            assert turns.longest_ms < TURN_MS_MAX, (url, turns.longest_ms, turns.of)
            assert reply.status in (200, 501), (url, reply.body)
            sizes[url] = len(reply.body)
            with measured_turns() as turns:
                await client.ask("GET", url, token=ALICE_TOKEN, headers={"Accept-Encoding": "gzip"})
            assert turns.longest_ms < TURN_MS_MAX, (url, "gzip", turns.longest_ms, turns.of)
        assert sizes["/api/v1/orders?"] == sizes["/api/v1/orders?symbol=SOL_USDC"] > 5_000_000

    play_full(story)


def test_streams_of_many_orders_do_not_hold_the_loop() -> None:
    """Subscribing to the orders of an account that has many; then all of them are cancelled, which
    the core does in one command: most of its time cannot be divided.
    """

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        def subscribe() -> SocketClient:
            socket = SocketClient(venue.ws_port).upgrade(ALICE_TOKEN)
            socket.send(
                says(id=1, method="SUBSCRIBE", params=["account.orderUpdate", "depth.SOL_USDC"])
            )
            while socket.text() != {"id": 1, "result": None}:
                pass
            return socket

        with measured_turns() as turns:
            socket = await asyncio.to_thread(subscribe)
            await client.ask("GET", "/api/v1/ping")
        assert turns.longest_ms < TURN_MS_MAX, (turns.longest_ms, turns.of)
        with measured_turns() as turns:
            reply = await client.ask(
                "DELETE", "/api/v1/orders", {"symbol": "SOL_USDC"}, token=ALICE_TOKEN
            )
        assert len({order["id"] for order in reply.json()}) == ORDERS
        assert turns.longest_ms < 3 * TURN_MS_MAX, (turns.longest_ms, turns.of)
        socket.close()

    play_full(story)


def test_cancel_all_over_a_websocket_is_answered_whole_and_in_order() -> None:
    async def story(venue: RunningExchange, client: HttpClient) -> None:
        def cancel() -> list[Any]:
            socket = SocketClient(venue.ws_port).upgrade(ALICE_TOKEN)
            symbol = {"symbol": "SOL_USDC"}
            socket.send(
                says(id=1, method="order.cancelAll", params=symbol)
                + says(id=2, method="order.cancelAll", params=symbol)
            )
            answers = [socket.text(), socket.text()]
            socket.close()
            return answers

        first, second = await asyncio.to_thread(cancel)
        assert (first["id"], len(first["result"])) == (1, ORDERS)
        assert second == {"id": 2, "status": 200, "result": []}

    play_full(story)


def test_orders_that_change_while_they_are_listed_are_listed_once() -> None:
    """Some of the orders already sent and some of those to come are cancelled, new ones come."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        before = [order.order_id for order in venue.exchange.open_orders(ALICE)]
        asking = asyncio.create_task(client.ask("GET", "/api/v1/orders", token=ALICE_TOKEN))
        chance = random.Random(5)
        cancelled = set()
        while not asking.done():
            await asyncio.sleep(0)
            order_id = chance.choice(before)
            if order_id not in cancelled:
                cancelled.add(order_id)
                venue.exchange.do(
                    records.cancel(account=ALICE, market=SOL_USDC, order_id=order_id),
                    records.place(
                        account=ALICE, market=SOL_USDC, side=records.BID, quantity=100, price=4000
                    ),
                )
        listed = [int(order["id"]) for order in (await asking).json()]
        assert listed == sorted(set(listed))
        assert set(before) - cancelled <= set(listed)
        assert len(cancelled) > 100 and set(listed) & cancelled

    play_full(story)


@with_exchange(NO_LIMITS._replace(account_per_minute=60, account_burst=10))
async def test_a_long_answer_takes_tokens_by_its_rows(
    venue: RunningExchange, client: HttpClient
) -> None:
    """One for each 50 rows; a refused one takes only that of the request."""
    for number in range(240):
        venue.exchange.do(
            records.place(
                account=ALICE, market=SOL_USDC, side=records.BID, quantity=1, price=100 + number
            )
        )

    async def status(query: str = "") -> int:
        return (await client.ask("GET", f"/api/v1/orders{query}", token=ALICE_TOKEN)).status

    assert await status() == 200  # 1 and 4 of 10
    assert await status("?limit=140") == 200  # 1 and 2
    assert await status("?limit=140") == 429
    assert await status("?limit=40") == 200
