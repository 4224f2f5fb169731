"""Reading the SQLite store in worker threads, without blocking the event loop.

Design: a query runs in a thread, on a read-only connection, and SQLite returns the whole result as
one JSON text without holding the interpreter's lock. Row by row it would take and release the lock
a thousand times, and the loop would wait each time.

Invariants: at most QUERIES_MAX queries are queued or running, each for at most QUERY_S; a file that
has replaced the open one is opened anew.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from fairbook.history.sqlite_store import APPLICATION_ID, SCHEMA_VERSION, file_identity
from fairbook.ports.history import HistoryBehind

READERS: Final = 2
QUERIES_MAX: Final = 64
QUERY_S: Final = 2.0
WARN_EVERY_S: Final = 10.0
_BUSY_S: Final = 0.5
_CACHE_KIB: Final = 8 * 1024

T = TypeVar("T")

logger = logging.getLogger(__name__)


class ReadConnection:
    """One connection, for one query at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # What is open.
        self._is_late = False
        self._warned_s = -WARN_EVERY_S

    def rows(self, columns: str, table: str, parameters: Sequence[Any]) -> list[list[Any]]:
        """The rows, in order, numbers exact. table: a table, or a query in parentheses."""
        statement = f"SELECT json_group_array(json_array({columns})) FROM {table}"
        (text,) = self._execute(statement, parameters).fetchone()
        found: list[list[Any]] = msgspec.json.decode(text)
        return found

    def row(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        """The first row of a statement's result; None if it is empty."""
        return self._execute(statement, parameters).fetchone()

    def run(self, query: Callable[[ReadConnection], T]) -> T:
        """The result of `query`, in one read transaction. Raises HistoryBehind."""
        self._is_late = False
        try:
            connection = self._open()
            connection.execute("BEGIN")
            try:
                return query(self)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self.close()
            why = "the query took too long" if self._is_late else str(error)
            self._warn(why)
            raise HistoryBehind(f"history cannot be read: {why}") from error

    def interrupt(self) -> None:
        """Make the running query fail. Called from another thread."""
        self._is_late = True
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    def close(self) -> None:
        """Close the file; idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _warn(self, why: str) -> None:
        """Log the cause: clients only learn that history is behind."""
        now_s = time.monotonic()
        if now_s - self._warned_s >= WARN_EVERY_S:
            self._warned_s = now_s
            logger.warning("history cannot be read: %s", why)

    def _execute(self, statement: str, parameters: Sequence[Any]) -> sqlite3.Cursor:
        assert self._connection is not None
        if self._is_late:
            raise sqlite3.OperationalError("interrupted")
        return self._connection.execute(statement, parameters)

    def _open(self) -> sqlite3.Connection:
        file = file_identity(self._path)
        if file is None:
            self.close()
            raise HistoryBehind("nothing is recorded yet")
        if self._connection is not None and file == self._file:
            return self._connection
        self.close()
        self._file = file
        connection = sqlite3.connect(
            f"file:{quote(str(self._path.absolute()))}?mode=ro",
            uri=True,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connection = connection
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            self.close()
            raise HistoryBehind("the store of history has another schema version")
        return connection


class ReadPool:
    """The connections to one file. All methods are for the loop's thread."""

    def __init__(
        self, path: Path, *, queries_max: int = QUERIES_MAX, query_s: float = QUERY_S
    ) -> None:
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="history")
        self._readers = [ReadConnection(path) for _ in range(READERS)]
        self._free: asyncio.LifoQueue[ReadConnection] = asyncio.LifoQueue()  # warm caches first
        for reader in self._readers:
            self._free.put_nowait(reader)
        self._queries_max = queries_max
        self._query_s = query_s
        self._queries = 0

    async def read(self, query: Callable[[ReadConnection], T]) -> T:
        """The result of `query`, run in a worker thread. Raises HistoryBehind."""
        if self._queries >= self._queries_max:
            raise HistoryBehind("too many queries are waiting")
        self._queries += 1
        try:
            reader = await self._free.get()
            try:
                return await self._run(reader, query)
            finally:
                self._free.put_nowait(reader)
        finally:
            self._queries -= 1

    async def close(self) -> None:
        """Close the files after the last query has ended."""
        self._queries_max = 0
        await asyncio.to_thread(self._threads.shutdown)
        for reader in self._readers:
            reader.close()

    async def _run(self, reader: ReadConnection, query: Callable[[ReadConnection], T]) -> T:
        """Run one query. The thread has finished with the connection when this ends."""
        answer = asyncio.get_running_loop().run_in_executor(self._threads, reader.run, query)
        try:
            await asyncio.wait([answer], timeout=self._query_s)
        finally:
            while not answer.done():
                reader.interrupt()
                await asyncio.wait([answer], timeout=0.05)
            answer.exception()  # retrieved, so that asyncio does not log it
        return answer.result()
