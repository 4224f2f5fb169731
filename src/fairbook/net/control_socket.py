"""The door for people on this machine: DIR/control, where a running exchange is asked and told.

How it works: a Unix socket; one line of JSON in, one line out, and it is closed. What can be asked
is given by whoever opens it.

Always true: only the owner of the data directory can connect (mode 0600, in a directory of his).

Not here: what the commands do (processes.py, audit.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

NAME: Final = "control"
LINE_BYTES_MAX: Final = 64 * 1024
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
ANSWER_WAIT_S: Final = 60.0
_PATH_BYTES_MAX: Final = 100  # what every system takes as the name of a socket

Request = Mapping[str, Any]
Handler = Callable[[Request], Awaitable[Mapping[str, Any]]]


class NotRunning(Exception):
    """Nobody answers at the door."""


class Refused(Exception):
    """The exchange says no. The message says why, and what to do."""


class Control:
    """The exchange's side."""

    def __init__(self, directory: Path, handlers: Mapping[str, Handler]) -> None:
        """handlers: by name of the command. One may raise Refused."""
        self._path = directory / NAME
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Open. The caller is the only exchange of the directory. Raises OSError."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            before = os.umask(0o177)
            try:
                with short_name(self._path) as name:
                    listener.bind(name)
            finally:
                os.umask(before)
            self._server = await asyncio.start_unix_server(
                self._serve, sock=listener, limit=LINE_BYTES_MAX
            )
        except BaseException:
            listener.close()
            raise

    async def stop(self) -> None:
        """Close. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(await reader.readline())
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError):
            pass  # Whoever asked has gone, or said too much.
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Mapping[str, Any]:
        try:
            request = json.loads(line)
            handler = self._handlers[request["command"]]
        except (ValueError, KeyError, TypeError):
            return {"error": "no such command"}
        try:
            return await handler(request)
        except Refused as refused:
            return {"error": str(refused)}


def ask(directory: Path, command: str, **more: Any) -> dict[str, Any]:
    """Ask the exchange that runs in `directory`. Raises NotRunning, Refused, OSError."""
    path = directory / NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_WAIT_S)
        try:
            with short_name(path) as name:
                connection.connect(name)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunning(f"no exchange runs in {directory}") from error
        connection.sendall(json.dumps({"command": command} | more).encode() + b"\n")
        octets = bytearray()
        while not octets.endswith(b"\n") and len(octets) < ANSWER_BYTES_MAX:
            part = connection.recv(64 * 1024)
            if not part:
                raise NotRunning("the exchange ended before it answered")
            octets += part
    answer: dict[str, Any] = json.loads(octets)
    if "error" in answer:
        raise Refused(answer["error"])
    return answer


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name for the socket that every system takes: a long one is reached over a link."""
    name = str(path.absolute())
    if len(os.fsencode(name)) <= _PATH_BYTES_MAX:
        yield name
        return
    with tempfile.TemporaryDirectory(prefix="fb-") as folder:
        link = Path(folder) / "d"
        link.symlink_to(path.absolute().parent)
        yield str(link / path.name)
