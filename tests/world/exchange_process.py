"""A real exchange process: `fairbook up` on a data directory, on free ports.

The process is killed at the end of the `with` block. The same directory may be started repeatedly;
the ports stay the same. Its output is kept outside of the directory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import fairbook
from fairbook.accounts.sqlite_accounts import FILE_NAME as ACCOUNTS_NAME
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.demo.demo_venue import demo_venue
from fairbook.log.file_log import FileLog
from tests.world.rest_client import RestClient
from tests.world.waiting import WAIT_S, wait_until

SOURCE = Path(fairbook.__file__).parents[1]  # The tested sources are those that run.
READY = "Fairbook is ready"
HOSTS = {"FAIRBOOK_HOSTS": "x"}  # what requests that tests write themselves say


PORT_TAKEN = "address already in use"
PORT_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class StartFailed(AssertionError):
    """The exchange ended before it was ready. The message has its standard error."""


class ExchangeProcess:
    """One exchange, running or not. `process` is None while it is not running."""

    def __init__(
        self, folder: Path, *options: str, maker: bool = False, http_port: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """options: of `fairbook up`. http_port 0: a free one. environment: additions."""
        self.folder = folder
        self.options = options if maker else ("--no-maker", *options)
        self.environment = environment or {}
        self.http_port, self.ws_port = http_port, 0
        self.process: subprocess.Popen[bytes] | None = None
        self._earlier_stderr = ""
        self._outputs: list[IO[bytes]] = []  # stdout and stderr of a running process
        self._ended_outputs = ["", ""]

    @property
    def url(self) -> str:
        """Of HTTP, without a slash at the end."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.ws_port}/"

    @property
    def admin_url(self) -> str:
        found: str = json.loads((self.folder / "admin.json").read_bytes())["admin"]
        return found

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def demo_path(self) -> Path:
        """The file with addresses, and keys and tokens of the demo accounts."""
        return self.folder / "demo.json"

    def demo_file(self) -> dict[str, Any]:
        written: dict[str, Any] = json.loads(self.demo_path.read_bytes())
        return written

    def demo(self, account: str) -> dict[str, str]:
        """apiKey, apiSecret and token of "demo1" or "demo2"."""
        credentials: dict[str, str] = self.demo_file()["accounts"][account]
        return credentials

    def spawn(self, stdout: int | None = None) -> ExchangeProcess:
        """Start the process without waiting until it is ready. stdout: instead of a file."""
        assert self.process is None, "it runs already"
        command = [sys.executable, "-m", "fairbook", "up", "--data", str(self.folder)]
        command += ["--http-port", str(self.http_port), "--ws-port", str(self.ws_port)]
        command += ["--admin-port", "0"]
        self._earlier_stderr += self.new_stderr()
        self._outputs = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115  wait closes.
        self.process = subprocess.Popen(
            [*command, *self.options],
            env={**os.environ, "PYTHONPATH": str(SOURCE), **HOSTS, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=self._outputs[0] if stdout is None else stdout,
            stderr=self._outputs[1],
        )
        return self

    def start(self) -> ExchangeProcess:
        """Start the process and wait until it is ready. Its port of before may be in use by a
        connection of another process for a moment.
        """
        for pause_s in PORT_PAUSES_S:
            try:
                return self._start()
            except StartFailed as failure:
                if PORT_TAKEN not in str(failure):
                    raise
                time.sleep(pause_s)
        return self._start()

    def _start(self) -> ExchangeProcess:
        self.spawn()

        def is_ready() -> bool:
            if self.has_ended():
                raise StartFailed(f"exit status {self.wait()}: {self.new_stderr()[-4000:]}")
            return self.stdout().startswith(READY)

        wait_until(is_ready, self.stderr, interval_s=0.01)
        demo = self.demo_file()
        self.http_port = int(demo["http"].rpartition(":")[2])
        self.ws_port = int(demo["ws"].rpartition(":")[2].partition("/")[0])
        return self

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self.process is not None:
            self.process.kill()
            self.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, within_s: float = WAIT_S) -> int:
        """Wait for the end of the process; its exit status."""
        assert self.process is not None
        status = self.process.wait(within_s)
        self._ended_outputs = [self.stdout(), self.new_stderr()]
        for file in self._outputs:
            file.close()
        self.process = None
        return status

    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def stop(self) -> None:
        """SIGTERM: the process drains and ends with status 0."""
        self.signal(signal.SIGTERM)
        status = self.wait()
        assert status == 0, f"exit status {status} after SIGTERM: {self.new_stderr()[-4000:]}"

    def outcome(self) -> tuple[int, str, str]:
        """Wait for the end: exit status, standard output, standard error."""
        return self.wait(), self.stdout(), self.new_stderr()

    def stdout(self) -> str:
        """Of the newest process."""
        return self._output(0)

    def new_stderr(self) -> str:
        """Of the newest process."""
        return self._output(1)

    def _output(self, number: int) -> str:
        if self.process is None:
            return self._ended_outputs[number]
        # Reading must not move the offset: the process writes at the same one.
        return os.pread(self._outputs[number].fileno(), 1 << 24, 0).decode(errors="replace")

    def stderr(self) -> str:
        """Of all processes."""
        return self._earlier_stderr + self.new_stderr()

    def rest(self, account: str = "demo1") -> RestClient:
        return RestClient(self.http_port, self.demo(account)["token"])

    def account(self, name: str) -> int:
        """The account number of "demo1" or "demo2"."""
        with closing(SqliteAccounts(self.folder / ACCOUNTS_NAME)) as store:
            user = store.user(demo_venue().user_ids[name])
        assert user is not None
        return user.account

    def append_to_log(self, *commands: bytes, ahead_s: int = 0) -> None:
        """Log commands of the operator as one frame, so much ahead of the clock. The process must
        not run.
        """
        log = FileLog(self.folder)
        try:
            log.append(b"".join(commands), time.time_ns() + ahead_s * 10**9)
        finally:
            log.close()

    def __enter__(self) -> ExchangeProcess:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.kill()
