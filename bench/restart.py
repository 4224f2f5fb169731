"""`./dev bench restart`: how long a start after kill -9 takes, by the length of the history.

How it works: a real exchange makes its directory. Then commands are appended to its log, through
the log and the core as they are, with a snapshot every so many commands, as the replica writes
them; old segments are compressed. At a tenth of the history and at its end the directory is copied
as it is, nothing closed, which is what kill -9 leaves, and `fairbook up` is started on the copy,
and killed, several times.

Always true: the tail behind the newest snapshot is a whole interval, the longest there can be.

Not here: whether what comes out is right (tests/engine, tests/crash).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.history import STEP_NS, History, frames
from bench.table import machine, parser_of, publish, resident_bytes
from fairbook.core import state
from fairbook.engine.recovery import recover
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshot, Snapshots
from fairbook.log.archive import Archive
from fairbook.log.disk import Disk
from fairbook.log.files import FileLog

NAME: Final = "restart"
TARGET_S: Final = 10.0
ENDED_S: Final = 1.0  # A replica notices a moment later that its engine is gone.
READY: Final = b"Fairbook is ready"
HEADINGS: Final = (
    "commands",
    "records",
    "log",
    "compressed",
    "replayed",
    "ready after, median",
    "range",
    "memory when ready",
)


@dataclass(frozen=True, slots=True)
class Start:
    """One start of `fairbook up`: seconds to the ready message, and memory then."""

    seconds: float
    replayed: int
    resident_bytes: int


class Unsynced(Disk):
    """What makes the history need not be durable; what is measured uses the real one."""

    def sync(self, fd: int) -> None:
        """Not now."""


class Writer:
    """Makes the history: what an exchange and its replica would have written."""

    def __init__(self, directory: Path, *, frame_commands: int, snapshot_commands: int) -> None:
        self.directory = directory
        self.commands = 0
        self._frame_commands = frame_commands
        self._snapshot_commands = snapshot_commands
        self._log = FileLog(directory, disk=Unsynced())
        self._snapshots = Snapshots(directory)
        self._runner, _ = recover(self._log, self._snapshots)
        exchange = self._runner.exchange
        self._history = History(
            assets=len(exchange.assets) - 1,
            markets=len(exchange.markets) - 1,
            accounts=len(exchange.registry.accounts),
        )
        self._trade = self._history.trade()

    def fill(self, orders: int) -> None:
        """The market, its users, and a book of so many orders."""
        listing = list(self._history.listing())
        self._write(iter(listing), len(listing))
        self._write(self._history.fill(orders), orders)

    def trade(self, commands: int) -> None:
        """So many more; a snapshot before each interval, of which the last one is whole."""
        count = commands % self._snapshot_commands
        while commands > 0:
            if count > 0:
                self._snapshots.write(_snapshot(self._runner))
                self._write(self._trade, count)
                commands -= count
            count = self._snapshot_commands
        Archive(self.directory, disk=Unsynced()).compress_all()

    def _write(self, commands: Iterator[bytes], count: int) -> None:
        for frame in frames(commands, count=count, frame_commands=self._frame_commands):
            time_ns = self._log.last.time_ns + STEP_NS * self._frame_commands
            self._runner.apply(self._log.append(frame, time_ns))
        self.commands += count

    @property
    def records(self) -> int:
        """In the log so far."""
        return self._runner.position


def _snapshot(runner: Runner) -> Snapshot:
    return Snapshot(
        position=runner.position,
        time_ns=runner.exchange.time_ns,
        chain=runner.chain,
        event_hash=runner.event_hash,
        body=state.dump(runner.exchange),
    )


def start(directory: Path) -> Start:
    """Start it, wait until it is ready, kill it."""
    command = [sys.executable, "-m", "fairbook", "up", "--data", str(directory), "--no-maker"]
    command += ["--http-port", "0", "--ws-port", "0"]
    environment = dict(os.environ, FAIRBOOK_LOGS="json")
    started = time.perf_counter()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=told, stdin=subprocess.DEVNULL
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            seconds = time.perf_counter() - started
            told.seek(0)
            text = told.read().decode(errors="replace")
            if not line.startswith(READY):
                raise SystemExit(f"it did not start:\n{text}")
            resident = resident_bytes(process.pid)
        finally:
            process.kill()
            process.communicate()
    recovered = next(json.loads(each) for each in text.splitlines() if '"recovered"' in each)
    return Start(seconds, recovered["replayed"], resident)


def _sockets(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(directory) / name).is_socket()]


def megabytes(size: int) -> str:
    """In words."""
    return f"{size / 1e6:.0f} MB"


def row(writer: Writer, folder: Path, rounds: int) -> dict[str, Any]:
    """Copy what is there, and start on it."""
    copy = folder / f"killed-{writer.commands}"
    shutil.copytree(writer.directory, copy, ignore=_sockets)
    sizes = {path: path.stat().st_size for path in (copy / "log").iterdir()}
    packed = sum(size for path, size in sizes.items() if path.suffix == ".z")
    starts = [start(copy) for _ in range(rounds)]
    time.sleep(ENDED_S)
    shutil.rmtree(copy, ignore_errors=True)
    seconds = [each.seconds for each in starts]
    return {
        "commands": f"{writer.commands:,}",
        "records": f"{writer.records:,}",
        "log": megabytes(sum(sizes.values())),
        "compressed": megabytes(packed),
        "replayed": f"{starts[0].replayed:,}",
        "ready after, median": f"{statistics.median(seconds):.2f} s",
        "range": f"{min(seconds):.2f}-{max(seconds):.2f}",
        "memory when ready": megabytes(max(each.resident_bytes for each in starts)),
        "seconds": statistics.median(seconds),
    }


def report(arguments: argparse.Namespace, folder: Path) -> Iterator[str]:
    """The section of docs/internals/performance.md, as it is measured."""
    yield f"Machine: {machine()}. Frames of {arguments.frame} commands, {arguments.orders:,}"
    yield f"resting orders, a snapshot every {arguments.snapshot_commands:,} commands, the tail"
    yield f"as long; {arguments.rounds} starts each, files in the system's cache."
    yield ""
    yield "| " + " | ".join(HEADINGS) + " |"
    yield "|" + "---|" * len(HEADINGS)
    directory = folder / "exchange"
    directory.mkdir()
    start(directory)
    writer = Writer(
        directory, frame_commands=arguments.frame, snapshot_commands=arguments.snapshot_commands
    )
    writer.fill(arguments.orders)
    tenth = arguments.count // 10
    resident: list[int] = []
    rows: list[dict[str, Any]] = []
    for count in (tenth, arguments.count - tenth):
        writer.trade(count)
        resident.append(resident_bytes())
        rows.append(row(writer, folder, arguments.rounds))
        yield "| " + " | ".join(str(rows[-1][heading]) for heading in HEADINGS) + " |"
    yield ""
    longest = rows[-1]["seconds"]
    yield f"Ten times the history : {longest / rows[0]['seconds']:.2f} of the time (target: flat)."
    yield f"Longest: {longest:.1f} s (target <= {TARGET_S:.0f} s after 10^7 commands)."
    yield "Memory of the process that applied all of it, at a tenth and at the end:"
    yield f"{megabytes(resident[0])}, {megabytes(resident[1])}."


def main() -> None:
    """Parse the command line, measure, print."""
    parser = parser_of(NAME, __doc__)
    parser.add_argument("--count", type=int, default=300_000, help="commands in the history")
    parser.add_argument("--frame", type=int, default=64, help="commands in a frame")
    parser.add_argument("--orders", type=int, default=2_000, help="resting ones")
    parser.add_argument("--snapshot-commands", type=int, default=25_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the history is made (1 GB for 10^7)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.count, arguments.rounds = 60_000, 1
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        publish(NAME, report(arguments, Path(folder)), arguments.write)


if __name__ == "__main__":
    main()
