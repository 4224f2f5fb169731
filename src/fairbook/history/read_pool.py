"""Asking the store without standing in anybody's way: connections in worker threads.

How it works: a question runs in a thread, on a connection that can only read, and gets each answer
as one text. SQLite makes that without the interpreter's lock; row by row it would take the lock and
give it back a thousand times, and the loop would stand still meanwhile.

Always true: at most `ASKED_MAX` questions are there, each takes at most `QUESTION_S`; a file that
was put in the place of the one before is opened anew.

Not here: the questions (reading.py).
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

from fairbook.history.store import APPLICATION_ID, SCHEMA_VERSION, file_at
from fairbook.ports.history import HistoryBehind

READERS: Final = 2
ASKED_MAX: Final = 64
QUESTION_S: Final = 2.0
TOLD_EVERY_S: Final = 10.0
_BUSY_S: Final = 0.5
_CACHE_KIB: Final = 8 * 1024

T = TypeVar("T")

logger = logging.getLogger(__name__)


class ReadConnection:
    """One connection, for one question at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # What is open.
        self._is_late = False
        self._told_s = -TOLD_EVERY_S

    def rows(self, columns: str, table: str, parameters: Sequence[Any]) -> list[list[Any]]:
        """What `SELECT columns FROM table` gives, in that order. For questions, in their thread.

        table: a table or a query in parentheses. Numbers stay exact.
        """
        statement = f"SELECT json_group_array(json_array({columns})) FROM {table}"
        (text,) = self._execute(statement, parameters).fetchone()
        found: list[list[Any]] = msgspec.json.decode(text)
        return found

    def row(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        """The first row that a statement gives; None if it gives none."""
        return self._execute(statement, parameters).fetchone()

    def answer(self, question: Callable[[ReadConnection], T]) -> T:
        """What it returns, of one moment of the store. Raises HistoryBehind."""
        self._is_late = False
        try:
            connection = self._open()
            connection.execute("BEGIN")
            try:
                return question(self)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self.close()
            why = "it takes too long" if self._is_late else str(error)
            self._tell(why)
            raise HistoryBehind(f"history cannot be read: {why}") from error

    def interrupt(self) -> None:
        """Let what runs fail. For another thread."""
        self._is_late = True
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    def close(self) -> None:
        """Close the file; idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _tell(self, why: str) -> None:
        """Whoever runs the exchange: clients learn no more than that history is behind."""
        now_s = time.monotonic()
        if now_s - self._told_s >= TOLD_EVERY_S:
            self._told_s = now_s
            logger.warning("history cannot be read: %s", why)

    def _execute(self, statement: str, parameters: Sequence[Any]) -> sqlite3.Cursor:
        assert self._connection is not None
        if self._is_late:
            raise sqlite3.OperationalError("interrupted")
        return self._connection.execute(statement, parameters)

    def _open(self) -> sqlite3.Connection:
        file = file_at(self._path)
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
            raise HistoryBehind("the store of history is not one of this version")
        return connection


class ReadPool:
    """The readers of one file. All methods are for the loop's thread."""

    def __init__(
        self,
        path: Path,
        *,
        readers: int = READERS,
        asked_max: int = ASKED_MAX,
        question_s: float = QUESTION_S,
    ) -> None:
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="history")
        self._readers = [ReadConnection(path) for _ in range(readers)]
        self._free: asyncio.LifoQueue[ReadConnection] = asyncio.LifoQueue()  # The warm one first.
        for reader in self._readers:
            self._free.put_nowait(reader)
        self._asked_max = asked_max
        self._question_s = question_s
        self._asked = 0

    async def ask(self, question: Callable[[ReadConnection], T]) -> T:
        """What `question` returns; it runs in a thread. Raises HistoryBehind."""
        if self._asked >= self._asked_max:
            raise HistoryBehind("too many questions are waiting")
        self._asked += 1
        try:
            reader = await self._free.get()
            try:
                return await self._answer(reader, question)
            finally:
                self._free.put_nowait(reader)
        finally:
            self._asked -= 1

    async def close(self) -> None:
        """Close the files, once the last question is answered."""
        self._asked_max = 0
        await asyncio.to_thread(self._threads.shutdown)
        for reader in self._readers:
            reader.close()

    async def _answer(self, reader: ReadConnection, question: Callable[[ReadConnection], T]) -> T:
        """Whatever happens, the thread is done with the reader when this ends."""
        loop = asyncio.get_running_loop()
        answer = loop.run_in_executor(self._threads, reader.answer, question)
        try:
            done, _ = await asyncio.wait([answer], timeout=self._question_s)
        except asyncio.CancelledError:
            await _end(reader, answer)
            raise
        if not done:
            await _end(reader, answer)
        return answer.result()


async def _end(reader: ReadConnection, answer: asyncio.Future[T]) -> None:
    while not answer.done():
        reader.interrupt()
        await asyncio.wait([answer], timeout=0.05)
    answer.exception()  # Somebody has looked at it.
