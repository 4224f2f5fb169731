"""Rows that the log does not back are named, each in one sentence; what a crash leaves is not."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable

import pytest

from fairbook.accounts.comparison import StoreComparison
from fairbook.accounts.sqlite_accounts import FIRST_ID, LAST_ID
from fairbook.accounts.unfinished_withdrawals import UnfinishedWithdrawals
from fairbook.core import admin_records
from fairbook.ports.accounts import ALL_PERMISSIONS, READ
from tests.accounts.accounts_place import ALICE_USER, BOB_USER, AccountsPlace, public_key
from tests.world.memory_accounts import ALICE, BOB

ARGON = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo"
COPY_KEY = (
    "INSERT INTO credential (account, type, digest, content, label, permissions, expires_ns,"
    " created_ns) SELECT {account}, 1, randomblob(32), randomblob(32), 'x', 7, 0, created_ns"
    " FROM credential LIMIT 1"
)
GHOST = (
    "INSERT INTO withdrawal SELECT 77, randomblob(16), 2, 'ghost', 1, 5, 'me', 'x', '',"
    " zeroblob(16), 1, 1"
)
# By what is done: the statement and what the sentence says.
EDITS = [
    (COPY_KEY.format(account=2), "public key 9 of account 2, 'x': the log does not have it"),
    ("UPDATE credential SET permissions = 7 WHERE credential_id = 1",
     "public key 1 of account 2, 'bot': it may read and trade and withdraw, in the log read"),
    ("UPDATE credential SET permissions = 0 WHERE credential_id = 1", "it may do nothing, in the"),
    ("UPDATE credential SET account = 3 WHERE credential_id = 1",
     "public key 1 of account 3, 'bot': in the log it is of account 2"),
    ("UPDATE credential SET content = zeroblob(32) WHERE credential_id = 1",
     "its content is not the one in the log"),
    ("UPDATE credential SET content = x'' WHERE credential_id = 1", "its content is not"),
    ("UPDATE credential SET type = 2 WHERE credential_id = 1",
     "token 1 of account 2, 'bot': the log does not have it"),
    ("UPDATE credential SET type = 77 WHERE credential_id = 1", "credential 1 of account 2"),
    ("UPDATE credential SET digest = x'' WHERE credential_id = 1", "the log does not have it"),
    ("UPDATE credential SET digest = zeroblob(32) WHERE credential_id = 2",
     "token 2 of account 2: the log does not have it"),
    ("UPDATE credential SET expires_ns = 5 WHERE credential_id = 2",
     "token 2 of account 2: it expires at 5 ns, in the log at 0"),
    (f"UPDATE credential SET credential_id = {FIRST_ID}, permissions = 6 WHERE credential_id = 1",
     "it may trade and withdraw"),
    (f"UPDATE credential SET credential_id = {LAST_ID}, permissions = 6 WHERE credential_id = 1",
     "it may trade and withdraw"),
    ("UPDATE credential SET content = CAST('$argon2id$other' AS BLOB) WHERE type = 3",
     "password 3 of account 2: its content is not the one in the log"),
    ("UPDATE credential SET content = x'ff' WHERE type = 3", "password 3 of account 2"),
    ("UPDATE credential SET content = x'00' WHERE type = 4", "second factor 4 of account 2"),
    ("UPDATE user SET email = 'm@example.org' WHERE user_id = 1",
     "user 1: its folded e-mail is not that of its e-mail"),
    ("UPDATE user SET email = 'm@example.org' WHERE user_id = 1",
     "password 3 of account 2: its content"),
    ("UPDATE user SET account = 4 WHERE user_id = 1",
     "user 1: its account is 4, in the log it has account 2"),
    ("INSERT INTO user (user_id, account, created_ns) VALUES (7, 9, 1)",
     "user 7: its account is 9, in the log it has no account"),
    ("UPDATE withdrawal SET address = 'elsewhere' WHERE withdrawal_id = 1",
     "withdrawal 1 of account 2 (1000000000 atoms of asset 1 to 'elsewhere'): its address"),
    ("UPDATE withdrawal SET address = CAST(x'ff' AS TEXT) WHERE withdrawal_id = 1", "withdrawal 1"),
    ("UPDATE withdrawal SET atoms = atoms * 2 WHERE withdrawal_id = 1",
     "its amount is 2000000000, in the log 1000000000"),
    ("UPDATE withdrawal SET account = 3 WHERE withdrawal_id = 1",
     "its account is 3, in the log 2"),
    ("UPDATE withdrawal SET asset = 2 WHERE withdrawal_id = 1", "its asset is 2, in the log 1"),
    ("UPDATE withdrawal SET memo = '7' WHERE withdrawal_id = 1", "its address, network, memo"),
    ("UPDATE withdrawal SET blockchain = 'Tron' WHERE withdrawal_id = 1", "its address, network"),
    ("UPDATE withdrawal SET nonce = x'' WHERE withdrawal_id = 1", "its address, network"),
    ("UPDATE withdrawal SET reference = randomblob(16) WHERE withdrawal_id = 1",
     "the log has no HOLD of it"),
    ("UPDATE withdrawal SET reference = x'' WHERE withdrawal_id = 1", "the log has no HOLD of it"),
    ("UPDATE withdrawal SET is_captured = 1 WHERE withdrawal_id = 2",
     "it is marked as captured, in the log it is held"),
    (GHOST, "withdrawal 77 of account 2 (5 atoms of asset 1 to 'me'): the log has"),
    ("UPDATE withdrawal SET reference = CAST('{debit}' AS BLOB) WHERE withdrawal_id = 1",
     "its reference is that of another command"),
]  # fmt: skip


@pytest.fixture
def full(place: AccountsPlace) -> AccountsPlace:
    """Something of every kind; credentials 1 to 8, withdrawals 1 (captured) and 2 (held)."""
    registry = place.registry
    place.do(
        registry.add_key(account=ALICE, public_key=public_key(1), label="bot", permissions=READ)
    )
    place.do(registry.add_token(account=ALICE, permissions=ALL_PERMISSIONS))
    place.do(registry.set_password(ALICE_USER, ARGON))
    place.do(registry.set_second_factor(ALICE_USER, b"secret"))
    place.do(registry.add_key(account=BOB, public_key=public_key(2), label="", permissions=READ))
    place.do(registry.add_token(account=BOB, permissions=ALL_PERMISSIONS))
    place.do(registry.set_password(BOB_USER, ARGON))
    place.do(registry.set_second_factor(BOB_USER, b"secret"))
    place.withdrawal()
    place.withdrawal(capture=False)
    place.exchange.do(
        admin_records.debit(account=ALICE, asset=1, atoms=10**9, reference=b"debit 1 of alice")
    )
    assert place.contradictions() == []
    return place


@pytest.mark.parametrize(("edit", "sentence"), EDITS)
def test_an_edit_is_named(full: AccountsPlace, edit: str, sentence: str) -> None:
    """By the comparison of all rows, and by the one while the exchange runs."""
    full.edit(*edit.replace("{debit}", "debit 1 of alice").split("; "))
    found = full.contradictions()
    assert any(sentence in each for each in found), found
    assert len(found) <= 4

    async def compare() -> list[str]:
        comparison = StoreComparison(full.store, full.exchange, unheld_s=0.0)
        await comparison.compare_all(pause_s=0.0)
        named: list[str] = comparison.status()["contradictions"]
        return named

    assert asyncio.run(compare()) == found


@pytest.mark.parametrize("kind", range(8))
def test_random_edits_of_each_kind_are_named(full: AccountsPlace, kind: int) -> None:
    """Twenty rows among many, at random places: each is named, and no other."""
    chance = random.Random(kind)
    registry = full.registry
    for number in range(100):
        user = full.store.add_user(email=f"{number}@example.org").user_id
        full.exchange.do(admin_records.open_account(user))
        account = full.exchange.account_of_user(user)
        full.store.set_account(user, account)
        full.do(
            registry.add_key(
                account=account, public_key=public_key(100 + number), label="", permissions=READ
            )
        )
        full.do(registry.add_token(account=account, permissions=READ))
        full.do(registry.set_password(user, ARGON))
        full.do(registry.set_second_factor(user, b"secret"))
        full.withdrawal()
    assert full.contradictions() == []
    table, key, terms, change = [
        ("credential", "credential_id", "type = 1", "digest = randomblob(32)"),
        ("credential", "credential_id", "type IN (1, 2)", "permissions = permissions ^ 2"),
        ("user", "user_id", "email LIKE '%'", "account = account + 1000"),
        ("credential", "credential_id", "type = 3", "content = randomblob(60)"),
        ("credential", "credential_id", "type = 4", "content = randomblob(6)"),
        ("withdrawal", "withdrawal_id", "is_captured", "reference = randomblob(16)"),
        ("withdrawal", "withdrawal_id", "is_captured", "address = address || 'x'"),
        ("credential", "credential_id", "type = 2", "account = account + 1"),
    ][kind]
    change = change.replace("permissions ^ 2", "(permissions | 2) - (permissions & 2)")
    rows = [row[0] for row in selected(full, f"SELECT {key} FROM {table} WHERE {terms}")]
    chosen = chance.sample(rows, 20)
    for row in chosen:
        full.edit(f"UPDATE {table} SET {change} WHERE {key} = {row}")
    found = full.contradictions()
    of_the_table = [each for each in found if table == "credential" or each.startswith(table)]
    assert len(of_the_table) == 20 or kind == 2
    for row in chosen:
        assert any(f" {row}" in each for each in found), row


async def until(holds: Callable[[], bool]) -> None:
    """Within five seconds."""
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


def selected(place: AccountsPlace, query: str) -> list[tuple[int]]:
    file = sqlite3.connect(place.path)
    try:
        return file.execute(query).fetchall()
    finally:
        file.close()


def test_a_withdrawal_without_its_hold_is_named_once_it_is_old(
    place: AccountsPlace, caplog: pytest.LogCaptureFixture
) -> None:
    """A new one is under way. The log of the process names it once."""
    row = place.withdrawal(hold=False)

    async def compare() -> None:
        comparison = StoreComparison(place.store, place.exchange, unheld_s=0.2)
        for _ in range(2):
            await comparison.compare_all(pause_s=0.0)
            assert comparison.status()["contradictions"] == []
        await asyncio.sleep(0.25)
        for _ in range(2):
            await comparison.compare_all(pause_s=0.0)
            (sentence,) = comparison.status()["contradictions"]
            assert sentence.endswith("the log has no HOLD of it")
        place.store.transfers.remove_withdrawal(row.withdrawal_id)
        await comparison.compare_all(pause_s=0.0)
        assert comparison.status()["contradictions"] == []

    with caplog.at_level(logging.ERROR):
        asyncio.run(compare())
    assert len(caplog.messages) == 1 and "no HOLD" in caplog.messages[0]


def test_the_comparison_runs_beside_changes(full: AccountsPlace) -> None:
    """Credentials come and go, their slots are given out again: nothing is named. An edit is."""

    full.exchange.do(
        admin_records.set_exchange(parameter=admin_records.OWNER_CREDENTIALS_MAX, value=5)
    )
    comparison = StoreComparison(full.store, full.exchange, pass_every_s=0.0)

    async def change() -> None:
        for _ in range(100):
            _, stored = await full.registry.add_token(account=ALICE, permissions=READ)
            await full.registry.revoke(account=ALICE, digest=stored.digest)

    async def story() -> None:
        changing = asyncio.ensure_future(change())
        passes = 0
        while not changing.done():
            await comparison.compare_all(pause_s=0.0)
            assert comparison.status()["contradictions"] == []
            passes += 1
        assert passes > 10
        comparison.start()
        full.edit(EDITS[1][0])
        await until(lambda: bool(comparison.status()["contradictions"]))
        await comparison.stop()

    asyncio.run(story())


def test_a_file_that_cannot_be_read_is_named(place: AccountsPlace) -> None:
    place.edit("ALTER TABLE credential RENAME TO gone")

    async def compare() -> None:
        comparison = StoreComparison(place.store, place.exchange)
        await comparison.compare_all(pause_s=0.0)
        (sentence,) = comparison.status()["contradictions"]
        assert sentence == "the file cannot be read: no such table: credential"

    asyncio.run(compare())


def test_unfinished_withdrawals(place: AccountsPlace) -> None:
    """At the start: no HOLD, removed by name; held, captured; changed since, left alone."""
    ghost = place.withdrawal(hold=False)
    held = place.withdrawal(capture=False)
    changed = place.withdrawal(capture=False)
    done = place.withdrawal()
    place.edit(
        f"UPDATE withdrawal SET address = 'me' WHERE withdrawal_id = {changed.withdrawal_id}",
        f"UPDATE withdrawal SET is_captured = 0 WHERE withdrawal_id = {done.withdrawal_id}",
    )
    unfinished = UnfinishedWithdrawals(place.store.transfers, place.exchange, place.exchange)
    (sentence,) = place.do(unfinished.finish())
    assert sentence == (
        "withdrawal 1 of account 2 (1000000000 atoms of asset 1 to 'there'):"
        " the log has no HOLD of it; removed at the start"
    )
    assert place.store.transfers.find_withdrawal(ALICE, withdrawal_id=ghost.withdrawal_id) is None
    states = [
        fact.state
        for row in (held, changed, done)
        if (fact := place.exchange.reference(row.reference)) is not None
    ]
    assert states == [admin_records.CAPTURED, admin_records.HELD, admin_records.CAPTURED]
    assert [row.withdrawal_id for row in place.store.transfers.open_withdrawals()] == [
        changed.withdrawal_id
    ]
    assert len(place.contradictions()) == 1
    assert place.do(unfinished.finish()) == []


def test_what_a_pause_left_is_captured_later(
    place: AccountsPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = place.withdrawal(capture=False)
    place.exchange.do(admin_records.pause(admin_records.BY_AUDIT, 1))
    monkeypatch.setattr("fairbook.accounts.unfinished_withdrawals.APPROVED_AFTER_S", 0.01)
    unfinished = UnfinishedWithdrawals(place.store.transfers, place.exchange, place.exchange)

    async def story() -> None:
        assert await unfinished.finish() == []
        running = asyncio.ensure_future(unfinished.run())
        await asyncio.sleep(0.05)
        fact = place.exchange.reference(row.reference)
        assert fact is not None and fact.state == admin_records.HELD
        place.exchange.do(admin_records.resume(admin_records.BY_AUDIT))
        place.exchange.do(*[admin_records.tick()] * 20)
        await until(lambda: not place.store.transfers.open_withdrawals())
        assert fact.state == admin_records.CAPTURED
        place.exchange.stopped = True
        place.withdrawal(hold=False)
        running.cancel()

    asyncio.run(story())
