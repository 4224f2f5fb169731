"""One core under measurement, in a process of its own: `python -m bench.core_run JSON`.

How it works: core.py starts it with a task as JSON. It plays the setup and says so with a line of
JSON; then, for every line that it reads, it runs the next slice of the steps and answers with a
line. A process per core keeps compiled and interpreted ones, which have the same names, and their
heaps apart; slices let two processes take turns, so that what disturbs the machine disturbs both.

Always true: only `apply` is timed, in CPU time of this process: a core does no input or output.

Not here: what the commands are (flows.py), and what is compared with what (core.py).
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from bench import flows
from bench.table import resident_bytes
from fairbook.core import records

BARE_BYTES: Final = flows.BARE.size
MEMORY_BATCH: Final = 256
SETUP_BATCH: Final = 256
MEMORY_LEVELS: Final = 100  # a side
SLICES: Final = 40


class Task(NamedTuple):
    """`dialect`: "fairbook" or "bare"; `bare_folder` holds core_mypyc.

    With `orders` > 0 the memory of so many resting ones is measured, and nothing is timed.
    """

    dialect: str
    setup: str
    steps: str
    batch: int
    bare_folder: str
    orders: int


class Ready(NamedTuple):
    """Said once, after the setup. `resident_bytes`: what a memory task's orders took."""

    compiled: bool
    slices: int
    resident_bytes: int


class Slice(NamedTuple):
    """CPU seconds of one slice, and how many commands it had."""

    seconds: float
    commands: int


class Core(NamedTuple):
    """A core under test: `apply(frame, time_ns) -> events`, and the size of its commands."""

    apply: Callable[[bytes, int], bytes]
    command_bytes: int
    compiled: bool


def open_core(task: Task) -> Core:
    """The core of the dialect, empty."""
    if task.dialect == "fairbook":
        exchange = importlib.import_module("fairbook.core.exchange")
        return Core(exchange.Exchange().apply, records.COMMAND_BYTES, _is_compiled(exchange))
    sys.path.insert(0, task.bare_folder)
    bare = importlib.import_module("core_mypyc")
    run = bare.Engine(flows.USERS, 1).apply_batch

    def apply(frame: bytes, _time_ns: int) -> bytes:
        events: bytes = run(frame)
        return events

    return Core(apply, BARE_BYTES, _is_compiled(bare))


def _is_compiled(module: object) -> bool:
    return not str(getattr(module, "__file__", "")).endswith(".py")


def frames_of(commands: bytes, frame_bytes: int) -> list[bytes]:
    """Cut a stream of commands into frames."""
    return [commands[at : at + frame_bytes] for at in range(0, len(commands), frame_bytes)]


def serve(task: Task) -> None:
    """Set up, then run a slice for every line of standard input."""
    if sys.platform == "linux":
        # Those who take turns do so on one and the same processor.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    core = open_core(task)
    size = core.command_bytes
    setup = Path(task.setup).read_bytes()
    time_ns = 0
    for frame in frames_of(setup, SETUP_BATCH * size):
        time_ns += SETUP_BATCH * flows.STEP_NS
        core.apply(frame, time_ns)
    if task.orders:
        say(Ready(core.compiled, 0, _resident_for(core, task, time_ns)))
        return
    frames = frames_of(Path(task.steps).read_bytes(), task.batch * size)
    per_slice = -(-len(frames) // SLICES)
    starts = range(0, len(frames), per_slice)
    gc.collect()
    say(Ready(core.compiled, len(starts), 0))
    for start in starts:
        sys.stdin.readline()
        chosen = frames[start : start + per_slice]
        seconds = _timed(core.apply, chosen, time_ns, task.batch * flows.STEP_NS)
        time_ns += len(chosen) * task.batch * flows.STEP_NS
        say(Slice(seconds, sum(map(len, chosen)) // size))


def _timed(
    apply: Callable[[bytes, int], bytes], frames: list[bytes], time_ns: int, step_ns: int
) -> float:
    started = time.process_time()
    for frame in frames:
        time_ns += step_ns
        apply(frame, time_ns)
    return time.process_time() - started


def say(line: Ready | Slice) -> None:
    """One line to whoever started this process."""
    print(json.dumps(line), flush=True)


def _resident_for(core: Core, task: Task, time_ns: int) -> int:
    """Fill the book with orders that never meet; what the process grew by is theirs."""
    is_bare = task.dialect == "bare"
    gc.collect()
    before = resident_bytes()
    parts: list[bytes] = []
    for number in range(1, task.orders + 1):
        parts.append(_resting(number, is_bare=is_bare))
        if len(parts) == MEMORY_BATCH or number == task.orders:
            time_ns += flows.STEP_NS
            core.apply(b"".join(parts), time_ns)
            parts.clear()
    gc.collect()
    return resident_bytes() - before


def _resting(number: int, *, is_bare: bool) -> bytes:
    side = number & 1
    away = 1 + flows.DEEPEST + number // 2 % MEMORY_LEVELS
    price = flows.MIDDLE - away if side == records.BID else flows.MIDDLE + away
    user = number % flows.USERS
    if is_bare:
        # Numbers beyond those of the setup's orders.
        order = (1 << 32) + number
        return flows.BARE.pack(flows.BARE_PLACE, side, flows.BARE_GTC, 0, 0, user, order, price, 1)
    return records.place(
        account=flows.FIRST_ACCOUNT + user, market=1, side=side, quantity=1, price=price
    )


if __name__ == "__main__":
    serve(Task(**json.loads(sys.argv[1])))
