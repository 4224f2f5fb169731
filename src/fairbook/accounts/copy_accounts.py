"""Copy the accounts store for a backup, to the place in the log where the copied log ends."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from fairbook.accounts.contradictions import all_rows, credential_of
from fairbook.accounts.credentials import AccountsDamaged, StoredCredential, User
from fairbook.accounts.sqlite_accounts import SqliteAccounts, StoredRow
from fairbook.accounts.sqlite_schema import prepare
from fairbook.core import admin_records
from fairbook.core.units import NS_PER_SECOND
from fairbook.ports.queries import Facts

_STORED_BEFORE_NS: Final = 60 * NS_PER_SECOND
"""A withdrawal is stored before its HOLD is logged, by another clock."""


def copy_accounts(source: Path, target: Path, facts: Facts) -> None:
    """Copy a store that may be in use. `facts`: at the end of the copied log.

    What belongs to later facts is left out; users of later accounts stay without one, so that their
    ids are not reused. Other rows that contradict the log are copied, and named by `verify` there
    as here. Raises AccountsDamaged.
    """
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as origin,
            closing(sqlite3.connect(target, isolation_level=None)) as copied,
        ):
            prepare(origin, source)
            origin.backup(copied)
        with closing(SqliteAccounts(target)) as store:
            later = [row for row in all_rows(store) if _is_later(row, facts)]
        with closing(sqlite3.connect(target, isolation_level=None)) as copied:
            copied.execute("PRAGMA journal_mode = DELETE")
            copied.execute("PRAGMA synchronous = FULL")
            copied.execute("BEGIN IMMEDIATE")
            for row in later:
                _step_back(copied, row, facts)
            copied.execute("COMMIT")
            faults = [row[0] for row in copied.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        raise AccountsDamaged(f"{source} cannot be copied: {error}") from error
    if faults != ["ok"]:
        raise AccountsDamaged(f"{source} is damaged: {faults[0]}")


def _is_later(row: StoredRow, facts: Facts) -> bool:
    """Whether it says what may have become true after the log of the copy ends."""
    end_ns = facts.log_time_ns()
    if isinstance(row, User):
        return row.account != 0 and facts.account_of_user(row.user_id) == 0
    if isinstance(row, StoredCredential):
        return row.created_ns >= end_ns and credential_of(row, facts) is None
    fact = facts.reference(row.reference)
    if fact is None:
        return row.created_ns >= end_ns - _STORED_BEFORE_NS
    return fact.state == admin_records.HELD and bool(row.is_captured)


def _step_back(copied: sqlite3.Connection, row: StoredRow, facts: Facts) -> None:
    """Make it what it was before, as far as that matters."""
    if isinstance(row, User):
        copied.execute("UPDATE user SET account = NULL WHERE user_id = ?", (row.user_id,))
        copied.execute("DELETE FROM granted WHERE account = ?", (row.account,))
    elif isinstance(row, StoredCredential):
        copied.execute("DELETE FROM credential WHERE credential_id = ?", (row.credential_id,))
    elif facts.reference(row.reference) is None:
        copied.execute("DELETE FROM withdrawal WHERE withdrawal_id = ?", (row.withdrawal_id,))
    else:
        copied.execute(
            "UPDATE withdrawal SET is_captured = 0 WHERE withdrawal_id = ?", (row.withdrawal_id,)
        )
