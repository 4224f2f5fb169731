"""The publisher that the streams of one feed share: it publishes messages and reports a failure."""

import asyncio
from collections.abc import Callable

from fairbook.streams.channel_source import Channel, ChannelMessage, Publish


class Publisher:
    """Requires a running loop."""

    __slots__ = ("_now_ns", "_publish", "failed")

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """now_ns: the clock, in nanoseconds since 1970."""
        self.failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._now_ns = now_ns
        self._publish: Publish | None = None

    def attach(self, publish: Publish) -> None:
        assert self._publish is None, "attached twice"
        self._publish = publish

    def now_us(self) -> int:
        return self._now_ns() // 1000

    def publish(self, channel: Channel, message: ChannelMessage) -> None:
        assert self._publish is not None, "not attached"
        self._publish(channel, message)

    def fail(self, bug: Exception) -> None:
        """A message could not be published: nothing may be published after it."""
        if not self.failed.done():
            self.failed.set_result(bug)
