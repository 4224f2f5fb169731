"""The replica's process: started, watched, started again.

How it works: each replica gets one end of a socketpair; the other is the lead's (replica_lead.py).
When that connection ends, the process is waited for, and after a pause that grows there is another.

Always true: there is one replica at a time; starting and waiting happen in threads, so the loop
never stands still for them; one that says nothing for `SILENT_MAX_S` is ended.

Not here: what a replica does (replica.py).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Final

from fairbook.engine.replica_lead import Lead

PAUSE_S: Final = 0.2
PAUSE_MAX_S: Final = 10.0
STEADY_S: Final = 30.0  # after so long without an end, pauses begin small again
SILENT_MAX_S: Final = 120.0
END_WAIT_S: Final = 5.0

logger = logging.getLogger(__name__)


class ReplicaKeeper:
    """For one engine. All methods are for the loop's thread."""

    def __init__(
        self,
        lead: Lead,
        command: Sequence[str],
        *,
        before: Callable[[], None] = lambda: None,
        silent_max_s: float = SILENT_MAX_S,
    ) -> None:
        """command: starts a replica; the number of its descriptor is appended.

        before: called before each start, when no replica runs. silent_max_s: a replica that has
        not got on for so long, though there was something to do, is ended.
        """
        self.starts = 0
        self.last_end: str | None = None
        """Why the one before ended."""
        self._lead = lead
        self._command = list(command)
        self._before = before
        self._silent_max_s = silent_max_s
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_wanted = True
        self._pause_s = PAUSE_S

    @property
    def pid(self) -> int | None:
        """Of the replica's process, if it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Have a replica from now on."""
        self._task = asyncio.ensure_future(self._keep())

    async def stop(self) -> None:
        """End the replica, and start no other. Idempotent."""
        self._is_wanted = False
        self._lead.disconnect("the engine stops")
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_end, process)

    def replace(self, why: str, *, again: bool = True) -> None:
        """End the replica; start another one if `again`."""
        self._is_wanted = self._is_wanted and again
        self._pause_s = PAUSE_S
        if self._process is not None:
            self._process.kill()
        self._lead.disconnect(why)

    async def _keep(self) -> None:
        while self._is_wanted:
            began_s = time.monotonic()
            try:
                self._before()
                ended = await self._start()
            except OSError as error:
                self.last_end = f"it cannot be started: {error}"
            else:
                self.last_end = await self._watch(ended)
            logger.warning("the replica has ended: %s", self.last_end)
            process = self._process
            if process is not None:
                status = await asyncio.to_thread(_end, process)
                self._process = None
                self.last_end += f" (exit status {status})"
            if time.monotonic() - began_s >= STEADY_S:
                self._pause_s = PAUSE_S
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)

    async def _start(self) -> asyncio.Future[str]:
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.to_thread(_spawn, self._command, theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.starts += 1
        return self._lead.connect(ours)

    async def _watch(self, ended: asyncio.Future[str]) -> str:
        """Wait for the end of the connection, and bring it about if nothing is heard."""
        position, since_s = -1, time.monotonic()
        while True:
            await asyncio.wait([ended], timeout=min(1.0, self._silent_max_s))
            if ended.done():
                return ended.result()
            now_s = time.monotonic()
            if self._lead.position != position or self._lead.lag()[0] == 0:
                position, since_s = self._lead.position, now_s
            elif now_s - since_s > self._silent_max_s:
                if self._process is not None:
                    self._process.kill()
                self._lead.disconnect(f"it has not got on for {self._silent_max_s:.0f} s")


def _spawn(command: Sequence[str], theirs: socket.socket) -> subprocess.Popen[bytes]:
    # No fork of this process's memory: Popen uses vfork if it is asked for nothing special.
    descriptor = theirs.fileno()
    return subprocess.Popen(
        [*command, str(descriptor)],
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _end(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process that has reason to end, but not for ever. Returns its exit status."""
    try:
        return process.wait(END_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
