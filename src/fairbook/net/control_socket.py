"""The control socket: DIR/control, where commands on the same machine talk to a running exchange.

Design: a Unix socket. A client sends one line of JSON with the name of a command, and gets one line
of JSON. The caller of `ControlServer` gives the handlers of the commands.

Invariant: only the owner of the data directory can connect (mode 0600).
"""

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
_PATH_BYTES_MAX: Final = 100  # Of a socket, on every system.

ControlRequest = Mapping[str, Any]
ControlHandler = Callable[[ControlRequest], Awaitable[Mapping[str, Any]]]


class NotRunning(Exception):
    """There is no exchange that answers."""


class ControlRefused(Exception):
    """The exchange refuses a command. The message says why, and what to do."""


class ControlServer:
    """The end of the exchange."""

    def __init__(self, directory: Path, handlers: Mapping[str, ControlHandler]) -> None:
        """handlers: by command. They may raise ControlRefused."""
        self._path = directory / NAME
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """The caller is the only exchange of the directory. Raises OSError."""
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
        """Idempotent."""
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
            pass  # The client has gone, or its line is too long.
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
        except ControlRefused as refused:
            return {"error": str(refused)}


def ask(directory: Path, command: str, **more: Any) -> dict[str, Any]:
    """Send a command to the exchange of `directory`. Raises NotRunning, ControlRefused, OSError."""
    path = directory / NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_WAIT_S)
        try:
            with short_name(path) as name:
                connection.connect(name)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunning("no exchange is running") from error
        connection.sendall(json.dumps({"command": command} | more).encode() + b"\n")
        with connection.makefile("rb") as stream:
            line = stream.readline(ANSWER_BYTES_MAX)
    if not line.endswith(b"\n"):
        raise NotRunning("the exchange ended before its answer")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise ControlRefused(answer["error"])
    return answer


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name that is short enough for a socket: of a long one, through a symbolic link."""
    name = str(path.absolute())
    if len(os.fsencode(name)) <= _PATH_BYTES_MAX:
        yield name
        return
    with tempfile.TemporaryDirectory(prefix="fb-") as folder:
        link = Path(folder) / "d"
        link.symlink_to(path.absolute().parent)
        yield str(link / path.name)
