"""A real exchange process for tests: `fairbook up` in a folder of its own, on free ports.

How it works: `start` waits until it answers /ping; `kill` is SIGKILL, `stop` is SIGTERM and demands
exit status 0. The same folder may be started again and again.

Always true: the process is ended with the `with` block, whatever happens; its standard error is
kept in `DIR/stderr.txt` and shown when it does not come up.

Not here: what is asked of it (rest.py, tests/clients, tests/crash).
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import fairbook

SOURCE = Path(fairbook.__file__).parents[1]  # What is tested here is what runs there.
START_SECONDS = 30.0
STOP_SECONDS = 30.0


class StartFailed(AssertionError):
    """The exchange ended, or did not answer in time. The message has its standard error."""


class ExchangeProcess:
    """One exchange, running or not. Ports stay the same over restarts."""

    def __init__(
        self, folder: Path, *options: str, maker: bool = False, **environment: str
    ) -> None:
        """options: more of `fairbook up`. Without `maker` the book is left to the test."""
        self.folder = folder
        self.options = options if maker else ("--no-maker", *options)
        self.environment = environment
        self.http_port, self.ws_port = free_ports(2)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at the end."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def demo_path(self) -> Path:
        """The file with the demo accounts' keys and tokens."""
        return self.folder / "demo.json"

    def demo(self, account: str) -> dict[str, str]:
        """apiKey, apiSecret and token of "demo1" or "demo2"."""
        written: dict[str, Any] = json.loads(self.demo_path.read_bytes())
        credentials: dict[str, str] = written["accounts"][account]
        return credentials

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process and do not wait for it."""
        assert self.process is None, "it runs already"
        command = [sys.executable, "-m", "fairbook", "up", "--data", str(self.folder)]
        command += ["--http-port", str(self.http_port), "--ws-port", str(self.ws_port)]
        command += self.options
        with (self.folder / "stderr.txt").open("ab") as stderr:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": str(SOURCE), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        return self.process

    def start(self) -> ExchangeProcess:
        """Start it, and return once it answers and its demo accounts are written."""
        process = self.spawn()
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            status = process.poll()
            if status is not None or time.monotonic() > deadline:
                self.kill()
                ended = "did not answer" if status is None else f"exit status {status}"
                raise StartFailed(f"{ended}: {self.stderr()[-4000:]}")
            time.sleep(0.01)
        return self

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=2)
        try:
            connection.request("GET", "/api/v1/ping")
            return connection.getresponse().read() == b"pong" and self.demo_path.exists()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """SIGTERM: it drains, and ends with status 0."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(STOP_SECONDS)
        self.process = None
        assert status == 0, f"exit status {status} after SIGTERM: {self.stderr()[-4000:]}"

    def stderr(self) -> str:
        """All that its processes wrote."""
        return (self.folder / "stderr.txt").read_text(errors="replace")

    def __enter__(self) -> ExchangeProcess:
        return self.start()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.kill()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
