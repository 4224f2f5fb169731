"""What the hub needs of the world, in channels and bytes; processes.py gives it adapters.

A source publishes messages on channels; a hub passes them on to whoever subscribed. Fairbook's
source is the feed (feed.py); a chat room would be another one (docs/reference/streams.md).

Always true: a source publishes on a channel only between the end of `open` and `close`; the first
subscriber opens it, the last one closes it. The two take turns: nothing is opened again before it
was closed, nor closed while it is being opened.

Not here: what messages say (feed.py), the words of the protocol (session.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

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
