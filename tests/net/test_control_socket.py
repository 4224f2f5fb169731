"""The control socket: who may connect, and what is answered."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairbook.cli import main
from fairbook.net import control_socket as control
from fairbook.net.control_socket import ControlRefused, ControlRequest, ControlServer, NotRunning


async def _echo(request: ControlRequest) -> dict[str, Any]:
    return {"said": request["word"]}


async def _refuse(_request: ControlRequest) -> dict[str, Any]:
    raise ControlRefused("not today")


def served(directory: Path, visit: Callable[[], None]) -> None:
    """Serve, and run `visit` in another thread, as another process would."""

    async def main() -> None:
        server = ControlServer(directory, {"echo": _echo, "refuse": _refuse})
        await server.start()
        try:
            await asyncio.to_thread(visit)
        finally:
            await server.stop()

    asyncio.run(main())


def test_a_command_is_answered_or_refused(tmp_path: Path) -> None:
    def visit() -> None:
        assert control.ask(tmp_path, "echo", word="hello") == {"said": "hello"}
        with pytest.raises(ControlRefused, match="not today"):
            control.ask(tmp_path, "refuse")
        with pytest.raises(ControlRefused, match="no such command"):
            control.ask(tmp_path, "edit", process="engine")
        assert stat.S_IMODE((tmp_path / control.NAME).stat().st_mode) == 0o600

    served(tmp_path, visit)
    assert not (tmp_path / control.NAME).exists()


def test_a_directory_with_a_long_name_has_a_control_socket(tmp_path: Path) -> None:
    """Names of sockets are limited to about 100 bytes."""
    directory = tmp_path / ("long " * 20) / ("longer " * 20)
    directory.mkdir(parents=True)

    def visit() -> None:
        assert control.ask(directory, "echo", word=1) == {"said": 1}

    served(directory, visit)


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"[]\n", b"null\n", b'{"command": 3}\n', b"x" * 99_999]
)
def test_an_invalid_line_is_refused_and_the_next_client_is_served(
    tmp_path: Path, line: bytes
) -> None:

    def visit() -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            with control.short_name(tmp_path / control.NAME) as name:
                connection.connect(name)
            try:
                connection.sendall(line)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(1000)
            except ConnectionError:
                answer = b""
            assert answer == b"" or b"no such command" in answer
        assert control.ask(tmp_path, "echo", word="next") == {"said": "next"}

    served(tmp_path, visit)


def test_no_exchange_is_running(tmp_path: Path) -> None:
    """None was ever started, or one was killed and its socket is left."""
    with pytest.raises(NotRunning):
        control.ask(tmp_path, "status")
    left = socket.socket(socket.AF_UNIX)
    with control.short_name(tmp_path / control.NAME) as name:
        left.bind(name)
    left.close()
    with pytest.raises(NotRunning):
        control.ask(tmp_path, "status")
    served(tmp_path, lambda: None)  # A new exchange replaces the socket.


def test_a_directory_without_an_exchange_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(tmp_path)]) == 1
    assert "there is no log in this directory" in capsys.readouterr().err
    assert main(["admin", "resume", str(tmp_path)]) == 1
    assert "there is no log in this directory" in capsys.readouterr().err
    assert main(["judge", str(tmp_path)]) == 1
    assert "no difference" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
