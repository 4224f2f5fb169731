"""Withdrawals and faucet grants in the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock, Thread

import pytest

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.accounts.sqlite_transfers import SqliteTransfers
from fairbook.ports.accounts import AccountRefused, Withdrawal

ALICE, BOB = 2, 3


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteAccounts]:
    with closing(SqliteAccounts(tmp_path / "accounts.db", now_ns=lambda: 5)) as made:
        for user_id, account in ((1, ALICE), (2, BOB)):
            made.add_user(user_id=user_id)
            made.set_account(user_id, account)
        yield made


def add_withdrawal(
    store: SqliteAccounts | SqliteTransfers,
    client_id: str | None,
    *,
    account: int = ALICE,
    atoms: int = 7,
) -> tuple[Withdrawal, bool]:
    transfers = store.transfers if isinstance(store, SqliteAccounts) else store
    return transfers.add_withdrawal(
        account=account, client_id=client_id, asset=1, atoms=atoms, address="there", blockchain="x"
    )


def test_a_withdrawal_is_stored_once_per_client_id(store: SqliteAccounts, tmp_path: Path) -> None:
    """And found by client id, id and reference, also in another process."""
    first, was_there = add_withdrawal(store, "rent")
    assert not was_there
    assert first == Withdrawal(
        1, first.reference, ALICE, "rent", 1, 7, "there", "x", "", first.nonce, 0, 5
    )
    assert (len(first.reference), len(first.nonce)) == (16, 16)
    assert add_withdrawal(store, "rent") == (first, True)
    with pytest.raises(AccountRefused, match="another withdrawal"):
        add_withdrawal(store, "rent", atoms=8)
    unnamed = [add_withdrawal(store, None)[0] for _ in range(2)]
    foreign, _ = add_withdrawal(store, "rent", account=BOB)
    assert len({row.reference for row in (first, *unnamed, foreign)}) == 4
    store.close()
    with closing(SqliteAccounts(tmp_path / "accounts.db")) as again:
        kept = again.transfers
        find, other_id = kept.find_withdrawal, unnamed[1].withdrawal_id
        assert find(ALICE, client_id="rent") == first
        assert find(ALICE, withdrawal_id=other_id) == unnamed[1]
        assert find(ALICE, withdrawal_id=first.withdrawal_id, client_id="rent") == first
        assert find(ALICE, withdrawal_id=other_id, client_id="rent") is None
        assert find(ALICE, withdrawal_id=foreign.withdrawal_id) is None
        assert find(ALICE, client_id="tent") is None
        assert kept.withdrawals_of(ALICE, []) == []
        references = [first.reference, foreign.reference, bytes(16)]
        assert kept.withdrawals_of(ALICE, references) == [first]
        many = [unnamed[0].reference, *(n.to_bytes(16, "little") for n in range(1, 1000))]
        assert len(kept.withdrawals_of(ALICE, many)) == 1
        assert kept.open_withdrawals() == [first, *unnamed, foreign]
        kept.mark_captured(first.withdrawal_id)
        assert kept.open_withdrawals() == [*unnamed, foreign]
        assert find(ALICE, client_id="rent") == first._replace(is_captured=1)


def test_a_removed_withdrawal_frees_its_client_id_but_not_its_id(store: SqliteAccounts) -> None:
    first, _ = add_withdrawal(store, "rent")
    store.transfers.remove_withdrawal(first.withdrawal_id)
    second, was_there = add_withdrawal(store, "rent", atoms=8)
    assert (second.withdrawal_id, was_there) == (2, False)
    assert second.reference != first.reference


def test_withdrawals_are_bounded(store: SqliteAccounts, tmp_path: Path) -> None:
    store.close()
    with closing(sqlite3.connect(tmp_path / "accounts.db", isolation_level=None)) as file:
        few = SqliteTransfers(file, Lock(), now_ns=lambda: 1, withdrawals_max=2)
        for name in ("first", "second"):
            add_withdrawal(few, name)
        with pytest.raises(AccountRefused, match="Too many"):
            add_withdrawal(few, "third")
        assert add_withdrawal(few, "first")[1]
        add_withdrawal(few, "third", account=BOB)


def test_grants_are_counted_up_to_the_cap(store: SqliteAccounts) -> None:
    def give(atoms: int, account: int = ALICE, asset: int = 1) -> int:
        return store.transfers.add_grant(account=account, asset=asset, atoms=atoms, atoms_max=10)

    assert [give(7), give(4), give(3), give(1)] == [3, -1, 0, -1]
    assert (give(10, BOB), give(10, asset=2)) == (0, 0)
    store.transfers.remove_grant(account=ALICE, asset=1, atoms=7)
    assert give(8) == -1 and give(7) == 0


def test_concurrent_threads_store_one_row_per_client_id(store: SqliteAccounts) -> None:
    """Eight threads store the same three client ids: three rows."""
    found: list[Withdrawal] = []

    def work() -> None:
        for number in range(30):
            found.append(add_withdrawal(store, f"id {number % 3}")[0])

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 240 and len(set(found)) == 3
