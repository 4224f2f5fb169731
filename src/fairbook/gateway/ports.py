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
from fairbook.core.markets import Asset, Market
from fairbook.core.records import OrderRecord
from fairbook.events.answers import Answer, Busy, Checkpoint, Depth, Stopped

__all__ = [
    "Access",
    "Accounts",
    "Answer",
    "Busy",
    "Catalogue",
    "Checkpoint",
    "Checkpoints",
    "Commands",
    "Depth",
    "Queries",
    "Stopped",
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


class Accounts(Protocol):
    """Who is asking. Both look-ups are in memory: they are on the path of every order."""

    def by_key(self, public_key: bytes) -> Access | None:
        """What a live public key (32 bytes) opens."""

    def by_token(self, token: str) -> Access | None:
        """What a live bearer token opens. Any text may be given."""
