"""A bare picows broadcast, in a process of its own: what `./dev bench fanout` compares with.

Design: picows' own server, as its documentation has it. What comes on stdin, a text after its
length in four bytes, is sent to every connection.
"""

import asyncio
from typing import Final

import uvloop
from picows import WSListener, WSMsgType, WSTransport, ws_create_server

from bench.processes import Helper, cpu_s, processors, say, stdin_reader
from bench.runs import Run

LENGTH_BYTES: Final = 4


class Broadcast:
    """The process, as the bench sees it. It has the exchange's processor."""

    def __init__(self, run: Run) -> None:
        self._helper = run.until_end(Helper("bench.broadcast", processor=processors()[0]))
        self.port: int = self._helper.answer()

    def send(self, text: bytes) -> None:
        self._helper.write(len(text).to_bytes(LENGTH_BYTES, "big") + text)

    def cpu_s(self) -> float:
        return cpu_s(self._helper.pid)


class Listener(WSListener):
    """One connection; `transports` has those that are open."""

    transports: Final[dict[WSTransport, None]] = {}

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transports[transport] = None

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        del self.transports[transport]


async def serve() -> None:
    """Until stdin ends."""
    server = await ws_create_server(lambda _request: Listener(), "127.0.0.1", 0, backlog=2048)
    say(server.sockets[0].getsockname()[1])
    stdin = await stdin_reader()
    while head := await stdin.read(LENGTH_BYTES):
        text = await stdin.readexactly(int.from_bytes(head, "big"))
        for transport in Listener.transports:
            transport.send(WSMsgType.TEXT, text)
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
