"""What the hub needs of the world, in channels and bytes; processes.py gives it adapters.

A source publishes messages on channels; a hub passes them on to whoever subscribed. Fairbook's
source is the feed (feed.py); a chat room would be another one (docs/reference/streams.md).

Always true: a source publishes on a channel only between the end of `open` and `close`; the first
subscriber opens it, the last one closes it. The two take turns: nothing is opened again before it
was closed, nor closed while it is being opened.

The feed in turn needs the engine's state (View, Catalogue) and recorded trades (Bars).

Not here: what messages say (feed.py), the words of the protocol (session.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from fairbook.accounts.access import Access
from fairbook.candles.candles import Bar
from fairbook.core.markets import Asset, Market
from fairbook.core.records import OrderRecord
from fairbook.ports.results import Depth

# What becomes of a message that its receiver is too slow for.
KEEP: Final = 0  # never dropped: a receiver with too much waiting is closed
LATEST: Final = 1  # a newer one of the channel takes its place
MERGE: Final = 2  # `Source.merge` makes one of it and the newer one


class Channel(NamedTuple):
    """One stream of messages: a name, and for private ones the account whose it is (else 0)."""

    name: str
    owner: int = 0


class Stream(NamedTuple):
    """What a name that clients may subscribe to is."""

    is_private: bool = False
    is_silent: bool = False
    """Nothing is ever published there: it is accepted, and never opened."""


class Message:
    """One message, encoded once for all its receivers."""

    __slots__ = ("content", "rule", "text")

    def __init__(self, text: bytes, rule: int = KEEP, content: object = None) -> None:
        """text: the text frame's payload. content: what MERGE merges; nobody else looks at it."""
        self.text = text
        self.rule = rule
        self.content = content


Publish = Callable[[Channel, Message], None]


class Source(Protocol):
    """Where messages come from. All methods are for the loop's thread."""

    def attach(self, publish: Publish) -> None:
        """Where to publish. Called once, before anything else."""

    def find(self, name: str) -> Stream | None:
        """The stream of exactly this name; None if there is none."""

    async def open(self, channel: Channel) -> None:
        """Begin to publish on it. May take time; who comes or goes meanwhile is not its business.

        An exception is a bug, and ends the process; at a stop it is cancelled.
        """

    def close(self, channel: Channel) -> None:
        """Publish on it no more."""

    def greet(self, channel: Channel) -> Sequence[Message]:
        """What a newcomer is sent first. What is published after this call follows without a gap.

        The channel is open.
        """

    def merge(self, channel: Channel, older: object, newer: object) -> object:
        """The content of one message that says what two MERGE messages of the channel say."""

    def encode(self, channel: Channel, content: object) -> bytes:
        """The text of a message with this content."""


class Authority(Protocol):
    """Who a connection speaks for. Raises ApiError to refuse."""

    def by_token(self, token: str, *, address: str) -> Access:
        """What a bearer token opens. address: who tries it."""

    def by_signature(self, parts: Sequence[Any], instruction: str, *, address: str) -> Access:
        """What [key, signature, timestamp ms, window ms] over `instruction=...` opens.

        The parts are as the client wrote them: strings or literal numbers.
        """

    def is_live(self, access: Access) -> bool:
        """Whether what gave this access still does: neither revoked nor expired."""


class Caller(Protocol):
    """One connection, as requests see it."""

    @property
    def access(self) -> Access | None:
        """Who it speaks for since LOGIN."""

    @property
    def address(self) -> str:
        """Where it comes from."""

    def reply(self, text: bytes) -> None:
        """Send one text frame. Does nothing once the connection has ended."""


class Requests(Protocol):
    """What a connection can ask for besides streams."""

    def request(self, caller: Caller, request_id: bytes, method: str, params: Any) -> bool:
        """Take a request; its answer goes to `caller.reply`, now or later. False: no such method.

        request_id: the JSON text of the client's id, `null` if it gave none. params: JSON value
        with literal numbers (api/messages.py); None if there were none.
        """

    def ended(self, caller: Caller) -> None:
        """The connection of a caller has ended. Called once for each that made a request."""


class View(Protocol):
    """The engine's state: as of the last frame that the feed was given, whenever it is asked."""

    def balances(self, account: int) -> Sequence[tuple[int, int, int]]:
        """(asset id, available, locked) in atoms, of every asset; empty for an unknown account."""

    def open_orders(self, account: int) -> Sequence[OrderRecord]:
        """Open orders by rising id."""

    def depth(self, market: int, levels_max: int) -> Depth:
        """The levels nearest the spread. `levels_max` of at least 1."""


class Catalogue(Protocol):
    """What can be traded. Objects are read, never changed, and the same ones for ever."""

    def asset(self, asset_id: int) -> Asset:
        """By id; must exist."""

    def market(self, market_id: int) -> Market:
        """By id; must exist."""

    def market_named(self, name: str) -> Market | None:
        """By exact name."""

    def markets(self) -> Sequence[Market]:
        """All, by id."""


class Bars(Protocol):
    """Trades of before the feed began, as bars by rising start. May raise HistoryBehind."""

    async def seconds(self, market: int, *, since_s: int, trade_id_max: int) -> Sequence[Bar]:
        """One-second bars of the trades from `since_s` on, up to this trade. The last bar has it,
        also if it was before `since_s`: its price is the market's.
        """

    async def bars(self, market: int, *, since_s: int, trade_id_max: int) -> Sequence[Bar]:
        """The same trades in few bars: of any intervals up to `1d`, no trade in two of them."""
