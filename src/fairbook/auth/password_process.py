"""Hashing passwords with argon2id in one child process of low priority.

Design: a hash takes tens of milliseconds and 19 MiB, so neither the loop nor its threads do it. The
child reads one request a line and answers one line; passwords go through its standard input, never
through arguments. Requests wait in a queue of QUEUED_MAX, beyond which they are refused. A child
that ends or does not answer is replaced.

Parameters: 19 MiB, 2 passes, 1 lane, the least that OWASP's Password Storage Cheat Sheet names for
argon2id.
"""

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

QUEUED_MAX: Final = 64
ANSWER_MAX_S: Final = 10.0
NICE: Final = 10
LINE_BYTES_MAX: Final = 64 * 1024
MEMORY_KIB: Final = 19_456
PASSES: Final = 2
LANES: Final = 1


class PasswordsBusy(Exception):
    """Too many passwords wait to be hashed, or the child has just ended. Nothing was done."""


class PasswordProcess:
    """The end of the exchange. All methods are for the loop's thread."""

    def __init__(self, command: Sequence[str]) -> None:
        """command: starts a process that runs `serve`."""
        self._command = list(command)
        self._queue: deque[tuple[dict[str, str], asyncio.Future[Any]]] = deque()
        self._child: asyncio.subprocess.Process | None = None
        self._worker: asyncio.Task[None] | None = None
        self._dummy = ""
        self.starts = 0
        self.done = 0

    def status(self) -> dict[str, Any]:
        """For `fairbook status`."""
        pid = None if self._child is None else self._child.pid
        return {"pid": pid, "starts": self.starts, "queued": len(self._queue), "done": self.done}

    async def hash(self, password: str) -> str:
        """The complete argon2id text. Raises PasswordsBusy."""
        return str(await self._ask({"password": password}))

    async def is_right(self, password: str, text: str | None) -> bool:
        """Whether a password has this argon2id text. None, for an unknown user, takes as long and
        is never right. Raises PasswordsBusy.
        """
        if not self._dummy:
            self._dummy = await self.hash(os.urandom(16).hex())
        found = await self._ask({"password": password, "text": text or self._dummy})
        return bool(found) and text is not None

    async def stop(self) -> None:
        """End the child. Idempotent."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
            self._worker = None
        for _, future in self._queue:
            future.cancel()
        self._queue.clear()
        await self._end()

    def _ask(self, request: dict[str, str]) -> asyncio.Future[Any]:
        if len(self._queue) >= QUEUED_MAX:
            raise PasswordsBusy
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((request, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())
        return future

    async def _work(self) -> None:
        while self._queue:
            request, future = self._queue.popleft()
            if future.done():
                continue  # Its client has gone.
            try:
                async with asyncio.timeout(ANSWER_MAX_S):
                    found = await self._exchange(request)
            except (OSError, ValueError, TimeoutError):
                await self._end()
                if not future.done():
                    future.set_exception(PasswordsBusy())
                continue
            self.done += 1
            if not future.done():
                future.set_result(found)

    async def _exchange(self, request: dict[str, str]) -> Any:
        """Raises OSError, ValueError if the child has ended."""
        child = self._child
        if child is None or child.returncode is not None:
            child = self._child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_BYTES_MAX,
            )
            self.starts += 1
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(request).encode() + b"\n")
        await child.stdin.drain()
        return json.loads(await child.stdout.readline())

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if child.returncode is None:
            child.kill()
        assert child.stdin is not None
        child.stdin.close()
        await child.wait()


def serve() -> None:
    """What the child does, until its standard input ends."""
    os.nice(NICE)
    hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        found: str | bool
        if "text" in request:
            found = _is_right(hasher, request["text"], request["password"])
        else:
            found = hasher.hash(request["password"])
        sys.stdout.buffer.write(json.dumps(found).encode() + b"\n")
        sys.stdout.buffer.flush()


def _is_right(hasher: PasswordHasher, text: str, password: str) -> bool:
    try:
        return hasher.verify(text, password)
    except (VerificationError, InvalidHashError):
        return False
