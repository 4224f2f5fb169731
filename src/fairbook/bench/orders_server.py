"""The exchange that `bench orders` and `bench ws-orders` measure, with its replica.

How it works: it inherits the processor that it may use from this process. What it used is read
from /proc, as the system counts it, for all threads.

Always true: only the process that was started here is ended here; its replica ends by itself.

Not here: load (orders_load.py).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path
from typing import Final, NamedTuple

from fairbook.demo import FILE_NAME

READY: Final = b"Fairbook is ready"
STOP_S: Final = 20.0


class Usage(NamedTuple):
    """CPU seconds, user and system."""

    server_s: float
    replica_s: float


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

    def __init__(self, directory: Path, *, replica: bool) -> None:
        command = [sys.executable, "-m", "fairbook", "up", "--data", str(directory), "--no-maker"]
        command += ["--http-port", "0", "--ws-port", "0", *([] if replica else ["--no-replica"])]
        ours = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith("FAIRBOOK_") or name == "FAIRBOOK_CORE"
        }
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
        self._replica = self._child() if replica else None

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

    def usage(self) -> Usage:
        """Since it started."""
        replica_s = _cpu_s(self._replica) if self._replica is not None else 0.0
        return Usage(_cpu_s(self._process.pid), replica_s)

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

    def _child(self) -> int:
        """The replica's process id: it was started before the exchange was ready."""
        pid = self._process.pid
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if b"replica" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                    return int(child)
        raise SystemExit("it has no replica")


def _cpu_s(pid: int) -> float:
    text = Path(f"/proc/{pid}/stat").read_text()
    columns = text[text.rindex(")") + 2 :].split()
    return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")
