"""Hooks: programs and URLs that are told of acts, sign-ups and withdrawals.

Design: an event waits in a queue of QUEUED_MAX; beyond that, and after TRIES, it is dropped and
counted. One child process at a time, without a shell, is given the event on its standard input, and
DEADLINE_S. A URL is a child as well (post_event.py). An event is a hint to look, not a record: a
crash loses those that wait, and the log and the readings of the operators' port have the truth.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

QUEUED_MAX: Final = 1_000
DEADLINE_S: Final = 5.0
TRIES: Final = 3
PAUSE_S: Final = 2.0  # between two tries
POST_EVENT: Final = (sys.executable, "-m", "fairbook.admin.post_event")

logger = logging.getLogger(__name__)


class Hook(NamedTuple):
    """What is told. `events`: their names; "all": each. Either `command` or `url`."""

    events: frozenset[str]
    command: Sequence[str] = ()
    url: str | None = None
    secret: str | None = None

    def wants(self, event: str) -> bool:
        return event in self.events or "all" in self.events

    def input(self, event: Mapping[str, Any]) -> bytes:
        """The standard input of the child: one JSON object."""
        target = {} if self.url is None else {"url": self.url}
        secret = {} if self.secret is None else {"secret": self.secret}
        return json.dumps({**target, **secret, "event": event}).encode() + b"\n"


class Hooks:
    """For the loop's thread."""

    def __init__(self, hooks: Sequence[Hook], *, pause_s: float = PAUSE_S) -> None:
        self._hooks = hooks
        self._pause_s = pause_s
        self._queue: deque[tuple[Hook, bytes]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self.delivered = 0
        self.dropped = 0

    def status(self) -> dict[str, int]:
        """For `fairbook status` and the metrics."""
        return {
            "queued": len(self._queue), "delivered": self.delivered, "dropped": self.dropped,
        }  # fmt: skip

    def emit(self, name: str, fields: Mapping[str, Any]) -> None:
        """Queue an event for the hooks that want it."""
        for hook in self._hooks:
            if not hook.wants(name):
                continue
            if len(self._queue) >= QUEUED_MAX:
                self.dropped += 1
                continue
            event = {"event": name, "time": time.time_ns() // 1_000_000, **fields}
            self._queue.append((hook, hook.input(event)))
        if self._queue and self._worker is None:
            self._worker = asyncio.ensure_future(self._work())

    async def stop(self) -> None:
        """End without those that wait. Idempotent."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._deliver(*self._queue.popleft())
        finally:
            self._worker = None

    async def _deliver(self, hook: Hook, content: bytes) -> None:
        """Try it, within a limit: the other side may be away."""
        command = POST_EVENT if hook.url is not None else hook.command
        said = ""
        for at in range(TRIES):
            if at:
                await asyncio.sleep(self._pause_s)
            said = await _run(command, content)
            if not said:
                self.delivered += 1
                return
        self.dropped += 1
        logger.warning("a hook failed", extra={"command": command[0], "reason": said})


async def _run(command: Sequence[str], content: bytes) -> str:
    """Run a child; why it failed, or nothing."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return str(error)
    try:
        async with asyncio.timeout(DEADLINE_S):
            await child.communicate(content)
    except TimeoutError:
        return f"no end within {DEADLINE_S:g} s"
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    return f"exit code {child.returncode}" if child.returncode else ""
