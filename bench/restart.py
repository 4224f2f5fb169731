"""`./dev bench restart`: how long a start after kill -9 takes, by the length of the history.

Invariant: the tail behind the newest snapshot is a whole interval, the longest there can be.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from bench.history import Writer
from bench.processes import Server, resident_bytes
from bench.runs import ROUNDS, Option, Run, spread, table

OPTIONS: Final = {
    "rounds": Option(3, 1, ROUNDS),
    "count": Option(300_000, 60_000, "commands in the history"),
    "frame": Option(64, 64, "commands in a frame"),
    "orders": Option(2_000, 2_000, "resting ones"),
    "snapshot_commands": Option(25_000, 25_000, "from one snapshot to the next"),
}
ENDED_S: Final = 1.0  # A replica notices a moment later that its engine is gone.


def report(run: Run) -> Iterator[str]:
    options = run.options
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
        resident.append(resident_bytes(os.getpid()))
        copy = run.folder / "killed"
        shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("control"))
        sizes = {path: path.stat().st_size for path in (copy / "log").iterdir()}
        packed = sum(size for path, size in sizes.items() if path.suffix == ".z")
        starts = [_start(copy) for _ in range(options.rounds)]
        time.sleep(ENDED_S)
        shutil.rmtree(copy, ignore_errors=True)
        times_s, replayed, ready_bytes = zip(*starts, strict=True)
        medians_s.append(median(times_s))
        counts = [f"{count:,}" for count in (writer.commands, writer.runner.position)]
        log = megabytes(sum(sizes.values())), megabytes(packed), f"{replayed[0]:,}"
        return [*counts, *log, *spread(times_s), megabytes(max(ready_bytes))]

    headings = "commands | records | log | compressed | replayed | ready after, median s | range"
    yield from table(f"{headings} | memory when ready", map(row, (tenth, options.count - tenth)))
    yield f"Ten times the history : {medians_s[1] / medians_s[0]:.2f} of the time."
    yield "Memory of the process that applied all of it, at a tenth and at the end:"
    yield f"{megabytes(resident[0])}, {megabytes(resident[1])}."


def _start(directory: Path) -> tuple[float, int, int]:
    """Start it, wait until it is ready, kill it: the seconds to the ready message, the commands
    that were replayed, and the memory in bytes when it was ready.
    """
    server = Server(directory)
    resident = resident_bytes(server.pid)
    server.kill()
    log = server.log_text().splitlines()
    recovered = next(json.loads(line) for line in log if '"recovered"' in line)
    return server.ready_s, recovered["replayed"], resident


def _trade(writer: Writer, commands: int, snapshot_commands: int) -> None:
    """Write so many more; a snapshot before each interval, of which the last one is whole."""
    intervals, rest = divmod(commands, snapshot_commands)
    for count in [rest] * (rest > 0) + [snapshot_commands] * intervals:
        writer.snapshot()
        writer.write(writer.trade, count)
    writer.compress()


def megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
