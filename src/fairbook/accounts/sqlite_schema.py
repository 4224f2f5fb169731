"""The tables of the accounts store, version by version, and its transactions.

Each version is one script in one transaction, which sets the version at its end. A file is upgraded
by the scripts after its own version; after a crash the upgrade continues where it stopped.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fairbook.accounts.credentials import AccountsDamaged
from fairbook.ports.accounts import AccountRefused

_STEPS: Final = (
    """
BEGIN IMMEDIATE;
CREATE TABLE user (
    user_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE,
    email TEXT UNIQUE,
    account INTEGER UNIQUE CHECK (account >= 2),
    created_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE key (
    key_id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES user (account),
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32),
    label TEXT NOT NULL,
    permissions INTEGER NOT NULL CHECK (permissions BETWEEN 1 AND 7),
    created_ns INTEGER NOT NULL,
    revoked_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX key_of_account ON key (account);
CREATE TABLE token (
    token_id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES user (account),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    permissions INTEGER NOT NULL CHECK (permissions BETWEEN 1 AND 7),
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX token_of_account ON token (account);
PRAGMA user_version = 1;
COMMIT;
""",
    """
BEGIN IMMEDIATE;
CREATE TABLE withdrawal (
    withdrawal_id INTEGER PRIMARY KEY AUTOINCREMENT,
    reference INTEGER NOT NULL UNIQUE CHECK (reference >= 1),
    account INTEGER NOT NULL REFERENCES user (account),
    client_id TEXT,
    asset INTEGER NOT NULL,
    atoms INTEGER NOT NULL CHECK (atoms >= 1),
    address TEXT NOT NULL,
    blockchain TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    UNIQUE (account, client_id)
) STRICT;
CREATE TABLE granted (
    account INTEGER NOT NULL REFERENCES user (account),
    asset INTEGER NOT NULL,
    atoms INTEGER NOT NULL CHECK (atoms >= 0),
    PRIMARY KEY (account, asset)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 2;
COMMIT;
""",
)
SCHEMA_VERSION: Final = len(_STEPS)


def upgrade(database: sqlite3.Connection, name: object) -> None:
    """Upgrade a new or older file to the newest version. `name` is for the message. Raises
    AccountsDamaged if it is no accounts store, or of a newer version.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not 0 <= version <= SCHEMA_VERSION or (version == 0 and tables):
        raise AccountsDamaged(
            f"{name} has version {version} of the accounts schema;"
            f" this release knows {SCHEMA_VERSION}"
        )
    for step in _STEPS[version:]:
        database.executescript(step)


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
