"""What all stores of history share: rows of a transaction, lengths of bars, errors."""

from dataclasses import dataclass, field
from typing import Final

LENGTHS_S: Final = (1, 60, 900, 3_600, 86_400)  # lengths of the stored bars; each divides the next

Row = tuple[int | str | bytes | None, ...]


class StoreInvalid(Exception):
    """The store has another schema, is damaged, or contradicts what is to be recorded."""


class StoreUnavailable(OSError):
    """The store cannot be used now: locked, no space left, I/O error. Retrying may help."""


class StoreTaken(StoreUnavailable):
    """Another recorder has written to the store, or replaced it, since it was opened."""


@dataclass(slots=True)
class RowBatch:
    """The rows of one transaction, columns as in the tables."""

    trades: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    transfers: list[Row] = field(default_factory=list)
    bars: list[Row] = field(default_factory=list)
    """Of this batch's trades alone: the store adds them to the bars it has."""
