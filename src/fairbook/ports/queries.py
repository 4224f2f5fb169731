"""Reading the engine's current state: the port to its balances, orders, books and listings."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from fairbook.core.credential_table import Credential
from fairbook.core.exchange import ORDER_ID_MAX
from fairbook.core.markets import Asset, Market
from fairbook.core.records import OrderRecord
from fairbook.core.references import Reference


class BookDepth(NamedTuple):
    """One market's book as of `update_id`: (price in ticks, lots) per level, best first."""

    update_id: int
    time_ns: int
    bids: Sequence[tuple[int, int]]
    asks: Sequence[tuple[int, int]]


class Facts(Protocol):
    """What the log alone decides: who may act, and what became of money. Read when asked, in the
    thread of the engine. The objects are read-only.
    """

    def credential(self, digest: bytes) -> Credential | None:
        """By its hash of 32 bytes, live or ended; None: unknown, or its slot was given out again.

        The object is that credential for ever, and shows when it is revoked.
        """

    def credentials(self, account: int) -> Sequence[Credential]:
        """What is in the slots of the account, live or ended."""

    def account_of_user(self, user_id: int) -> int:
        """0: none."""

    def reference(self, reference: bytes) -> Reference | None:
        """What became of the money command with these 16 bytes."""

    def log_time_ns(self) -> int:
        """The time of the newest frame."""


class ChainPart(NamedTuple):
    """Entries of the log without their commands: what a witness computes its chain from."""

    before: bytes
    """The chain before the first of them."""
    entries: Sequence[tuple[int, bytes]]
    """Time in ns, and hash of the frame."""


class LogProofs(NamedTuple):
    """What a witness reads of an exchange. The callables block, but for the first."""

    newest: Callable[[], tuple[str, str | None]]
    """The key that has signed the newest checkpoint, and its note. Does not block."""
    notes: Callable[[int, int], list[str]]
    """Signed checkpoints: the first so many at a position and after it."""
    chain: Callable[[int, int], ChainPart] | None = None
    """From one position to another, or to the end of the log; None: not for everyone."""
    status: Callable[[], "ProofStatus"] | None = None
    """Of an exchange; None: of a witness. Does not block."""


class WitnessSeen(NamedTuple):
    """Up to which position a witness has confirmed the history; 0: not yet."""

    url: str
    position: int
    seen_ms: int  # since 1970; 0: never
    problem: str | None  # why it has confirmed no more
    contradicts: bool  # it keeps what the exchange does not have


class ProofStatus(NamedTuple):
    """What has checked the history of an exchange. replayed: up to where all of it was executed
    again; None: no full replay has begun. resumed_at: the saved state that it goes on from; 0: the
    first entry. is_confirmed: a witness knows that state.
    """

    witnesses: Sequence[WitnessSeen]
    replayed: int | None
    resumed_at: int
    is_confirmed: bool


class StateView(Facts, Protocol):
    """The engine's state, read when asked; never cached by the reader."""

    def balances(self, account: int) -> Sequence[tuple[int, int, int]]:
        """(asset id, available, locked) in atoms, of every asset; empty for an unknown account."""

    def withdrawable_today(self, account: int, asset: int) -> int:
        """Atoms that the limit of this day leaves; the balance may be less."""

    def open_orders(
        self,
        account: int,
        market: int = 0,
        after: OrderRecord | None = None,
        orders_max: int = ORDER_ID_MAX,
    ) -> Sequence[OrderRecord]:
        """Open orders by rising id; market 0: all markets. At most `orders_max`, from the first
        with a higher id than `after`: one that was open.
        """

    def open_order_count(self, account: int, market: int = 0) -> int:
        """How many orders are open; market 0: in all markets."""

    def order(
        self,
        account: int,
        *,
        market: int = 0,
        order_id: int = 0,
        client_id: int | str | None = None,
    ) -> OrderRecord | None:
        """One open order of the account, by order id and market, or by client id; then market 0 is
        any market.
        """

    def stored_outcome(self, unit: bytes) -> bytes:
        """The event that a PLACE, with its parts, would get for a client id that is remembered;
        empty: it is not, and would be executed.
        """

    def depth(self, market: int, levels_max: int) -> BookDepth:
        """The levels nearest the spread. `levels_max` is at least 1."""

    def paused(self) -> bool:
        """Whether trading is paused: only cancels are taken."""


class Queries(Protocol):
    """Gives the state at a position."""

    async def at(self, position: int) -> StateView:
        """The state at or after `position`. It is valid until the next await. Raises Stopped."""

    def text_of(self, order: OrderRecord) -> str | None:
        """The client id, if it is a text, of an order that is open or that the newest frame has
        closed. So an answer finds the texts that the events of its command leave out.

        order: as an event has it.
        """


class Catalogue(Protocol):
    """Listed assets and markets. The objects are read-only and stay the same for ever."""

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


class Checkpoint(NamedTuple):
    """Digests of the log and of one slice of the state, for replicas and auditors to compare."""

    position: int
    chain: bytes
    event_hash: bytes  # running hash of the events of all frames up to `position`
    slice_index: int  # of the `slice_count` slices of the state; 0 of 0: no slice
    slice_count: int
    slice_digest: bytes
    engines: list[str]  # the engines that have computed these values so far; grows
    note: str | None = None  # that the exchange has signed, of this position
    key: str | None = None  # by which the note is checked


class Checkpoints(Protocol):
    """The checkpoints of the engine and its replicas."""

    def checkpoints(self, first: int) -> Sequence[Checkpoint]:
        """The newest ones at positions of at least `first`, newest first."""
