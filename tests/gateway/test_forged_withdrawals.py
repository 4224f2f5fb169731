"""Rows of the accounts store and of the history that the log does not back are not shown."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fairbook.accounts.sqlite_transfers import SqliteTransfers
from fairbook.core import admin_records
from tests.gateway.bank import (
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
from tests.world.http_client import HttpClient
from tests.world.markets import SOL
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB_TOKEN
from tests.world.running_exchange import RunningExchange


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


@pytest.mark.parametrize(
    "edit",
    [
        "address = 'elsewhere'", "blockchain = 'Bitcoin'", "memo = '7'", "nonce = zeroblob(16)",
        "asset = 2", "atoms = atoms + 1", "account = 3", "withdrawal_id = 900",
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_captured", [False, True])
def test_a_row_that_is_not_what_was_held_for_is_not_shown(
    bank: Bank, edit: str, is_captured: bool
) -> None:
    """Nor captured: not by its owner's repeated request, nor under another account."""
    row = stored_withdrawal(bank)
    bank.exchange.do(hold_of(row))
    if is_captured:
        bank.exchange.do(admin_records.capture(row.reference))
    with closing(sqlite3.connect(bank.path)) as file, file:
        file.execute(f"UPDATE withdrawal SET {edit}")

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        for token in (ALICE_TOKEN, BOB_TOKEN):
            for path in (WITHDRAWALS, f"{WITHDRAWALS}?clientId=rent"):
                rows = await listed(client, path, token)
                # The movement of money is the log's, and stays in sight without the row.
                assert all(each["id"] < 0 and each["toAddress"] == "" for each in rows)
        before = bank.exchange.core.reference(row.reference)
        assert before is not None
        await withdraw(client, withdrawal_body(clientId="rent"))
        await withdraw(client, withdrawal_body(clientId="rent", address="elsewhere"))
        after = bank.exchange.core.reference(row.reference)
        assert after is not None
        wanted = admin_records.CAPTURED if is_captured else admin_records.HELD
        assert after.state == wanted

    bank.run(story)


def test_a_row_without_its_hold_is_not_shown_whatever_history_says(bank: Bank) -> None:
    """Two forged rows are no withdrawal, and one is no deposit."""
    row = stored_withdrawal(bank)

    async def story(venue: RunningExchange, client: HttpClient, transfers: SqliteTransfers) -> None:
        for movement in (admin_records.HELD, admin_records.CAPTURED, admin_records.DEBITED):
            bank.history.forge(movement, ALICE, SOL, row.atoms, row.reference)
        bank.history.forge(admin_records.CREDITED, ALICE, SOL, row.atoms, bytes(15) + b"1")
        assert await listed(client, WITHDRAWALS) == []
        assert await listed(client, f"{WITHDRAWALS}?clientId=rent") == []
        assert [each["id"] for each in await listed(client, DEPOSITS)] == [3, 2, 1]

    bank.run(story)
    assert bank.sol() == THOUSAND
