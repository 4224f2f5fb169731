"""Withdrawal requests and faucet grants: two tables of the SQLite accounts store.

A withdrawal is stored before its DEBIT is logged; a row whose DEBIT is not in the log has moved
nothing. A grant is counted before it is credited.

Invariants:
- an account has one withdrawal of a client id, whose terms never change;
- references are random, so that no other debit has the same, even if this store was lost;
- the faucet has given an account at most what is counted here.
"""

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from fairbook.accounts.sqlite_schema import transaction
from fairbook.ports.accounts import AccountRefused, Withdrawal

WITHDRAWALS_MAX: Final = 100_000
REFERENCE_BITS: Final = 62

_COLUMNS: Final = ", ".join(Withdrawal._fields)


class SqliteTransfers:
    """The Transfers port. Methods block, for at most a sync to disk."""

    def __init__(
        self,
        database: sqlite3.Connection,
        lock: Lock,
        *,
        now_ns: Callable[[], int],
        withdrawals_max: int = WITHDRAWALS_MAX,
    ) -> None:
        """withdrawals_max: of one account, ever. `lock` protects `database`."""
        self._database = database
        self._lock = lock
        self._now_ns = now_ns
        self._withdrawals_max = withdrawals_max

    def add_withdrawal(
        self,
        *,
        account: int,
        client_id: str | None,
        asset: int,
        atoms: int,
        address: str,
        blockchain: str,
    ) -> tuple[Withdrawal, bool]:
        with self._lock, transaction(self._database, "Unknown account") as database:
            if client_id is not None:
                row = database.execute(
                    f"SELECT {_COLUMNS} FROM withdrawal WHERE account = ? AND client_id = ?",
                    (account, client_id),
                ).fetchone()
                if row is not None:
                    found = Withdrawal(*row)
                    wanted = (asset, atoms, address, blockchain)
                    if (found.asset, found.atoms, found.address, found.blockchain) != wanted:
                        raise AccountRefused("clientId was used for another withdrawal")
                    return found, True
            (count,) = database.execute(
                "SELECT count(*) FROM withdrawal WHERE account = ?", (account,)
            ).fetchone()
            if count >= self._withdrawals_max:
                raise AccountRefused("Too many withdrawals")
            reference = 1 + secrets.randbelow(1 << REFERENCE_BITS)
            row = database.execute(
                "INSERT INTO withdrawal (reference, account, client_id, asset, atoms, address,"
                f" blockchain, created_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING {_COLUMNS}",
                (reference, account, client_id, asset, atoms, address, blockchain, self._now_ns()),
            ).fetchone()
        return Withdrawal(*row), False

    def remove_withdrawal(self, withdrawal_id: int) -> None:
        with self._lock, transaction(self._database, "") as database:
            database.execute("DELETE FROM withdrawal WHERE withdrawal_id = ?", (withdrawal_id,))

    def withdrawals_of(self, account: int, references: Sequence[int]) -> list[Withdrawal]:
        places = ",".join("?" * len(references))
        with self._lock:
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM withdrawal WHERE account = ? AND reference IN ({places})",
                (account, *references),
            ).fetchall()
        return [Withdrawal(*row) for row in rows]

    def find_withdrawal(
        self, account: int, *, withdrawal_id: int | None = None, client_id: str | None = None
    ) -> Withdrawal | None:
        with self._lock:
            row = self._database.execute(
                f"SELECT {_COLUMNS} FROM withdrawal WHERE account = ?"
                " AND withdrawal_id = coalesce(?, withdrawal_id)"
                " AND client_id IS coalesce(?, client_id)",
                (account, withdrawal_id, client_id),
            ).fetchone()
        return None if row is None else Withdrawal(*row)

    def add_grant(self, *, account: int, asset: int, atoms: int, atoms_max: int) -> int:
        with self._lock, transaction(self._database, "Unknown account") as database:
            row = database.execute(
                "SELECT atoms FROM granted WHERE account = ? AND asset = ?", (account, asset)
            ).fetchone()
            total = atoms if row is None else row[0] + atoms
            if total <= atoms_max:
                database.execute(
                    "INSERT OR REPLACE INTO granted (account, asset, atoms) VALUES (?, ?, ?)",
                    (account, asset, total),
                )
        return atoms_max - total

    def remove_grant(self, *, account: int, asset: int, atoms: int) -> None:
        with self._lock, transaction(self._database, "") as database:
            database.execute(
                "UPDATE granted SET atoms = atoms - ? WHERE account = ? AND asset = ?",
                (atoms, account, asset),
            )
