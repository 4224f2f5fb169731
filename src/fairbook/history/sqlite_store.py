"""The SQLite store of history: one file, written by one recorder, read by any process.

Design: a transaction adds the rows of some frames together with the position, time and chain of the
last one. It also merges the bars of its trades into the stored ones, so the recorder keeps no state
between transactions.

Invariants:
- everything up to `position` is recorded: rows and position change together or not at all;
- nothing is written if there is a second writer, a row is already there, or the file is damaged,
  was removed or replaced while open;
- numbers are in the core's units; a bar's volumes, which may exceed 64 bits, are two columns:
  high * 2^32 + low.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fairbook.candles.bars import Bar
from fairbook.history.store import Row, RowBatch, StoreInvalid, StoreTaken, StoreUnavailable
from fairbook.ports.history import OrderRow, TradeRow, TransferRow

FILE_NAME: Final = "history.db"
SCHEMA_VERSION: Final = 2
APPLICATION_ID: Final = 0x46_62_48_31  # "FbH1"
CHAIN_BYTES: Final = 32
LOW_BITS: Final = 32
LOW: Final = (1 << LOW_BITS) - 1

_BUSY_S: Final = 1.0
_CACHE_KIB: Final = 32 * 1024
_CHECKPOINT_PAGES: Final = 4_000
_WAL_BYTES_KEPT: Final = 64 * 1024 * 1024

_BAR_COLUMNS: Final = (
    "market", "length_s", "start_s", "open", "high", "low", "close", "lots_high", "lots_low",
    "quote_high", "quote_low", "trades", "first_id", "last_id",
)  # fmt: skip


def _integers(names: Iterable[str]) -> str:
    return ", ".join(f"{name} INTEGER NOT NULL" for name in names)


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


# Columns are the fields of the rows in ports/history.py, in their order.
_SCHEMA: Final = f"""
CREATE TABLE place (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    {_integers(("position", "time_ns"))},
    chain BLOB NOT NULL
) STRICT;
CREATE TABLE trades (
    {_integers(TradeRow._fields)}, PRIMARY KEY (market, trade_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX trades_by_taker
    ON trades (taker_account, time_ns, market, trade_id, taker_order_id);
CREATE INDEX trades_by_maker
    ON trades (maker_account, time_ns, market, trade_id, maker_order_id);
CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY, {_integers(OrderRow._fields[1:-1])}, client_text TEXT
) STRICT;
CREATE INDEX orders_by_account ON orders (account, order_id, market);
CREATE INDEX orders_by_client ON orders (account, client_id, order_id) WHERE flags & 1;
CREATE INDEX orders_by_text ON orders (account, client_text, order_id)
    WHERE client_text IS NOT NULL;
CREATE TABLE transfers (
    transfer_id INTEGER PRIMARY KEY, {_integers(TransferRow._fields[1:7])},
    reference BLOB NOT NULL, time_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX transfers_by_account ON transfers (account, time_ns);
CREATE INDEX transfers_by_reference ON transfers (account, reference, time_ns);
CREATE TABLE bars (
    {_integers(_BAR_COLUMNS)}, PRIMARY KEY (market, length_s, start_s)
) STRICT, WITHOUT ROWID;
"""

_ADD_TRADES: Final = _insert("trades", TradeRow._fields)
_ADD_TRANSFERS: Final = _insert("transfers", TransferRow._fields[1:])
# Only columns that change are updated: no index is touched, and the text of a client id stays,
# which the rows of closed orders have only if the order was accepted in the same transaction.
_PUT_ORDERS: Final = (
    f"{_insert('orders', OrderRow._fields)}"
    " ON CONFLICT (order_id) DO UPDATE SET price = excluded.price, quantity = excluded.quantity,"
    " filled = excluded.filled, quote = excluded.quote, fee = excluded.fee,"
    " status = excluded.status, reason = excluded.reason, closed_ns = excluded.closed_ns"
)
_ADD_BARS: Final = f"""
{_insert("bars", _BAR_COLUMNS)}
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


class SqliteStore:
    """The recorder's connection to the file. For one thread."""

    def __init__(self, path: Path, *, busy_s: float = _BUSY_S) -> None:
        """Open or create it. Raises StoreInvalid, StoreUnavailable. busy_s: the wait for a lock."""
        self.position = 0  # everything up to it is recorded
        self.time_ns = 0
        self.chain = bytes(CHAIN_BYTES)  # of the log at `position`
        self._path = path
        with _translated_errors():
            self._database = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._database.close()
                raise
        self._file = file_identity(path)

    def write(self, rows: RowBatch, *, position: int, time_ns: int, chain: bytes) -> None:
        """Record everything up to `position`. Raises StoreInvalid, StoreTaken, StoreUnavailable:
        nothing was written, and after the last one it may be retried.
        """
        if self._file is None or file_identity(self._path) != self._file:
            raise StoreTaken("the file was removed or replaced")
        database = self._database
        with _translated_errors():
            database.execute("BEGIN IMMEDIATE")
            try:
                # First: another recorder's rows would look like a contradiction.
                place = (position, time_ns, chain, self.position)
                if database.execute(_MOVE, place).rowcount != 1:
                    raise StoreTaken("another recorder writes to it")
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
        """Make what was recorded durable. Raises StoreUnavailable, StoreInvalid."""
        with _translated_errors():
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the file; idempotent."""
        self._database.close()

    def _open(self) -> None:
        database = self._database
        database.execute("PRAGMA journal_mode = WAL")
        # What a power cut takes away here is recorded again from the log.
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
            raise StoreInvalid(f"it has schema version {version}, not {SCHEMA_VERSION}")
        place = database.execute("SELECT position, time_ns, chain FROM place").fetchall()
        if len(place) != 1:
            raise StoreInvalid("it has no position")
        self.position, self.time_ns, self.chain = place[0]


def bar_row(market: int, length_s: int, bar: Bar) -> Row:
    return (
        market, length_s, bar.start_s, bar.open, bar.high, bar.low, bar.close,
        bar.lots >> LOW_BITS, bar.lots & LOW, bar.quote >> LOW_BITS, bar.quote & LOW,
        bar.trades, bar.first_id, bar.last_id,
    )  # fmt: skip


def file_identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file at a path; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def move_aside(path: Path) -> Path:
    """Rename an unusable store, for inspection, replacing an earlier one. Raises OSError."""
    aside = path.with_name(path.name + ".aside")
    for ending in ("", "-wal", "-shm"):
        old, new = Path(f"{path}{ending}"), Path(f"{aside}{ending}")
        new.unlink(missing_ok=True)
        if old.exists():
            old.rename(new)
    return aside


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _UNSOUND_CODES:
            raise StoreInvalid(str(error)) from error
        raise StoreUnavailable(str(error)) from error
