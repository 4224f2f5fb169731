"""The store of history: one SQLite file, written by one recorder, read by anybody.

How it works: a transaction brings the rows of some frames together with the position, time and
chain of the last of them. Bars of some lengths (`LENGTHS_S`) are kept, and a transaction adds to
them what it brings: so nothing has to be remembered between two of them.

Always true:
- what is recorded up to `position` is whole: rows and position change together or not at all;
- a second writer, rows that are there already, a file that is no store, or that was removed or
  replaced while it is open: found, and nothing is written;
- numbers are the core's units; volumes of bars, which may exceed 64 bits, are two columns:
  high * 2^32 + low.

Not here: what rows follow from which events (recorder.py), asking (reading.py).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fairbook.candles.candles import Bar
from fairbook.ports.history import OrderRow, TradeRow

FILE_NAME: Final = "history.db"
SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x46_62_48_31  # "FbH1"
CHAIN_BYTES: Final = 32
LENGTHS_S: Final = (1, 60, 900, 3_600, 86_400)
"""Of the bars that are kept; each divides the next."""
LOW_BITS: Final = 32
LOW: Final = (1 << LOW_BITS) - 1

_BUSY_S: Final = 1.0
_CACHE_KIB: Final = 32 * 1024
_CHECKPOINT_PAGES: Final = 4_000
_WAL_BYTES_KEPT: Final = 64 * 1024 * 1024

_SCHEMA: Final = """
CREATE TABLE place (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    chain BLOB NOT NULL
) STRICT;
CREATE TABLE trades (
    trade_id INTEGER NOT NULL,
    market INTEGER NOT NULL,
    price INTEGER NOT NULL,
    lots INTEGER NOT NULL,
    quote INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    taker_side INTEGER NOT NULL,
    taker_account INTEGER NOT NULL,
    maker_account INTEGER NOT NULL,
    taker_order_id INTEGER NOT NULL,
    maker_order_id INTEGER NOT NULL,
    taker_fee INTEGER NOT NULL,
    maker_fee INTEGER NOT NULL,
    is_generated INTEGER NOT NULL,
    PRIMARY KEY (market, trade_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX trades_by_taker
    ON trades (taker_account, time_ns, market, trade_id, taker_order_id);
CREATE INDEX trades_by_maker
    ON trades (maker_account, time_ns, market, trade_id, maker_order_id);
CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    client_id INTEGER NOT NULL,
    market INTEGER NOT NULL,
    side INTEGER NOT NULL,
    tif INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    price INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    filled INTEGER NOT NULL,
    quote INTEGER NOT NULL,
    fee INTEGER NOT NULL,
    status INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    closed_ns INTEGER NOT NULL,
    is_generated INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_by_account ON orders (account, order_id, market);
CREATE INDEX orders_by_client ON orders (account, client_id, order_id) WHERE flags & 1;
CREATE TABLE transfers (
    transfer_id INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    asset INTEGER NOT NULL,
    side INTEGER NOT NULL,
    atoms INTEGER NOT NULL,
    reference INTEGER NOT NULL,
    time_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX transfers_by_account ON transfers (account, side, time_ns);
CREATE INDEX transfers_by_reference ON transfers (account, side, reference, time_ns);
CREATE TABLE bars (
    market INTEGER NOT NULL,
    length_s INTEGER NOT NULL,
    start_s INTEGER NOT NULL,
    open INTEGER NOT NULL,
    high INTEGER NOT NULL,
    low INTEGER NOT NULL,
    close INTEGER NOT NULL,
    lots_high INTEGER NOT NULL,
    lots_low INTEGER NOT NULL,
    quote_high INTEGER NOT NULL,
    quote_low INTEGER NOT NULL,
    trades INTEGER NOT NULL,
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL,
    PRIMARY KEY (market, length_s, start_s)
) STRICT, WITHOUT ROWID;
"""

_ADD_TRADES: Final = f"INSERT INTO trades VALUES ({', '.join('?' * len(TradeRow._fields))})"
_ADD_TRANSFERS: Final = (
    "INSERT INTO transfers (account, asset, side, atoms, reference, time_ns)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
# What never changes is left alone, so that the indexes are.
_PUT_ORDERS: Final = (
    f"INSERT INTO orders VALUES ({', '.join('?' * len(OrderRow._fields))})"
    " ON CONFLICT (order_id) DO UPDATE SET price = excluded.price, quantity = excluded.quantity,"
    " filled = excluded.filled, quote = excluded.quote, fee = excluded.fee,"
    " status = excluded.status, reason = excluded.reason, closed_ns = excluded.closed_ns"
)
_ADD_BARS: Final = f"""
INSERT INTO bars VALUES ({", ".join("?" * 14)})
ON CONFLICT (market, length_s, start_s) DO UPDATE SET
    high = max(high, excluded.high),
    low = min(low, excluded.low),
    close = excluded.close,
    lots_high = lots_high + excluded.lots_high + (lots_low + excluded.lots_low >> {LOW_BITS}),
    lots_low = lots_low + excluded.lots_low & {LOW},
    quote_high = quote_high + excluded.quote_high + (quote_low + excluded.quote_low >> {LOW_BITS}),
    quote_low = quote_low + excluded.quote_low & {LOW},
    trades = trades + excluded.trades,
    last_id = excluded.last_id
"""
_MOVE: Final = "UPDATE place SET position = ?, time_ns = ?, chain = ? WHERE position = ?"

_UNSOUND_CODES: Final = (
    sqlite3.SQLITE_ERROR,  # No such table, no such column.
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_FORMAT,
)

Row = tuple[int, ...]


class StoreUnsound(Exception):
    """The file is no store of this version, is damaged, or contradicts what is to be recorded."""


class StoreFailed(OSError):
    """The store cannot be used now: locked, no space left, I/O error. Later it may."""


class StoreTaken(StoreFailed):
    """Somebody else has recorded, or put another file in its place, since this was opened; it is to
    be opened again.
    """


@dataclass(slots=True)
class Rows:
    """What one transaction brings. Columns as in the tables; the recorder sees to it."""

    trades: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    transfers: list[Row] = field(default_factory=list)
    bars: list[Row] = field(default_factory=list)
    """Of this transaction's trades alone: they are added to what is there."""


class Store:
    """The recorder's end of the file. For one thread."""

    def __init__(self, path: Path, *, busy_s: float = _BUSY_S) -> None:
        """Open the store, and make it if it is missing. Raises StoreUnsound, StoreFailed.

        busy_s: how long to wait for somebody who has it locked.
        """
        self.position = 0
        """Up to where everything is recorded; 0: nothing is."""
        self.time_ns = 0
        self.chain = bytes(CHAIN_BYTES)
        """Of the log at `position`."""
        self._path = path
        with _judged():
            self._database = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._database.close()
                raise
        self._file = file_at(path)

    def write(self, rows: Rows, *, position: int, time_ns: int, chain: bytes) -> None:
        """Record everything up to `position`. Raises StoreUnsound, StoreTaken, or StoreFailed: then
        nothing has happened, and it may be tried again.
        """
        if self._file is None or file_at(self._path) != self._file:
            raise StoreTaken("the file was removed or replaced")
        database = self._database
        with _judged():
            database.execute("BEGIN IMMEDIATE")
            try:
                # First of all: rows of somebody else would look like a contradiction.
                place = (position, time_ns, chain, self.position)
                if database.execute(_MOVE, place).rowcount != 1:
                    raise StoreTaken("somebody else writes to it")
                database.executemany(_ADD_TRADES, rows.trades)
                database.executemany(_PUT_ORDERS, rows.orders)
                database.executemany(_ADD_TRANSFERS, rows.transfers)
                database.executemany(_ADD_BARS, rows.bars)
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        self.position = position
        self.time_ns = time_ns
        self.chain = chain

    def sync(self) -> None:
        """Make durable what was recorded. Raises StoreFailed, StoreUnsound."""
        with _judged():
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the file; idempotent."""
        self._database.close()

    def _open(self) -> None:
        database = self._database
        database.execute("PRAGMA journal_mode = WAL")
        # The log is the truth: what a power cut takes away here is recorded again from there.
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT}")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not (version or application or tables):
            database.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION};"
                f" PRAGMA application_id = {APPLICATION_ID};"
                f" INSERT INTO place VALUES (1, 0, 0, zeroblob({CHAIN_BYTES})); COMMIT;"
            )
        elif (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise StoreUnsound(f"it has version {version} of the schema, not {SCHEMA_VERSION}")
        place = database.execute("SELECT position, time_ns, chain FROM place").fetchall()
        if len(place) != 1:
            raise StoreUnsound("it does not say how far it goes")
        self.position, self.time_ns, self.chain = place[0]


def bar_row(market: int, length_s: int, bar: Bar) -> Row:
    """A bar as the table has it."""
    return (
        market,
        length_s,
        bar.start_s,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.lots >> LOW_BITS,
        bar.lots & LOW,
        bar.quote >> LOW_BITS,
        bar.quote & LOW,
        bar.trades,
        bar.first_id,
        bar.last_id,
    )


def file_at(path: Path) -> tuple[int, int] | None:
    """What tells the file at a path from any other: device and inode. None: there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def put_aside(path: Path) -> Path:
    """Rename a store that is not to be used, for whoever wants to look at it; the one that was put
    aside before is removed. Returns its new path. Raises OSError.
    """
    aside = path.with_name(path.name + ".aside")
    for ending in ("", "-wal", "-shm"):
        old, new = Path(f"{path}{ending}"), Path(f"{aside}{ending}")
        new.unlink(missing_ok=True)
        if old.exists():
            old.rename(new)
    return aside


@contextmanager
def _judged() -> Iterator[None]:
    """What SQLite raises, as what it means here."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _UNSOUND_CODES:
            raise StoreUnsound(str(error)) from error
        raise StoreFailed(str(error)) from error
