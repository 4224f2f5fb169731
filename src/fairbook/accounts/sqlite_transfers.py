"""Withdrawal requests and faucet grants: two tables of the SQLite accounts store.

A withdrawal is stored before its HOLD is logged; a row whose HOLD is not in the log has moved
nothing. A grant is counted before it is credited.

Invariants:
- an account has one withdrawal of a client id, whose terms never change;
- references are random, so that no other command has the same, even if this store was lost;
- the faucet has given an account at most what is counted here.
"""

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from fairbook.accounts.sqlite_schema import transaction
from fairbook.core.admin_records import REFERENCE_BYTES
from fairbook.ports.accounts import AccountRefused, Withdrawal

WITHDRAWALS_MAX: Final = 100_000
NONCE_BYTES: Final = 16

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
        with self._lock, transaction(self._database, "") as database:
            if client_id is not None:
                row = database.execute(
                    f"SELECT {_COLUMNS} FROM withdrawal WHERE account = ? AND client_id = ?",
                    (account, client_id),
                ).fetchone()
                if row is not None:
                    found = Withdrawal(*row)
                    wanted = (asset, atoms, address, blockchain, "")
                    if found[4:9] != wanted:
                        raise AccountRefused("clientId was used for another withdrawal")
                    return found, True
            (count,) = database.execute(
                "SELECT count(*) FROM withdrawal WHERE account = ?", (account,)
            ).fetchone()
            if count >= self._withdrawals_max:
                raise AccountRefused("Too many withdrawals")
            row = database.execute(
                "INSERT INTO withdrawal (reference, account, client_id, asset, atoms, address,"
                " blockchain, memo, nonce, is_captured, created_ns)"
                f" VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, 0, ?) RETURNING {_COLUMNS}",
                (
                    secrets.token_bytes(REFERENCE_BYTES), account, client_id, asset, atoms,
                    address, blockchain, secrets.token_bytes(NONCE_BYTES), self._now_ns(),
                ),
            ).fetchone()  # fmt: skip
        return Withdrawal(*row), False

    def remove_withdrawal(self, withdrawal_id: int) -> None:
        with self._lock, transaction(self._database, "") as database:
            database.execute("DELETE FROM withdrawal WHERE withdrawal_id = ?", (withdrawal_id,))

    def mark_captured(self, withdrawal_id: int) -> None:
        with self._lock, transaction(self._database, "") as database:
            database.execute(
                "UPDATE withdrawal SET is_captured = 1 WHERE withdrawal_id = ?", (withdrawal_id,)
            )

    def open_withdrawals(self) -> list[Withdrawal]:
        """Those that no CAPTURE was answered of, oldest first: few."""
        with self._lock:
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM withdrawal WHERE is_captured = 0 ORDER BY withdrawal_id"
            ).fetchall()
        return [Withdrawal(*row) for row in rows]

    def withdrawals_of(self, account: int, references: Sequence[bytes]) -> list[Withdrawal]:
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
        with self._lock, transaction(self._database, "") as database:
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

    def grant_left(self, *, account: int, asset: int, atoms_max: int) -> int:
        with self._lock:
            row = self._database.execute(
                "SELECT atoms FROM granted WHERE account = ? AND asset = ?", (account, asset)
            ).fetchone()
        return max(0, atoms_max - (row[0] if row else 0))

    def remove_grant(self, *, account: int, asset: int, atoms: int) -> None:
        with self._lock, transaction(self._database, "") as database:
            database.execute(
                "UPDATE granted SET atoms = atoms - ? WHERE account = ? AND asset = ?",
                (atoms, account, asset),
            )
