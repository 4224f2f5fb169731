"""`./dev bench pauses`: the longest time in which nothing is applied, with many resting orders.

Design: each exchange has a process of its own, while this one only looks at the clock.
"""

import asyncio
import gc
import json
import os
import select
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop

from bench.history import History, Writer
from bench.processes import Helper, say
from bench.runs import ROUNDS, SECONDS, Option, Run, percentiles, table
from fairbook.core import state
from fairbook.engine import gc_policy
from fairbook.engine.clock import Clock
from fairbook.engine.recovery import recover
from fairbook.engine.runner import Runner
from fairbook.engine.sequencer import Sequencer
from fairbook.engine.snapshots import Snapshots
from fairbook.log.command_log import Entry
from fairbook.log.compressor import SegmentCompressor
from fairbook.log.file_log import FileLog

OPTIONS: Final = {
    "rounds": Option(5, 1, ROUNDS),
    "seconds": Option(10.0, 0.5, SECONDS),
    "orders": Option(1_000_000, 5_000, "resting ones"),
    "batch": Option(64, 64, "commands in a frame"),
}
FEW: Final = 1_000
FILL_COMMANDS: Final = 4_096
SEGMENT_BYTES: Final = 4 * 1024 * 1024  # Small, so that there is always something to compress.
STALL_NS: Final = 200_000
APPLY, DURABLE_TO_APPLIED = "apply", "durable to applied"


def report(run: Run) -> Iterator[str]:
    options = run.options
    found: dict[int, list[dict[str, Any]]] = {FEW: [], options.orders: []}
    for _ in range(options.rounds):
        for orders, measured in found.items():
            with tempfile.TemporaryDirectory(dir=run.folder) as folder:
                measured.append(_round(folder, orders, options.batch, options.seconds))
    rows = (
        [f"{orders:,}", what, *_cells(measured, what)]
        for orders, measured in found.items()
        for what in (APPLY, DURABLE_TO_APPLIED)
    )
    headings = "resting orders | what | p50 ms | p99 | p99.9 | longest | longest, stalls off"
    yield from table(headings, rows)
    many = found[options.orders]
    own_ns = [ns for one in many for ns in one["collections"][:-1]]
    forced_ns = max(one["collections"][-1] for one in many)
    frames = sum(len(one[APPLY]) for one in many)
    segments = sum(one["compressed"] for one in many)
    dump_s, load_s = (median(one[name] for one in many) for name in ("dump_s", "load_s"))
    yield f"With many orders: {frames:,} frames, {segments} segments compressed, {len(own_ns)} full"
    yield f"collections by themselves, the longest {max(own_ns, default=0) / 1e6:.1f} ms; one by"
    yield f"force at the end, {forced_ns / 1e6:.1f} ms. A snapshot in the same process takes"
    yield f"{dump_s:.2f} s: therefore the replica writes them, and this process only when it stops."
    yield f"Loading it takes {load_s:.2f} s."


def _round(*task: object) -> dict[str, Any]:
    """What `measure` has found in one exchange, and as `stalls` when this process did not run."""
    stalls: list[tuple[int, int]] = []
    with closing(Helper("bench.pauses", task)) as worker:
        last = time.perf_counter_ns()
        while not select.select([worker.output], [], [], 0.0)[0]:
            now = time.perf_counter_ns()
            if now - last > STALL_NS:
                stalls.append((last, now))
            last = now
        measured: dict[str, Any] = worker.answer()
    return measured | {"stalls": stalls}


def _cells(rounds: list[dict[str, Any]], what: str) -> list[str]:
    own_ns = 0
    for one in rounds:
        for began, ended, waited_ns in one[what]:
            if ended - began > own_ns:  # The most that it could be.
                stalls = ((max(since, began), min(to, ended)) for since, to in one["stalls"])
                stalled_ns = sum(max(0, to - since) for since, to in stalls)
                own_ns = max(own_ns, ended - began - max(stalled_ns, waited_ns))
    pauses_s = ((ended - began) / 1e9 for one in rounds for began, ended, _ in one[what])
    return [*percentiles(pauses_s), f"**{own_ns / 1e6:.1f}**"]


class ThreadClock:
    """The time, and how long the thread that made it has been ready to run and did not; in ns."""

    def __init__(self) -> None:
        self._fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    def now(self) -> tuple[int, int]:
        return time.perf_counter_ns(), int(os.pread(self._fd, 64, 0).split()[1])


class TimedLog(FileLog):
    """Notes when the newest entry became durable. Made by the thread of the loop."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, segment_bytes=SEGMENT_BYTES)
        self.clock = ThreadClock()
        self.durable = (0, 0)

    def append(self, frame: bytes, time_ns: int) -> Entry:
        entry = super().append(frame, time_ns)
        self.durable = self.clock.now()
        return entry


class TimedRunner(Runner):
    """Goes on from a recovered runner. pauses: from, to, and waited meanwhile, in ns."""

    def __init__(self, recovered: Runner, log: TimedLog) -> None:
        super().__init__(recovered.exchange, position=recovered.position, chain=recovered.chain)
        self.pauses: dict[str, list[tuple[int, int, int]]] = {APPLY: [], DURABLE_TO_APPLIED: []}
        self._log = log

    def apply(self, entry: Entry) -> bytes | None:
        begins = {DURABLE_TO_APPLIED: self._log.durable, APPLY: self._log.clock.now()}
        events = super().apply(entry)
        ended, waited_ns = self._log.clock.now()
        for what, (began, waited_before_ns) in begins.items():
            self.pauses[what].append((began, ended, waited_ns - waited_before_ns))
        return events


async def measure(
    directory: Path, history: History, batch: int, seconds_long: float
) -> dict[str, Any]:
    """Start from the directory's snapshot, and trade.

    collections: full collections of garbage, in ns each; the last one by force. Seconds for a dump
    and for a load of the state at the end. compressed: segments.
    """
    collections: list[int] = []
    began_ns = 0

    def watch(phase: str, about: dict[str, int]) -> None:
        nonlocal began_ns
        if about["generation"] == 2 and phase == "start":
            began_ns = time.perf_counter_ns()
        elif about["generation"] == 2:
            collections.append(time.perf_counter_ns() - began_ns)

    with gc_policy.frozen_afterwards():
        log = TimedLog(directory)
        runner = TimedRunner(recover(log, Snapshots(directory))[0], log)
    gc.callbacks.append(watch)
    sequencer = Sequencer(log, runner, Clock())
    archive = SegmentCompressor(directory, look_every_s=0.1)
    archive.start()
    trade = history.trade()
    end_s = time.perf_counter() + seconds_long
    while time.perf_counter() < end_s:
        await asyncio.gather(*[sequencer.submit(next(trade)) for _ in range(batch)])
    await asyncio.to_thread(archive.stop)
    gc.collect()
    gc.callbacks.remove(watch)
    await sequencer.stop()
    log.close()
    began_s = time.perf_counter()
    body = state.dump(runner.exchange)
    dumped_s = time.perf_counter()
    state.load(body)
    return {
        **runner.pauses,
        "collections": collections,
        "dump_s": dumped_s - began_s,
        "load_s": time.perf_counter() - dumped_s,
        "compressed": len(list((directory / "log").glob("*.z"))),
    }


def serve(folder: str, orders: int, batch: int, seconds_long: float) -> None:
    """The process of an exchange: make its log and snapshot, and trade."""
    directory = Path(folder)
    writer = Writer(directory, frame_commands=FILL_COMMANDS, segment_bytes=SEGMENT_BYTES)
    writer.fill(orders)
    writer.snapshot()
    writer.close()
    history = writer.history
    del writer
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        say(runner.run(measure(directory, history, batch, seconds_long)))


if __name__ == "__main__":
    serve(*json.loads(sys.argv[1]))
