"""Supervisor of one child process: starts it, watches it, starts it again.

Design: a child with a link gets one end of a socketpair; the link has the other. When the
connection ends, the process is waited for, and started again after a growing pause; after a long
one when several in a row ended because of a damaged file. A child without a link is polled; its
standard input is a pipe that ends with this process.

Invariants: there is one process at a time; starting and waiting happen in threads, so the loop
never blocks; a child that makes no progress for `silent_max_s` is killed.
"""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from fairbook.followers.follower_link import FollowerLink

PAUSE_S: Final = 0.2
PAUSE_MAX_S: Final = 10.0
STEADY_S: Final = 30.0  # after so long without an end, pauses begin small again
SILENT_MAX_S: Final = 120.0
END_WAIT_S: Final = 5.0
POLL_S: Final = 0.2  # of a child without a link
DAMAGED_EXIT_STATUS: Final = os.EX_DATAERR
"""Of a child that a damaged file has stopped: another start would not help."""
DAMAGED_ENDS_MAX: Final = 3  # in a row, until there is a long pause
DAMAGED_PAUSE_S: Final = 600.0  # the file may have been repaired meanwhile

logger = logging.getLogger(__name__)


def fairbook_command(*arguments: str) -> list[str]:
    """Starts `fairbook` with these arguments, in the same interpreter."""
    return [sys.executable, "-m", "fairbook", *arguments]


class Supervisor:
    """Runs one child process. All methods are for the loop's thread."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        link: FollowerLink | None = None,
        before_start: Callable[[], None] = lambda: None,
        silent_max_s: float = SILENT_MAX_S,
        end_wait_s: float = END_WAIT_S,
    ) -> None:
        """command: starts a child; with a link the number of its descriptor is appended.

        before_start: called before each start, when no child runs. silent_max_s: how long it may
        make no progress. end_wait_s: how long it may take to end after its connection has ended, or
        without a link after SIGTERM.
        """
        self.starts = 0
        self.last_end: str | None = None
        """Why the previous child ended."""
        self._name = name
        self._command = list(command)
        self._link = link
        self._before_start = before_start
        self._silent_max_s = silent_max_s
        self._end_wait_s = end_wait_s
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_wanted = True
        self._pause_s = PAUSE_S
        self._damaged_ends = 0  # In a row.

    @property
    def is_stopped(self) -> bool:
        """Whether the next start is a long time away, because of a damaged file."""
        return self._process is None and self._damaged_ends >= DAMAGED_ENDS_MAX

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def status(self) -> dict[str, Any]:
        """For `fairbook status`; `state` only if it is "stopped"."""
        status = {"pid": self.pid, "starts": self.starts, "last_end": self.last_end}
        return status | {"state": "stopped"} if self.is_stopped else status

    def start(self) -> None:
        """Start a child, and keep one running."""
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """End the child, and start no other. Idempotent."""
        self._is_wanted = False
        if self._link is not None:
            self._link.disconnect(f"the {self._name} is not wanted any more")
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(self._end, process)

    def kill(self, reason: str, *, restart: bool = True) -> None:
        """Kill the child; start another one if `restart`."""
        self._is_wanted = self._is_wanted and restart
        self._pause_s = PAUSE_S
        if self._process is not None:
            self._process.kill()
        if self._link is not None:
            self._link.disconnect(reason)

    async def _run(self) -> None:
        while self._is_wanted:
            began_s = time.monotonic()
            try:
                self._before_start()
                ended = await self._start()
            except OSError as error:
                self.last_end = f"it cannot be started: {error}"
            else:
                self.last_end = await self._watch(ended)
            logger.warning("the %s has ended: %s", self._name, self.last_end)
            process = self._process
            if process is not None:
                status = await asyncio.to_thread(self._end, process)
                self._process = None
                self.last_end += f" (exit status {status})"
                is_damaged = status == DAMAGED_EXIT_STATUS
                self._damaged_ends = self._damaged_ends + 1 if is_damaged else 0
            if self.is_stopped:
                logger.error("the %s is stopped for %.0f s", self._name, DAMAGED_PAUSE_S)
                await asyncio.sleep(DAMAGED_PAUSE_S)
                continue
            if time.monotonic() - began_s >= STEADY_S:
                self._pause_s = PAUSE_S
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)

    async def _start(self) -> asyncio.Future[str] | None:
        """Start a process. Returns what the link's `connect` does."""
        if self._link is None:
            await self._spawn(None)
            return None
        ours, theirs = socket.socketpair()
        try:
            await self._spawn(theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return self._link.connect(ours)

    async def _spawn(self, theirs: socket.socket | None) -> None:
        spawning = asyncio.ensure_future(asyncio.to_thread(_spawn, self._command, theirs))
        try:
            self._process = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            # It runs all the same, and `stop` must end it.
            self._process = await spawning
            self.starts += 1
            raise
        self.starts += 1

    async def _watch(self, ended: asyncio.Future[str] | None) -> str:
        """Return why the child, or the connection to it, ended; kill it if it makes no progress."""
        link, process = self._link, self._process
        assert process is not None
        if link is None or ended is None:
            while True:
                await asyncio.sleep(POLL_S)
                if process.poll() is not None:
                    return "by itself"
        before, since_s = link.progress(), time.monotonic()
        while True:
            await asyncio.wait([ended], timeout=min(1.0, self._silent_max_s))
            if ended.done():
                return ended.result()
            now, now_s = link.progress(), time.monotonic()
            if now is None or now != before:
                before, since_s = now, now_s
            elif now_s - since_s > self._silent_max_s:
                process.kill()
                link.disconnect(f"it made no progress for {self._silent_max_s:.0f} s")

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a process that has reason to end, kill it if it does not; its exit status."""
        if self._link is None:
            process.terminate()
        try:
            status = process.wait(self._end_wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if process.stdin is not None:
            process.stdin.close()
        return status


def _spawn(command: Sequence[str], theirs: socket.socket | None) -> subprocess.Popen[bytes]:
    # No fork of this process's memory: Popen uses vfork if it is asked for nothing special.
    if theirs is None:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    descriptor = theirs.fileno()
    return subprocess.Popen(
        [*command, str(descriptor)],
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
