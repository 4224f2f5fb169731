"""`./dev bench restart`: how long a start after kill -9 takes, by the length of the history.

Design: a real exchange makes its directory. Then commands are appended to its log, through the log
and the core as they are, with a snapshot every so many commands, as the replica writes them; old
segments are compressed. At a tenth of the history and at its end the directory is copied with
nothing closed, which is what kill -9 leaves, and `fairbook up` is started on the copy, and killed,
several times.

Invariant: the tail behind the newest snapshot is a whole interval, the longest there can be.
"""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from bench.history import STEP_NS, History, frames
from bench.processes import Server, resident_bytes
from bench.runs import Option, Run, rounds, spread, table
from fairbook.engine.recovery import recover
from fairbook.engine.snapshots import Snapshots
from fairbook.log.compressor import SegmentCompressor
from fairbook.log.disk import Disk
from fairbook.log.file_log import SEGMENT_BYTES, FileLog

OPTIONS: Final = {
    "rounds": rounds(3),
    "count": Option(300_000, 60_000, "commands in the history"),
    "frame": Option(64, 64, "commands in a frame"),
    "orders": Option(2_000, 2_000, "resting ones"),
    "snapshot_commands": Option(25_000, 25_000, "from one snapshot to the next"),
}
TARGET_S: Final = 10.0
ENDED_S: Final = 1.0  # A replica notices a moment later that its engine is gone.
HEADINGS: Final = (
    "commands", "records", "log", "compressed", "replayed", "ready after, median", "range",
    "memory when ready",
)  # fmt: skip


class UnsyncedDisk(Disk):
    """Making the history need not be durable; what is measured uses the real disk."""

    def sync(self, fd: int) -> None:
        """Do nothing."""


class Writer:
    """Appends a history to the log of a directory and applies it, as an exchange does."""

    def __init__(
        self, directory: Path, *, frame_commands: int, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.directory = directory
        self.commands = 0
        self._frame_commands = frame_commands
        self._log = FileLog(directory, disk=UnsyncedDisk(), segment_bytes=segment_bytes)
        self._snapshots = Snapshots(directory)
        self.runner, _ = recover(self._log, self._snapshots)
        exchange = self.runner.exchange
        self.history = History(
            assets=len(exchange.assets) - 1,
            markets=len(exchange.markets) - 1,
            accounts=len(exchange.tables.accounts),
        )
        self.trade = self.history.trade()

    def fill(self, orders: int) -> None:
        """The market, its users, and a book of so many orders."""
        listing = self.history.listing()
        self.write(iter(listing), len(listing))
        self.write(self.history.fill(orders), orders)

    def write(self, commands: Iterator[bytes], count: int) -> None:
        for frame in frames(commands, count=count, frame_commands=self._frame_commands):
            time_ns = self._log.last.time_ns + STEP_NS * self._frame_commands
            self.runner.apply(self._log.append(frame, time_ns))
        self.commands += count

    def snapshot(self) -> None:
        self._snapshots.write(self.runner.snapshot())

    def compress(self) -> None:
        """Compress all segments but the last."""
        SegmentCompressor(self.directory, disk=UnsyncedDisk()).compress_all()

    def close(self) -> None:
        self._log.close()


class Start(NamedTuple):
    """One start of `fairbook up`: seconds to the ready message, and memory then."""

    seconds: float
    replayed: int
    resident_bytes: int


def sections(run: Run) -> dict[str, Iterator[str]]:
    return {"restart": report(run)}


def report(run: Run) -> Iterator[str]:
    options = run.options
    yield f"Frames of {options.frame} commands, {options.orders:,} resting orders, a snapshot every"
    yield f"{options.snapshot_commands:,} commands, the tail as long; {options.rounds} starts each,"
    yield "files in the system's cache."
    yield ""
    directory = run.folder / "exchange"
    directory.mkdir()
    _start(directory)
    writer = Writer(directory, frame_commands=options.frame)
    writer.fill(options.orders)
    tenth = options.count // 10
    resident: list[int] = []
    medians_s: list[float] = []

    def row(count: int) -> list[str]:
        _trade(writer, count, options.snapshot_commands)
        resident.append(resident_bytes())
        copy = run.folder / "killed"
        shutil.copytree(directory, copy, ignore=_sockets)
        sizes = {path: path.stat().st_size for path in (copy / "log").iterdir()}
        packed = sum(size for path, size in sizes.items() if path.suffix == ".z")
        starts = [_start(copy) for _ in range(options.rounds)]
        time.sleep(ENDED_S)
        shutil.rmtree(copy, ignore_errors=True)
        medians_s.append(median(each.seconds for each in starts))
        middle, lowest_to_highest = spread([each.seconds for each in starts])
        counts = [f"{count:,}" for count in (writer.commands, writer.runner.position)]
        log = megabytes(sum(sizes.values())), megabytes(packed), f"{starts[0].replayed:,}"
        memory = megabytes(max(each.resident_bytes for each in starts))
        return [*counts, *log, f"{middle} s", lowest_to_highest, memory]

    yield from table(HEADINGS, map(row, (tenth, options.count - tenth)))
    ratio = medians_s[1] / medians_s[0]
    yield f"Ten times the history : {ratio:.2f} of the time (target: flat)."
    yield f"Longest: {medians_s[1]:.1f} s (target <= {TARGET_S:.0f} s after 10^7 commands)."
    yield "Memory of the process that applied all of it, at a tenth and at the end:"
    yield f"{megabytes(resident[0])}, {megabytes(resident[1])}."


def _start(directory: Path) -> Start:
    """Start it, wait until it is ready, kill it."""
    server = Server(directory, processor=None)
    resident = resident_bytes(server.pid)
    server.kill()
    log = server.log_text().splitlines()
    recovered = next(json.loads(line) for line in log if '"recovered"' in line)
    return Start(server.ready_s, recovered["replayed"], resident)


def _trade(writer: Writer, commands: int, snapshot_commands: int) -> None:
    """Write so many more; a snapshot before each interval, of which the last one is whole."""
    count = commands % snapshot_commands
    while commands > 0:
        if count > 0:
            writer.snapshot()
            writer.write(writer.trade, count)
            commands -= count
        count = snapshot_commands
    writer.compress()


def _sockets(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(directory) / name).is_socket()]


def megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
