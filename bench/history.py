"""A history of any length, for measuring what depends on it.

Design: users place orders at prices that do not meet, and cancel the oldest one by its client id,
so that the outcome of no command has to be known; each twentieth command is one of a pair that
trades in the middle. A first part fills the book, after that its size stays.

Invariants: the same numbers give the same commands; none is rejected.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from fairbook.core import admin_records, records
from fairbook.engine.recovery import recover
from fairbook.engine.snapshots import Snapshots
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
        terms = {"lot_atoms": LOT_ATOMS, "tick_atoms": TICK_ATOMS}
        return [
            admin_records.rules(),
            admin_records.list_asset(asset=base, decimals=6, name="HISTORY"),
            admin_records.list_asset(asset=quote, decimals=6, name="MONEY"),
            admin_records.list_market(
                market=market, base=base, quote=quote, name="HISTORY_MONEY", **terms
            ),
            admin_records.set_market(
                market=market, parameter=admin_records.STATE, value=admin_records.OPEN
            ),
            *(admin_records.open_account(USER_IDS_FROM + user) for user in range(USERS)),
            *(
                admin_records.credit(
                    account=self._first_account + user,
                    asset=asset,
                    atoms=FUNDS,
                    reference=reference(user, asset),
                )
                for user in range(USERS)
                for asset in (base, quote)
            ),
        ]

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
            for side in (records.BID, records.ASK):  # The second one takes the first.
                yield self._place(side, side, MIDDLE)

    def _passive(self) -> bytes:
        self._placed += 1
        number = self._placed
        side, away = number & 1, NEAREST + number // 2 % LEVELS
        price = MIDDLE - away if side == records.BID else MIDDLE + away
        return self._place(number % USERS, side, price, records.HAS_CLIENT_ID, number)

    def _place(self, user: int, side: int, price: int, flags: int = 0, client_id: int = 0) -> bytes:
        account, market = self._first_account + user, self._market
        return records.place(
            account=account,
            market=market,
            side=side,
            price=price,
            quantity=1,
            flags=flags,
            client_id=client_id,
        )

    def _cancel(self) -> bytes:
        self._cancelled += 1
        number = self._cancelled
        account, market = self._first_account + number % USERS, self._market
        flags = records.HAS_CLIENT_ID
        return records.cancel(account=account, client_id=number, market=market, flags=flags)


def reference(user: int, asset: int) -> bytes:
    """Of the balance with which a user begins."""
    return f"{user:8} {asset:7}".encode()


def frames(commands: Iterator[bytes], *, count: int, frame_commands: int) -> Iterator[bytes]:
    """The next `count` commands in frames of so many; the last one may have fewer."""
    some = islice(commands, count)
    while frame := b"".join(islice(some, frame_commands)):
        yield frame


class UnsyncedDisk(Disk):
    """Making the history need not be durable; what is measured uses the real disk."""

    def sync(self, fd: int) -> None:
        """Do nothing."""


class Writer:
    """Appends a history to the log of a directory and applies it, as an exchange does."""

    def __init__(
        self, directory: Path, *, frame_commands: int, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.commands = 0
        self._directory = directory
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
        self._snapshots.write(self.runner.snapshot())

    def compress(self) -> None:
        """Compress all segments but the last."""
        SegmentCompressor(self._directory, disk=UnsyncedDisk()).compress_all()

    def close(self) -> None:
        self._log.close()
