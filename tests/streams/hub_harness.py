"""Fakes around the hub: a source whose every update can be checked, connections without sockets,
and an authority with a list of keys.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from fairbook.api.errors import ApiError, BadRequest, unauthorized
from fairbook.ports.accounts import READ, TRADE, Access
from fairbook.ports.connections import Caller
from fairbook.streams.channel_source import (
    KEEP,
    LATEST,
    MERGE,
    Channel,
    ChannelMessage,
    Publish,
    StreamKind,
)
from fairbook.streams.hub import Hub, HubClient, HubLimits
from tests.world.stories import runner_of

DEPTH, TRADES, PRICE = Channel("depth"), Channel("trades"), Channel("price")
NEWEST = 3  # updates in the initial messages of depth

Update = tuple[int, int, dict[int, int]]  # first and last id, level -> value


class LevelSource:
    """A source: levels that change one by one. `depth` and `slow` publish the changes as contiguous
    ranges of ids (MERGE), `trades` is KEEP, `price` is LATEST, `quiet` is silent, `account.orders`
    is private. `slow` opens when the test sets `gate`.
    """

    def __init__(self) -> None:
        self.publish: Publish
        self.gate = asyncio.Event()
        self.open_channels: set[Channel] = set()
        self.calls: list[tuple[str, Channel]] = []
        self.levels: dict[int, int] = {}
        self.newest: list[Update] = [(n, n, {}) for n in range(-NEWEST + 1, 1)]
        self.last_id = 0
        self.trade_id = 0
        self.price = 0
        self.broken: Exception | None = None
        self.pending: list[tuple[int, int]] = []  # folded by the next `initial_messages`
        self.merged = 0
        self.encoded = 0

    def attach(self, publish: Publish) -> None:
        self.publish = publish

    def find(self, name: str) -> StreamKind | None:
        if name == "quiet":
            return StreamKind(is_silent=True)
        if name.startswith("account."):
            return StreamKind(is_private=True) if name == "account.orders" else None
        known = name in ("depth", "slow", "trades", "price") or name.startswith("extra")
        return StreamKind() if known else None

    async def open(self, channel: Channel) -> None:
        assert channel not in self.open_channels
        self.calls.append(("open", channel))
        if channel.name == "slow":
            await self.gate.wait()
        if self.broken is not None:
            raise self.broken
        self.open_channels.add(channel)

    def close(self, channel: Channel) -> None:
        self.open_channels.remove(channel)
        self.calls.append(("close", channel))

    def initial_messages(self, channel: Channel) -> Sequence[ChannelMessage]:
        assert channel in self.open_channels
        pending, self.pending = self.pending, []
        for level, value in pending:
            self.set(level, value)
        if channel.name in ("depth", "slow"):
            return [self.message(channel.name, update) for update in self.newest]
        if channel == PRICE and self.price:
            return [ChannelMessage(b'{"stream":"price","data":%d}' % self.price, LATEST)]
        return ()

    def merge(self, channel: Channel, older: object, newer: object) -> object:
        first, middle, changes = cast(Update, older)
        next_first, last, newer_changes = cast(Update, newer)
        assert next_first == middle + 1
        self.merged += 1
        return first, last, {**changes, **newer_changes}

    def encode(self, channel: Channel, content: object) -> bytes:
        self.encoded += 1
        return json.dumps({"stream": channel.name, "data": content}).encode()

    def message(self, name: str, update: Update) -> ChannelMessage:
        return ChannelMessage(self.encode(Channel(name), update), MERGE, update)

    def set(self, level: int, value: int) -> None:
        """Change a level, and publish it."""
        self.last_id += 1
        self.levels[level] = value
        update = (self.last_id, self.last_id, {level: value})
        self.newest = [*self.newest[1:], update]
        for name in ("depth", "slow"):
            if Channel(name) in self.open_channels:
                self.publish(Channel(name), self.message(name, update))

    def trade(self, filling: str = "") -> None:
        """Publish one more trade."""
        self.trade_id += 1
        text = json.dumps({"stream": "trades", "data": [self.trade_id, filling]})
        self.publish(TRADES, ChannelMessage(text.encode(), KEEP))

    def quote(self, price: int) -> None:
        """Publish another best price."""
        self.price = price
        self.publish(PRICE, ChannelMessage(b'{"stream":"price","data":%d}' % price, LATEST))

    def order(self, account: int, number: int) -> None:
        """Publish a private message."""
        text = b'{"stream":"account.orders","data":%d}' % number
        self.publish(Channel("account.orders", account), ChannelMessage(text, KEEP))


class KeyList:
    """An authority: `live` keys by name, each of an account."""

    def __init__(self) -> None:
        self.live = {
            "alice": Access(7, READ | TRADE, credential=1),
            "bob": Access(8, READ, credential=2),
            "trader": Access(7, TRADE, credential=3),
        }

    def by_token(self, token: str, *, address: str) -> Access:
        access = self.live.get(token)
        if access is None:
            raise unauthorized()
        return access

    def by_signature(self, parts: Sequence[Any], instruction: str, *, address: str) -> Access:
        name, signature, timestamp, _window = parts
        if timestamp == "old":
            raise BadRequest("Request has expired")
        if name not in self.live or signature != instruction:
            raise ApiError(401, "INVALID_SIGNATURE", "Invalid signature")
        return self.live[name]

    def is_live(self, access: Access) -> bool:
        return access in self.live.values()


class MemoryConnection:
    """A connection without a socket: it takes `room` bytes, and is full after that, until the test
    calls `read`.
    """

    def __init__(self, hub: Hub, room: int = 10**9) -> None:
        self.on_write: Callable[[], None] = lambda: None
        self.written: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.room = room
        self.unread = 0
        self.most_unread = 0
        self._is_read = True
        self._is_paused = False
        self.client: HubClient = hub.connect(self, "192.0.2.1")

    def pause_reading(self) -> None:
        self._is_read = False

    def resume_reading(self) -> None:
        self._is_read = True

    def is_read(self) -> bool:
        return self._is_read

    def write(self, frames: bytes) -> None:
        assert self.closed is None, "written after the Close"
        self.on_write()
        self.written.append(frames)
        self.unread += len(frames)
        self.most_unread = max(self.most_unread, self.unread)
        if self.unread > self.room and not self._is_paused:
            self._is_paused = True
            self.client.pause_writing()

    def read(self) -> None:
        """Read everything, as the client."""
        self.unread = 0
        if self._is_paused:
            self._is_paused = False
            self.client.resume_writing()

    def waiting_bytes(self) -> int:
        return self.unread

    def close(self, code: int, reason: str) -> None:
        assert self.closed is None
        self.closed = (code, reason)

    def say(self, **frame: Any) -> None:
        """Send a frame as a client."""
        self.client.receive(json.dumps(frame).encode())

    def subscribe(self, *names: str) -> None:
        self.say(method="SUBSCRIBE", params=names)

    def texts(self) -> list[Any]:
        """Everything received, as JSON."""
        return [json.loads(text) for text in unframed(b"".join(self.written))]

    def received(self, name: str) -> list[Any]:
        """Everything received of one stream."""
        return [text["data"] for text in self.texts() if text.get("stream") == name]


def unframed(frames: bytes) -> list[bytes]:
    """The texts of whole frames of a server."""
    texts = []
    while frames:
        assert frames[0] == 0x81
        size, start = frames[1], 2
        if size == 126:
            size, start = int.from_bytes(frames[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(frames[2:10], "big"), 10
        texts.append(frames[start : start + size])
        assert len(texts[-1]) == size
        frames = frames[start + size :]
    return texts


def replayed(updates: Sequence[Any]) -> tuple[int, dict[int, int]]:
    """Apply updates as clients do: each begins right after the one before. Returns the last id and
    the levels that were changed.
    """
    levels: dict[int, int] = {}
    reached = updates[0][0] - 1
    for first, last, changes in updates:
        assert first == reached + 1, f"{first} after {reached}"
        reached = last
        levels.update({int(level): value for level, value in changes.items()})
    return reached, levels


class EchoRequests:
    """Handles requests: `echo` is answered at once, `later` by the test; `hold` holds."""

    def __init__(self) -> None:
        self.waiting: list[Caller] = []
        self.gone: list[Caller] = []
        self.kept: list[bytes] = []

    def request(self, caller: Caller, request_id: bytes, method: str, params: Any) -> bool:
        if method == "echo":
            caller.reply(b'{"id":%b,"account":%d}' % (request_id, _account(caller)))
        elif method == "later":
            self.waiting.append(caller)
        elif method == "hold":
            caller.hold()
        elif method == "break":
            raise ZeroDivisionError
        return method in ("echo", "later", "hold")

    def keep(self, caller: Caller, payload: bytes) -> None:
        self.kept.append(payload)

    def ended(self, caller: Caller) -> None:
        self.gone.append(caller)


def _account(caller: Caller) -> int:
    return caller.access.account if caller.access else 0


class HubHarness:
    """A hub with its fakes."""

    def __init__(self, limits: HubLimits | None = None) -> None:
        self.source = LevelSource()
        self.keys = KeyList()
        self.requests = EchoRequests()
        self.now_ns = 10**9
        self.hub = Hub(
            self.source,
            authority=self.keys,
            requests=self.requests,
            limits=limits,
            now_ns=lambda: self.now_ns,
        )

    def connect(self, room: int = 10**9) -> MemoryConnection:
        return MemoryConnection(self.hub, room)

    def pass_time(self, ns: int) -> None:
        """Advance the hub's clock."""
        self.now_ns += ns

    async def turn(self) -> None:
        """Run what is scheduled in the loop."""
        for _ in range(4):
            await asyncio.sleep(0)
        assert not self.hub.failed.done(), self.hub.failed.result()


def play(story: Callable[[HubHarness], Awaitable[None]], limits: HubLimits | None = None) -> None:
    async def scene() -> None:
        harness = HubHarness(limits)
        await story(harness)
        await harness.turn()

    asyncio.run(scene())


with_hub = runner_of(play, 1)
