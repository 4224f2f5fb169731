"""Receivers of each channel: the first one opens it at its source, the last one closes it.

Design: a receiver that subscribes waits until the channel is open and its initial messages were
sent; then it is activated, and receives what is published. Opening takes time: receivers may come
and go meanwhile, and whether the channel is still wanted is known only when it has ended.

Invariants:
- a channel is opened, then its opening ends, then it is closed; it is never closed while it is
  being opened;
- an open channel has at least one receiver that waits or is active.
"""

from collections.abc import Collection, Hashable
from typing import Final, Generic, TypeVar

from fairbook.streams.channel_source import Channel

# What must follow a subscribe.
OPEN_CHANNEL: Final = 0  # open the channel, then call `opened`
WAIT: Final = 1  # it is being opened
SEND_INITIAL: Final = 2  # it is open: send the initial messages, then call `activate`

Receiver = TypeVar("Receiver", bound=Hashable)


class Subscriptions(Generic[Receiver]):
    """Channels and their receivers."""

    def __init__(self) -> None:
        self._channels: dict[Channel, _ChannelReceivers[Receiver]] = {}

    def subscribe(self, receiver: Receiver, channel: Channel) -> int:
        """Add a receiver, which must not have subscribed; return what must follow."""
        entry = self._channels.get(channel)
        if entry is None:
            entry = self._channels[channel] = _ChannelReceivers()
            entry.waiting[receiver] = None
            return OPEN_CHANNEL
        assert receiver not in entry.waiting and receiver not in entry.active
        entry.waiting[receiver] = None
        return SEND_INITIAL if entry.is_open else WAIT

    def opened(self, channel: Channel) -> list[Receiver]:
        """The opening has ended. Returns the receivers that wait; if none, close the channel."""
        entry = self._channels[channel]
        assert not entry.is_open
        entry.is_open = True
        if not entry.waiting:
            del self._channels[channel]
        return list(entry.waiting)

    def activate(self, receiver: Receiver, channel: Channel) -> None:
        """The initial messages were sent to a receiver that waits on an open channel."""
        entry = self._channels[channel]
        assert entry.is_open
        del entry.waiting[receiver]
        entry.active[receiver] = None

    def unsubscribe(self, receiver: Receiver, channel: Channel) -> bool:
        """Remove a receiver, if it has subscribed. Returns whether to close the channel now."""
        entry = self._channels.get(channel)
        if entry is None or not (receiver in entry.active or receiver in entry.waiting):
            return False
        entry.active.pop(receiver, None)
        entry.waiting.pop(receiver, None)
        if not entry.is_open or entry.waiting or entry.active:
            return False
        del self._channels[channel]
        return True

    def active(self, channel: Channel) -> Collection[Receiver]:
        """The receivers of what is published now. A live view: do not keep it."""
        entry = self._channels.get(channel)
        return () if entry is None else entry.active

    def __len__(self) -> int:
        """Channels that are open or being opened."""
        return len(self._channels)


class _ChannelReceivers(Generic[Receiver]):
    """Dictionaries instead of sets, because they keep the order of arrival."""

    __slots__ = ("active", "is_open", "waiting")

    def __init__(self) -> None:
        self.is_open = False
        self.waiting: dict[Receiver, None] = {}
        self.active: dict[Receiver, None] = {}
