"""The tables of the accounts store, and its transactions.

A new file gets all tables in one transaction; a file of another format is refused.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fairbook.accounts.credentials import AccountsDamaged
from fairbook.ports.accounts import AccountRefused

SCHEMA_VERSION: Final = 4  # 1 and 2 decided who may act; here only the log does
_WITHOUT_OPERATORS: Final = 3  # a store of this format gets the tables that are new

_TABLES: Final = """
CREATE TABLE user (
    user_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE,
    email TEXT,
    email_folded TEXT UNIQUE,
    account INTEGER UNIQUE CHECK (account >= 2),
    keys_added INTEGER NOT NULL DEFAULT 0,
    created_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE credential (
    credential_id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    type INTEGER NOT NULL CHECK (type BETWEEN 1 AND 4),
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    content BLOB NOT NULL,
    label TEXT NOT NULL,
    permissions INTEGER NOT NULL CHECK (permissions BETWEEN 0 AND 7),
    expires_ns INTEGER NOT NULL,
    created_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX credential_of_account ON credential (account);
CREATE TABLE withdrawal (
    withdrawal_id INTEGER PRIMARY KEY AUTOINCREMENT,
    reference BLOB NOT NULL UNIQUE CHECK (length(reference) = 16),
    account INTEGER NOT NULL,
    client_id TEXT,
    asset INTEGER NOT NULL,
    atoms INTEGER NOT NULL CHECK (atoms >= 1),
    address TEXT NOT NULL,
    blockchain TEXT NOT NULL,
    memo TEXT NOT NULL,
    nonce BLOB NOT NULL,
    is_captured INTEGER NOT NULL CHECK (is_captured IN (0, 1)),
    created_ns INTEGER NOT NULL,
    UNIQUE (account, client_id)
) STRICT;
CREATE INDEX withdrawal_open ON withdrawal (withdrawal_id) WHERE is_captured = 0;
CREATE TABLE granted (
    account INTEGER NOT NULL,
    asset INTEGER NOT NULL,
    atoms INTEGER NOT NULL CHECK (atoms >= 0),
    PRIMARY KEY (account, asset)
) STRICT, WITHOUT ROWID;
"""
_OPERATOR_TABLES: Final = f"""
CREATE TABLE operator (
    number INTEGER PRIMARY KEY CHECK (number >= 1),
    name TEXT NOT NULL,
    account INTEGER NOT NULL
) STRICT;
CREATE TABLE reason (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE approval (
    reference BLOB PRIMARY KEY CHECK (length(reference) = 16),
    position INTEGER NOT NULL,
    operator INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE announcement (
    sequence INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    operator INTEGER NOT NULL,
    text TEXT NOT NULL,
    is_ended INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE reset (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 16),
    position INTEGER NOT NULL,
    operator INTEGER NOT NULL,
    account INTEGER NOT NULL,
    is_used INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE invitation (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 16),
    position INTEGER NOT NULL,
    operator INTEGER NOT NULL,
    user_id INTEGER UNIQUE
) STRICT, WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


def prepare(database: sqlite3.Connection, name: object, *, is_read_only: bool = False) -> None:
    """Create the tables of a new file, and those that an older one lacks. `name` is for the
    message. Raises AccountsDamaged if it is no accounts store, or one of another format.
    """
    # Rows may be damaged on purpose: what is no UTF-8 must not stop a reader.
    database.text_factory = lambda data: data.decode(errors="replace")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if version == SCHEMA_VERSION or (version == _WITHOUT_OPERATORS and is_read_only):
        return
    if version != _WITHOUT_OPERATORS and (version != 0 or tables):
        raise AccountsDamaged(
            f"{name} is no accounts store of format {_WITHOUT_OPERATORS} or {SCHEMA_VERSION}, which"
            f" this release reads: it has format {version}"
        )
    new = "" if version else _TABLES
    database.executescript(f"BEGIN IMMEDIATE;{new}{_OPERATOR_TABLES}")


@contextmanager
def transaction(database: sqlite3.Connection, taken: str) -> Iterator[sqlite3.Connection]:
    """Under the caller's lock. Raises AccountRefused(taken) if a value is not unique."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        database.execute("ROLLBACK")
        raise AccountRefused(taken) from error
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
