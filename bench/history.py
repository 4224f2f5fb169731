"""A history of any length, for measuring what depends on it: made quickly, the same each time.

How it works: users place orders at prices that do not meet, and cancel the oldest one by its client
id, so that nothing has to be known about what came of it; each twentieth command is one of a pair
that meets in the middle. A first part fills the book, after that its size stays.

Always true: the same numbers give the same commands; none is rejected.

Not here: what is measured (pauses.py, restart.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fairbook.core import records

USERS: Final = 1_000
USER_IDS_FROM: Final = 1_000_000_000
FUNDS: Final = 10**15  # atoms of each asset, each user
LOT_ATOMS: Final = 1_000
TICK_ATOMS: Final = 10
MIDDLE: Final = 10_000  # ticks
NEAREST: Final = 10  # ticks from the middle to the first level
LEVELS: Final = 500  # a side
ROUND: Final = 20  # commands: 9 orders, 9 cancels, and a pair that meets
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

    def listing(self) -> Iterator[bytes]:
        """The market, open, and its users, with money."""
        base, quote, market = self._base, self._quote, self._market
        yield records.rules()
        yield records.list_asset(asset=base, decimals=6, name="HISTORY")
        yield records.list_asset(asset=quote, decimals=6, name="MONEY")
        yield records.list_market(
            market=market,
            base=base,
            quote=quote,
            lot_atoms=LOT_ATOMS,
            tick_atoms=TICK_ATOMS,
            name="HISTORY_MONEY",
        )
        yield records.set_market(market=market, parameter=records.STATE, value=records.OPEN)
        for user in range(USERS):
            yield records.open_account(USER_IDS_FROM + user)
        for user in range(USERS):
            for asset in (base, quote):
                yield records.credit(account=self._first_account + user, asset=asset, atoms=FUNDS)

    def fill(self, orders: int) -> Iterator[bytes]:
        """So many orders that rest."""
        for _ in range(orders):
            yield self._passive()

    def trade(self) -> Iterator[bytes]:
        """For ever: as many orders come as go."""
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
        """One of a pair: the first rests for a moment, the second one meets it."""
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
