"""One measured run of one core, in a process of its own: `python -m fairbook.bench.core_run JSON`.

How it works: core.py starts it with a task as JSON and reads the result, one line of JSON, from its
standard output. A process per run keeps compiled and interpreted cores, which have the same names,
and their heaps apart.

Always true: only `apply` is timed, in CPU time of this process (a core does no input or output),
after a collection.

Not here: what the commands are (flows.py), and what is compared with what (core.py).
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from fairbook.bench import flows
from fairbook.core import records

BARE_BYTES: Final = flows.BARE.size
MEMORY_BATCH: Final = 256
MEMORY_LEVELS: Final = 100  # a side


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


class Result(NamedTuple):
    """CPU seconds, commands, bytes of events, resident bytes added, whether it was compiled."""

    seconds: float
    commands: int
    event_bytes: int
    resident_bytes: int
    compiled: bool


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


def run(task: Task) -> Result:
    """Play the setup untimed and the steps timed."""
    core = open_core(task)
    size = core.command_bytes
    setup = Path(task.setup).read_bytes()
    time_ns = 0
    for frame in frames_of(setup, size):
        time_ns += flows.STEP_NS
        core.apply(frame, time_ns)
    if task.orders:
        return _measure_memory(core, task, time_ns)
    steps = Path(task.steps).read_bytes()
    frames = frames_of(steps, task.batch * size)
    step_ns = task.batch * flows.STEP_NS
    apply, event_bytes = core.apply, 0
    gc.collect()
    started = time.process_time()
    for frame in frames:
        time_ns += step_ns
        event_bytes += len(apply(frame, time_ns))
    seconds = time.process_time() - started
    return Result(seconds, len(steps) // size, event_bytes, 0, core.compiled)


def _measure_memory(core: Core, task: Task, time_ns: int) -> Result:
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
    return Result(0.0, task.orders, 0, resident_bytes() - before, core.compiled)


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


def resident_bytes() -> int:
    """Memory of this process that is in RAM now (Linux), or has ever been (elsewhere)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Read a task, print its result."""
    print(json.dumps(run(Task(**json.loads(sys.argv[1])))._asdict()))


if __name__ == "__main__":
    main()
