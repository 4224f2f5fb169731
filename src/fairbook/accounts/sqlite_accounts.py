"""Users and credentials in one SQLite file: what must not be in the log, beside its facts.

Each change is one transaction (WAL, synchronous=FULL): it blocks for a sync to disk, and may be
called from worker threads, under one lock.

Invariants:
- what a method has returned is in the file;
- nothing here gives access: that is decided by the log (logged_credentials.py).
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from fairbook.accounts.credentials import AccountsDamaged, StoredCredential, User
from fairbook.accounts.sqlite_operators import SqliteOperators
from fairbook.accounts.sqlite_schema import prepare, transaction
from fairbook.accounts.sqlite_transfers import SqliteTransfers
from fairbook.core.admin_records import PUBLIC_KEY
from fairbook.ports.accounts import AccountRefused, Withdrawal
from fairbook.ports.digests import folded

FILE_NAME: Final = "accounts.db"
NAME_CHARACTERS_MAX: Final = 254

_CREDENTIAL_COLUMNS: Final = ", ".join(StoredCredential._fields)
_USER_COLUMNS: Final = "user_id, name, email, email_folded, coalesce(account, 0), created_ns"
_WITHDRAWAL_COLUMNS: Final = ", ".join(Withdrawal._fields)

StoredRow = User | StoredCredential | Withdrawal
_ROWS: Final[dict[str, tuple[str, str, Callable[..., StoredRow]]]] = {
    # by table: its key, its columns, what a row becomes
    "user": ("user_id", _USER_COLUMNS, User),
    "credential": ("credential_id", _CREDENTIAL_COLUMNS, StoredCredential),
    "withdrawal": ("withdrawal_id", _WITHDRAWAL_COLUMNS, Withdrawal),
}
TABLES: Final = tuple(_ROWS)
"""Those whose rows the log must back."""
FIRST_ID: Final = -(1 << 63)
LAST_ID: Final = (1 << 63) - 1


class SqliteAccounts:
    """The store. `transfers` has withdrawals and grants of the same file, `operators` what
    operators say.
    """

    def __init__(self, path: Path, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Open or create the store. Raises AccountsDamaged."""
        self._now_ns = now_ns
        self._lock = Lock()
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = FULL")
                prepare(self._database, path)
            except BaseException:
                self._database.close()
                raise
        except sqlite3.DatabaseError as error:
            raise AccountsDamaged(f"{path} cannot be read as an accounts store: {error}") from error
        self.transfers = SqliteTransfers(self._database, self._lock, now_ns=now_ns)
        self.operators = SqliteOperators(self._database, self._lock)

    @classmethod
    @contextmanager
    def as_of_now(cls, path: Path) -> Iterator["SqliteAccounts"]:
        """A store that may be in use, as of this moment. It cannot be changed. Raises
        AccountsDamaged.
        """
        name = f"{path.absolute().as_uri()}?mode=ro"
        if not (os.access(path.parent, os.W_OK) or Path(f"{path}-wal").exists()):
            name += "&immutable=1"  # SQLite cannot create its files here, and there is no writer.
        store = cls.__new__(cls)
        store._lock = Lock()
        try:
            with closing(sqlite3.connect(name, uri=True, isolation_level=None)) as database:
                store._database = database
                prepare(database, path, is_read_only=True)
                database.execute("BEGIN")
                database.execute("SELECT count(*) FROM user").fetchone()
                store.transfers = SqliteTransfers(database, store._lock, now_ns=time.time_ns)
                store.operators = SqliteOperators(database, store._lock)
                yield store
        except sqlite3.DatabaseError as error:
            raise AccountsDamaged(f"{path} cannot be read as an accounts store: {error}") from error

    def add_user(
        self, *, name: str | None = None, email: str | None = None, user_id: int | None = None
    ) -> User:
        """Add a user, without an account yet. The store chooses the id unless one is given.
        Raises AccountRefused if the id, name or email is taken, or a text is empty or too long.
        """
        for text in (name, email):
            if text is not None and not 1 <= len(text) <= NAME_CHARACTERS_MAX:
                raise AccountRefused(f"A name or email has 1 to {NAME_CHARACTERS_MAX} characters")
        if user_id is not None and user_id < 1:
            raise AccountRefused("User ids count from 1")
        email_folded = None if email is None else folded(email)
        with self._lock, self._change("That user id, name or email is taken") as database:
            row = database.execute(
                "INSERT INTO user (user_id, name, email, email_folded, created_ns)"
                f" VALUES (?, ?, ?, ?, ?) RETURNING {_USER_COLUMNS}",
                (user_id, name, email, email_folded, self._now_ns()),
            ).fetchone()
        return User(*row)

    def user(self, user_id: int) -> User | None:
        return self._user("user_id", user_id)

    def user_named(self, email: str) -> User | None:
        """The user whose folded e-mail address this is."""
        with self._lock:
            row = self._database.execute(
                f"SELECT {_USER_COLUMNS} FROM user WHERE email_folded = ?", (folded(email),)
            ).fetchone()
        return None if row is None else User(*row)

    def next_user_id(self) -> int:
        """Above every id that the store has ever given."""
        with self._lock:
            rows = self._database.execute(
                "SELECT max(user_id) FROM user UNION SELECT seq FROM sqlite_sequence"
                " WHERE name = 'user'"
            ).fetchall()
        return 1 + max((row[0] or 0) for row in rows)

    def user_of(self, account: int) -> User | None:
        """Whose account it is, by this store."""
        return self._user("account", account)

    def find_users(self, words: str, *, after: int, limit: int) -> list[User]:
        """Users with accounts above `after` whose name or e-mail address begins so, by account."""
        pattern = "".join(f"[{letter}]" for letter in folded(words) if letter not in "[]^") + "*"
        with self._lock:
            rows = self._database.execute(
                f"SELECT {_USER_COLUMNS} FROM user WHERE account > ?"
                " AND (lower(name) GLOB ? OR email_folded GLOB ?) ORDER BY account LIMIT ?",
                (after, pattern, pattern, limit),
            ).fetchall()
        return [User(*row) for row in rows]

    def set_account(self, user_id: int, account: int) -> None:
        """Store the account that OPEN_ACCOUNT answered for the user. Idempotent. Raises
        AccountRefused for an unknown user, or another account or user in the store.
        """
        with self._lock, self._change("The account belongs to another user") as database:
            row = database.execute(
                "SELECT coalesce(account, 0) FROM user WHERE user_id = ?", (user_id,)
            ).fetchone()
            if row is None:
                raise AccountRefused("Unknown user")
            if row[0] not in (0, account):
                raise AccountRefused("The user has another account")
            database.execute("UPDATE user SET account = ? WHERE user_id = ?", (account, user_id))

    def put_credential(
        self,
        *,
        account: int,
        credential_type: int,
        digest: bytes,
        content: bytes = b"",
        label: str = "",
        permissions: int = 0,
        expires_ns: int = 0,
        created_ns: int,
        replaces: Sequence[bytes] = (),
    ) -> StoredCredential:
        """Store what belongs to a credential that is in the log, instead of those with the hashes
        `replaces`.
        """
        with self._lock, self._change("The credential is stored already") as database:
            _delete(database, replaces)
            if credential_type == PUBLIC_KEY:
                database.execute(
                    "UPDATE user SET keys_added = keys_added + 1 WHERE account = ?", (account,)
                )
            row = database.execute(
                "INSERT OR REPLACE INTO credential (account, type, digest, content, label,"
                " permissions, expires_ns, created_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                f" RETURNING {_CREDENTIAL_COLUMNS}",
                (account, credential_type, digest, content, label, permissions, expires_ns,
                 created_ns),
            ).fetchone()  # fmt: skip
        return StoredCredential(*row)

    def remove_credentials(self, digests: Sequence[bytes]) -> None:
        """Delete what belongs to credentials that have ended."""
        with self._lock, self._change("") as database:
            _delete(database, digests)

    def credentials(self, account: int) -> list[StoredCredential]:
        """All of the account, oldest first."""
        with self._lock:
            rows = self._database.execute(
                f"SELECT {_CREDENTIAL_COLUMNS} FROM credential WHERE account = ?"
                " ORDER BY credential_id",
                (account,),
            ).fetchall()
        return [StoredCredential(*row) for row in rows]

    def keys_added(self, account: int) -> int:
        """How many public keys the account has ever had."""
        with self._lock:
            row = self._database.execute(
                "SELECT keys_added FROM user WHERE account = ?", (account,)
            ).fetchone()
        return row[0] if row else 0

    def rows(self, table: str, first: int, limit: int) -> list[StoredRow]:
        """Rows of one of TABLES with ids from `first` on, by id."""
        key, columns, make = _ROWS[table]
        with self._lock:
            found = self._database.execute(
                f"SELECT {columns} FROM {table} WHERE {key} >= ? ORDER BY {key} LIMIT ?",
                (first, limit),
            ).fetchall()
        return [make(*row) for row in found]

    def count(self) -> int:
        """How many rows TABLES have."""
        with self._lock:
            counts = [
                self._database.execute(f"SELECT count(*) FROM {table}").fetchone()
                for table in TABLES
            ]
        return sum(count for (count,) in counts)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _user(self, column: str, number: int) -> User | None:
        with self._lock:
            row = self._database.execute(
                f"SELECT {_USER_COLUMNS} FROM user WHERE {column} = ?", (number,)
            ).fetchone()
        return None if row is None else User(*row)

    def _change(self, taken: str) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self._database, taken)


def _delete(database: sqlite3.Connection, digests: Sequence[bytes]) -> None:
    database.executemany(
        "DELETE FROM credential WHERE digest = ?", [(digest,) for digest in digests]
    )
