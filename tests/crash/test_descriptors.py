"""File descriptors: connections cannot take those that the log needs."""

import os
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fairbook.cli import main
from fairbook.net.descriptors import RESERVE
from tests.world.exchange_process import ExchangeProcess

LIMIT = 384
CONNECTIONS = LIMIT - RESERVE
HALF = b"GET /api/v1/ping HTTP/1.1\r\n"
WHOLE = HALF + b"Host: x\r\n\r\n"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits another process")


class LimitedExchange(ExchangeProcess):
    """`fairbook up` under `ulimit -n`."""

    def spawn(self, stdout: int | None = None) -> ExchangeProcess:
        super().spawn(stdout)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        return self

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[LimitedExchange]:
    running = LimitedExchange(tmp_path)
    with running:
        yield running


def status_line(connection: socket.socket) -> bytes:
    """Of the answer to one request; empty: closed without one."""
    try:
        connection.sendall(WHOLE)
        return connection.recv(4096)[:12]
    except ConnectionError:
        return b""


def refusal_of(silent: socket.socket) -> bytes:
    """The status line that comes without a request; empty: none comes in half a second."""
    silent.settimeout(0.5)
    try:
        return silent.recv(4096)[:12]
    except (TimeoutError, ConnectionError):
        return b""


def test_many_idle_connections_stop_nothing(
    exchange: LimitedExchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """More than there are descriptors, on both ports: silent ones give way; when all have sent
    something, new ones get 503, and what is open goes on.
    """
    with ExitStack() as stack:

        def connect(port: int, data: bytes = b"") -> socket.socket:
            found = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            if data:
                found.sendall(data)
            return found

        known = connect(exchange.http_port)
        assert status_line(known) == b"HTTP/1.1 200"
        for _ in range(CONNECTIONS):
            connect(exchange.http_port)
            connect(exchange.ws_port)
        assert status_line(connect(exchange.http_port)) == b"HTTP/1.1 200"
        assert status_line(known) == b"HTTP/1.1 200"
        for _ in range(CONNECTIONS):
            connect(exchange.http_port, HALF)
        for _ in range(20):  # Once they are answered, all halves are read.
            assert status_line(known) == b"HTTP/1.1 200"
        assert refusal_of(connect(exchange.http_port)) == b"HTTP/1.1 503"
        assert exchange.descriptors() < LIMIT - RESERVE // 4
        assert status_line(known) == b"HTTP/1.1 200"
        assert main(["status", str(tmp_path)]) == 0
    assert exchange.stderr().count("connections are in use") == 1
