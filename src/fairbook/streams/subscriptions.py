"""Who receives which channel: the first one in opens it upstream, the last one out closes it.

How it works: a receiver that joins a channel waits until it is open and until it has been greeted;
then it is admitted, and receives what is published. Opening takes time: whoever comes meanwhile
waits too, and whoever leaves meanwhile is forgotten. Only when the opening has ended is it known
whether anybody still wants the channel.

Always true:
- a channel is opened, the opening ends, it is closed, in this order and in turns: it is never
  closed while it is being opened;
- a channel that is open has somebody who joined and did not leave.

Not here: opening, closing and greeting themselves (hub.py).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Final, Generic, TypeVar

from fairbook.streams.ports import Channel

# What follows from a join.
MUST_OPEN: Final = 0  # Open the channel, then call `opened`.
MUST_WAIT: Final = 1  # It is being opened.
MUST_GREET: Final = 2  # It is open: greet, then call `admit`.

Receiver = TypeVar("Receiver", bound=Hashable)


class Subscriptions(Generic[Receiver]):
    """Channels and their receivers."""

    def __init__(self) -> None:
        self._places: dict[Channel, _Place[Receiver]] = {}

    def join(self, receiver: Receiver, channel: Channel) -> int:
        """Want a channel; return what has to follow. Not to be called by who has joined it."""
        place = self._places.get(channel)
        if place is None:
            place = self._places[channel] = _Place()
            place.waiting[receiver] = None
            return MUST_OPEN
        assert receiver not in place.waiting and receiver not in place.admitted
        place.waiting[receiver] = None
        return MUST_GREET if place.is_open else MUST_WAIT

    def opened(self, channel: Channel) -> list[Receiver]:
        """The opening has ended. Returns who waits to be greeted; if nobody, close the channel."""
        place = self._places[channel]
        assert not place.is_open
        place.is_open = True
        if not place.waiting:
            del self._places[channel]
        return list(place.waiting)

    def admit(self, receiver: Receiver, channel: Channel) -> None:
        """A receiver that waits on an open channel has been greeted."""
        place = self._places[channel]
        assert place.is_open
        del place.waiting[receiver]
        place.admitted[receiver] = None

    def leave(self, receiver: Receiver, channel: Channel) -> bool:
        """Want a channel no more. Returns whether it is to be closed now; False if the receiver had
        not joined it.
        """
        place = self._places.get(channel)
        if place is None or not (receiver in place.admitted or receiver in place.waiting):
            return False
        place.admitted.pop(receiver, None)
        place.waiting.pop(receiver, None)
        if not place.is_open or place.waiting or place.admitted:
            return False
        del self._places[channel]
        return True

    def is_open(self, channel: Channel) -> bool:
        """Whether the opening has ended and it was not closed since."""
        place = self._places.get(channel)
        return place is not None and place.is_open

    def admitted(self, channel: Channel) -> Collection[Receiver]:
        """Who receives what is published there now. Not to be kept: it changes."""
        place = self._places.get(channel)
        return () if place is None else place.admitted

    def __len__(self) -> int:
        """Channels that are open or being opened."""
        return len(self._places)


class _Place(Generic[Receiver]):
    """One channel. Dictionaries, because they keep the order in which receivers came."""

    __slots__ = ("admitted", "is_open", "waiting")

    def __init__(self) -> None:
        self.is_open = False
        self.waiting: dict[Receiver, None] = {}
        self.admitted: dict[Receiver, None] = {}
