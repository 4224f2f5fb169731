"""References of money commands: each counts once, and nothing of it is ever forgotten.

A CREDIT, DEBIT or HOLD names 16 bytes, a hash of where it comes from and what it is called there.
The row that it leaves says what became of the money, and is what a decision about it goes by.

Invariants: rows stand in the order of their sequences and are never removed; `state` is the last
movement of the money.
"""

from __future__ import annotations

from typing import final

from mypy_extensions import i64, mypyc_attr

from fairbook.core.admin_records import (
    CONFIRMED,
    CREDITED,
    DEBITED,
    PENDING_CREDIT,
    REFUSED,
)
from fairbook.core.bytes_index import ABSENT, BytesIndex
from fairbook.core.records import CREDIT, DEBIT, HOLD


@final
@mypyc_attr(acyclic=True)
class Reference:
    """One money command that was executed. `detail`: of a HOLD, 32 bytes; else empty."""

    def __init__(
        self,
        reference: bytes,
        *,
        state: i64,
        account: i64,
        asset: i64,
        atoms: i64,
        operator: i64,
        sequence: i64,
        time_ns: i64,
        detail: bytes,
    ) -> None:
        self.reference = reference
        self.state = state  # CREDITED..CAPTURED
        self.account = account
        self.asset = asset
        self.atoms = atoms
        self.fee_atoms: i64 = 0  # of a captured HOLD: what FEE kept
        self.operator = operator  # who ordered it; 0: the exchange itself
        self.sequence = sequence
        self.time_ns = time_ns
        self.detail = detail

    def kind(self) -> i64:
        """CREDIT, DEBIT or HOLD."""
        state = self.state
        if state == CREDITED or self.was_pending():
            return CREDIT
        return DEBIT if state == DEBITED else HOLD

    def was_pending(self) -> bool:
        """Whether it is a CREDIT that had to be confirmed."""
        return self.state == PENDING_CREDIT or self.state == CONFIRMED or self.state == REFUSED


@final
class References:
    """All rows."""

    def __init__(self) -> None:
        self.rows: list[Reference] = []
        self.index = BytesIndex()

    def find(self, reference: bytes) -> Reference | None:
        at = self.index.get(reference)
        return None if at == ABSENT else self.rows[at]

    def add(self, row: Reference) -> None:
        self.index.put(row.reference, len(self.rows))
        self.rows.append(row)
