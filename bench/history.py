"""A history of any length, for measuring what depends on it.

Design: users place orders at prices that do not meet, and cancel the oldest one by its client id,
so that the outcome of no command has to be known; each twentieth command is one of a pair that
trades in the middle. A first part fills the book, after that its size stays.

Invariants: the same numbers give the same commands; none is rejected.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fairbook.core import records, state
from fairbook.engine.recovery import recover
from fairbook.engine.snapshots import Snapshot, Snapshots
from fairbook.log.compressor import SegmentCompressor
from fairbook.log.disk import Disk
from fairbook.log.file_log import SEGMENT_BYTES, FileLog

USERS: Final = 1_000
USER_IDS_FROM: Final = 1_000_000_000
FUNDS: Final = 10**15  # atoms of each asset, each user
LOT_ATOMS: Final = 1_000
TICK_ATOMS: Final = 10
MIDDLE: Final = 10_000  # ticks
NEAREST: Final = 10  # ticks from the middle to the first level
LEVELS: Final = 500  # a side
ROUND: Final = 20  # commands: 9 orders, 9 cancels, and a pair that trades
STEP_NS: Final = 100_000  # log time from one command to the next


class History:
    """The commands of one market of its own, in order, for an exchange that has so many assets,
    markets and accounts (EXTERNAL and FEE among them) already.
    """

    def __init__(self, *, assets: int = 0, markets: int = 0, accounts: int = 2) -> None:
        self._base = assets + 1
        self._quote = assets + 2
        self._market = markets + 1
        self._first_account = accounts
        self._placed = 0
        self._cancelled = 0

    def listing(self) -> list[bytes]:
        """The market, open, and its users, with money."""
        base, quote, market = self._base, self._quote, self._market
        commands = [
            records.rules(),
            records.list_asset(asset=base, decimals=6, name="HISTORY"),
            records.list_asset(asset=quote, decimals=6, name="MONEY"),
            records.list_market(
                market=market,
                base=base,
                quote=quote,
                lot_atoms=LOT_ATOMS,
                tick_atoms=TICK_ATOMS,
                name="HISTORY_MONEY",
            ),
            records.set_market(market=market, parameter=records.STATE, value=records.OPEN),
        ]
        commands += [records.open_account(USER_IDS_FROM + user) for user in range(USERS)]
        commands += [
            records.credit(account=self._first_account + user, asset=asset, atoms=FUNDS)
            for user in range(USERS)
            for asset in (base, quote)
        ]
        return commands

    def fill(self, orders: int) -> Iterator[bytes]:
        """So many orders that rest."""
        for _ in range(orders):
            yield self._passive()

    def trade(self) -> Iterator[bytes]:
        """Without end: as many orders come as go."""
        while True:
            for _ in range((ROUND - 2) // 2):
                yield self._passive()
                yield self._cancel()
            yield self._middle(records.BID)
            yield self._middle(records.ASK)

    def _passive(self) -> bytes:
        self._placed += 1
        number = self._placed
        side = number & 1
        away = NEAREST + number // 2 % LEVELS
        return records.place(
            account=self._first_account + number % USERS,
            market=self._market,
            side=side,
            quantity=1,
            price=MIDDLE - away if side == records.BID else MIDDLE + away,
            flags=records.HAS_CLIENT_ID,
            client_id=number,
        )

    def _middle(self, side: int) -> bytes:
        """One of a pair: the second one takes the first."""
        return records.place(
            account=self._first_account + side,
            market=self._market,
            side=side,
            quantity=1,
            price=MIDDLE,
        )

    def _cancel(self) -> bytes:
        self._cancelled += 1
        number = self._cancelled
        return records.cancel(
            account=self._first_account + number % USERS,
            client_id=number,
            market=self._market,
            flags=records.HAS_CLIENT_ID,
        )


def frames(commands: Iterator[bytes], *, count: int, frame_commands: int) -> Iterator[bytes]:
    """The next `count` commands in frames of so many; the last one may have fewer."""
    parts: list[bytes] = []
    for _ in range(count):
        parts.append(next(commands))
        if len(parts) == frame_commands:
            yield b"".join(parts)
            parts.clear()
    if parts:
        yield b"".join(parts)


class UnsyncedDisk(Disk):
    """Making the history need not be durable; what is measured uses the real disk."""

    def sync(self, fd: int) -> None:
        """Do nothing."""


class Writer:
    """Appends a history to the log of a directory and applies it, as an exchange does."""

    def __init__(
        self, directory: Path, *, frame_commands: int, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.directory = directory
        self.commands = 0
        self._frame_commands = frame_commands
        self._log = FileLog(directory, disk=UnsyncedDisk(), segment_bytes=segment_bytes)
        self._snapshots = Snapshots(directory)
        self.runner, _ = recover(self._log, self._snapshots)
        exchange = self.runner.exchange
        self.history = History(
            assets=len(exchange.assets) - 1,
            markets=len(exchange.markets) - 1,
            accounts=len(exchange.tables.accounts),
        )
        self.trade = self.history.trade()

    def fill(self, orders: int) -> None:
        """The market, its users, and a book of so many orders."""
        listing = self.history.listing()
        self.write(iter(listing), len(listing))
        self.write(self.history.fill(orders), orders)

    def write(self, commands: Iterator[bytes], count: int) -> None:
        for frame in frames(commands, count=count, frame_commands=self._frame_commands):
            time_ns = self._log.last.time_ns + STEP_NS * self._frame_commands
            self.runner.apply(self._log.append(frame, time_ns))
        self.commands += count

    def snapshot(self) -> None:
        runner = self.runner
        self._snapshots.write(
            Snapshot(
                position=runner.position,
                time_ns=runner.exchange.time_ns,
                chain=runner.chain,
                event_hash=runner.event_hash,
                body=state.dump(runner.exchange),
            )
        )

    def compress(self) -> None:
        """Compress all segments but the last."""
        SegmentCompressor(self.directory, disk=UnsyncedDisk()).compress_all()

    def close(self) -> None:
        self._log.close()
