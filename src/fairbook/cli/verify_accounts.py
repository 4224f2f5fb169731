"""Compare the accounts store with the log: a part of `fairbook verify`.

Invariant: the store is read as of one moment before the log is, also while it is written to, and is
not changed; SQLite may create its own files beside it (-wal, -shm).
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from fairbook.accounts.contradictions import contradictions, is_held
from fairbook.accounts.sqlite_accounts import FILE_NAME, SqliteAccounts
from fairbook.engine.queries import EngineView
from fairbook.engine.runner import Runner
from fairbook.log.file_log import FileLog

UNHELD_S: Final = 5.0
"""A withdrawal is stored before its HOLD is logged: then the log has it."""


class AccountsComparison:
    """The store of a data directory, and the state that `runner` replays."""

    def __init__(self, directory: Path, store: SqliteAccounts, runner: Runner) -> None:
        self._directory = directory
        self._store = store
        self._runner = runner
        self._opened_s = time.monotonic()
        self.rows = store.count()

    def contradictions(self) -> list[str]:
        """Once the log is replayed. Raises LogDamaged, OSError."""
        facts = EngineView(self._runner.exchange)
        if not all(is_held(row, facts) for row in self._store.transfers.open_withdrawals()):
            self._replay_what_follows()
        return contradictions(self._store, facts)

    def _replay_what_follows(self) -> None:
        time.sleep(max(self._opened_s + UNHELD_S - time.monotonic(), 0.0))
        with closing(FileLog(self._directory, read_only=True)) as log:
            for entry in log.read(self._runner.position + 1):
                self._runner.apply(entry)


@contextmanager
def accounts_comparison(directory: Path, runner: Runner) -> Iterator[AccountsComparison | None]:
    """None if the directory has no accounts. Raises AccountsDamaged, also within."""
    path = directory / FILE_NAME
    if not path.exists():
        yield None
        return
    with SqliteAccounts.as_of_now(path) as store:
        yield AccountsComparison(directory, store, runner)
