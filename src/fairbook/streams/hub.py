"""The hub: joins connections, their sessions, subscriptions and send buffers with one source.

How it works: what the source publishes in one turn of the loop is gathered by channel and sent at
the turn's end: one write of the same bytes to each receiver, whatever the number of messages. After
that the hub rests as long as it took, and gathers: orders come first, and with many receivers fewer
and larger writes carry more. A client whose transport says that it is full is slow: from then on
its messages wait in its SendBuffer, until the transport has room again.

Always true:
- what a newcomer is greeted with and what it receives then is the channel without gap or double;
- a greeting is never merged: who is slow is greeted when it has caught up;
- the memory of a client is bounded: by what its transport takes before it is full, and the limits
  of its send buffer. Who stays slow for long, or exceeds them, is closed, and told why;
- a bug in the source ends in `failed`, never in silence.

Not here: sockets and timers (server.py), what messages say (the source).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol

from fairbook.core.units import NS_PER_SECOND
from fairbook.net.ws_frames import GOING_AWAY, POLICY, TRY_LATER, Breach, text_frame
from fairbook.ports.accounts import Access
from fairbook.ports.connections import Authority, RequestHandler
from fairbook.streams.ports import LATEST, Channel, Message, Source
from fairbook.streams.send_buffer import SendBuffer
from fairbook.streams.session import (
    Action,
    Ask,
    Remind,
    Reply,
    Session,
    SessionLimits,
    Subscribe,
)
from fairbook.streams.subscriptions import MUST_GREET, MUST_OPEN, Subscriptions

SLOW: Final = "slow consumer"

_BATCH_BYTES: Final = 64 * 1024  # gathered of one channel before it is sent without waiting
_BATCH_REPLIES: Final = 64  # of one client, likewise
_TAKE_BYTES: Final = 64 * 1024  # given at once to a transport that has room again
_NO_REST_NS: Final = 500_000  # less is not worth a timer
_CLOSES_PER_S: Final = 2000  # at a stop: no need to spread fewer over more time
_RETURNS_PER_S: Final = 100  # clients told to come back in the same second
_RETURN_LEAST_S: Final = 2


class HubLimits(NamedTuple):
    """Limits of each client."""

    session: SessionLimits = SessionLimits()
    waiting_bytes_max: int = 256 * 1024  # in the send buffer; the transport has its own
    slow_s: float = 10.0  # without a moment in which the transport had room


class Wire(Protocol):
    """The connection of one client."""

    def write(self, frames: bytes) -> None:
        """Send whole frames. May call `Client.paused` before it returns."""

    def waiting_bytes(self) -> int:
        """What the transport still holds."""

    def close(self, code: int, reason: str) -> None:
        """Send a Close frame, and see to it that the connection ends. Called once at most."""


class Client:
    """One connection. It is the Caller of its requests."""

    __slots__ = (
        "__weakref__", "_hub", "_replies", "address", "buffer", "has_asked", "is_ended", "is_slow",
        "session", "slow_since_ns", "ungreeted", "wire", "write",
    )  # fmt: skip

    def __init__(self, hub: Hub, wire: Wire, address: str, session: Session) -> None:
        self._hub = hub
        self.address = address
        self.wire = wire
        self.write = wire.write
        self.session = session
        self.buffer = SendBuffer(hub.source, hub.limits.waiting_bytes_max)
        self.is_ended = False
        self.is_slow = False
        self.slow_since_ns = 0
        self.ungreeted: dict[Channel, None] = {}  # open, but there was no room
        self.has_asked = False
        self._replies: list[bytes] = []  # texts of this turn of the loop

    @property
    def access(self) -> Access | None:
        """Who it speaks for since LOGIN."""
        return self.session.access

    def reply(self, text: bytes) -> None:
        """Send one text frame, in one write with the others of this turn of the loop: a write costs
        more than an answer. Does nothing once the connection has ended.
        """
        if self.is_ended:
            return
        replies = self._replies
        if not replies:
            self._hub.soon(self._send_replies)
        replies.append(text)
        if len(replies) >= _BATCH_REPLIES:
            self._send_replies()

    def received(self, text: bytes) -> None:
        """The client sent a message."""
        if not self.is_ended:
            self._hub.receive(self, text)

    def count_control_frame(self) -> None:
        """The client sent a ping or pong. Raises Breach if it was one too many."""
        self.session.count_control_frame(self._hub.now_ns())

    def paused(self) -> None:
        """The transport is full."""
        if not self.is_slow:
            self.is_slow = True
            self.slow_since_ns = self._hub.now_ns()

    def resumed(self) -> None:
        """The transport has room again."""
        self.is_slow = False
        if not self.is_ended:
            self._hub.catch_up(self)

    def lost(self) -> None:
        """The connection has ended."""
        self._hub.forget(self)

    def end(self, code: int, reason: str) -> None:
        """Close the connection. Does nothing if that was done before."""
        self._send_replies()
        if not self.is_ended:
            self._hub.forget(self)
            self.wire.close(code, reason)

    def _send_replies(self) -> None:
        replies = self._replies
        if self.is_ended or not replies:
            return
        self._replies = []
        if not self.is_slow:
            self.write(b"".join(map(text_frame, replies)))
        elif not all(map(self.buffer.put_reply, replies)):
            self._hub.end_slow(self)


class Hub:
    """All clients of one source. Everything happens in the loop's thread."""

    def __init__(
        self,
        source: Source,
        *,
        authority: Authority | None = None,
        requests: RequestHandler | None = None,
        limits: HubLimits | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """To be made in a running loop. Without `authority` nothing private can be seen; without
        `requests` there are only streams.
        """
        self.source = source
        self.limits = limits or HubLimits()
        self.now_ns = now_ns
        self.failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """Ends, with the reason, when the source or a request failed: the process must exit."""
        self._authority = authority
        self._requests = requests
        self._clients: dict[Client, None] = {}
        self._subscriptions: Subscriptions[Client] = Subscriptions()
        self._published: dict[Channel, list[Message]] = {}  # in this turn of the loop
        self._published_bytes = 0
        self._is_sending = False  # about to, or resting from it
        self._openings: set[asyncio.Task[None]] = set()
        self._slow_ended = 0
        source.attach(self.publish)

    def connect(self, wire: Wire, address: str) -> Client:
        """Take a new connection."""
        session = Session(self.source.find, self._authority, self.limits.session, address)
        client = Client(self, wire, address, session)
        self._clients[client] = None
        return client

    def publish(self, channel: Channel, message: Message) -> None:
        """Send a message to who receives the channel, at the end of this turn of the loop or, when
        there are many, soon.
        """
        messages = self._published.get(channel)
        if messages is not None:
            messages.append(message)
        elif self._subscriptions.admitted(channel):
            self._published[channel] = [message]
            if not self._is_sending:
                self._is_sending = True
                self.soon(self._send_gathered)
        else:
            return
        self._published_bytes += len(message.text)
        if self._published_bytes > _BATCH_BYTES:
            self._flush()

    def sweep(self) -> None:
        """To be called about once a second: end who is slow for too long, or no longer allowed."""
        self._guarded(self._sweep)

    async def stop(self, drain_s: float) -> None:
        """Close all connections, many of them spread over `drain_s`, and tell each when to come
        back.
        """
        self._guarded(self._flush)
        clients = list(self._clients)
        spread_s = 2 * _RETURN_LEAST_S + len(clients) // _RETURNS_PER_S
        pause_s = min(drain_s, len(clients) / _CLOSES_PER_S) / (len(clients) or 1)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for number, client in enumerate(clients):
            ahead_s = begin + number * pause_s - loop.time()
            if ahead_s > 0.005:
                await asyncio.sleep(ahead_s)
            wait_s = random.randint(_RETURN_LEAST_S, spread_s)
            client.end(GOING_AWAY, f"going away, reconnect in {wait_s} s")
        for opening in list(self._openings):
            opening.cancel()

    def status(self) -> dict[str, int]:
        """Figures for people: how many and how much."""
        clients = list(self._clients)
        return {
            "connections": len(clients),
            "channels": len(self._subscriptions),
            "subscriptions": sum(len(client.session.channels()) for client in clients),
            "bufferedBytes": sum(c.buffer.bytes + c.wire.waiting_bytes() for c in clients),
            "slow": sum(client.is_slow for client in clients),
            "slowClosed": self._slow_ended,
        }

    def fail(self, bug: Exception) -> None:
        """Something is wrong that never should be: let the process know."""
        if not self.failed.done():
            self.failed.set_result(bug)

    # What a client calls.

    def receive(self, client: Client, text: bytes) -> None:
        """Do what a message of the client asks for."""
        now_ns = self.now_ns()
        try:
            for action in client.session.receive(text, now_ns):
                if not client.is_ended:  # The action before may have been too much for it.
                    self._do(client, action, now_ns)
        except Breach as breach:
            client.end(breach.code, breach.reason)
        except Exception as bug:  # noqa: BLE001
            self.fail(bug)

    def catch_up(self, client: Client) -> None:
        """Send what waited for the client while it was slow."""
        self._guarded(self._catch_up, client)

    def forget(self, client: Client) -> None:
        """The connection is no more."""
        if client.is_ended:
            return
        client.is_ended = True
        del self._clients[client]
        self._guarded(self._leave_all, client)

    def end_slow(self, client: Client) -> None:
        """Close a client that does not keep up."""
        if not client.is_ended:
            self._slow_ended += 1
            client.end(TRY_LATER, SLOW)

    def soon(self, work: Callable[[], None]) -> None:
        """Do it at the end of this turn of the loop."""
        asyncio.get_running_loop().call_soon(self._guarded, work)

    # The inside. What is called by the loop is guarded.

    def _do(self, client: Client, action: Action, now_ns: int) -> None:
        if isinstance(action, Ask):
            client.has_asked = True
            if self._requests is None or not self._requests.request(client, *action):
                reply = client.session.refuse_method(action.request_id, now_ns)
                client.reply(reply.text)
        elif isinstance(action, Reply):
            client.reply(action.text)
        elif isinstance(action, Subscribe):
            self._join(client, action.channel)
        elif isinstance(action, Remind):
            self._remind(client, action.channel)
        else:
            self._leave(client, action.channel)

    def _join(self, client: Client, channel: Channel) -> None:
        step = self._subscriptions.join(client, channel)
        if step == MUST_GREET:
            self._greet(client, channel)
        elif step == MUST_OPEN:
            self._begin_opening(channel)

    def _leave(self, client: Client, channel: Channel) -> None:
        client.ungreeted.pop(channel, None)
        client.buffer.forget(channel)
        if self._subscriptions.leave(client, channel):
            self.source.close(channel)

    def _leave_all(self, client: Client) -> None:
        for channel in client.session.channels():
            self._leave(client, channel)
        client.buffer = SendBuffer(self.source, 0)
        if client.has_asked and self._requests is not None:
            self._requests.ended(client)

    def _begin_opening(self, channel: Channel) -> None:
        opening = asyncio.get_running_loop().create_task(self._open(channel))
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)

    async def _open(self, channel: Channel) -> None:
        try:
            await self.source.open(channel)
            waiting = self._subscriptions.opened(channel)
            if not waiting:
                self.source.close(channel)
            for client in waiting:
                self._greet(client, channel)
        except Exception as bug:  # noqa: BLE001
            self.fail(bug)

    def _greet(self, client: Client, channel: Channel) -> None:
        """Send the greeting, and what comes after it."""
        if client.is_slow:
            client.ungreeted[channel] = None
            return
        messages = self.source.greet(channel)
        # What was published until now is in the greeting; it is for those who came before.
        self._send(channel, self._published.pop(channel, ()))
        if client.is_ended:
            return  # All that was published meanwhile was too much for it.
        self._subscriptions.admit(client, channel)
        if messages:
            client.write(_frames(messages))

    def _remind(self, client: Client, channel: Channel) -> None:
        """Some clients subscribe again to hear how things stand (ccxt.pro: tickers). Only what
        replaces what was said before can be said twice.
        """
        if client.is_slow or client not in self._subscriptions.admitted(channel):
            return  # It hears of it soon.
        messages = [one for one in self.source.greet(channel) if one.rule == LATEST]
        self._send(channel, self._published.pop(channel, ()))
        if messages and not client.is_ended:
            client.write(_frames(messages))

    def _send_gathered(self) -> None:
        started_ns = self.now_ns()
        self._flush()
        # Transports write at the end of the turn.
        asyncio.get_running_loop().call_soon(self._guarded, self._rest, started_ns)

    def _rest(self, started_ns: int) -> None:
        """Leave the loop to others for as long as it was taken from them."""
        took_ns = self.now_ns() - started_ns
        if took_ns < _NO_REST_NS:
            self._rested()
        else:
            asyncio.get_running_loop().call_later(
                took_ns / NS_PER_SECOND, self._guarded, self._rested
            )

    def _rested(self) -> None:
        if self._published:
            self._send_gathered()
        else:
            self._is_sending = False

    def _flush(self) -> None:
        published = self._published
        self._published = {}
        self._published_bytes = 0
        for channel, messages in published.items():
            self._send(channel, messages)

    def _send(self, channel: Channel, messages: Iterable[Message]) -> None:
        """The one place where a message meets all its receivers."""
        if not messages:
            return
        frames = _frames(messages)
        overfull: list[Client] = []
        for client in self._subscriptions.admitted(channel):
            if not client.is_slow:
                client.write(frames)
            elif not all(client.buffer.put(channel, message) for message in messages):
                overfull.append(client)
        for client in overfull:
            self.end_slow(client)

    def _catch_up(self, client: Client) -> None:
        while not client.is_slow and client.buffer.bytes:
            client.write(b"".join(map(text_frame, client.buffer.take(_TAKE_BYTES))))
        while not client.is_slow and client.ungreeted:
            channel = next(iter(client.ungreeted))
            del client.ungreeted[channel]
            self._greet(client, channel)

    def _sweep(self) -> None:
        slow_ns = int(self.limits.slow_s * NS_PER_SECOND)
        now_ns = self.now_ns()
        for client in list(self._clients):
            if client.is_slow and now_ns - client.slow_since_ns > slow_ns:
                self.end_slow(client)
            elif not client.session.has_live_credentials():
                client.end(POLICY, "key or token has ended")

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        """A bug must not be lost in whoever calls back."""
        try:
            work(*arguments)
        except Exception as bug:  # noqa: BLE001
            self.fail(bug)


def _frames(messages: Iterable[Message]) -> bytes:
    return b"".join([text_frame(message.text) for message in messages])
