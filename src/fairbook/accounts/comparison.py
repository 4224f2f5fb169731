"""Compare the accounts store with the log while the exchange runs.

Design: a pass reads all rows, some hundred at a time, in a worker thread, and checks them between
two turns of the loop. A withdrawal is stored before its HOLD is logged, so one without it counts
only when it is still so UNHELD_S later.

Invariants:
- a row is named only if it contradicts the log after it was read a second time;
- the pass takes a small, constant share of a CPU, however many rows there are.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Mapping
from typing import Any, Final

from fairbook.accounts.contradictions import contradiction, is_held
from fairbook.accounts.credentials import AccountsDamaged, StoredCredential, User
from fairbook.accounts.sqlite_accounts import (
    FILE_NAME,
    FIRST_ID,
    LAST_ID,
    TABLES,
    SqliteAccounts,
    StoredRow,
)
from fairbook.ports.accounts import Withdrawal
from fairbook.ports.queries import Facts

ROWS_AT_ONCE: Final = 300  # about 1 ms
PAUSE_S: Final = 0.05  # between them
PASS_EVERY_S: Final = 1.0  # of a small store
UNHELD_S: Final = 5.0  # longer than a HOLD takes, or its request has failed
NAMED_MAX: Final = 1000

logger = logging.getLogger(__name__)


class StoreComparison:
    """Call it in the thread of the engine's loop."""

    def __init__(
        self,
        store: SqliteAccounts,
        facts: Facts,
        *,
        pass_every_s: float = PASS_EVERY_S,
        unheld_s: float = UNHELD_S,
    ) -> None:
        self._store = store
        self._facts = facts
        self._pass_every_s = pass_every_s
        self._unheld_s = unheld_s
        self._unheld: dict[int, float] = {}  # withdrawal id: since when, by the monotonic clock
        self._logged: set[str] = set()
        self._started: list[str] = []
        self._found: list[str] = []
        self._rows = 0
        self._passes = 0
        self._failed = ""  # why the last pass was not done
        self._ended_s = 0.0
        self._task: asyncio.Task[None] | None = None

    def add(self, sentences: list[str]) -> None:
        """What the start has found and removed; shown as long as the exchange runs."""
        self._started += sentences
        for sentence in sentences:
            self._log(sentence)

    def start(self) -> "asyncio.Task[None]":
        """The task that compares until `stop`; it ends by itself only if there is a bug."""
        self._task = asyncio.create_task(self._run())
        return self._task

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def compare_all(self, pause_s: float = PAUSE_S) -> None:
        """One pass over all rows."""
        found: list[str] = []
        unheld: dict[int, float] = {}
        rows = 0
        try:
            for table in TABLES:
                first = FIRST_ID
                while first <= LAST_ID and (batch := await self._read(table, first)):
                    for row, user in batch:
                        sentence = self._check(row, user, unheld)
                        if sentence and await self._is_still_so(table, row):
                            self._log(sentence)
                            found.append(sentence)
                    rows += len(batch)
                    first = batch[-1][0][0] + 1
                    await asyncio.sleep(pause_s)
        except sqlite3.Error as error:
            sentence = f"the file cannot be read: {error}"
            self._log(sentence)
            found.append(sentence)
        self._unheld = unheld
        self._found, self._rows = found, rows
        self._passes += 1
        self._ended_s = time.monotonic()

    def status(self) -> Mapping[str, Any]:
        """contradictions: of the last pass, at most NAMED_MAX; removed: what the start found;
        failed: why the last pass was not done.
        """
        return {
            "rows": self._rows,
            "passes": self._passes,
            "age_s": round(time.monotonic() - self._ended_s) if self._passes else None,
            "count": len(self._found),
            "contradictions": self._found[:NAMED_MAX],
            "removed": self._started[:NAMED_MAX],
            "failed": self._failed or None,
        }

    async def _run(self) -> None:
        while True:
            began_s = time.monotonic()
            try:
                await self.compare_all()
                self._failed = ""
            except (sqlite3.Error, AccountsDamaged) as error:
                self._failed = str(error)
                logger.error("%s cannot be compared: %s", FILE_NAME, error)
            spent_s = time.monotonic() - began_s
            await asyncio.sleep(max(self._pass_every_s - spent_s, PAUSE_S))

    async def _read(self, table: str, first: int) -> list[tuple[StoredRow, User | None]]:
        return await asyncio.to_thread(self._read_rows, table, first, ROWS_AT_ONCE)

    def _read_rows(self, table: str, first: int, limit: int) -> list[tuple[StoredRow, User | None]]:
        """Rows, and for each credential whose account it is."""
        rows = self._store.rows(table, first, limit)
        return [
            (row, self._store.user_of(row.account) if isinstance(row, StoredCredential) else None)
            for row in rows
        ]

    def _check(self, row: StoredRow, user: User | None, unheld: dict[int, float]) -> str | None:
        if isinstance(row, Withdrawal) and not row.is_captured and not is_held(row, self._facts):
            since_s = self._unheld.get(row.withdrawal_id, time.monotonic())
            unheld[row.withdrawal_id] = since_s
            if time.monotonic() - since_s < self._unheld_s:
                return None
        return contradiction(row, user, self._facts)

    async def _is_still_so(self, table: str, row: StoredRow) -> bool:
        """It may have been removed since it was read, and its slot been given out again."""
        again = await asyncio.to_thread(self._read_rows, table, row[0], 1)
        if not again or again[0][0][0] != row[0]:
            return False
        return contradiction(*again[0], self._facts) is not None

    def _log(self, sentence: str) -> None:
        """Each once."""
        if sentence not in self._logged and len(self._logged) < NAMED_MAX:
            self._logged.add(sentence)
            logger.error("%s contradicts the log: %s", FILE_NAME, sentence)
