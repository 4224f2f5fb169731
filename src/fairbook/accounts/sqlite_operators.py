"""What operators say and allow: reasons of their acts, invitations, announcements, approvals.

The log has the hash of each, so what was changed here is not shown and allows nothing.
"""

import sqlite3
from threading import Lock
from typing import Final, NamedTuple

from fairbook.accounts.sqlite_schema import transaction
from fairbook.ports.accounts import AccountRefused
from fairbook.ports.digests import reason_digest

REASON_CHARACTERS_MAX: Final = 500


class Invitation(NamedTuple):
    """Allows one sign-up. `position`: of its NOTE in the log; `user_id`: who used it, or 0."""

    digest: bytes
    position: int
    operator: int
    user_id: int


class PasswordReset(NamedTuple):
    """Allows the user of an account to set a new password. `digest`: of the code, in 16 bytes."""

    digest: bytes
    position: int
    operator: int
    account: int


class Approval(NamedTuple):
    """Allows a withdrawal to be paid. `position`: of its NOTE in the log."""

    reference: bytes
    position: int
    operator: int


class Announcement(NamedTuple):
    """A text for everybody. `sequence`, `position`: of its NOTE in the log."""

    sequence: int
    position: int
    operator: int
    text: str


class StoredOperator(NamedTuple):
    """Who an operator is. `account`: their own, on which they may not act; 0: none."""

    number: int
    name: str
    account: int


class SqliteOperators:
    """Tables of the accounts store. Methods block: call them in worker threads."""

    def __init__(self, database: sqlite3.Connection, lock: Lock) -> None:
        self._database = database
        self._lock = lock

    def put_operator(self, known: StoredOperator) -> None:
        """Store or replace the name and the account of an operator."""
        with self._lock, transaction(self._database, "") as database:
            database.execute(
                "INSERT OR REPLACE INTO operator (number, name, account) VALUES (?, ?, ?)", known
            )

    def operator(self, number: int) -> StoredOperator:
        """One without a name has its number as its name."""
        with self._lock:
            row = self._database.execute(
                "SELECT number, name, account FROM operator WHERE number = ?", (number,)
            ).fetchone()
        return StoredOperator(number, str(number), 0) if row is None else StoredOperator(*row)

    def add_reason(self, text: str) -> bytes:
        """Store a reason, and return its hash. Raises AccountRefused for one that is empty or too
        long.
        """
        if not 1 <= len(text) <= REASON_CHARACTERS_MAX:
            raise AccountRefused(f"A reason has 1 to {REASON_CHARACTERS_MAX} characters")
        digest = reason_digest(text)
        with self._lock, transaction(self._database, ""):
            self._database.execute(
                "INSERT OR REPLACE INTO reason (digest, text) VALUES (?, ?)", (digest, text)
            )
        return digest

    def reason(self, digest: bytes) -> str | None:
        """The text with this hash; None if it is missing or was changed."""
        with self._lock:
            row = self._database.execute(
                "SELECT text FROM reason WHERE digest = ?", (digest,)
            ).fetchone()
        return None if row is None or reason_digest(row[0]) != digest else str(row[0])

    def add_invitation(self, invitation: Invitation) -> None:
        """Idempotent."""
        with self._lock, transaction(self._database, "") as database:
            database.execute(
                "INSERT OR IGNORE INTO invitation (digest, position, operator) VALUES (?, ?, ?)",
                invitation[:3],
            )

    def invitation(self, digest: bytes) -> Invitation | None:
        with self._lock:
            row = self._database.execute(
                "SELECT digest, position, operator, coalesce(user_id, 0) FROM invitation"
                " WHERE digest = ?",
                (digest,),
            ).fetchone()
        return None if row is None else Invitation(*row)

    def use_invitation(self, digest: bytes, user_id: int) -> bool:
        """False if it was used before."""
        with self._lock, transaction(self._database, "") as database:
            done = database.execute(
                "UPDATE invitation SET user_id = ? WHERE digest = ? AND user_id IS NULL",
                (user_id, digest),
            )
            return done.rowcount == 1

    def add_reset(self, reset: PasswordReset) -> None:
        """Idempotent."""
        with self._lock, transaction(self._database, "") as database:
            database.execute(
                "INSERT OR IGNORE INTO reset (digest, position, operator, account)"
                " VALUES (?, ?, ?, ?)",
                reset,
            )

    def reset(self, digest: bytes) -> PasswordReset | None:
        """One that was not used."""
        with self._lock:
            row = self._database.execute(
                "SELECT digest, position, operator, account FROM reset"
                " WHERE digest = ? AND is_used = 0",
                (digest,),
            ).fetchone()
        return None if row is None else PasswordReset(*row)

    def use_reset(self, digest: bytes) -> bool:
        """False if it was used before."""
        with self._lock, transaction(self._database, "") as database:
            done = database.execute(
                "UPDATE reset SET is_used = 1 WHERE digest = ? AND is_used = 0", (digest,)
            )
            return done.rowcount == 1

    def add_approval(self, approval: Approval) -> None:
        """In place of an earlier one."""
        with self._lock, transaction(self._database, "") as database:
            database.execute(
                "INSERT OR REPLACE INTO approval (reference, position, operator) VALUES (?, ?, ?)",
                approval,
            )

    def approval(self, reference: bytes) -> Approval | None:
        with self._lock:
            row = self._database.execute(
                "SELECT reference, position, operator FROM approval WHERE reference = ?",
                (reference,),
            ).fetchone()
        return None if row is None else Approval(*row)

    def add_announcement(self, announcement: Announcement) -> None:
        with self._lock, transaction(self._database, "") as database:
            database.execute(
                "INSERT INTO announcement (sequence, position, operator, text) VALUES (?, ?, ?, ?)",
                announcement,
            )

    def announcements(self, limit: int) -> list[Announcement]:
        """Newest first, without ended ones."""
        with self._lock:
            rows = self._database.execute(
                "SELECT sequence, position, operator, text FROM announcement"
                " WHERE is_ended = 0 ORDER BY sequence DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [Announcement(*row) for row in rows]

    def end_announcements(self) -> None:
        with self._lock, transaction(self._database, "") as database:
            database.execute("UPDATE announcement SET is_ended = 1")
