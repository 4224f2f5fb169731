"""The way out of the feed: where messages go, the clock that they carry, and what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fairbook.streams.ports import Channel, Message, Publish


class Outlet:
    """What all streams of one feed publish through."""

    __slots__ = ("_now_ns", "_publish", "failed")

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """To be made in a running loop. now_ns: the clock, in nanoseconds since 1970."""
        self.failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._now_ns = now_ns
        self._publish: Publish | None = None

    def attach(self, publish: Publish) -> None:
        """Where messages go from now on."""
        assert self._publish is None, "attached twice"
        self._publish = publish

    def sent_us(self) -> int:
        """The clock, for a message that is made now."""
        return self._now_ns() // 1000

    def send(self, channel: Channel, message: Message) -> None:
        """Publish on an open channel."""
        assert self._publish is not None, "not attached"
        self._publish(channel, message)

    def fail(self, bug: Exception) -> None:
        """Something could not be sent: nobody may be told what comes after it."""
        if not self.failed.done():
            self.failed.set_result(bug)
