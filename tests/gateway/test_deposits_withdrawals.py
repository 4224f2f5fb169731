"""Deposits, and withdrawals that happen once, with a real accounts store on disk.

A crash is simulated by what it leaves behind: a stored withdrawal without a HOLD, or a HOLD without
an answer.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.accounts.sqlite_transfers import SqliteTransfers
from fairbook.core import admin_records
from fairbook.gateway.endpoints.deposits_withdrawals import deposit_address
from fairbook.ports.accounts import Withdrawal
from tests.gateway.bank import (
    CAPS,
    DEPOSITS,
    THOUSAND,
    WITHDRAWALS,
    Bank,
    hold_of,
    listed,
    stored_withdrawal,
    withdraw,
    withdrawal_body,
)
from tests.world.direct_exchange import MS, START_NS
from tests.world.http_client import HttpClient, bid, signed
from tests.world.markets import SOL, USDC
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB, BOB_TOKEN, READER_TOKEN
from tests.world.money import credit
from tests.world.running_exchange import NO_LIMITS, Extras, RunningExchange, play

ADDRESS = "/wapi/v1/capital/deposit/address"


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


def held_ms(bank: Bank) -> int:
    """The time of the newest HOLD, right after its CAPTURE: a millisecond before."""
    return bank.exchange.time_ns // MS - 1


def test_deposits(bank: Bank) -> None:
    """Every credit, newest first; the end of the range has two names."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        bank.exchange.do(credit(account=ALICE, asset=SOL, atoms=5 * 10**8))
        at_ms = bank.exchange.time_ns // MS
        rows = await listed(client, DEPOSITS)
        hashes = [row.pop("transactionHash") for row in rows]
        assert rows[0] == {
            "id": 7, "symbol": "SOL", "quantity": "0.5", "status": "confirmed",
            "source": "administrator", "createdAt": f"2027-01-15T08:00:00.{at_ms % 1000:03d}",
            "toAddress": None, "fromAddress": None, "fiatAmount": None, "fiatCurrency": None,
            "institutionBic": None, "platformMemo": None,
        }  # fmt: skip
        assert len(set(hashes)) == 4, "one for each deposit"
        assert all(re.fullmatch("simulated-[0-9a-f]{64}", each) for each in hashes)
        again = await listed(client, DEPOSITS)
        assert [row["transactionHash"] for row in again] == hashes
        assert [row["symbol"] for row in rows] == ["SOL", "BTC", "USDC", "SOL"]
        for asked, ids in (
            ("limit=1&offset=1", [rows[1]["id"]]),
            (f"from={at_ms}", [7]),
            (f"endTime={at_ms - 1}", [3, 2, 1]),
            (f"to={at_ms - 1}&from={START_NS // MS}", [3, 2, 1]),
            (f"to={at_ms}&endTime=1", [7, 3, 2, 1]),
        ):
            found = await listed(client, f"{DEPOSITS}?{asked}")
            assert [row["id"] for row in found] == ids, asked
        assert len(await listed(client, DEPOSITS, BOB_TOKEN)) == 3
        for bad in ("limit=0", "endTime=x", "from=5&endTime=4", "offset=-1"):
            reply = await client.ask("GET", f"{DEPOSITS}?{bad}", token=ALICE_TOKEN)
            assert reply.error()[:2] == (400, "INVALID_RANGE")

    bank.run(story)


def test_deposit_addresses(bank: Bank) -> None:
    """One per account and blockchain, constant, and visibly simulated."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        found = []
        for token in (ALICE_TOKEN, BOB_TOKEN):
            for blockchain in ("Solana", "Bitcoin"):
                path = f"{ADDRESS}?blockchain={blockchain}"
                first, second = [await listed(client, path, token) for _ in range(2)]
                assert first == second and list(first) == ["address"]
                found.append(first["address"])
        assert len(set(found)) == 4
        assert all(address.startswith("simulated-") for address in found)
        assert found[0] == deposit_address(ALICE, "Solana")
        for bad in ("", "?blockchain=", "?blockchain=solana", "?blockchain=Tron"):
            reply = await client.ask("GET", ADDRESS + bad, token=ALICE_TOKEN)
            assert reply.error()[:2] == (400, "INVALID_CLIENT_REQUEST")

    bank.run(story)


def test_a_withdrawal(bank: Bank) -> None:
    """The money leaves, and the list shows what the answer did."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        made = (await withdraw(client)).json()
        assert made == {
            "id": 1, "symbol": "SOL", "quantity": "10", "fee": "0", "status": "confirmed",
            "blockchain": "Solana", "toAddress": "7Np41oeYqPefeNQEHSv1UDhYrehxin3",
            "transactionHash": made["transactionHash"], "clientId": None, "identifier": None,
            "createdAt": f"2027-01-15T08:00:00.{held_ms(bank) % 1000:03d}",
            "isInternal": False, "subaccountId": None, "triggerAt": None,
        }  # fmt: skip
        assert bank.sol() == THOUSAND - 10 * 10**9
        second = (
            await withdraw(client, withdrawal_body("2.5", clientId="mine", address="a:b/c+d e"))
        ).json()
        assert (second["clientId"], second["toAddress"]) == ("mine", "a:b/c+d e")
        hashes = {second["transactionHash"], made["transactionHash"]}
        assert len(hashes) == 2 and all(each.startswith("simulated-") for each in hashes)
        both = [second, made]
        at_ms = held_ms(bank)
        for asked, rows in (
            ("", both), ("?id=1", [made]), ("?id=2", [second]), ("?id=3", []),
            ("?clientId=mine", [second]), ("?clientId=other", []), ("?id=1&clientId=mine", []),
            ("?limit=1", [second]), ("?offset=1", [made]), (f"?from={at_ms}", [second]),
            (f"?to={at_ms - 1}", [made]), (f"?endTime={at_ms - 1}", [made]),
        ):  # fmt: skip
            assert await listed(client, WITHDRAWALS + asked) == rows, asked
        assert await listed(client, WITHDRAWALS, BOB_TOKEN) == []
        assert await listed(client, f"{WITHDRAWALS}?id=1", BOB_TOKEN) == []

    bank.run(story)


def test_a_repeated_client_id_is_the_same_withdrawal(bank: Bank) -> None:
    """Also after a restart, and however often. Another payload is refused; another account's ids
    are its own.
    """
    first: dict[str, Any] = {}

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        body = withdrawal_body(clientId="rent")
        made = (await withdraw(client, body)).json()
        first.update(made)
        for _ in range(3):
            assert (await withdraw(client, body)).json() == made
        for other in (
            withdrawal_body("11", clientId="rent"),
            withdrawal_body(clientId="rent", address="elsewhere"),
            withdrawal_body(clientId="rent", symbol="USDC"),
        ):
            assert (await withdraw(client, other)).error() == (
                400, "INVALID_CLIENT_REQUEST", "clientId was used for another withdrawal",
            )  # fmt: skip
        assert (await withdraw(client, body, BOB_TOKEN)).json()["id"] != made["id"]

    async def again(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        assert (await withdraw(client, withdrawal_body(clientId="rent"))).json() == first
        assert await listed(client, WITHDRAWALS) == [first]

    bank.run(story)
    bank.run(again)
    assert bank.sol() == bank.sol(BOB) == THOUSAND - 10 * 10**9


def test_a_signed_withdrawal_is_never_two(bank: Bank) -> None:
    """A replay under another client id with the same signed text is refused."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        rest = "quantity=10&symbol=SOL"
        for name, ids in (
            ("None", (None, "None")), ("null", (None, "null")), ("None", ("None", None)),
            ("a%20b", ("a b", "a%20b")), ("a%20b", ("a%20b", "a b")), ("%C3%A9", ("é", "%C3%A9")),
            ("", ("", None)), ("", (None, "")),
        ):  # fmt: skip
            before = bank.sol()
            address = f"to{before}"
            text = f"address={address}&blockchain=Solana&clientId={name}&{rest}"
            headers = signed("withdraw", text)
            for client_id in (*ids, *ids):
                body = withdrawal_body(address=address, clientId=client_id)
                await client.ask("POST", WITHDRAWALS, body, headers=headers)
            assert bank.sol() == before - 10 * 10**9, (name, ids)
        # Unambiguous client ids may be repeated.
        text = f"address=to&blockchain=Solana&clientId=memo-7_a.b~&{rest}"
        headers = signed("withdraw", text)
        body = withdrawal_body(address="to", clientId="memo-7_a.b~")
        first, second = [
            await client.ask("POST", WITHDRAWALS, body, headers=headers) for _ in range(2)
        ]
        assert first.status == 200 and first.body == second.body

    bank.run(story)


def test_a_crash_between_store_and_hold(bank: Bank) -> None:
    """No money moves and nothing is shown; a repeated request withdraws once."""
    terms = {
        "account": ALICE, "asset": SOL, "atoms": 10 * 10**9,
        "address": withdrawal_body()["address"], "blockchain": "Solana",
    }  # fmt: skip
    with closing(SqliteAccounts(bank.path)) as store:
        store.transfers.add_withdrawal(client_id="rent", **terms)
        store.transfers.add_withdrawal(client_id=None, **terms)

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        assert await listed(client, WITHDRAWALS) == []
        assert await listed(client, f"{WITHDRAWALS}?clientId=rent") == []
        assert bank.sol() == THOUSAND
        made = (await withdraw(client, withdrawal_body(clientId="rent"))).json()
        assert (await withdraw(client, withdrawal_body(clientId="rent"))).json() == made
        assert made["id"] == 1
        assert await listed(client, WITHDRAWALS) == [made]

    bank.run(story)
    assert bank.sol() == THOUSAND - 10 * 10**9


@pytest.mark.parametrize("is_captured", [False, True])
def test_a_crash_between_hold_and_answer(bank: Bank, is_captured: bool) -> None:
    """It is shown as what it is; a repeated request finds what happened, and does the rest."""
    row = stored_withdrawal(bank)
    bank.exchange.do(hold_of(row))
    if is_captured:
        bank.exchange.do(admin_records.capture(row.reference))

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        (shown,) = await listed(client, WITHDRAWALS)
        assert shown["status"] == ("confirmed" if is_captured else "pending")
        made = (await withdraw(client, withdrawal_body(clientId="rent"))).json()
        transaction = made["transactionHash"]
        assert transaction and shown["transactionHash"] == (transaction if is_captured else None)
        assert made == {**shown, "status": "confirmed", "transactionHash": transaction}
        assert await listed(client, WITHDRAWALS) == [made]

    bank.run(story)
    assert bank.sol() == THOUSAND - 10 * 10**9
    assert bank.exchange.balances(ALICE)[SOL - 1][2] == 0


def test_concurrent_requests_with_one_client_id(bank: Bank) -> None:
    """Twenty connections, while the answer of the first is held back: one withdrawal."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        clients = [await venue.connect() for _ in range(20)]
        bank.exchange.held = []
        asked = [
            asyncio.ensure_future(withdraw(each, withdrawal_body(clientId="rent")))
            for each in clients
        ]
        await bank.exchange.submitted.wait()
        await asyncio.sleep(0.05)
        assert len(bank.exchange.held) == 1
        bank.exchange.release()
        replies = await asyncio.gather(*asked)
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body for reply in replies}) == 1
        assert len(await listed(client, WITHDRAWALS)) == 1

    bank.run(story)
    assert bank.sol() == THOUSAND - 10 * 10**9


class LateTransfers(SqliteTransfers):
    """Returns a new row late, and an existing one at once."""

    def add_withdrawal(self, **terms: Any) -> tuple[Withdrawal, bool]:
        row, is_repeated = super().add_withdrawal(**terms)
        if not is_repeated:
            time.sleep(0.1)
        return row, is_repeated


def test_a_request_that_finds_a_row_waits_for_the_one_that_stored_it(bank: Bank) -> None:
    """Otherwise one could remove the row that the other has held money for."""
    with closing(sqlite3.connect(bank.path, isolation_level=None, check_same_thread=False)) as file:
        late = LateTransfers(file, Lock(), now_ns=lambda: 1)

        async def story(venue: RunningExchange, client: HttpClient) -> None:
            clients = [await venue.connect() for _ in range(4)]
            replies = await asyncio.gather(
                *[withdraw(each, withdrawal_body(clientId="rent")) for each in clients]
            )
            assert len({reply.body for reply in replies}) == 1

        play(story, exchange=bank.exchange, extras=Extras(bank.history, late, CAPS))
    assert bank.sol() == THOUSAND - 10 * 10**9


def test_a_request_after_504_is_the_same_withdrawal(bank: Bank) -> None:
    """Even while the first one is still under way."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        bank.exchange.held = []
        lost = await withdraw(client, withdrawal_body(clientId="rent"))
        assert lost.error()[:2] == (504, "TIMEOUT")
        again = asyncio.ensure_future(withdraw(client, withdrawal_body(clientId="rent")))
        await asyncio.sleep(0.05)
        bank.exchange.release()
        made = (await again).json()
        assert await listed(client, WITHDRAWALS) == [made]

    bank.run(story, NO_LIMITS._replace(deadline_s=0.2))
    assert bank.sol() == THOUSAND - 10 * 10**9


def test_withdrawals_do_not_wait_for_the_recorder(bank: Bank) -> None:
    """Neither a first nor a repeated one: what has happened is asked of the engine."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        bank.history.lag = bank.exchange.position
        made = (await withdraw(client, withdrawal_body(clientId="rent"))).json()
        assert (await withdraw(client, withdrawal_body(clientId="rent"))).json() == made
        behind = (504, "TIMEOUT", "History is behind")
        assert (await client.ask("GET", WITHDRAWALS, token=ALICE_TOKEN)).error() == behind

    bank.run(story)
    assert bank.sol() == THOUSAND - 10 * 10**9


def test_a_refused_withdrawal_leaves_nothing(bank: Bank) -> None:
    """Its row is removed, so that its client id is free again."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        poor = await withdraw(client, withdrawal_body("1000.000000001", clientId="rent"))
        assert poor.error()[:2] == (400, "INSUFFICIENT_FUNDS")
        bank.exchange.busy = True
        busy = await withdraw(client, withdrawal_body("1", clientId="rent"))
        assert busy.error()[:2] == (503, "TRADING_PAUSED")
        bank.exchange.busy = False
        assert transfers.find_withdrawal(ALICE, client_id="rent") is None
        bank.exchange.do(
            admin_records.set_account(account=ALICE, parameter=admin_records.FROZEN, value=1)
        )
        assert (await withdraw(client, withdrawal_body(clientId="rent"))).error()[:2] == (
            403,
            "FORBIDDEN",
        )
        bank.exchange.do(
            admin_records.set_account(account=ALICE, parameter=admin_records.FROZEN, value=0)
        )
        assert (await withdraw(client, withdrawal_body("1", clientId="rent"))).status == 200
        locked = await client.ask("POST", "/api/v1/order", bid("1", "1000"), token=ALICE_TOKEN)
        assert locked.status == 200
        poor = await withdraw(client, withdrawal_body("0.000001", symbol="USDC"))
        assert poor.error()[:2] == (400, "INSUFFICIENT_FUNDS")

    bank.run(story)
    assert bank.sol() == THOUSAND - 10**9


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (withdrawal_body("0"), "INVALID_QUANTITY"),
        (withdrawal_body("0.0000000001"), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body("-1"), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body(...), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body("9" * 18), "INVALID_QUANTITY"),
        (withdrawal_body(symbol="sol"), "INVALID_ASSET"),
        (withdrawal_body(symbol="SOL_USDC"), "INVALID_ASSET"),
        (withdrawal_body(symbol=...), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body(address=...), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body(address=""), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body(address=["x"]), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body(address="x" * 257), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body(address="x\ny"), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body(blockchain="Ethereum"), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body(blockchain=...), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body(clientId="x" * 101), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body(clientId=["x"]), "INVALID_CLIENT_REQUEST"),
        (withdrawal_body(clientId=True), "INVALID_CLIENT_REQUEST"),
        ([withdrawal_body()], "INVALID_CLIENT_REQUEST"),
    ],
)
def test_a_bad_withdrawal(bank: Bank, body: Any, code: str) -> None:
    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        position = bank.exchange.position
        assert (await withdraw(client, body)).error()[:2] == (400, code)
        assert bank.exchange.position == position
        assert (await withdraw(client)).json()["id"] == 1, "nothing was written"

    bank.run(story)


def test_who_may_withdraw(bank: Bank) -> None:
    """With the permission and instruction. Signed without a client id: accepted once."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        assert (await withdraw(client, token=READER_TOKEN)).error()[:2] == (403, "FORBIDDEN")
        assert (await client.ask("POST", WITHDRAWALS, withdrawal_body())).error()[
            1
        ] == "UNAUTHORIZED"
        text = "address=x&blockchain=Solana&quantity=1&symbol=SOL"
        once = signed("withdraw", text)
        body = withdrawal_body("1", address="x")
        for expected in ((200, None), (400, "Request already seen")):
            reply = await client.ask("POST", WITHDRAWALS, body, headers=once)
            assert (reply.status, reply.json().get("message")) == expected
        wrong = signed("orderExecute", text, at_ms=START_NS // MS + 1)
        reply = await client.ask("POST", WITHDRAWALS, body, headers=wrong)
        assert reply.error()[1] == "INVALID_SIGNATURE"
        text = "address=x&blockchain=Solana&clientId=7&quantity=1&symbol=SOL"
        named = signed("withdraw", text)
        replies = [
            await client.ask("POST", WITHDRAWALS, {**body, "clientId": 7}, headers=named)
            for _ in range(2)
        ]
        assert replies[0].status == 200 and replies[0].body == replies[1].body
        assert replies[0].json()["clientId"] == "7"

    bank.run(story)
    assert bank.sol() == THOUSAND - 2 * 10**9


def test_debits_by_an_operator_are_shown_too(bank: Bank) -> None:
    """Whatever their reference, they are not withdrawals."""

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        made = (await withdraw(client)).json()
        bank.exchange.do(
            admin_records.debit(account=ALICE, asset=USDC, atoms=10**6, reference=bytes(15) + b"1")
        )
        taken, first = await listed(client, WITHDRAWALS)
        assert first == made
        assert (taken["id"], taken["isInternal"], taken["toAddress"]) == (-9, True, "")
        assert (taken["symbol"], taken["quantity"]) == ("USDC", "1")

    bank.run(story)


def test_without_a_history_or_a_store(bank: Bank) -> None:
    """501, after the usual checks."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        for path in (DEPOSITS, ADDRESS, WITHDRAWALS):
            assert (await client.ask("GET", path)).status == 401
            reply = await client.ask("GET", path, token=ALICE_TOKEN)
            assert reply.error()[:2] == (501, "NOT_IMPLEMENTED")
        reply = await client.ask("POST", "/api/v1/faucet", {"symbol": "SOL"}, token=ALICE_TOKEN)
        assert reply.error() == (501, "NOT_IMPLEMENTED", "Not offered: faucet")
        assert (await withdraw(client)).error()[:2] == (501, "NOT_IMPLEMENTED")

    play(story, extras=Extras(bank.history))
