"""One core under measurement, in a process of its own.

Design: processes keep compiled and interpreted cores, which have the same names, and their heaps
apart. The interpreter may be that of another checkout, so this module imports nothing that depends
on its version. Only `apply` is timed, in CPU time of the process.
"""

import gc
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from bench.processes import resident_bytes, say

COMPILED, INTERPRETED = "compiled", "interpreted"
SETUP_BATCH: Final = 256


class Task(NamedTuple):
    """setup, steps: files of commands. bare_folder: of a bare core; "": Fairbook's own. With one
    slice, the memory that it takes is measured as well.
    """

    setup: str
    steps: str
    batch: int
    slices: int
    command_bytes: int
    step_ns: int
    users: int
    bare_folder: str


def open_core(task: Task) -> tuple[Callable[[bytes, int], object], str]:
    """`apply(frame, time_ns)` of an empty core, and its form."""
    if task.bare_folder:
        sys.path.insert(0, task.bare_folder)
    module = importlib.import_module("core_mypyc" if task.bare_folder else "fairbook.core.exchange")
    form = INTERPRETED if str(module.__file__).endswith(".py") else COMPILED
    if not task.bare_folder:
        return module.Exchange().apply, form
    apply = module.Engine(task.users, 1).apply_batch
    return lambda frame, _time_ns: apply(frame), form


def serve(task: Task) -> None:
    """Set up, then run a slice for every line of standard input. Each is answered with its CPU
    seconds, its commands, and by how much memory has grown.
    """
    apply, form = open_core(task)
    time_ns = 0
    for frame in frames_of(task.setup, SETUP_BATCH * task.command_bytes):
        time_ns += SETUP_BATCH * task.step_ns
        apply(frame, time_ns)
    frames = frames_of(task.steps, task.batch * task.command_bytes)
    gc.collect()
    say(form)
    before = resident_bytes()
    for number in range(task.slices):
        sys.stdin.readline()
        begin, end = (len(frames) * part // task.slices for part in (number, number + 1))
        begun = time.process_time()
        for frame in frames[begin:end]:
            time_ns += task.batch * task.step_ns
            apply(frame, time_ns)
        seconds = time.process_time() - begun
        if task.slices == 1:
            gc.collect()
        commands = sum(map(len, frames[begin:end])) // task.command_bytes
        say((seconds, commands, resident_bytes() - before))


def frames_of(path: str, frame_bytes: int) -> list[bytes]:
    """A file of commands, cut into frames."""
    commands = Path(path).read_bytes()
    return [commands[at : at + frame_bytes] for at in range(0, len(commands), frame_bytes)]


if __name__ == "__main__":
    serve(Task(*json.loads(sys.argv[1])))
