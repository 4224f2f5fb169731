"""The ledger: what every account owns, in atoms, available or locked.

One cell per account and asset, in one flat list, so that a balance is one index away. Account 0 is
EXTERNAL, the other side of every credit and debit; account 1 is FEE. The ledger knows no orders.

Invariants:
- over all accounts, available plus locked of an asset is zero: money only moves;
- only EXTERNAL's available may be negative.
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
    """What one account owns of one asset. Open orders lock what they may have to pay."""

    def __init__(self) -> None:
        self.available: i64 = 0
        self.locked: i64 = 0


@final
class Ledger:
    """Cells in rows: one row an account, one column an asset; column 0 is never used."""

    def __init__(self) -> None:
        self.cells: list[Cell] = [Cell(), Cell()]
        self.columns: i64 = 1
        self.rows: i64 = 2

    def cell(self, account: i64, asset: i64) -> Cell:
        """The cell of an account and an asset, which must exist."""
        return self.cells[account * self.columns + asset]

    def add_account(self) -> None:
        """Append a row of zeros."""
        for _ in range(self.columns):
            self.cells.append(Cell())
        self.rows += 1

    def add_asset(self) -> None:
        """Append a column of zeros."""
        cells: list[Cell] = []
        columns = self.columns
        for row in range(self.rows):
            cells.extend(self.cells[row * columns : (row + 1) * columns])
            cells.append(Cell())
        self.cells = cells
        self.columns = columns + 1

    def supply(self, asset: i64) -> i64:
        """All that users and FEE own of an asset."""
        return -self.cell(EXTERNAL, asset).available
