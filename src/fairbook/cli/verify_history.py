"""Compare the store of history with the log: a part of `fairbook verify`.

Design: the same recorder records the replayed log, up to the position of the store, into a second
store in a temporary directory. Then both are read side by side, table by table in key order.

Invariants:
- the store is read as of one moment, also while it is written to, and is not changed; SQLite may
  create its own files beside it (-wal, -shm);
- memory is bounded: two rows at a time. The temporary store needs as much disk as the other.
"""

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
from fairbook.log.command_log import Entry

_TRANSACTION_COMMANDS: Final = 4096
_BUSY_S: Final = 5.0
_CACHE_KIB: Final = 8 * 1024
_SCHEMA: Final = "(SELECT type, name, tbl_name, sql FROM sqlite_schema)"  # Without page numbers.

Row = tuple[Any, ...]


class HistoryUnreadable(Exception):
    """The store, or the one to compare it with, cannot be read or written."""


class HistoryComparison:
    """The store of a data directory, and a second one that the log is recorded into."""

    def __init__(self, stored: sqlite3.Connection, path: Path, exchange: Exchange) -> None:
        """stored: in a transaction. path: of the second store. exchange: of the replay, empty."""
        self._stored = stored
        self._path = path
        row = stored.execute("SELECT position FROM place").fetchone()
        self.position: int = row[0] if row else 0
        """Where the store of the directory ends."""
        self._replayed = SqliteStore(path)
        self._recorder = HistoryProjection(self._replayed, exchange)
        self._commands = 0

    def take(self, entry: Entry, events: bytes, runner: Runner) -> None:
        """Record an entry that `runner` has just applied."""
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
        """Rows that differ, by table, key and field, once all up to `position` is taken."""
        for (problem,) in self._stored.execute("SELECT * FROM pragma_integrity_check(20)"):
            if problem != "ok":
                yield f"the file: {problem}"
        with closing(sqlite3.connect(self._path, isolation_level=None)) as replayed:
            schema = list(_differences(_SCHEMA, ("type", "name"), self._stored, replayed))
            yield from schema
            if not schema:  # Otherwise the tables cannot be compared.
                for table, keys in _tables(replayed):
                    yield from _differences(table, keys, self._stored, replayed)

    def close(self) -> None:
        self._replayed.close()


@contextmanager
def history_comparison(directory: Path, exchange: Exchange) -> Iterator[HistoryComparison | None]:
    """None if the directory has no history. Raises HistoryUnreadable, also within."""
    path = directory / FILE_NAME
    if not path.exists():
        yield None
        return
    try:
        with (
            TemporaryDirectory(prefix="fairbook-verify-") as temporary,
            closing(_open(path)) as stored,
            closing(HistoryComparison(stored, Path(temporary) / FILE_NAME, exchange)) as found,
        ):
            yield found
    except (sqlite3.Error, StoreUnavailable, StoreInvalid) as error:
        raise HistoryUnreadable(f"{FILE_NAME} cannot be compared with the log: {error}") from error


def _open(path: Path) -> sqlite3.Connection:
    """Open it in a transaction, as of one moment. Raises sqlite3.Error, HistoryUnreadable."""
    name = f"file:{quote(str(path.absolute()))}?mode=ro"
    if not (os.access(path.parent, os.W_OK) or Path(f"{path}-wal").exists()):
        name += "&immutable=1"  # SQLite cannot create its files here, and there is no writer.
    connection = sqlite3.connect(name, uri=True, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("BEGIN")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise HistoryUnreadable(f"{FILE_NAME} is not a history of version {SCHEMA_VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def _tables(database: sqlite3.Connection) -> Iterator[tuple[str, Sequence[str]]]:
    """Every table, and the columns of its primary key."""
    names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    for (table,) in database.execute(f"{names} ORDER BY rowid").fetchall():
        columns = database.execute("SELECT pk, name FROM pragma_table_info(?)", (table,)).fetchall()
        yield table, [name for place, name in sorted(columns) if place]


def _differences(
    table: str, keys: Sequence[str], stored: sqlite3.Connection, replayed: sqlite3.Connection
) -> Iterator[str]:
    """Merge the two tables, both in key order."""
    statement = f"SELECT * FROM {table} ORDER BY {', '.join(keys)}"
    found_rows, expected_rows = stored.execute(statement), replayed.execute(statement)
    columns = [column[0] for column in expected_rows.description]
    key_columns = [columns.index(key) for key in keys]

    def key_of(row: Row) -> Row:
        return tuple(row[column] for column in key_columns)

    def name(row: Row) -> str:
        pairs = zip(keys, key_of(row), strict=True)
        shown = "schema" if table == _SCHEMA else table
        return f"{shown} {' '.join(f'{key}={value}' for key, value in pairs)}"

    found, expected = found_rows.fetchone(), expected_rows.fetchone()
    while found is not None or expected is not None:
        if found is None or (expected is not None and key_of(expected) < key_of(found)):
            yield f"{name(expected)}: missing"
            expected = expected_rows.fetchone()
        elif expected is None or key_of(found) < key_of(expected):
            yield f"{name(found)}: not in the log"
            found = found_rows.fetchone()
        else:
            for column, has, should in zip(columns, found, expected, strict=True):
                if has != should:
                    yield f"{name(found)}: {column} is {_shown(has)}, by the log {_shown(should)}"
            found, expected = found_rows.fetchone(), expected_rows.fetchone()


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)
