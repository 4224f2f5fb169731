"""A stream server on a real socket, and a minimal WebSocket client."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from fairbook.streams.hub import Hub, HubLimits
from fairbook.streams.ws_server import StreamLimits, StreamServer
from tests.streams.hub_harness import KeyList, LevelSource
from tests.world import ws_frames
from tests.world.stories import runner_of
from tests.world.ws_frames import CLOSE, FIN, TEXT, frame

WAIT_S = 20.0  # for what happens at once: the machine may be busy


def head(
    path: str = "/", *, method: str = "GET", version: str = "1.1", **changes: str | None
) -> bytes:
    """As ws_frames.head, to fair.example."""
    changes = {"host": "fair.example:8001", **changes}
    return ws_frames.head(path, method=method, version=f"HTTP/{version}", lines=b"", **changes)


class AsyncSocketClient:
    """A minimal WebSocket client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the response."""
        self.writer.write(request)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(lines[0].split()[1]), headers, body

    async def refusal(self, request: bytes) -> tuple[int, str]:
        """Status and code, in JSON; and the connection ends."""
        status, headers, body = await self.ask(request)
        assert headers["content-type"] == "application/json; charset=utf-8"
        assert headers["connection"] == "close"
        assert await self.reader.read() == b""
        code = json.loads(body)["code"]
        return status, str(code)

    def say(self, **fields: Any) -> None:
        self.writer.write(frame(json.dumps(fields).encode()))

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""
        first, size = await self.reader.readexactly(2)
        assert first & FIN and not first & 0x70 and size < 128
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        return first & 15, await self.reader.readexactly(size)

    async def json(self) -> Any:
        """The next text."""
        opcode, payload = await self.frame()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the Close frame; skips earlier frames."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()


class StreamServerHarness:
    """A server, its source, and clients of it."""

    def __init__(self, limits: StreamLimits, hub_limits: HubLimits | None) -> None:
        self.source = LevelSource()
        self.keys = KeyList()
        self.hub = Hub(self.source, authority=self.keys, limits=hub_limits)
        self.server = StreamServer(self.hub, limits)
        self.port = 0
        self.clients: list[AsyncSocketClient] = []

    async def dial(self) -> AsyncSocketClient:
        """Connect, and send nothing."""
        client = AsyncSocketClient(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    async def connect(self) -> AsyncSocketClient:
        """A WebSocket."""
        client = await self.dial()
        assert (await client.ask(head()))[0] == 101
        return client

    def pass_time(self, seconds: float) -> None:
        """Check the deadlines of all connections as of a later time."""
        now = asyncio.get_running_loop().time() + seconds
        for connection in list(self.server.connections):
            connection.check_deadlines(now)


def play(
    story: Callable[[StreamServerHarness], Awaitable[None]],
    limits: StreamLimits | None = None,
    hub_limits: HubLimits | None = None,
) -> None:
    async def scene() -> None:
        harness = StreamServerHarness(limits or StreamLimits(), hub_limits)
        harness.port = await harness.server.start("127.0.0.1", 0)
        try:
            await asyncio.wait_for(story(harness), WAIT_S)
        finally:
            for client in harness.clients:
                client.writer.close()
            await harness.server.stop(0.1)
        assert not harness.hub.failed.done(), harness.hub.failed.result()
        assert not harness.server.connections and not harness.server.admitted.open_of
        assert harness.source.open_channels == set()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())


with_stream_server = runner_of(play, 1)
