"""503 if nothing was logged, 504 if the outcome is unknown; and rate limits over HTTP."""

import asyncio
import time

import pytest

from fairbook.api.errors import ApiError
from fairbook.core import records
from fairbook.gateway.gateway import GatewayLimits
from fairbook.gateway.long_answers import LongAnswers
from fairbook.gateway.rate_limits import RateLimits, TokenBuckets
from fairbook.gateway.submitter import SWEEP_S, Submitter
from fairbook.ports.commands import Stopped
from tests.world.direct_exchange import DirectExchange, small_exchange
from tests.world.http_client import HttpClient, bid
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, READER_TOKEN
from tests.world.running_exchange import NO_LIMITS, RunningExchange, play, with_exchange

NO_LONG_ANSWERS = LongAnswers(RateLimits(*[TokenBuckets(per_minute=0, burst=1)] * 3))
SOON = NO_LIMITS._replace(deadline_s=0.05)


@with_exchange(SOON)
async def test_a_late_answer_is_an_unknown_outcome(
    venue: RunningExchange, client: HttpClient
) -> None:
    """504. The order exists, and repeating the request with its client id returns it."""
    venue.exchange.held = []
    for method, body in (
        ("POST", bid(clientId=5)),
        ("DELETE", {"symbol": "SOL_USDC", "clientId": 6}),
        ("PATCH", {"symbol": "SOL_USDC", "clientId": 6, "price": "1"}),
    ):
        reply = await client.ask(method, "/api/v1/order", body, token=ALICE_TOKEN)
        assert reply.error() == (504, "TIMEOUT", "Outcome unknown, ask by clientId")
    reply = await client.ask("GET", "/api/v1/orders", token=ALICE_TOKEN)
    assert reply.error()[:2] == (504, "TIMEOUT")
    venue.exchange.release()
    reply = await client.ask("POST", "/api/v1/order", bid(clientId=5), token=ALICE_TOKEN)
    assert reply.json()["clientId"] == 5
    assert len(venue.exchange.open_orders(ALICE)) == 1


@with_exchange(SOON)
async def test_a_late_answer_in_a_batch(venue: RunningExchange, client: HttpClient) -> None:
    venue.exchange.held = []
    reply = await client.ask(
        "POST", "/api/v1/orders", [bid("x"), bid(clientId=1)], token=ALICE_TOKEN
    )
    assert [(item["operation"], item["code"]) for item in reply.json()] == [
        ("Err", "INVALID_CLIENT_REQUEST"), ("Err", "TIMEOUT"),
    ]  # fmt: skip
    venue.exchange.release()


@with_exchange()
async def test_busy_and_stopped(venue: RunningExchange, client: HttpClient) -> None:
    venue.exchange.busy = True
    reply = await client.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN)
    assert reply.error()[:2] == (503, "TRADING_PAUSED")
    assert reply.headers["retry-after"] == "1"
    venue.exchange.busy, venue.exchange.stopped = False, True
    reply = await client.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN)
    assert reply.error()[:2] == (503, "MAINTENANCE")
    assert venue.exchange.open_orders(ALICE) == []
    client = await venue.connect()
    reply = await client.ask("GET", "/api/v1/capital", token=ALICE_TOKEN)
    assert reply.error()[:2] == (503, "MAINTENANCE")


@with_exchange()
async def test_an_engine_that_stops_after_a_command_was_submitted(
    venue: RunningExchange, client: HttpClient
) -> None:
    venue.exchange.held = []
    asking = asyncio.create_task(client.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN))
    await venue.exchange.submitted.wait()
    venue.exchange.held[0][1].set_exception(Stopped("the log failed"))
    assert (await asking).error()[:2] == (504, "TIMEOUT")
    venue.exchange.held = None


def test_a_bug_after_a_command_was_submitted_is_an_unknown_outcome(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """500 would say that nothing happened; it is for requests that change nothing."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        venue.exchange.apply = broken  # type: ignore[method-assign,assignment]
        reply = await client.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN)
        assert reply.error()[:2] == (504, "TIMEOUT")
        venue.exchange.balances = broken  # type: ignore[method-assign,assignment]
        reply = await client.ask("GET", "/api/v1/capital", token=ALICE_TOKEN)
        assert reply.error()[:2] == (500, "SERVER_ERROR")

    play(story)
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


def cancel() -> bytes:
    return records.cancel(account=ALICE, order_id=1)


async def test_one_timer_serves_all_waiting_commands() -> None:
    """A thousand late and a thousand timely answers: each is right, and the queue empties."""
    exchange = small_exchange()
    answers = Submitter(exchange, exchange, NO_LONG_ANSWERS, deadline_s=0.05)
    exchange.held = []
    late = [answers.submit(cancel()) for _ in range(1000)]
    held, exchange.held = exchange.held, None
    timely = [answers.submit(cancel()) for _ in range(1000)]
    for future in timely:
        await answers.outcome(future)
    for future in late:
        with pytest.raises(ApiError, match="Outcome unknown"):
            await answers.outcome(future)
    assert len(held) == 1000
    await asyncio.sleep(SWEEP_S * 2)
    assert not answers._waiting and not answers._is_sweeping


async def test_a_cancelled_request_is_not_a_late_one() -> None:
    """Cancelling the task cancels it, and gives no 504."""
    exchange = small_exchange()
    exchange.held = []
    answers = Submitter(exchange, exchange, NO_LONG_ANSWERS, deadline_s=30)
    task = asyncio.create_task(answers.outcome(answers.submit(cancel())))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_rate_limits_over_http() -> None:
    """Per account if authenticated, per address if not."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        for _ in range(3):
            assert (await client.ask("GET", "/api/v1/capital", token=ALICE_TOKEN)).status == 200
        reply = await client.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN)
        assert reply.error()[:2] == (429, "TOO_MANY_REQUESTS")
        assert int(reply.headers["retry-after"]) >= 1
        for _ in range(2):
            assert (await client.ask("GET", "/api/v1/ping")).status == 200
        assert (await client.ask("GET", "/api/v1/ping")).error()[0] == 429

    limits = GatewayLimits(
        account_per_minute=1, account_burst=3, address_per_minute=1, address_burst=2
    )
    play(story, limits)


@with_exchange(NO_LIMITS._replace(address_per_minute=1, address_burst=1))
async def test_public_requests_leave_room_for_orders(
    venue: RunningExchange, client: HttpClient
) -> None:
    """A client that uses up its address's limit can still cancel."""
    assert (await client.ask("GET", "/api/v1/ping")).status == 200
    assert (await client.ask("GET", "/api/v1/ping")).error()[0] == 429
    body = {"symbol": "SOL_USDC"}
    reply = await client.ask("DELETE", "/api/v1/orders", body, token=ALICE_TOKEN)
    assert reply.status == 200


@with_exchange(NO_LIMITS._replace(account_per_minute=1, account_burst=2))
async def test_a_forbidden_request_takes_a_token_of_its_account(
    venue: RunningExchange, client: HttpClient
) -> None:
    for status in (403, 403, 429):
        reply = await client.ask("POST", "/api/v1/order", bid(), token=READER_TOKEN)
        assert reply.error()[0] == status


@with_exchange(NO_LIMITS._replace(account_per_minute=1, account_burst=10))
async def test_a_batch_takes_a_token_for_each_order(
    venue: RunningExchange, client: HttpClient
) -> None:
    orders = [bid("90", "0.1")] * 8
    assert (await client.ask("POST", "/api/v1/orders", orders, token=ALICE_TOKEN)).status == 200
    reply = await client.ask("POST", "/api/v1/orders", orders, token=ALICE_TOKEN)
    assert reply.error()[0] == 429
    assert len(venue.exchange.open_orders(ALICE)) == 8


async def test_the_deadline_is_kept() -> None:
    """No command is given up early."""
    exchange: DirectExchange = small_exchange()
    exchange.held = []
    answers = Submitter(exchange, exchange, NO_LONG_ANSWERS, deadline_s=0.2)
    began = time.monotonic()
    with pytest.raises(ApiError):
        await answers.outcome(answers.submit(cancel()))
    assert time.monotonic() - began >= 0.19
