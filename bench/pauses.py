"""`./dev bench pauses`: the longest time in which nothing is applied, with many resting orders.

Design: an exchange with few resting orders and one with many take turns, each in a process of its
own that has the shape of `fairbook up` without its gateway: started from a snapshot, one loop, one
thread that appends and syncs, one that compresses old segments. Batches of commands are submitted
one after the other. Beside each runs a busy loop that only looks at the clock. From each pause is
subtracted how long the exchange's thread was ready to run and did not, or how long the busy loop
stood still meanwhile, whichever is more: the host did not give that time. What is left is the
exchange's own: collections, other threads, memory. Both are reported.
"""

import asyncio
import gc
import json
import os
import signal
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import uvloop

from bench.history import History
from bench.processes import Helper, say
from bench.restart import Writer
from bench.runs import Option, Run, percentiles, rounds, seconds, table
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
    "rounds": rounds(5),
    "seconds": seconds(10.0, quick=0.5),
    "orders": Option(1_000_000, 5_000, "resting ones"),
    "batch": Option(64, 64, "commands in a frame"),
}
TARGET: Final = "<= 20 ms"  # docs/internals/performance.md
FEW: Final = 1_000
FILL_COMMANDS: Final = 4_096
SEGMENT_BYTES: Final = 4 * 1024 * 1024  # Small, so that there is always something to compress.
STALL_NS: Final = 200_000
HEADINGS: Final = (
    "resting orders", "what", "p50 ms", "p99", "p99.9", "longest", "longest, stalls off", "target",
)  # fmt: skip


class Task(NamedTuple):
    """`orders` rest; batches of `batch` commands for `seconds`, all in `folder`."""

    folder: str
    orders: int
    batch: int
    seconds: float


class FrameTimes(NamedTuple):
    """In ns, of one clock for all processes. waited: how long the loop's thread had been ready to
    run and did not, at each of these moments.
    """

    durable: int
    began: int
    ended: int
    waited_durable: int
    waited_began: int
    waited_ended: int


class Measured(NamedTuple):
    """collections: full collections of garbage, in ns each; the last one by force. Seconds for a
    dump and for a load of the state at the end. compressed: segments.
    """

    frames: list[FrameTimes]
    collections: list[int]
    dump_s: float
    load_s: float
    compressed: int


class Round(NamedTuple):
    """One run, and when the busy loop beside it stood still: (from, to) in ns, ascending."""

    measured: Measured
    stalls: list[tuple[int, int]]

    def own_ns(self, frame: FrameTimes, *, whole: bool) -> int:
        """How much of a frame's pause is not the host's. whole: from when it was durable."""
        began = frame.durable if whole else frame.began
        waited = frame.waited_ended - (frame.waited_durable if whole else frame.waited_began)
        stalled = 0
        for since, to in self.stalls[max(0, bisect_left(self.stalls, (began, 0)) - 1) :]:
            if since >= frame.ended:
                break
            stalled += max(0, min(to, frame.ended) - max(since, began))
        return max(0, frame.ended - began - max(stalled, waited))


def sections(run: Run) -> dict[str, Iterator[str]]:
    return {"pauses": report(run)}


def report(run: Run) -> Iterator[str]:
    options = run.options
    yield f"Frames of {options.batch} commands, one after the other, each durable;"
    yield f"{options.seconds:g} s a run, {options.rounds} rounds; old segments are compressed"
    yield "meanwhile."
    yield ""
    found: dict[int, list[Round]] = {FEW: [], options.orders: []}
    for _ in range(options.rounds):
        for orders, measured in found.items():
            with tempfile.TemporaryDirectory(dir=run.folder) as folder:
                measured.append(_round(Task(folder, orders, options.batch, options.seconds)))
    yield from table(HEADINGS, (row for orders in found for row in _rows(orders, found[orders])))
    runs = [each.measured for each in found[options.orders]]
    own_ns = [ns for one in runs for ns in one.collections[:-1]]
    forced_ns = max(one.collections[-1] for one in runs)
    dump_s, load_s = median(one.dump_s for one in runs), median(one.load_s for one in runs)
    yield f"With many orders: {sum(len(one.frames) for one in runs):,} frames,"
    yield f"{sum(one.compressed for one in runs)} segments compressed, {len(own_ns)} full"
    yield f"collections by themselves, the longest {max(own_ns, default=0) / 1e6:.1f} ms; one by"
    yield f"force at the end, {forced_ns / 1e6:.1f} ms. A snapshot in the same process takes"
    yield f"{dump_s:.2f} s: therefore the replica writes them, and this process only when it stops."
    yield f"Loading it takes {load_s:.2f} s."


def _round(task: Task) -> Round:
    """One exchange with a busy loop beside it."""
    with (
        closing(Helper("bench.pauses")) as meter,
        closing(Helper("bench.pauses", task)) as worker,
    ):
        meter.answer()
        frames, *rest = worker.answer()
        meter.process.terminate()
        stalls = [(since, to) for since, to in meter.answer()]
    return Round(Measured([FrameTimes(*frame) for frame in frames], *rest), stalls)


def _rows(orders: int, found: list[Round]) -> Iterator[list[str]]:
    pairs = [(each, frame) for each in found for frame in each.measured.frames]
    for what, whole in (("apply", False), ("durable to applied", True)):
        pauses = [frame.ended - (frame.durable if whole else frame.began) for _, frame in pairs]
        own_ns = max(each.own_ns(frame, whole=whole) for each, frame in pairs)
        cells = percentiles(ns / 1e9 for ns in pauses)
        target = "-" if orders == FEW else TARGET
        yield [f"{orders:,}", what, *cells, f"**{own_ns / 1e6:.1f}**", target]


class Waiting:
    """How long the thread that made it has been ready to run and did not, as the system counts."""

    def __init__(self) -> None:
        path = Path("/proc/thread-self/schedstat")
        self._fd = os.open(path, os.O_RDONLY) if path.exists() else -1

    def ns(self) -> int:
        """Since the thread began; always 0 where the system does not count it."""
        return int(os.pread(self._fd, 64, 0).split()[1]) if self._fd >= 0 else 0


class TimedLog(FileLog):
    """Notes when the newest entry became durable. Made by the thread of the loop."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, segment_bytes=SEGMENT_BYTES)
        self.waiting = Waiting()
        self.durable = (0, 0)

    def append(self, frame: bytes, time_ns: int) -> Entry:
        entry = super().append(frame, time_ns)
        self.durable = (time.perf_counter_ns(), self.waiting.ns())
        return entry


class TimedRunner(Runner):
    """Goes on from a recovered runner, and notes the times of each frame."""

    def __init__(self, recovered: Runner, log: TimedLog) -> None:
        super().__init__(recovered.exchange, position=recovered.position, chain=recovered.chain)
        self.times: list[FrameTimes] = []
        self._log = log

    def apply_appended(self, entry: Entry) -> bytes:
        waiting = self._log.waiting
        durable, waited_durable = self._log.durable
        waited_began = waiting.ns()
        began = time.perf_counter_ns()
        events = super().apply_appended(entry)
        ended = time.perf_counter_ns()
        times = durable, began, ended, waited_durable, waited_began, waiting.ns()
        self.times.append(FrameTimes(*times))
        return events


async def measure(directory: Path, history: History, task: Task) -> Measured:
    """Start from the directory's snapshot, and trade."""
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
    end_s = time.perf_counter() + task.seconds
    while time.perf_counter() < end_s:
        await asyncio.gather(*[sequencer.submit(next(trade)) for _ in range(task.batch)])
    await asyncio.to_thread(archive.stop)
    gc.collect()
    gc.callbacks.remove(watch)
    await sequencer.stop()
    log.close()
    began_s = time.perf_counter()
    body = state.dump(runner.exchange)
    dumped_s = time.perf_counter()
    loaded = state.load(body)
    load_s = time.perf_counter() - dumped_s
    assert loaded.sequence == runner.exchange.sequence
    compressed = len(list((directory / "log").glob("*.z")))
    return Measured(runner.times, collections, dumped_s - began_s, load_s, compressed)


def serve(task: Task) -> None:
    """The process of an exchange: make its log and snapshot, and trade."""
    directory = Path(task.folder)
    writer = Writer(directory, frame_commands=FILL_COMMANDS, segment_bytes=SEGMENT_BYTES)
    writer.fill(task.orders)
    writer.snapshot()
    writer.close()
    history = writer.history
    del writer
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        say(runner.run(measure(directory, history, task)))


def watch_stalls() -> None:
    """The process of the busy loop: answer, on SIGTERM, with the times when it did not run."""
    found: list[tuple[int, int]] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    say("ready")
    last = time.perf_counter_ns()
    try:
        while True:
            now = time.perf_counter_ns()
            if now - last > STALL_NS:
                found.append((last, now))
            last = now
    except KeyboardInterrupt:
        say(found)


if __name__ == "__main__":
    if given := json.loads(sys.argv[1]):
        serve(Task(*given))
    else:
        watch_stalls()
