"""Channels, their messages, and the Source that publishes them: all that the hub knows.

Fairbook's source is the feed (feed.py); docs/reference/streams.md shows another one, a chat room.

Invariants: a source publishes on a channel only between the end of `open` and `close`. The two
alternate: a channel is not opened again before it was closed, nor closed while it is being opened.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

# What happens to a message whose receiver is slow.
KEEP: Final = 0  # never dropped: a receiver with too many bytes waiting is closed
LATEST: Final = 1  # a newer one of the channel replaces it
MERGE: Final = 2  # `Source.merge` makes one of it and the newer one


class Channel(NamedTuple):
    """The address of one series of messages. owner: the account of a private one, else 0."""

    name: str
    owner: int = 0


class StreamKind(NamedTuple):
    """What a name that clients may subscribe to stands for."""

    is_private: bool = False
    is_silent: bool = False
    """Nothing is ever published: subscribing succeeds, and no channel is opened."""


class ChannelMessage:
    """One message, encoded once for all its receivers."""

    __slots__ = ("content", "payload", "rule")

    def __init__(self, payload: bytes, rule: int = KEEP, content: object = None) -> None:
        """payload: of the text frame. content: opaque, for `Source.merge`."""
        self.payload = payload
        self.rule = rule
        self.content = content


Publish = Callable[[Channel, ChannelMessage], None]


class Source(Protocol):
    """Where messages come from. All methods are for the loop's thread."""

    def attach(self, publish: Publish) -> None:
        """Set where to publish. Called once, before anything else."""

    def find(self, name: str) -> StreamKind | None:
        """The stream of exactly this name, if there is one."""

    async def open(self, channel: Channel) -> None:
        """Begin to publish on a channel. May take time, during which nothing else is called for it.

        An exception is a bug and ends the process; a stop cancels it.
        """

    def close(self, channel: Channel) -> None:
        """Stop publishing on an open channel."""

    def initial_messages(self, channel: Channel) -> Sequence[ChannelMessage]:
        """What a new receiver of an open channel is sent first. What is published after this call
        follows without a gap.
        """

    def merge(self, channel: Channel, older: object, newer: object) -> object:
        """The content of one message that replaces two MERGE messages of the channel."""

    def encode(self, channel: Channel, content: object) -> bytes:
        """The payload of a message with this content."""
