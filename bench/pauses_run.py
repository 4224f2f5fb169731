"""One exchange under measurement, in a process of its own: `python -m bench.pauses_run
JSON`.

How it works: the process has the shape of `fairbook up` without its gateway: started from a
snapshot, one loop, one thread that appends and syncs, one that compresses old segments. Batches
of commands are submitted one after the other. Of each frame it is noted when it was durable, when
its apply began and ended, and how long the loop's thread was ready to run and did not.

`stalls` as its argument instead: a plain busy loop, which notes each time when it did not run.

Always true: times are those of one clock for all processes.

Not here: what follows from the times (pauses.py).
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

import uvloop

from bench.history import STEP_NS, History, frames
from bench.restart import Unsynced
from fairbook.core import state
from fairbook.engine import gc_policy as collector
from fairbook.engine.clock import Clock
from fairbook.engine.recovery import recover
from fairbook.engine.runner import Runner
from fairbook.engine.sequencer import Sequencer
from fairbook.engine.snapshots import Snapshot, Snapshots
from fairbook.log.archive import Archive
from fairbook.log.files import FileLog
from fairbook.log.log import Entry

FILL_COMMANDS: Final = 4_096
SEGMENT_BYTES: Final = 4 * 1024 * 1024  # Small, so that there is always something to compress.
STALL_NS: Final = 200_000


class Task(NamedTuple):
    """`orders` rest; batches of `batch` commands for `seconds`, all in `folder`."""

    folder: str
    orders: int
    batch: int
    seconds: float


class Frame(NamedTuple):
    """Times in ns: when it was durable, its apply began, ended. And how long the loop's thread had
    waited, ready to run, at each of these moments.
    """

    durable: int
    began: int
    ended: int
    waited_durable: int
    waited_began: int
    waited_ended: int


class Run(NamedTuple):
    """What a subject says. `collections`: of the oldest generation, in ns each. Seconds for a dump
    and for a load of the state at the end.
    """

    frames: list[Frame]
    collections: list[int]
    dump_s: float
    load_s: float
    compressed: int


class Waiting:
    """How long the thread that made it has been ready to run and did not, as the system counts."""

    def __init__(self) -> None:
        try:
            self._fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:
            self._fd = -1

    def ns(self) -> int:
        """Since the thread began; always 0 where the system does not say."""
        return int(os.pread(self._fd, 64, 0).split()[1]) if self._fd >= 0 else 0


class TimedLog(FileLog):
    """Notes when the newest entry became durable."""

    waiting: Waiting
    durable = (0, 0)

    def append(self, frame: bytes, time_ns: int) -> Entry:
        """As FileLog."""
        entry = super().append(frame, time_ns)
        self.durable = (time.perf_counter_ns(), self.waiting.ns())
        return entry


class TimedRunner(Runner):
    """Notes the times of each frame."""

    log: TimedLog
    times: list[Frame]

    def apply(self, entry: Entry) -> bytes | None:
        """As Runner."""
        waiting = self.log.waiting
        durable, waited_durable = self.log.durable
        waited_began = waiting.ns()
        began = time.perf_counter_ns()
        events = super().apply(entry)
        ended = time.perf_counter_ns()
        self.times.append(Frame(durable, began, ended, waited_durable, waited_began, waiting.ns()))
        return events


def prepare(directory: Path, orders: int) -> History:
    """A log and a snapshot of so many resting orders."""
    history = History()
    log = FileLog(directory, segment_bytes=SEGMENT_BYTES, disk=Unsynced())
    runner = Runner(recover(log, Snapshots(directory))[0].exchange)
    listing = list(history.listing())
    for commands, count in ((iter(listing), len(listing)), (history.fill(orders), orders)):
        for frame in frames(commands, count=count, frame_commands=FILL_COMMANDS):
            runner.apply(log.append(frame, log.last.time_ns + STEP_NS))
    Snapshots(directory).write(
        Snapshot(
            position=runner.position,
            time_ns=runner.exchange.time_ns,
            chain=runner.chain,
            event_hash=runner.event_hash,
            body=state.dump(runner.exchange),
        )
    )
    log.close()
    return history


async def measure(directory: Path, history: History, task: Task) -> Run:
    """Start from what is there, and trade."""
    collections: list[int] = []
    began_ns = 0

    def watch(phase: str, about: dict[str, int]) -> None:
        nonlocal began_ns
        if about["generation"] == 2:
            if phase == "start":
                began_ns = time.perf_counter_ns()
            else:
                collections.append(time.perf_counter_ns() - began_ns)

    collector.hold()
    log = TimedLog(directory, segment_bytes=SEGMENT_BYTES)
    recovered, _ = recover(log, Snapshots(directory))
    runner = TimedRunner(recovered.exchange, position=recovered.position, chain=recovered.chain)
    del recovered
    log.waiting = Waiting()
    runner.log, runner.times = log, []
    collector.settle()
    gc.callbacks.append(watch)
    sequencer = Sequencer(log, runner, Clock())
    archive = Archive(directory, look_every_s=0.1)
    archive.start()
    await _trade(sequencer, history, task)
    await asyncio.to_thread(archive.stop)
    gc.collect()
    gc.callbacks.remove(watch)
    await sequencer.stop()
    log.close()
    began = time.perf_counter()
    body = state.dump(runner.exchange)
    dumped = time.perf_counter()
    kept = state.load(body)
    load_s = time.perf_counter() - dumped
    assert kept.sequence == runner.exchange.sequence
    return Run(
        frames=runner.times,
        collections=collections,
        dump_s=dumped - began,
        load_s=load_s,
        compressed=len(list((directory / "log").glob("*.z"))),
    )


async def _trade(sequencer: Sequencer, history: History, task: Task) -> None:
    trade = history.trade()
    ends = time.perf_counter() + task.seconds
    while time.perf_counter() < ends:
        futures = [sequencer.submit(next(trade)) for _ in range(task.batch)]
        await asyncio.gather(*futures)


def stalls() -> None:
    """Print the times when this loop did not run, as JSON, on SIGTERM."""
    found: list[tuple[int, int]] = []
    running = True

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    print("ready", flush=True)
    last = time.perf_counter_ns()
    while running:
        now = time.perf_counter_ns()
        if now - last > STALL_NS:
            found.append((last, now))
        last = now
    print(json.dumps(found), flush=True)


def main() -> None:
    """Do what the argument says, and print it as JSON."""
    if sys.argv[1] == "stalls":
        stalls()
        return
    task = Task(**json.loads(sys.argv[1]))
    directory = Path(task.folder)
    history = prepare(directory, task.orders)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(directory, history, task))), flush=True)


if __name__ == "__main__":
    main()
