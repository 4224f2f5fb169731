"""The door of a running exchange: who may come in, and what is said there."""

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
from fairbook.net.control_socket import Control, NotRunning, Refused, Request


async def _echo(request: Request) -> dict[str, Any]:
    return {"said": request["word"]}


async def _refuse(_request: Request) -> dict[str, Any]:
    raise Refused("not today")


def served(directory: Path, visit: Callable[[], None]) -> None:
    """Open the door, and let `visit` come from another thread, as another process would."""

    async def main() -> None:
        door = Control(directory, {"echo": _echo, "refuse": _refuse})
        await door.start()
        try:
            await asyncio.to_thread(visit)
        finally:
            await door.stop()

    asyncio.run(main())


def test_what_is_asked_is_answered(tmp_path: Path) -> None:
    def visit() -> None:
        assert control.ask(tmp_path, "echo", word="hello") == {"said": "hello"}
        with pytest.raises(Refused, match="not today"):
            control.ask(tmp_path, "refuse")
        with pytest.raises(Refused, match="no such command"):
            control.ask(tmp_path, "edit", process="engine")
        assert stat.S_IMODE((tmp_path / control.NAME).stat().st_mode) == 0o600

    served(tmp_path, visit)
    assert not (tmp_path / control.NAME).exists()


def test_a_directory_with_a_long_name_has_a_door_too(tmp_path: Path) -> None:
    """Names of sockets are short; those of directories need not be."""
    directory = tmp_path / ("long " * 20) / ("longer " * 20)
    directory.mkdir(parents=True)

    def visit() -> None:
        assert control.ask(directory, "echo", word=1) == {"said": 1}

    served(directory, visit)


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"[]\n", b"null\n", b'{"command": 3}\n', b"x" * 99_999]
)
def test_nonsense_is_refused(tmp_path: Path, line: bytes) -> None:
    """And the next visitor is served."""

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


def test_nobody_there(tmp_path: Path) -> None:
    """No exchange ever, or one that was killed and has left its socket behind."""
    with pytest.raises(NotRunning):
        control.ask(tmp_path, "status")
    left = socket.socket(socket.AF_UNIX)
    with control.short_name(tmp_path / control.NAME) as name:
        left.bind(name)
    left.close()
    with pytest.raises(NotRunning):
        control.ask(tmp_path, "status")
    served(tmp_path, lambda: None)  # And it is no hindrance.


def test_status_of_what_is_no_exchange(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 1
    assert "there is no log in this directory" in capsys.readouterr().err
    assert main(["admin", "resume", str(tmp_path)]) == 1
    assert "no verdict" in capsys.readouterr().err
    assert main(["judge", str(tmp_path)]) == 1
    assert "no difference" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
