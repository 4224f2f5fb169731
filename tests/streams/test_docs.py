"""docs/reference/streams.md: its chat room runs, and its limits are those of the code."""

import asyncio
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import uvloop

from fairbook.app.settings import UpSettings
from fairbook.net import ws_frames as frames
from fairbook.streams import session
from fairbook.streams.hub import HubLimits
from fairbook.streams.session import SessionLimits
from fairbook.streams.ws_server import StreamLimits

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "streams.md").read_text()


def chat_room() -> dict[str, Any]:
    """What the code block defines."""
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 40
    defined: dict[str, Any] = {}
    exec(compile(code, "docs/reference/streams.md", "exec"), defined)
    return defined


def test_the_chat_room_is_one() -> None:
    async def scene() -> None:
        server, port = await chat_room()["open_room"]("127.0.0.1", 0)
        async with aiohttp.ClientSession() as http:
            address = f"ws://127.0.0.1:{port}/ws"
            async with http.ws_connect(address) as alice, http.ws_connect(address) as bob:
                await alice.send_json({"method": "SUBSCRIBE", "params": ["talk"]})
                await alice.send_json({"method": "say", "params": "hello"})
                assert await alice.receive_json() == {"stream": "talk", "data": "hello"}
                await bob.send_json({"id": 1, "method": "SUBSCRIBE", "params": ["talk", "shop"]})
                heard = [await bob.receive_json() for _ in range(2)]
                assert {"stream": "talk", "data": "hello"} in heard
                assert {"code": 4006, "message": "Invalid stream: shop"} in [
                    text.get("error") for text in heard
                ]
                await bob.send_json({"method": "say", "params": ["hi", "there"]})
                for client in (alice, bob):
                    text = await client.receive_json()
                    assert text == {"stream": "talk", "data": ["hi", "there"]}
                stopping = asyncio.ensure_future(server.stop(1.0))
                assert (await alice.receive()).data == 1001
                assert (await bob.receive()).data == 1001
                await stopping
                assert not server.hub.failed.done()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())


def test_the_limits_are_those_of_the_code() -> None:
    settings, server, hub, limits = UpSettings(), StreamLimits(), HubLimits(), SessionLimits()
    for words in (
        f"| subscriptions of a connection | {limits.streams_max};",
        f"| {limits.control_frames_per_s} a second, {limits.control_frames_burst} at once;",
        f"| {settings.ws_per_address:,} (`FAIRBOOK_WS_PER_ADDRESS`);",
        f" {settings.ws_connections:,} (`FAIRBOOK_WS_CONNECTIONS`).",
        f"| {server.handshake_s:.0f} s |",
        f"every {server.ping_s:.0f} s, and closes if no pong has arrived for {server.pong_s:.0f} s",
        f"more than {server.message_bytes_max // 1024} KB",
        f"more than {frames.FRAGMENTS_MAX} fragments",
        f"that holds {server.transport_bytes_max // 1024} KB",
        f"more than {hub.waiting_bytes_max // 1024} KB wait",
        f"slow for {hub.slow_s:.0f} s",
    ):
        assert words in " ".join(TEXT.split()), words


def test_every_code_is_explained() -> None:
    errors = numbers_in(session, range(4000, 5000))
    closes = numbers_in(frames, range(1000, 1016))
    assert (len(errors), len(closes)) == (6, 8)
    for code in errors + closes:
        assert f"\n| {code} | " in TEXT


def numbers_in(module: ModuleType, among: range) -> list[int]:
    """The module's constants that are among these numbers."""
    return [value for value in vars(module).values() if type(value) is int and value in among]
