"""A process that helps to measure: it does what its stdin says, and ends when that does.

Always true: it is on the processor it was given; only the process that was started here is ended.

Not here: what it does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

STOP_S: Final = 5.0


class Piped:
    """The process, as a bench sees it."""

    def __init__(self, module: str, *, processor: int) -> None:
        """module: is run, and has to call `settle` with its first argument."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(processor)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the bench, which then ends it.
        )
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def write(self, octets: bytes) -> None:
        """Say something. Raises SystemExit if nobody listens."""
        try:
            self._stdin.write(octets)
            self._stdin.flush()
        except BrokenPipeError:
            raise SystemExit("a process that helps to measure has ended") from None

    def line(self) -> bytes:
        """What it says next. Raises SystemExit if it ends instead."""
        line = self._stdout.readline()
        if not line:
            raise SystemExit("a process that helps to measure has ended")
        return line

    def stop(self) -> None:
        """End it."""
        try:
            self._process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def settle(processor: str) -> None:
    """Be on this processor from here on."""
    os.sched_setaffinity(0, {int(processor)})
