"""What wrong tokens and signatures cost over HTTP, and how long a signed text may be."""

import json

import pytest

from tests.world.http_client import HttpClient, bid, signed
from tests.world.memory_accounts import ALICE_TOKEN
from tests.world.running_exchange import NO_LIMITS, RunningExchange, with_exchange

FEW = NO_LIMITS._replace(guesses_per_minute=1, guesses_burst=6)
TEXT = "orderType=Limit&price=90&quantity=0.1&side=Bid&symbol=SOL_USDC"


@with_exchange(FEW)
async def test_wrong_tokens_lock_out_no_valid_ones(
    venue: RunningExchange, client: HttpClient
) -> None:
    for status in (401, 401, 401, 401, 401, 401, 429, 429):
        reply = await client.ask("GET", "/api/v1/capital", token="wrong")
        assert reply.status == status
    assert (await client.ask("GET", "/api/v1/capital", token=ALICE_TOKEN)).status == 200
    order = await client.ask(
        "POST", "/api/v1/order", bid("90", "0.1"), headers=signed("orderExecute", TEXT)
    )
    assert order.status == 200
    unknown = signed("balanceQuery") | {"X-API-Key": "A" * 43 + "="}
    assert (await client.ask("GET", "/api/v1/capital", headers=unknown)).status == 429


@with_exchange(FEW._replace(guesses_burst=5))
async def test_a_wrong_signature_costs_what_was_verified(
    venue: RunningExchange, client: HttpClient
) -> None:
    """A token for each text that was tried, and for each 4 KiB of it: 1 for one of 2 KiB, 4 for two
    of 6 KiB. Then that key is not verified for that address, until time has passed.
    """
    wrong = signed("orderExecute", "wrong")
    small = [bid("90", "0.1", clientId=number) for number in range(1, 21)]
    large = [bid("90", "0.1", clientId=f"a/{number:030}") for number in range(1, 51)]
    right = signed("balanceQuery")
    for batch, status, later in ((small, 401, 200), (large, 401, 429), (small, 429, 429)):
        reply = await client.ask("POST", "/api/v1/orders", batch, headers=wrong)
        assert reply.status == status, reply.body
        assert (await client.ask("GET", "/api/v1/capital", headers=right)).status == later
    assert (await client.ask("GET", "/api/v1/capital", token=ALICE_TOKEN)).status == 200


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"clientId": "a" * 65}, "Too long: clientId"),
        ({"x" * 65: "a"}, f"Too long: {'x' * 64}"),
        (
            {f"field{number}": "a" * 64 for number in range(8)},
            "The signed text exceeds 512 characters",
        ),
    ],
)
def test_a_signed_order_is_short(more: dict[str, str], message: str) -> None:
    """Its signature is not verified."""

    @with_exchange(FEW)
    async def story(venue: RunningExchange, client: HttpClient) -> None:
        headers = signed("orderExecute", "wrong")
        for order, path in (
            (bid("90", "0.1") | more, "/api/v1/order"),
            ([bid("90", "0.1"), bid("90", "0.1") | more], "/api/v1/orders"),
        ):
            reply = await client.ask("POST", path, json.dumps(order).encode(), headers=headers)
            assert reply.error() == (400, "INVALID_CLIENT_REQUEST", message)

    story()


@with_exchange(FEW)
async def test_a_batch_of_too_many_is_not_verified(
    venue: RunningExchange, client: HttpClient
) -> None:
    """16 KiB hold 5,400 empty orders, each with the fields of the query in its signed text."""
    query = "&".join(f"field{number}=1" for number in range(40))
    for body, path in ((b"[]", ""), (b"[" + b"{}," * 5400 + b"{}]", f"?{query}")):
        reply = await client.ask(
            "POST", f"/api/v1/orders{path}", body, headers=signed("orderExecute", "wrong")
        )
        message = "A batch has 1 to 50 orders"
        assert reply.error() == (400, "INVALID_CLIENT_REQUEST", message)


@with_exchange(NO_LIMITS._replace(account_per_minute=1, account_burst=3, address_burst=1))
async def test_a_request_without_tokens_is_not_verified(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Nor does its 429 cost anything of its address."""
    batch = [bid("90", "0.1", clientId=number) for number in (1, 2)]
    wrong = signed("orderExecute", "wrong")
    for left, status in ((3, 401), (2, 401), (1, 429)):
        reply = await client.ask("POST", "/api/v1/orders", batch, headers=wrong)
        assert reply.status == status, left
        assert (await client.ask("GET", "/api/v1/capital", token=ALICE_TOKEN)).status == 200
    for _ in range(3):
        assert (await client.ask("GET", "/api/v1/capital", headers=wrong)).status == 429
