"""What the gateway needs of the rest of the house; processes.py gives it adapters.

Embedded, the engine in the same process is behind all three; scaled, the log and the engines'
internal HTTP are. The gateway never imports the engine.

Always true: an answer is given only when its command is durable and applied; a query at a position
sees every command up to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from fairbook.accounts.access import Access
from fairbook.accounts.withdrawals import Withdrawal
from fairbook.candles.candles import Bar
from fairbook.candles.ticker import Totals
from fairbook.core.markets import Asset, Market
from fairbook.core.records import OrderRecord
from fairbook.ports.results import Answer, Busy, Checkpoint, Depth, HistoryBehind, Stopped
from fairbook.ports.rows import FillRow, OrderRow, TradeRow, TransferRow

__all__ = [
    "Access",
    "Accounts",
    "Answer",
    "Busy",
    "Caller",
    "Catalogue",
    "Checkpoint",
    "Checkpoints",
    "Commands",
    "Depth",
    "History",
    "HistoryBehind",
    "Queries",
    "Stopped",
    "Transfers",
    "View",
]


class Commands(Protocol):
    """The way in."""

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        """Queue one command, in the order of calls. The future ends when it is durable and applied.

        Cancels (CANCEL, CANCEL_ALL, END_SESSION) may use room that is kept for them. Raises Busy or
        Stopped at once. The future may raise Stopped: then it is not known what happened.
        """

    def settled(self) -> asyncio.Future[int]:
        """A position at which everything submitted before this call is applied."""


class View(Protocol):
    """The engine's state. Nothing here is cached by the gateway."""

    def balances(self, account: int) -> Sequence[tuple[int, int, int]]:
        """(asset id, available, locked) in atoms, of every asset; empty for an unknown account."""

    def open_orders(self, account: int, market: int = 0) -> Sequence[OrderRecord]:
        """Open orders by rising id; market 0: all."""

    def order(
        self, account: int, *, market: int = 0, order_id: int = 0, client_id: int | None = None
    ) -> OrderRecord | None:
        """One open order of the account (of that market, if given); None if there is none."""

    def depth(self, market: int, levels_max: int) -> Depth:
        """The levels nearest the spread."""

    def paused(self) -> bool:
        """Whether the exchange is CancelOnly."""

    def sessions(self) -> Sequence[tuple[int, int]]:
        """(account, session) of every session that has open orders."""


class Queries(Protocol):
    """The way to ask."""

    async def at(self, position: int) -> View:
        """The state at or after `position`; to be used before the next await."""


class Catalogue(Protocol):
    """What can be traded. Objects are read, never changed, and the same ones for ever."""

    def asset(self, asset_id: int) -> Asset:
        """By id; must exist."""

    def asset_named(self, name: str) -> Asset | None:
        """By exact name."""

    def market(self, market_id: int) -> Market:
        """By id; must exist."""

    def market_named(self, name: str) -> Market | None:
        """By exact name."""

    def assets(self) -> Sequence[Asset]:
        """All, by id."""

    def markets(self) -> Sequence[Market]:
        """All, by id."""


class Checkpoints(Protocol):
    """What engines have come to, for replicas and auditors to compare."""

    def checkpoints(self, first: int) -> Sequence[Checkpoint]:
        """The newest ones at positions of at least `first`, newest first."""


class History(Protocol):
    """Everything that happened, as far as it is recorded. Raises HistoryBehind if the recorder is
    too far behind or its store cannot be read. Lists are bounded by `limit`.
    """

    async def reached(self, position: int) -> None:
        """Wait until everything up to `position` is recorded; not for ever: HistoryBehind."""

    async def trades(self, market: int, *, limit: int, offset: int = 0) -> Sequence[TradeRow]:
        """Newest first."""

    async def klines(
        self, market: int, interval: str, *, start_s: int, end_s: int, bars_max: int
    ) -> Sequence[Bar]:
        """The earliest `bars_max` bars whose start is in [start_s, end_s], by rising start, without
        gaps from the first trade on, the running one included.

        interval: one of views.candles.INTERVALS.
        """

    async def ticker(self, market: int) -> Totals | None:
        """Of the 24 hours up to now (log time); None before the first trade."""

    async def orders(
        self,
        account: int,
        *,
        market: int = 0,
        order_id: int = 0,
        client_id: int | None = None,
        limit: int,
        offset: int = 0,
        rising: bool = False,
    ) -> Sequence[OrderRow]:
        """By falling order id, or rising. Market and order id 0: any."""

    async def fills(
        self,
        account: int,
        *,
        market: int = 0,
        order_id: int = 0,
        from_ns: int = 0,
        to_ns: int = 2**63 - 1,
        limit: int,
        offset: int = 0,
        rising: bool = False,
    ) -> Sequence[FillRow]:
        """Newest first, or oldest. Both sides of a trade, if both were the account's."""

    async def transfers(
        self,
        account: int,
        *,
        side: int,
        reference: int | None = None,
        from_ns: int = 0,
        to_ns: int = 2**63 - 1,
        limit: int,
        offset: int = 0,
    ) -> Sequence[TransferRow]:
        """Credits (side 0) or debits (side 1), newest first; of that reference, if one is given.
        Both times count as within.
        """


class Transfers(Protocol):
    """What is kept of withdrawals and of the faucet's gifts beside the log. Methods block: they are
    for worker threads. See accounts/transfers.py.
    """

    def write_down(
        self,
        *,
        account: int,
        client_id: str | None,
        asset: int,
        atoms: int,
        address: str,
        blockchain: str,
    ) -> tuple[Withdrawal, bool]:
        """What is now written of this withdrawal, and whether it was before. Raises Refused."""

    def strike_out(self, withdrawal_id: int) -> None:
        """Forget one of which it is known that no money moved, nor will."""

    def referred(self, account: int, references: Sequence[int]) -> Sequence[Withdrawal]:
        """Those that have one of these references."""

    def named(
        self, account: int, *, withdrawal_id: int | None = None, client_id: str | None = None
    ) -> Withdrawal | None:
        """The one with this id, or client id, or both."""

    def grant(self, *, account: int, asset: int, atoms: int, atoms_max: int) -> int:
        """Count a gift; return what may follow. Negative: too much, and nothing was counted."""

    def take_back(self, *, account: int, asset: int, atoms: int) -> None:
        """Undo `grant`."""


class Accounts(Protocol):
    """Who is asking. All look-ups are in memory: they are on the path of every order."""

    def by_key(self, public_key: bytes) -> Access | None:
        """What a live public key (32 bytes) opens."""

    def by_token(self, token: str) -> Access | None:
        """What a live bearer token opens. Any text may be given."""

    def is_live(self, access: Access) -> bool:
        """Whether what opened this still does: neither revoked nor expired."""


class Caller(Protocol):
    """One connection on which requests come and answers go, in any number at once. The same object
    for as long as it lasts; told apart by identity.
    """

    @property
    def access(self) -> Access | None:
        """Who it speaks for since it logged in."""

    @property
    def address(self) -> str:
        """Where it comes from."""

    def reply(self, text: bytes) -> None:
        """Send one message. Does nothing once the connection has ended."""
