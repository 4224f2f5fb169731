"""How much an account may hold for withdrawals of an asset in one day of log time.

Invariant: a row for each account and asset that ever held something, or has a bound of its own.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64, mypyc_attr

from fairbook.core.bytes_index import ABSENT, BytesIndex, key_of
from fairbook.core.units import NS_PER_SECOND

AS_ASSET: Final = -1  # no bound of its own
NS_PER_DAY: Final = 86_400 * NS_PER_SECOND


@final
@mypyc_attr(acyclic=True)
class DailyWithdrawals:
    """Of one account and asset."""

    def __init__(self, account: i64, asset: i64) -> None:
        self.account = account
        self.asset = asset
        self.atoms_max: i64 = AS_ASSET
        self.day: i64 = 0  # since 1970, UTC
        self.atoms: i64 = 0  # held on that day, and not released

    def used(self, day: i64) -> i64:
        """The atoms held on a day."""
        return self.atoms if day == self.day else 0

    def add(self, day: i64, atoms: i64) -> None:
        self.atoms = self.used(day) + atoms
        self.day = day


@final
class DailyWithdrawalTable:
    """All rows, in the order in which they were made."""

    def __init__(self) -> None:
        self.rows: list[DailyWithdrawals] = []
        self.index = BytesIndex()

    def find(self, account: i64, asset: i64) -> DailyWithdrawals | None:
        at = self.index.get(_key(account, asset))
        return None if at == ABSENT else self.rows[at]

    def row(self, account: i64, asset: i64) -> DailyWithdrawals:
        """It is made if it is absent."""
        found = self.find(account, asset)
        if found is None:
            found = DailyWithdrawals(account, asset)
            self.index.put(_key(account, asset), len(self.rows))
            self.rows.append(found)
        return found


def _key(account: i64, asset: i64) -> bytes:
    return key_of(account | asset << 32)


def day_of(time_ns: i64) -> i64:
    """Days since 1970, UTC."""
    return time_ns // NS_PER_DAY
