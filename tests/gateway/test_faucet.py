"""The demo's faucet credits up to a cap per account and asset."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fairbook.accounts.sqlite_transfers import SqliteTransfers
from fairbook.core import admin_records
from tests.gateway.bank import CAPS, DEPOSITS, THOUSAND, Bank, listed
from tests.world.http_client import HttpClient, HttpReply
from tests.world.markets import SOL
from tests.world.memory_accounts import ALICE_TOKEN
from tests.world.running_exchange import RunningExchange

FAUCET = "/api/v1/faucet"


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


def test_the_faucet_credits_up_to_its_cap(bank: Bank) -> None:
    """Per account and asset; refused credits are not counted."""

    async def ask_for(
        client: HttpClient, quantity: Any, symbol: str = "SOL", **more: Any
    ) -> HttpReply:
        body = {"symbol": symbol, "quantity": quantity, **more}
        return await client.ask("POST", FAUCET, body, token=ALICE_TOKEN)

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        given = await ask_for(client, "7.5")
        assert given.json() == {"symbol": "SOL", "quantity": "7.5", "left": "2.5"}
        assert await listed(client, FAUCET) == {"SOL": "2.5", "BTC": "0", "USDC": "500"}
        refused = (400, "INVALID_QUANTITY", "Faucet limit: 2.5 SOL remaining")
        assert (await ask_for(client, "2.500000001")).error() == refused
        bank.exchange.busy = True
        assert (await ask_for(client, "2.5")).status == 503
        bank.exchange.busy = False
        assert (await ask_for(client, "2.5")).json()["left"] == "0"
        assert (await ask_for(client, "500", "USDC")).json()["left"] == "0"
        assert (await ask_for(client, "1", "BTC")).error()[2].startswith("Faucet limit: 0 BTC")
        for bad, code in (("0", "INVALID_QUANTITY"), ("x", "INVALID_CLIENT_REQUEST")):
            assert (await ask_for(client, bad)).error()[:2] == (400, code)
        assert (await ask_for(client, "1", "XXX")).error()[:2] == (400, "INVALID_ASSET")
        assert (await listed(client, DEPOSITS))[0]["quantity"] == "500"

    async def again(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        assert (await ask_for(client, "0.1")).error()[1] == "INVALID_QUANTITY"

    bank.run(story)
    bank.run(again)
    assert bank.sol() == THOUSAND + CAPS["SOL"]


def test_concurrent_requests_do_not_exceed_the_cap(bank: Bank) -> None:
    """Twenty connections ask for a tenth of the cap each: half of them succeed."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        clients = [await venue.connect() for _ in range(20)]
        body = {"symbol": "SOL", "quantity": "1"}
        replies = await asyncio.gather(
            *[each.ask("POST", FAUCET, body, token=ALICE_TOKEN) for each in clients]
        )
        assert sorted(reply.status for reply in replies) == [200] * 10 + [400] * 10

    bank.run(story)
    assert bank.sol() == THOUSAND + CAPS["SOL"]


def test_the_cap_of_the_supply(bank: Bank) -> None:
    """A credit that the engine refuses is not counted."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        supply = 2 * THOUSAND
        bank.exchange.do(
            admin_records.set_asset(
                asset=SOL, parameter=admin_records.RESERVE_CAP, value=supply + 10**9
            )
        )
        body = {"symbol": "SOL", "quantity": "1.5"}
        reply = await client.ask("POST", FAUCET, body, token=ALICE_TOKEN)
        assert reply.error()[1:] == ("INVALID_QUANTITY", "The supply would exceed its cap")
        reply = await client.ask("POST", FAUCET, body | {"quantity": "1"}, token=ALICE_TOKEN)
        assert reply.json()["left"] == "9"

    bank.run(story)
