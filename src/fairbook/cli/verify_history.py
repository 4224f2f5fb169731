"""Whether the store of history says what the log says: a part of `verify`.

How it works: what the log gives up to the store's position is recorded anew by the same recorder,
into a store of our own in a temporary directory. Then both are read side by side, table by table in
the order of their keys.

Always true:
- the store is read as it was at one moment, also while it is written to, and nothing in it is
  changed; SQLite's own files beside it (-wal, -shm) may come into being;
- memory is bounded: two rows at a time. The temporary store takes as much disk as the other.

Not here: the replay (look.py), what is recorded (history/recorder.py).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import quote

from fairbook.core.exchange import Exchange
from fairbook.core.records import COMMAND_BYTES
from fairbook.engine.runner import Runner
from fairbook.history.projection import HistoryProjection
from fairbook.history.sqlite_store import APPLICATION_ID, FILE_NAME, SCHEMA_VERSION, SqliteStore
from fairbook.history.store import StoreInvalid, StoreUnavailable
from fairbook.log.log import Entry

_TRANSACTION_COMMANDS: Final = 4096
_BUSY_S: Final = 5.0
_CACHE_KIB: Final = 8 * 1024
_SCHEMA: Final = "(SELECT type, name, tbl_name, sql FROM sqlite_schema)"  # Not where its pages are.

Row = tuple[Any, ...]


class HistoryUnreadable(Exception):
    """The store, or the one it is compared with, cannot be read or written. Says why."""


class Recorded:
    """The store of a directory, and what the log makes of it so far."""

    def __init__(self, kept: sqlite3.Connection, path: Path, exchange: Exchange) -> None:
        """kept: the store, in a transaction. path: of ours. exchange: at the log's beginning."""
        self._kept = kept
        self._path = path
        place = kept.execute("SELECT position FROM place").fetchone()
        self.position: int = place[0] if place else 0
        """Up to where the store goes."""
        self._store = SqliteStore(path)
        self._recorder = HistoryProjection(self._store, exchange)
        self._commands = 0

    def take(self, entry: Entry, events: bytes, runner: Runner) -> None:
        """One more entry, which `runner` has applied, and no later one."""
        if entry.position > self.position:
            return
        self._recorder.take(entry.time_ns, events)
        self._commands += len(entry.frame) // COMMAND_BYTES
        if self._commands >= _TRANSACTION_COMMANDS or entry.position == self.position:
            self._commands = 0
            self._recorder.commit(
                position=entry.position, time_ns=runner.exchange.time_ns, chain=runner.chain
            )

    def differences(self) -> Iterator[str]:
        """What is changed, missing or there too much, by table, key and field. Everything up to
        `position` was taken.
        """
        for (problem,) in self._kept.execute("SELECT * FROM pragma_integrity_check(20)"):
            if problem != "ok":
                yield f"the file: {problem}"
        with closing(sqlite3.connect(self._path, isolation_level=None)) as right:
            is_other = False
            for difference in _differences(_SCHEMA, ("type", "name"), self._kept, right):
                is_other = True
                yield difference
            if is_other:
                return  # Its tables are not ours.
            for table, keys in _tables(right):
                yield from _differences(table, keys, self._kept, right)

    def close(self) -> None:
        """Close ours."""
        self._store.close()


@contextmanager
def recorded(directory: Path, exchange: Exchange) -> Iterator[Recorded | None]:
    """The store of a directory; None if there is none. Raises HistoryUnreadable, also within."""
    path = directory / FILE_NAME
    if not path.exists():
        yield None
        return
    try:
        with TemporaryDirectory(prefix="fairbook-verify-") as aside, closing(_open(path)) as kept:
            found = Recorded(kept, Path(aside) / FILE_NAME, exchange)
            try:
                yield found
            finally:
                found.close()
    except (sqlite3.Error, StoreUnavailable, StoreInvalid) as error:
        raise HistoryUnreadable(f"{FILE_NAME} cannot be compared with the log: {error}") from error


def _open(path: Path) -> sqlite3.Connection:
    """In a transaction that sees one moment of it. Raises sqlite3.Error, HistoryUnreadable."""
    name = f"file:{quote(str(path.absolute()))}?mode=ro"
    if not (os.access(path.parent, os.W_OK) or Path(f"{path}-wal").exists()):
        name += "&immutable=1"  # SQLite could not make its files, and nobody else writes here.
    connection = sqlite3.connect(name, uri=True, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("BEGIN")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise HistoryUnreadable(f"{FILE_NAME} is no store of version {SCHEMA_VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def _tables(database: sqlite3.Connection) -> Iterator[tuple[str, Sequence[str]]]:
    """All of them, and the columns of their primary keys."""
    named = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    for (table,) in database.execute(f"{named} ORDER BY rowid").fetchall():
        columns = database.execute("SELECT pk, name FROM pragma_table_info(?)", (table,)).fetchall()
        yield table, [name for place, name in sorted(columns) if place]


def _differences(
    table: str, keys: Sequence[str], kept: sqlite3.Connection, right: sqlite3.Connection
) -> Iterator[str]:
    statement = f"SELECT * FROM {table} ORDER BY {', '.join(keys)}"
    found, expected = kept.execute(statement), right.execute(statement)
    columns = [column[0] for column in expected.description]
    places = [columns.index(key) for key in keys]

    def key_of(row: Row) -> Row:
        return tuple(row[place] for place in places)

    theirs, ours = found.fetchone(), expected.fetchone()
    while theirs is not None or ours is not None:
        if theirs == ours:
            theirs, ours = found.fetchone(), expected.fetchone()
        elif theirs is None or (ours is not None and key_of(ours) < key_of(theirs)):
            yield f"{_named(table, keys, key_of(ours))}: missing"
            ours = expected.fetchone()
        elif ours is None or key_of(theirs) < key_of(ours):
            yield f"{_named(table, keys, key_of(theirs))}: not in the log"
            theirs = found.fetchone()
        else:
            for column, has, should in zip(columns, theirs, ours, strict=True):
                if has != should:
                    place = _named(table, keys, key_of(theirs))
                    yield f"{place}: {column} is {_shown(has)}, by the log {_shown(should)}"
            theirs, ours = found.fetchone(), expected.fetchone()


def _named(table: str, keys: Sequence[str], values: Row) -> str:
    pairs = zip(keys, values, strict=True)
    table = "schema" if table == _SCHEMA else table
    return f"{table} {' '.join(f'{key}={value}' for key, value in pairs)}"


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)
