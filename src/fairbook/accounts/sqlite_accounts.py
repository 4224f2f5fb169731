"""Users, public keys and tokens in one SQLite file.

A change is committed to the file (WAL, synchronous=FULL), then made in memory; look-ups read memory
alone. Changes block for a sync to disk and may be called from worker threads, under one lock.

Invariants:
- by_key, by_token and is_live know every live key and token, and none that is revoked or expired;
- what a method has returned is in the file.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from threading import Lock
from typing import Any, Final

from fairbook.accounts import credentials
from fairbook.accounts.credentials import AccountsDamaged, Key, Token, User, token_hash
from fairbook.accounts.sqlite_schema import transaction, upgrade
from fairbook.accounts.sqlite_transfers import SqliteTransfers
from fairbook.ports.accounts import Access, AccountRefused

FILE_NAME: Final = "accounts.db"
LABEL_CHARACTERS_MAX: Final = 100
NAME_CHARACTERS_MAX: Final = 254
REVOKED_PER_LIVE_MAX: Final = 20  # revoked keys stay, so that none is registered again

_KEY_COLUMNS: Final = ", ".join(Key._fields)
_TOKEN_COLUMNS: Final = ", ".join(Token._fields)
_USER_COLUMNS: Final = "user_id, name, email, coalesce(account, 0), created_ns"


class SqliteAccounts:
    """The Accounts port, and the changes to it."""

    def __init__(
        self,
        path: Path,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        keys_max: int = 50,
        tokens_max: int = 50,
    ) -> None:
        """Open or create the store. The limits are per account. Raises AccountsDamaged."""
        self._now_ns = now_ns
        self._keys_max = keys_max
        self._tokens_max = tokens_max
        self._lock = Lock()
        self._by_key: dict[bytes, Access] = {}
        self._by_token: dict[bytes, tuple[Access, int]] = {}  # hash: (access, expires_ns)
        self._key_ids: set[int] = set()  # of those in _by_key
        self._expiries: dict[int, int] = {}  # token id: expires_ns, of those in _by_token
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = FULL")
                self._database.execute("PRAGMA foreign_keys = ON")
                upgrade(self._database, path)
                self._load()
            except BaseException:
                self._database.close()
                raise
        except sqlite3.DatabaseError as error:
            raise AccountsDamaged(f"{path} cannot be read as an accounts store: {error}") from error
        self.transfers = SqliteTransfers(self._database, self._lock, now_ns=now_ns)

    def by_key(self, public_key: bytes) -> Access | None:
        return self._by_key.get(public_key)

    def by_token(self, token: str) -> Access | None:
        if len(token) != credentials.TOKEN_CHARACTERS or not token.isascii():
            return None
        found = self._by_token.get(token_hash(token))
        if found is None:
            return None
        access, expires_ns = found
        return access if _is_live(expires_ns, self._now_ns()) else None

    def is_live(self, access: Access) -> bool:
        if access.key_id:
            return access.key_id in self._key_ids
        expires_ns = self._expiries.get(access.token_id)
        return expires_ns is not None and _is_live(expires_ns, self._now_ns())

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
        with self._lock, self._change("That user id, name or email is taken") as database:
            row = database.execute(
                "INSERT INTO user (user_id, name, email, created_ns) VALUES (?, ?, ?, ?)"
                f" RETURNING {_USER_COLUMNS}",
                (user_id, name, email, self._now_ns()),
            ).fetchone()
        return User(*row)

    def user(self, user_id: int) -> User | None:
        rows = self._rows(f"SELECT {_USER_COLUMNS} FROM user WHERE user_id = ?", user_id)
        return User(*rows[0]) if rows else None

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

    def add_key(self, *, account: int, public_key: bytes, label: str, permissions: int) -> Key:
        """The caller checks that the owner of the key has the secret half. Raises AccountRefused,
        also for a key that was ever registered.
        """
        credentials.check_public_key(public_key)
        credentials.check_permissions(permissions)
        if len(label) > LABEL_CHARACTERS_MAX:
            raise AccountRefused(f"A label has at most {LABEL_CHARACTERS_MAX} characters")
        with self._lock:
            with self._change("The public key is already registered") as database:
                self._require_account(account)
                live, ever = database.execute(
                    "SELECT count(*) FILTER (WHERE revoked_ns = 0), count(*) FROM key"
                    " WHERE account = ?",
                    (account,),
                ).fetchone()
                if live >= self._keys_max or ever >= self._keys_max * (1 + REVOKED_PER_LIVE_MAX):
                    raise AccountRefused("Too many API keys")
                row = database.execute(
                    "INSERT INTO key"
                    " (account, public_key, label, permissions, created_ns, revoked_ns)"
                    f" VALUES (?, ?, ?, ?, ?, 0) RETURNING {_KEY_COLUMNS}",
                    (account, public_key, label, permissions, self._now_ns()),
                ).fetchone()
            key = Key(*row)
            self._cache_key(key)
        return key

    def keys(self, account: int) -> list[Key]:
        """All keys of the account, revoked ones too, oldest first."""
        query = f"SELECT {_KEY_COLUMNS} FROM key WHERE account = ? ORDER BY key_id"
        return [Key(*row) for row in self._rows(query, account)]

    def revoke_key(self, *, account: int, key_id: int) -> bool:
        """False if the account has no such live key."""
        with self._lock:
            with self._change("") as database:
                row = database.execute(
                    "UPDATE key SET revoked_ns = ?"
                    " WHERE key_id = ? AND account = ? AND revoked_ns = 0 RETURNING public_key",
                    (self._now_ns(), key_id, account),
                ).fetchone()
            if row is None:
                return False
            del self._by_key[row[0]]
            self._key_ids.remove(key_id)
            return True

    def add_token(
        self, *, account: int, permissions: int, expires_ns: int = 0
    ) -> tuple[str, Token]:
        """Add a bearer token. Its text is returned only here. `expires_ns` 0: never.
        Raises AccountRefused.
        """
        credentials.check_permissions(permissions)
        now_ns = self._now_ns()
        if not _is_live(expires_ns, now_ns):
            raise AccountRefused("The token would have expired already")
        text = credentials.new_token()
        with self._lock:
            with self._change("") as database:
                self._require_account(account)
                dead = database.execute(
                    "DELETE FROM token WHERE account = ? AND expires_ns BETWEEN 1 AND ?"
                    " RETURNING hash, token_id",
                    (account, now_ns),
                ).fetchall()
                (live,) = database.execute(
                    "SELECT count(*) FROM token WHERE account = ?", (account,)
                ).fetchone()
                if live >= self._tokens_max:
                    raise AccountRefused("Too many tokens")
                row = database.execute(
                    "INSERT INTO token (account, hash, permissions, created_ns, expires_ns)"
                    f" VALUES (?, ?, ?, ?, ?) RETURNING {_TOKEN_COLUMNS}",
                    (account, token_hash(text), permissions, now_ns, expires_ns),
                ).fetchone()
            for digest, token_id in dead:
                self._uncache_token(digest, token_id)
            token = Token(*row)
            self._cache_token(token_hash(text), token)
        return text, token

    def tokens(self, account: int) -> list[Token]:
        """The live tokens of the account, oldest first."""
        query = f"SELECT {_TOKEN_COLUMNS} FROM token WHERE account = ? ORDER BY token_id"
        tokens = [Token(*row) for row in self._rows(query, account)]
        now_ns = self._now_ns()
        return [token for token in tokens if _is_live(token.expires_ns, now_ns)]

    def revoke_token(self, *, account: int, token_id: int) -> bool:
        """False if the account has no such token."""
        with self._lock:
            with self._change("") as database:
                row = database.execute(
                    "DELETE FROM token WHERE token_id = ? AND account = ? RETURNING hash",
                    (token_id, account),
                ).fetchone()
            if row is None:
                return False
            self._uncache_token(row[0], token_id)
            return True

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _rows(self, query: str, parameter: int) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(query, (parameter,)).fetchall()

    def _load(self) -> None:
        for row in self._database.execute(f"SELECT {_KEY_COLUMNS} FROM key WHERE revoked_ns = 0"):
            self._cache_key(Key(*row))
        for digest, *row in self._database.execute(f"SELECT hash, {_TOKEN_COLUMNS} FROM token"):
            self._cache_token(digest, Token(*row))

    def _cache_key(self, key: Key) -> None:
        self._key_ids.add(key.key_id)
        self._by_key[key.public_key] = Access(key.account, key.permissions, key_id=key.key_id)

    def _cache_token(self, digest: bytes, token: Token) -> None:
        self._expiries[token.token_id] = token.expires_ns
        access = Access(token.account, token.permissions, token_id=token.token_id)
        self._by_token[digest] = (access, token.expires_ns)

    def _uncache_token(self, digest: bytes, token_id: int) -> None:
        self._by_token.pop(digest, None)
        self._expiries.pop(token_id, None)

    def _require_account(self, account: int) -> None:
        found = self._database.execute(
            "SELECT 1 FROM user WHERE account = ?", (account,)
        ).fetchone()
        if found is None:
            raise AccountRefused("Unknown account")

    def _change(self, taken: str) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self._database, taken)


def copy_accounts(source: Path, target: Path, *, accounts: int) -> None:
    """Copy a store that may be in use, for an exchange that has only the accounts below `accounts`.

    Users of later accounts stay without one, so that their ids are not reused; keys, tokens and
    withdrawals of these accounts are left out. Raises AccountsDamaged.
    """
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as origin:
            copied = sqlite3.connect(target, isolation_level=None)
            with closing(copied):
                origin.backup(copied)
                copied.execute("PRAGMA journal_mode = DELETE")
                copied.execute("PRAGMA synchronous = FULL")
                upgrade(copied, source)
                copied.execute("BEGIN IMMEDIATE")
                for table in ("withdrawal", "granted", "key", "token"):
                    copied.execute(f"DELETE FROM {table} WHERE account >= ?", (accounts,))
                copied.execute("UPDATE user SET account = NULL WHERE account >= ?", (accounts,))
                copied.execute("COMMIT")
                faults = [row[0] for row in copied.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        raise AccountsDamaged(f"{source} cannot be copied: {error}") from error
    if faults != ["ok"]:
        raise AccountsDamaged(f"{source} is damaged: {faults[0]}")


def _is_live(expires_ns: int, now_ns: int) -> bool:
    return expires_ns == 0 or now_ns < expires_ns
