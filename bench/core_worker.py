"""One core under measurement, in a process of its own.

Design: processes keep compiled and interpreted cores, which have the same names, and their heaps
apart. The interpreter may be that of another checkout, so this module imports nothing that depends
on its version. Only `apply` is timed, in CPU time of the process.
"""

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.processes import resident_bytes, say

COMPILED, INTERPRETED = "compiled", "interpreted"
SETUP_BATCH: Final = 256
SLICES: Final = 40
STEP_NS: Final = 4_000  # log time from one command to the next


def open_core(bare_folder: str, users: int) -> tuple[Callable[[bytes, int], object], str]:
    """`apply(frame, time_ns)` of an empty core, and its form."""
    if bare_folder:
        sys.path.insert(0, bare_folder)
    module = importlib.import_module("core_mypyc" if bare_folder else "fairbook.core.exchange")
    form = INTERPRETED if str(module.__file__).endswith(".py") else COMPILED
    if not bare_folder:
        return module.Exchange().apply, form
    apply = module.Engine(users, 1).apply_batch
    return lambda frame, _time_ns: apply(frame), form


def serve(
    setup: str, steps: str, batch: int, command_bytes: int, users: int, bare_folder: str
) -> None:
    """Set up, then run a slice for every line of standard input. Each is answered with its CPU
    seconds, its commands, and by how much memory has grown.

    setup, steps: files of commands. bare_folder: of a bare core; "": Fairbook's own.
    """
    apply, form = open_core(bare_folder, users)
    time_ns = 0
    for frame in frames_of(setup, SETUP_BATCH * command_bytes):
        time_ns += SETUP_BATCH * STEP_NS
        apply(frame, time_ns)
    frames = frames_of(steps, batch * command_bytes)
    gc.collect()
    say(form)
    before = resident_bytes(os.getpid())
    for number in range(SLICES):
        sys.stdin.readline()
        begin, end = (len(frames) * part // SLICES for part in (number, number + 1))
        begun = time.process_time()
        for frame in frames[begin:end]:
            time_ns += batch * STEP_NS
            apply(frame, time_ns)
        seconds = time.process_time() - begun
        commands = sum(map(len, frames[begin:end])) // command_bytes
        say((seconds, commands, resident_bytes(os.getpid()) - before))


def frames_of(path: str, frame_bytes: int) -> list[bytes]:
    """A file of commands, cut into frames."""
    commands = Path(path).read_bytes()
    return [commands[at : at + frame_bytes] for at in range(0, len(commands), frame_bytes)]


if __name__ == "__main__":
    serve(*json.loads(sys.argv[1]))
