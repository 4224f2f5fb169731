"""Every command of a client names the credential that ordered it, and the core checks it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairbook.core import admin_records, records
from fairbook.core.records import Command
from fairbook.ports.accounts import ALL_PERMISSIONS, READ, Access
from tests.gateway.bank import WITHDRAWALS, Bank, withdrawal_body
from tests.gateway.memory_caller import MemoryCaller
from tests.world.http_client import HttpClient, HttpReply, ask, bid
from tests.world.memory_accounts import ALICE
from tests.world.running_exchange import Extras, RunningExchange, play, with_exchange

SLOT, READER_SLOT = 2, 3
SLOTTED, READER = "slotted", "slotted reader"


def add_credentials(venue: RunningExchange) -> None:
    """Three facts of Alice; two of them are tokens that the gateway takes, with any permission."""
    for number, permissions in ((1, READ), (SLOT, ALL_PERMISSIONS), (READER_SLOT, READ)):
        venue.exchange.do(
            admin_records.add_credential(
                detail=bytes([number]) * 32, credential_type=admin_records.TOKEN, owner=ALICE,
                permissions=permissions,
            )
        )  # fmt: skip
    for token, slot in ((SLOTTED, SLOT), (READER, READER_SLOT)):
        venue.accounts.tokens[token] = Access(ALICE, ALL_PERMISSIONS, slot, token.encode())


def slots(venue: RunningExchange) -> list[tuple[int, int]]:
    """(kind, credential) of what was logged since the last call."""
    found = []
    for frame in venue.exchange.applied:
        command = Command()
        command.read(frame, len(frame) - records.COMMAND_BYTES, 1)
        found.append((command.kind, command.credential()))
    venue.exchange.record_commands()
    return found


async def order_requests(client: HttpClient, token: str) -> list[HttpReply]:
    """Place, amend, cancel, place a batch and cancel all."""
    order = {"symbol": "SOL_USDC", "clientId": 7}
    return [
        await client.ask(method, path, body, token=token)
        for method, path, body in (
            ("POST", "/api/v1/order", bid(clientId=7)),
            ("PATCH", "/api/v1/order", {**order, "quantity": "3"}),
            ("DELETE", "/api/v1/order", order),
            ("POST", "/api/v1/orders", [bid(), bid(clientId="seven")]),
            ("DELETE", "/api/v1/orders", {"symbol": "SOL_USDC"}),
        )
    ]


KINDS = [
    records.PLACE, records.AMEND, records.CANCEL, records.PLACE, records.PLACE, records.CANCEL_ALL,
]  # fmt: skip


@with_exchange()
async def test_orders_over_http(venue: RunningExchange, client: HttpClient) -> None:
    add_credentials(venue)
    slots(venue)
    replies = await order_requests(client, SLOTTED)
    assert [reply.status for reply in replies] == [200] * 5
    assert slots(venue) == [(kind, SLOT) for kind in KINDS]


@with_exchange()
async def test_orders_over_websocket(venue: RunningExchange, client: HttpClient) -> None:
    add_credentials(venue)
    slots(venue)
    caller = MemoryCaller(venue.gateway.ws_orders, venue.accounts.by_token(SLOTTED))
    order = {"symbol": "SOL_USDC", "clientId": 7}
    for method, params in (
        ("order.place", bid(clientId=7)),
        ("order.amend", {**order, "quantity": "3"}),
        ("order.cancel", order),
        ("order.cancelAll", {"symbol": "SOL_USDC"}),
    ):
        assert (await caller.ask(method, params))["status"] == 200
    assert slots(venue) == [
        (kind, SLOT) for kind in (records.PLACE, records.AMEND, records.CANCEL, records.CANCEL_ALL)
    ]


@pytest.mark.parametrize(
    ("token", "error"),
    [(SLOTTED, (401, "UNAUTHORIZED")), (READER, (403, "FORBIDDEN"))],
)
@with_exchange()
async def test_the_core_refuses_what_the_gateway_took(
    venue: RunningExchange, client: HttpClient, token: str, error: tuple[int, str]
) -> None:
    """A credential that was revoked meanwhile; one that may only read."""
    add_credentials(venue)
    venue.exchange.do(admin_records.revoke_credential(detail=bytes([SLOT]) * 32, owner=ALICE))
    replies = await order_requests(client, token)
    for reply in (*replies[:3], replies[4]):
        assert reply.error()[:2] == error
    assert [item["code"] for item in replies[3].json()] == [error[1]] * 2
    caller = MemoryCaller(venue.gateway.ws_orders, venue.accounts.by_token(token))
    answer = await caller.ask("order.place", ask())
    assert (answer["status"], answer["error"]["code"]) == error


def test_withdrawals(tmp_path: Path) -> None:
    """The HOLD names it; the CAPTURE is the exchange's own. New rejects have texts."""
    bank = Bank(tmp_path)
    exchange = bank.exchange

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        async def refusal(token: str = SLOTTED) -> tuple[int, str, str]:
            reply = await client.ask("POST", WITHDRAWALS, withdrawal_body(), token=token)
            error: tuple[int, str, str] = reply.error()
            return error

        add_credentials(venue)
        slots(venue)
        reply = await client.ask("POST", WITHDRAWALS, withdrawal_body(), token=SLOTTED)
        assert reply.json()["status"] == "confirmed"
        assert slots(venue) == [(records.HOLD, SLOT), (records.CAPTURE, 0)]
        assert await refusal(READER) == (403, "FORBIDDEN", "Permission denied")
        exchange.do(
            admin_records.set_exchange(parameter=admin_records.WITHDRAWAL_DELAY_S, value=24 * 3600)
        )
        assert await refusal() == (403, "FORBIDDEN", "The credential is too young to withdraw")
        exchange.do(
            admin_records.set_account(
                account=ALICE, asset=1, parameter=admin_records.DAILY_WITHDRAWAL_MAX, value=1
            )
        )
        assert await refusal() == (403, "FORBIDDEN", "Over the daily withdrawal limit")
        exchange.do(admin_records.revoke_credential(detail=bytes([SLOT]) * 32, owner=ALICE))
        assert (await refusal())[:2] == (401, "UNAUTHORIZED")
        rows = await client.ask("GET", WITHDRAWALS, token=SLOTTED)
        assert len(rows.json()) == 1

    with bank.opened() as store:
        extras = Extras(bank.history, store.transfers)
        play(story, exchange=exchange, extras=extras)
        assert store.count() == 3, "rows of refused withdrawals are removed"
