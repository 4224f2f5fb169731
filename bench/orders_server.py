"""The exchange that `bench orders`, `ws-orders` and `fanout` measure, with those who follow it.

How it works: it inherits the processor that it may use from this process. What it used is read
from /proc, as the system counts it, for all threads.

Always true: only the process that was started here is ended here; its children end by themselves.

Not here: load (orders_load.py).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from fairbook.demo.credentials_file import FILE_NAME
from fairbook.net import control_socket as control

READY: Final = b"Fairbook is ready"
STOP_S: Final = 20.0
SETTLE_MAX_S: Final = 10.0
SETTLE_LOOK_S: Final = 0.05


class Usage(NamedTuple):
    """CPU seconds, user and system."""

    server_s: float
    replica_s: float
    recorder_s: float


def processors() -> tuple[int, int]:
    """The exchange's and the generator's. Raises SystemExit where there are not two."""
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("this bench is for Linux")
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("this bench needs two processors")
    return allowed[0], allowed[1]


class Server:
    """A running exchange in an empty directory."""

    def __init__(
        self, directory: Path, *, alone: bool = False, settings: Mapping[str, int] | None = None
    ) -> None:
        """alone: without replica and recorder. settings: variables of its environment."""
        command = [sys.executable, "-m", "fairbook", "up", "--data", str(directory), "--no-maker"]
        command += ["--http-port", "0", "--ws-port", "0"]
        command += ["--no-replica", "--no-recorder"] if alone else []
        ours = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith("FAIRBOOK_") or name == "FAIRBOOK_CORE"
        }
        ours |= {name: str(value) for name, value in (settings or {}).items()}
        own, _ = processors()
        before = os.sched_getaffinity(0)
        self._told = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the exchange)
        os.sched_setaffinity(0, {own})
        try:
            self._process = subprocess.Popen(
                command,
                env=dict(ours, FAIRBOOK_LOGS="json"),
                stdout=subprocess.PIPE,
                stderr=self._told,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the bench, which then ends it.
            )
        finally:
            os.sched_setaffinity(0, before)
        assert self._process.stdout is not None
        if not self._process.stdout.readline().startswith(READY):
            self._process.kill()
            raise SystemExit(f"it did not start:\n{self.told()}")
        demo = json.loads((directory / FILE_NAME).read_bytes())
        self.accounts: dict[str, dict[str, str]] = demo["accounts"]
        self.port = urllib.parse.urlsplit(demo["http"]).port or 0
        self.ws_port = urllib.parse.urlsplit(demo["ws"]).port or 0
        self._directory = directory
        self._replica = None if alone else self._child("replica")
        self._recorder = None if alone else self._child("recorder")

    @property
    def core(self) -> str:
        """compiled or interpreted, as the exchange says."""
        for line in self.told().splitlines():
            if line.startswith("{") and (form := json.loads(line).get("form")):
                return str(form)
        return "?"

    def told(self) -> str:
        """Its log lines so far."""
        file = self._told.fileno()  # The exchange has the same one, and its position.
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")

    @property
    def pid(self) -> int:
        """Of the exchange itself."""
        return self._process.pid

    def usage(self) -> Usage:
        """Since it started."""
        followers = (self._replica, self._recorder)
        return Usage(cpu_s(self.pid), *(cpu_s(pid) if pid else 0.0 for pid in followers))

    def settle(self) -> None:
        """Wait until everything is recorded. SystemExit if that takes too long."""
        end_s = time.monotonic() + SETTLE_MAX_S
        while self._recorder is not None and self.status("recorder")["lag_frames"]:
            if time.monotonic() > end_s:
                raise SystemExit("the recorder does not follow")
            time.sleep(SETTLE_LOOK_S)

    def status(self, part: str) -> dict[str, Any]:
        """What it says of one of its parts, such as `streams`."""
        found: dict[str, Any] = control.ask(self._directory, "status")[part]
        return found

    def stop(self) -> int:
        """End it in order; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._told.close()
        return self._process.returncode

    def _child(self, name: str) -> int:
        """The process id of a follower, which was started before the exchange was ready."""
        pid = self._process.pid
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if name.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                    return int(child)
        raise SystemExit(f"it has no {name}")


def cpu_s(pid: int) -> float:
    """What a process has used so far, user and system."""
    text = Path(f"/proc/{pid}/stat").read_text()
    columns = text[text.rindex(")") + 2 :].split()
    return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")
