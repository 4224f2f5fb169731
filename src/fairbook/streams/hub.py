"""The hub: joins clients, their sessions, subscriptions and send buffers with one source.

Design: what the source publishes in one turn of the loop is gathered by channel and sent at the end
of the turn: one write of the same bytes to each receiver, whatever the number of messages. Then the
hub pauses for as long as sending took, and gathers: orders come first, and with many receivers
fewer and larger writes carry more. A client whose transport is full is slow: its messages wait in
its SendBuffer until the transport has room again.

Invariants:
- the initial messages of a new receiver and what it receives then are the channel, without a gap
  and without repetition;
- initial messages are never merged: a slow client gets them when it has caught up;
- the memory of a client is bounded, by its transport and by the limits of its send buffer. A client
  that stays slow for long, or exceeds them, is closed with a reason;
- a bug in the source ends in `failed`, never in silence.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol

from fairbook.core.units import NS_PER_SECOND
from fairbook.net.ws_frames import GOING_AWAY, POLICY, TRY_LATER, ProtocolError, text_frame
from fairbook.ports.accounts import Access
from fairbook.ports.connections import Authority, RequestHandler
from fairbook.streams.channel_source import LATEST, Channel, ChannelMessage, Source
from fairbook.streams.send_buffer import SendBuffer
from fairbook.streams.session import (
    Action,
    CallMethod,
    SendLatest,
    SendReply,
    Session,
    SessionLimits,
    Subscribe,
)
from fairbook.streams.subscriptions import OPEN_CHANNEL, SEND_INITIAL, Subscriptions

SLOW: Final = "slow consumer"

_BATCH_BYTES: Final = 64 * 1024  # gathered of one channel before it is sent without waiting
_BATCH_REPLIES: Final = 64  # of one client, likewise
_TAKE_BYTES: Final = 64 * 1024  # given at once to a transport that has room again
_PAUSE_LEAST_NS: Final = 500_000  # less is not worth a timer
_CLOSES_PER_S: Final = 2000  # at a stop: fewer are spread over less time
_RECONNECTS_PER_S: Final = 100  # clients that are asked to reconnect in the same second
_RECONNECT_LEAST_S: Final = 2


class HubLimits(NamedTuple):
    """Limits of each client."""

    session: SessionLimits = SessionLimits()
    waiting_bytes_max: int = 256 * 1024  # in the send buffer; the transport has its own
    slow_s: float = 10.0  # without a moment in which the transport had room


class FrameTransport(Protocol):
    """The connection of one client."""

    def write(self, frames: bytes) -> None:
        """Send whole frames. May call `HubClient.pause_writing` before it returns."""

    def waiting_bytes(self) -> int:
        """What the transport still holds."""

    def pause_reading(self) -> None:
        """Pass on no messages but those that were received."""

    def resume_reading(self) -> None:
        """Go on reading."""

    def close(self, code: int, reason: str) -> None:
        """Send a Close frame, and end the connection soon. Called once at most."""


class HubClient:
    """One connection, and the caller of its requests."""

    __slots__ = (
        "__weakref__", "_hub", "_replies", "address", "buffer", "has_called", "is_ended", "is_held",
        "is_slow", "needs_initial", "session", "slow_since_ns", "transport", "write",
    )  # fmt: skip

    def __init__(self, hub: Hub, transport: FrameTransport, address: str, session: Session) -> None:
        self._hub = hub
        self.address = address
        self.transport = transport
        self.write = transport.write
        self.session = session
        self.buffer = SendBuffer(hub.source, hub.limits.waiting_bytes_max)
        self.is_ended = False
        self.is_held = False
        self.is_slow = False
        self.slow_since_ns = 0
        self.needs_initial: dict[Channel, None] = {}  # open channels; it was slow at the time
        self.has_called = False
        self._replies: list[bytes] = []  # payloads of this turn of the loop

    @property
    def access(self) -> Access | None:
        return self.session.access

    def reply(self, payload: bytes) -> None:
        """Send one text frame, in one write with the others of this turn of the loop: a system call
        costs more than a reply. Does nothing once the connection has ended.
        """
        if self.is_ended:
            return
        replies = self._replies
        if not replies:
            self._hub.call_soon(self._send_replies)
        replies.append(payload)
        if len(replies) >= _BATCH_REPLIES:
            self._send_replies()

    def hold(self) -> None:
        self.is_held = True
        self.transport.pause_reading()

    def handle(self, payload: bytes) -> None:
        if not self.is_ended:
            self._hub.receive(self, payload)

    def go_on(self) -> None:
        self.is_held = False
        if not self.is_ended:
            self.transport.resume_reading()

    def count_control_frame(self) -> None:
        """Charge a ping or pong of the client. Raises ProtocolError if it was one too many."""
        self.session.count_control_frame(self._hub.now_ns())

    def close(self, code: int, reason: str) -> None:
        """Close the connection. Does nothing if that was done before."""
        self._send_replies()
        if not self.is_ended:
            self._hub.remove(self)
            self.transport.close(code, reason)

    # What its connection calls.

    def receive(self, payload: bytes) -> None:
        if self.is_held:
            self._hub.keep(self, payload)
        elif not self.is_ended:
            self._hub.receive(self, payload)

    def pause_writing(self) -> None:
        if not self.is_slow:
            self.is_slow = True
            self.slow_since_ns = self._hub.now_ns()

    def resume_writing(self) -> None:
        self.is_slow = False
        if not self.is_ended:
            self._hub.guarded(self._hub.catch_up, self)

    def connection_lost(self) -> None:
        self._hub.remove(self)

    def _send_replies(self) -> None:
        replies = self._replies
        if self.is_ended or not replies:
            return
        self._replies = []
        if not self.is_slow:
            self.write(b"".join(map(text_frame, replies)))
        elif not all(map(self.buffer.put_reply, replies)):
            self._hub.close_slow(self)


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
        """Requires a running loop. Without `authority` nothing private is shown; without
        `requests` there are only streams.
        """
        self.source = source
        self.limits = limits or HubLimits()
        self.now_ns = now_ns
        self.failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """Ends, with the reason, when the source or a request failed: the process must exit."""
        self._authority = authority
        self._requests = requests
        self._clients: dict[HubClient, None] = {}
        self._subscriptions: Subscriptions[HubClient] = Subscriptions()
        self._published: dict[Channel, list[ChannelMessage]] = {}  # in this turn of the loop
        self._published_bytes = 0
        self._is_sending = False  # scheduled, or pausing after it
        self._openings: set[asyncio.Task[None]] = set()
        self._slow_closed = 0
        source.attach(self.publish)

    def connect(self, transport: FrameTransport, address: str) -> HubClient:
        session = Session(self.source.find, self._authority, self.limits.session, address)
        client = HubClient(self, transport, address, session)
        self._clients[client] = None
        return client

    def publish(self, channel: Channel, message: ChannelMessage) -> None:
        """Send to the receivers of a channel, at the end of this turn of the loop or soon after."""
        messages = self._published.get(channel)
        if messages is not None:
            messages.append(message)
        elif self._subscriptions.active(channel):
            self._published[channel] = [message]
            if not self._is_sending:
                self._is_sending = True
                self.call_soon(self._send_gathered)
        else:
            return
        self._published_bytes += len(message.payload)
        if self._published_bytes > _BATCH_BYTES:
            self._flush()

    def sweep(self) -> None:
        """Each second: close clients that are slow for long, or whose credential has ended."""
        self.guarded(self._sweep)

    async def stop(self, drain_s: float) -> None:
        """Close all connections, over `drain_s`, each with the time after which to reconnect."""
        self.guarded(self._flush)
        clients = list(self._clients)
        spread_s = 2 * _RECONNECT_LEAST_S + len(clients) // _RECONNECTS_PER_S
        pause_s = min(drain_s, len(clients) / _CLOSES_PER_S) / (len(clients) or 1)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for number, client in enumerate(clients):
            ahead_s = begin + number * pause_s - loop.time()
            if ahead_s > 0.005:
                await asyncio.sleep(ahead_s)
            wait_s = random.randint(_RECONNECT_LEAST_S, spread_s)
            client.close(GOING_AWAY, f"going away, reconnect in {wait_s} s")
        for opening in list(self._openings):
            opening.cancel()

    def status(self) -> dict[str, int]:
        clients = list(self._clients)
        return {
            "connections": len(clients),
            "channels": len(self._subscriptions),
            "subscriptions": sum(len(client.session.channels()) for client in clients),
            "bufferedBytes": sum(c.buffer.bytes + c.transport.waiting_bytes() for c in clients),
            "slow": sum(client.is_slow for client in clients),
            "slowClosed": self._slow_closed,
        }

    def fail(self, bug: Exception) -> None:
        if not self.failed.done():
            self.failed.set_result(bug)

    # What a client calls.

    def receive(self, client: HubClient, payload: bytes) -> None:
        now_ns = self.now_ns()
        try:
            for action in client.session.receive(payload, now_ns):
                if not client.is_ended:  # The action before may have closed it.
                    self._do(client, action, now_ns)
        except ProtocolError as error:
            client.close(error.close_code, error.reason)
        except Exception as bug:  # noqa: BLE001
            self.fail(bug)

    def keep(self, client: HubClient, payload: bytes) -> None:
        """Of a client that is held."""
        assert self._requests is not None
        if not client.is_ended:
            self._requests.keep(client, payload)

    def remove(self, client: HubClient) -> None:
        """The connection has ended. Does nothing the second time."""
        if client.is_ended:
            return
        client.is_ended = True
        del self._clients[client]
        self.guarded(self._unsubscribe_all, client)

    def close_slow(self, client: HubClient) -> None:
        if not client.is_ended:
            self._slow_closed += 1
            client.close(TRY_LATER, SLOW)

    def call_soon(self, work: Callable[[], None]) -> None:
        """Call it at the end of this turn of the loop."""
        asyncio.get_running_loop().call_soon(self.guarded, work)

    # Actions of sessions.

    def _do(self, client: HubClient, action: Action, now_ns: int) -> None:
        if isinstance(action, CallMethod):
            client.has_called = True
            if self._requests is None or not self._requests.request(client, *action):
                client.reply(client.session.refuse_method(action.request_id, now_ns).payload)
        elif isinstance(action, SendReply):
            client.reply(action.payload)
        elif isinstance(action, Subscribe):
            self._subscribe(client, action.channel)
        elif isinstance(action, SendLatest):
            self._send_latest(client, action.channel)
        else:
            self._unsubscribe(client, action.channel)

    def _subscribe(self, client: HubClient, channel: Channel) -> None:
        step = self._subscriptions.subscribe(client, channel)
        if step == SEND_INITIAL:
            self._send_initial(client, channel)
        elif step == OPEN_CHANNEL:
            opening = asyncio.get_running_loop().create_task(self._open(channel))
            self._openings.add(opening)
            opening.add_done_callback(self._openings.discard)

    def _unsubscribe(self, client: HubClient, channel: Channel) -> None:
        client.needs_initial.pop(channel, None)
        client.buffer.drop(channel)
        if self._subscriptions.unsubscribe(client, channel):
            self.source.close(channel)

    def _unsubscribe_all(self, client: HubClient) -> None:
        for channel in client.session.channels():
            self._unsubscribe(client, channel)
        client.buffer = SendBuffer(self.source, 0)
        if client.has_called and self._requests is not None:
            self._requests.ended(client)

    async def _open(self, channel: Channel) -> None:
        try:
            await self.source.open(channel)
            waiting = self._subscriptions.opened(channel)
            if not waiting:
                self.source.close(channel)
            for client in waiting:
                self._send_initial(client, channel)
        except Exception as bug:  # noqa: BLE001
            self.fail(bug)

    def _send_initial(self, client: HubClient, channel: Channel) -> None:
        """Send the initial messages, and from now on what is published."""
        if client.is_slow:
            client.needs_initial[channel] = None
            return
        messages = self.source.initial_messages(channel)
        # They contain what was published until now, which only the other receivers still need.
        self._send(channel, self._published.pop(channel, ()))
        if client.is_ended:
            return  # It was closed as slow, for messages of other channels.
        self._subscriptions.activate(client, channel)
        if messages:
            client.write(_frames(messages))

    def _send_latest(self, client: HubClient, channel: Channel) -> None:
        """Some clients (ccxt.pro: tickers) subscribe again to get the present state. Only LATEST
        messages can be repeated.
        """
        if client.is_slow or client not in self._subscriptions.active(channel):
            return  # It will receive the state anyway.
        messages = [one for one in self.source.initial_messages(channel) if one.rule == LATEST]
        self._send(channel, self._published.pop(channel, ()))
        if messages and not client.is_ended:
            client.write(_frames(messages))

    # Sending.

    def _send_gathered(self) -> None:
        started_ns = self.now_ns()
        self._flush()
        # Transports write at the end of the turn.
        asyncio.get_running_loop().call_soon(self.guarded, self._pause, started_ns)

    def _pause(self, started_ns: int) -> None:
        """Leave the loop to other work for as long as sending took."""
        took_ns = self.now_ns() - started_ns
        if took_ns < _PAUSE_LEAST_NS:
            self._resume()
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(took_ns / NS_PER_SECOND, self.guarded, self._resume)

    def _resume(self) -> None:
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

    def _send(self, channel: Channel, messages: Iterable[ChannelMessage]) -> None:
        if not messages:
            return
        frames = _frames(messages)
        overfull: list[HubClient] = []
        for client in self._subscriptions.active(channel):
            if not client.is_slow:
                client.write(frames)
            elif not all(client.buffer.put(channel, message) for message in messages):
                overfull.append(client)
        for client in overfull:
            self.close_slow(client)

    def catch_up(self, client: HubClient) -> None:
        """Send what has waited while the client was slow."""
        while not client.is_slow and client.buffer.bytes:
            client.write(b"".join(map(text_frame, client.buffer.take(_TAKE_BYTES))))
        while not client.is_slow and client.needs_initial:
            channel = next(iter(client.needs_initial))
            del client.needs_initial[channel]
            self._send_initial(client, channel)

    def _sweep(self) -> None:
        slow_ns = int(self.limits.slow_s * NS_PER_SECOND)
        now_ns = self.now_ns()
        for client in list(self._clients):
            if client.is_slow and now_ns - client.slow_since_ns > slow_ns:
                self.close_slow(client)
            elif not client.session.has_live_credentials():
                client.close(POLICY, "key or token has ended")

    def guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        """Report a bug as `failed`; in a callback of the loop it would only be logged."""
        try:
            work(*arguments)
        except Exception as bug:  # noqa: BLE001
            self.fail(bug)


def _frames(messages: Iterable[ChannelMessage]) -> bytes:
    return b"".join([text_frame(message.payload) for message in messages])
