"""A server that answers oddly, slowly or without end: an error of the address, in time."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread

import pytest

from fairbook.checkpoints.remote_checkpoints import RemoteCheckpoints
from fairbook.checkpoints.signed_note import NoteInvalid

WAIT_S = 1.5
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"


def json_of(content: object) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return OK % (len(body), body)


Serve = Callable[[socket.socket], None]


def says(answer: bytes) -> Serve:
    return lambda connection: connection.sendall(answer)


def drips(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.2)


def drips_heads(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"x: y\r\n")
        time.sleep(0.2)


def is_silent(connection: socket.socket) -> None:
    time.sleep(3 * WAIT_S)


ODD: dict[str, Serve] = {
    "no http": says(b"hello\r\n\r\n"),
    "nothing": says(b""),
    "half": says(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
    "long line": says(b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000 + b"\r\n\r\n"),
    "no json": says(json_of(b"<html>")),
    "deep json": says(json_of(b"[" * 100_000)),
    "other json": says(json_of([1])),
    "no notes": says(json_of({"key": "k"})),
    "numbers": says(json_of({"key": "k", "notes": [1]})),
    "no key": says(json_of({"notes": []})),
    "long note": says(json_of({"key": "k", "notes": ["x" * 5_000]})),
    "many notes": says(json_of({"key": "k", "notes": ["x"] * 101})),
    "500": says(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
    "429, a date": says(
        b"HTTP/1.1 429 No\r\nRetry-After: Fri, 27 Nov 2026 07:00:00 GMT\r\n"
        b"Content-Length: 0\r\n\r\n"
    ),
    "429, negative": says(b"HTTP/1.1 429 No\r\nRetry-After: -5\r\nContent-Length: 0\r\n\r\n"),
    "redirect to a file": says(
        b"HTTP/1.1 302 No\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"
    ),
    "redirect to nonsense": says(
        b"HTTP/1.1 302 No\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n"
    ),
    "drips": drips,
    "drips heads": drips_heads,
    "silent": is_silent,
}  # fmt: skip


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], str]]:
    listener = socket.create_server(("127.0.0.1", 0))

    def start(answer: Serve) -> str:
        def run() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        connection.recv(65_536)
                        answer(connection)

        Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    listener.close()


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_an_error_in_time(serve: Callable[[Serve], str], name: str) -> None:
    remote = RemoteCheckpoints(serve(ODD[name]), wait_s=WAIT_S)
    for ask in (remote.newest, lambda: remote.notes_from(0), lambda: list(remote.chain(1, 5))):
        began_s = time.monotonic()
        if name == "no key" and ask is not remote.newest:
            continue
        with pytest.raises((OSError, NoteInvalid)):
            ask()
        assert time.monotonic() - began_s < 3 * WAIT_S


@pytest.mark.parametrize(
    "entry",
    [[1, "00" * 32], ["1e400", "00" * 32], ["1", "00"], ["1", 5], ["-1", "00" * 32], "x", 1e400],
)
def test_an_odd_entry_is_an_error(serve: Callable[[Serve], str], entry: object) -> None:
    remote = RemoteCheckpoints(serve(says(json_of({"entries": [entry]}))), wait_s=WAIT_S)
    with pytest.raises(NoteInvalid):
        list(remote.chain(1, 1))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "http://", "x", ""])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        RemoteCheckpoints(url)
