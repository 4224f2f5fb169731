"""A bare broadcast, a process of its own: what `./dev bench fanout` compares the exchange with.

How it works: picows' own server, as its documentation has it. What comes on stdin, a text behind
its length in four bytes, is sent to every connection; that is all it does.

Not here: what is sent (fanout.py).
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Final

import uvloop
from picows import WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench.orders_server import cpu_s, processors
from bench.piped import Piped, settle

LENGTH_BYTES: Final = 4
READ_BYTES: Final = 65_536


class Broadcast:
    """The process, as the bench sees it. It is on the exchange's processor."""

    def __init__(self) -> None:
        own, _ = processors()
        self._piped = Piped("bench.fanout_broadcast", processor=own)
        self.stop = self._piped.stop
        self.port = int(self._piped.line())

    def send(self, text: bytes) -> None:
        """To everybody."""
        self._piped.write(len(text).to_bytes(LENGTH_BYTES, "big") + text)

    def cpu_s(self) -> float:
        """What it has used so far."""
        return cpu_s(self._piped.pid)


class _Listener(WSListener):
    """One connection."""

    def __init__(self, transports: dict[WSTransport, None]) -> None:
        self._transports = transports

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transports[transport] = None

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        del self._transports[transport]


class _Texts:
    """What stdin says."""

    def __init__(self, transports: dict[WSTransport, None], ended: asyncio.Event) -> None:
        self._transports = transports
        self._ended = ended
        self._partial = b""

    def read(self) -> None:
        received = os.read(0, READ_BYTES)
        if not received:
            self._ended.set()
        self._partial += received
        while len(self._partial) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(self._partial[:LENGTH_BYTES], "big")
            if len(self._partial) < end:
                return
            text, self._partial = self._partial[LENGTH_BYTES:end], self._partial[end:]
            for transport in self._transports:
                transport.send(WSMsgType.TEXT, text)


async def _serve() -> None:
    transports: dict[WSTransport, None] = {}

    def listener(request: WSUpgradeRequest) -> WSListener:
        return _Listener(transports)

    server = await ws_create_server(listener, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(0, _Texts(transports, ended).read)
    await ended.wait()
    loop.remove_reader(0)
    server.close()


def main() -> None:
    """Be the process. Argument: its processor."""
    settle(sys.argv[1])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())


if __name__ == "__main__":
    main()
