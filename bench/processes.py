"""Processes under measurement: started on one processor; CPU and memory as Linux counts them.

Invariant: only processes that were started here are ended here.
"""

import asyncio
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

STOP_S: Final = 20.0
SETTLE_MAX_S: Final = 10.0


@functools.cache
def processors() -> tuple[int, int]:
    """The exchange's and the load's. Raises SystemExit where there are not two."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("this bench needs two processors")
    return allowed[0], allowed[1]


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, user and system, all threads."""
    text = Path(f"/proc/{pid}/stat").read_text()
    columns = text[text.rindex(")") + 2 :].split()
    return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM now."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Process:
    """A child process. processor: None for any; checkout: another one, whose .venv it uses."""

    def __init__(
        self,
        arguments: list[str],
        *,
        processor: int | None = None,
        checkout: Path | None = None,
        **options: Any,
    ) -> None:
        python = sys.executable if checkout is None else str(checkout / ".venv" / "bin" / "python")
        command = [] if processor is None else ["taskset", "--cpu-list", str(processor)]
        # In a session of its own: Ctrl-C is for the bench, which then ends it.
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [*command, python, *arguments],
            start_new_session=True,
            stdout=subprocess.PIPE,
            **options,
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.pid = self.process.pid

    def close(self) -> None:
        try:
            self.process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


class Helper(Process):
    """`python -m MODULE`, of this package: takes lines of JSON, answers each with one, and ends
    when its stdin does.
    """

    def __init__(self, module: str, argument: object = None, **options: Any) -> None:
        self.module = module
        super().__init__(
            ["-m", module, json.dumps(argument)],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            **options,
        )

    def ask(self, question: object) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        """Raises SystemExit if the process ends instead."""
        line = self.output.readline()
        if not line:
            raise SystemExit(f"{self.module} has ended")
        return json.loads(line)


def say(answer: object) -> None:
    """A helper's answer."""
    print(json.dumps(answer), flush=True)


async def stdin_reader() -> asyncio.StreamReader:
    """A helper's questions, in a loop. A line may be long."""
    stdin = asyncio.StreamReader(limit=2**30)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    return stdin


class Server(Process):
    """A running `fairbook up`, without its maker, on free ports."""

    def __init__(
        self,
        directory: Path,
        *,
        followers: bool = True,
        settings: Mapping[str, str] | None = None,
        checkout: Path | None = None,
        **options: Any,
    ) -> None:
        """settings: variables of its environment."""
        command = ["-m", "fairbook", "up", "--data", str(directory), "--no-maker"]
        command += ["--http-port", "0", "--ws-port", "0"]
        command += [] if followers else ["--no-replica", "--no-recorder"]
        # As variables, because another checkout may not have these options.
        own = {"FAIRBOOK_LOGS": "json", "FAIRBOOK_ADMIN_PORT": "0"}
        self._directory = directory
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the exchange)
        started_s = time.perf_counter()
        super().__init__(
            command,
            checkout=checkout,
            cwd=checkout,
            env=os.environ | (settings or {}) | own,
            stdin=subprocess.DEVNULL,
            stderr=self._log,
            **options,
        )
        if not self.output.readline().startswith(b"Fairbook is ready"):
            self.kill()
            raise SystemExit(f"the exchange did not start:\n{self.log_text()}")
        self.ready_s = time.perf_counter() - started_s
        demo = json.loads((directory / "demo.json").read_bytes())
        self.accounts: dict[str, dict[str, str]] = demo["accounts"]
        self.port = urllib.parse.urlsplit(demo["http"]).port or 0
        self.ws_port = urllib.parse.urlsplit(demo["ws"]).port or 0
        self._followers = [self._child(name) for name in ("replica", "recorder") if followers]

    def log_text(self) -> str:
        file = self._log.fileno()  # Shared with the exchange, its position too.
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")

    def usage(self) -> list[float]:
        """CPU seconds of the exchange, its replica and its recorder since it started."""
        used = [cpu_s(pid) for pid in (self.pid, *self._followers)]
        return used if self._followers else [*used, 0.0, 0.0]

    def status(self, part: str) -> dict[str, Any]:
        """The status of one of its parts, such as `streams`."""
        from fairbook.net import control_socket  # noqa: PLC0415 (another checkout may not have it)

        found: dict[str, Any] = control_socket.ask(self._directory, "status")[part]
        return found

    def settle(self) -> None:
        """Wait until everything is recorded. Raises SystemExit if that takes too long."""
        end_s = time.monotonic() + SETTLE_MAX_S
        while self._followers and self.status("recorder")["lag_frames"]:
            if time.monotonic() > end_s:
                raise SystemExit("the recorder does not keep up")
            time.sleep(0.05)

    def close(self) -> None:
        self.process.terminate()
        super().close()

    def _child(self, name: str) -> int:
        """The process id of a follower; both were started before the exchange was ready."""
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if name.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        raise SystemExit(f"the exchange has no {name}")
