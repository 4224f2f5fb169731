"""The ledger: what every account owns, in atoms, available or locked.

One cell per account and asset, made when it is first needed: with thousands of assets most accounts
own few. A cell stays the same object for ever, so that an order keeps its two. Account 0 is
EXTERNAL, the other side of every credit and debit; account 1 is FEE. The ledger knows no orders.

Invariants:
- over all accounts, available plus locked of an asset is zero: money only moves;
- only EXTERNAL's available may be negative;
- an absent cell means the same as one of zeros.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64, mypyc_attr

EXTERNAL: Final = 0
FEE: Final = 1
FIRST_USER: Final = 2


@final
@mypyc_attr(acyclic=True)
class Cell:
    """What one account owns of one asset. Open orders and holds lock what they may have to pay."""

    def __init__(self) -> None:
        self.available: i64 = 0
        self.locked: i64 = 0


@final
class Ledger:
    """A row of cells for each account, which is as long as its highest asset needs."""

    def __init__(self) -> None:
        self.rows: list[list[Cell | None]] = [[], []]

    def cell(self, account: i64, asset: i64) -> Cell:
        """The cell of an account and an asset, which must exist; it is made if it is absent."""
        row = self.rows[account]
        while len(row) <= asset:
            row.append(None)
        cell = row[asset]
        if cell is None:
            cell = row[asset] = Cell()
        return cell

    def find(self, account: i64, asset: i64) -> Cell | None:
        """The same; None if it is absent."""
        row = self.rows[account]
        return row[asset] if asset < len(row) else None

    def available(self, account: i64, asset: i64) -> i64:
        cell = self.find(account, asset)
        return 0 if cell is None else cell.available

    def sums(self, assets: i64) -> list[int]:
        """Available plus locked of all accounts, by asset up to `assets`; entry 0 is a placeholder.
        Each must be zero.
        """
        found: list[int] = []
        for asset in range(assets + 1):
            total: i64 = 0
            for row in self.rows:
                if asset < len(row):
                    cell = row[asset]
                    if cell is not None:
                        total += cell.available + cell.locked
            found.append(total)
        return found

    def supply(self, asset: i64) -> i64:
        """All that users and FEE own of an asset."""
        return -self.available(EXTERNAL, asset)
