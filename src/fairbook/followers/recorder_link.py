"""The engine's end of the recording: what is durable, what is recorded, who waits for it.

How it works: a frame that was applied only leaves its position here. A timer sends the newest one;
who waits for a position has it sent at once.

Always true:
- a frame costs the engine a few instructions, and nothing here waits for the recorder;
- at most `WAITING_MAX` wait, nobody longer than `REACHED_S`.

Not here: the recorder (following.py); keeping its process (children.py).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fairbook.followers.recorder_wire import NUMBER, Numbers
from fairbook.followers.supervisor import Supervisor
from fairbook.ports.history import HistoryBehind

TELL_S: Final = 1.0
REACHED_S: Final = 2.0
WAITING_MAX: Final = 1_000
MARKS_MAX: Final = 4_096
END_WAIT_S: Final = 15.0  # A snapshot of a large state takes seconds.

STOPPED: Final = "stopped"
DOWN: Final = "down"
CATCHING_UP: Final = "catching up"
FOLLOWING: Final = "following"
BEHIND_S: Final = 2.0

logger = logging.getLogger(__name__)


class RecorderLink:
    """The engine's end. All methods are for the loop's thread; `take` is a Subscriber."""

    def __init__(
        self, directory: Path, *, position: int, command: Sequence[str] | None = None
    ) -> None:
        """Needs a running loop. position: of the engine now; `take` gets what follows.

        command: starts a recorder; the number of its descriptor is appended.
        """
        self.position = position
        """Of the engine."""
        self.time_ns = 0
        """Log time of the engine; 0 before the first frame that this has seen."""
        self.committed = 0
        """Up to where is recorded, as far as this process knows."""
        self.last_note: str | None = None
        self._loop = asyncio.get_running_loop()
        self._connection: socket.socket | None = None
        self._ended: asyncio.Future[str] | None = None
        self._told = 0
        self._wanted = 0  # The newest position that somebody waits for.
        self._outgoing = b""
        self._incoming = Numbers()
        self._heard = 0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._marks: deque[tuple[int, float]] = deque()  # (position, when it was told)
        self._keeper = Supervisor(
            "recorder", command or recorder_command(directory), link=self, end_wait_s=END_WAIT_S
        )

    def take(self, position: int, time_ns: int, _frame: bytes, _events: bytes) -> None:
        """A frame was applied, and so is durable."""
        self.position = position
        self.time_ns = time_ns
        if self._told < self._wanted:
            self._tell()
        elif self._timer is None:
            self._timer = self._loop.call_later(TELL_S, self._tell)

    def start(self) -> None:
        """Have a recorder from now on."""
        self._keeper.start()

    async def stop(self) -> None:
        """Let it record what was taken, and end it. Idempotent."""
        self._tell()
        await self._keeper.stop()
        if self._timer is not None:
            self._timer.cancel()

    async def reached(self, position: int) -> None:
        """Wait until everything up to `position` is recorded. Raises HistoryBehind after
        `REACHED_S`, or if too many wait.
        """
        if position <= self.committed:
            return
        if len(self._waiting) >= WAITING_MAX:
            raise HistoryBehind("too many wait for the recorder")
        reached: asyncio.Future[None] = self._loop.create_future()
        waiter = (position, reached)
        self._waiting.append(waiter)
        self._wanted = max(self._wanted, position)
        if self._told < position:
            self._tell()
        try:
            async with asyncio.timeout(REACHED_S):
                await reached
        except TimeoutError:
            raise HistoryBehind(f"position {position} is not recorded yet") from None
        finally:
            self._waiting.remove(waiter)

    def behind_s(self) -> float:
        """For how long something has been waiting to be recorded; to about `TELL_S`."""
        for position, at_s in self._marks:
            if position > self.committed:
                return time.monotonic() - at_s
        return 0.0

    def status(self) -> dict[str, Any]:
        """For people and programs."""
        behind_s = self.behind_s()
        if self._keeper.is_stopped:
            state = STOPPED
        elif self._connection is None or not self._heard:
            state = DOWN
        else:
            state = CATCHING_UP if behind_s > BEHIND_S else FOLLOWING
        return {
            "state": state,
            "pid": self._keeper.pid,
            "position": self.committed,
            "lag_frames": max(0, self.position - self.committed),
            "lag_ms": round(1000 * behind_s),
            "starts": self._keeper.starts,
            "last_end": self._keeper.last_end,
            "last_note": self.last_note,
        }

    # The recorder's connection: a Link of children.py.

    def connect(self, connection: socket.socket) -> asyncio.Future[str]:
        """As Link."""
        assert self._connection is None
        connection.setblocking(False)
        self._connection = connection
        self._ended = self._loop.create_future()
        self._outgoing = b""
        self._incoming = Numbers()
        self._heard = 0
        self._told = -1
        self._loop.add_reader(connection, self._readable)
        self._tell()
        return self._ended

    def disconnect(self, why: str) -> None:
        """As Link."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._loop.remove_reader(connection)
        connection.close()
        assert self._ended is not None
        if not self._ended.done():
            self._ended.set_result(why)

    def progress(self) -> int | None:
        """As Link."""
        return None if self.committed >= self.position else self._heard

    def _tell(self) -> None:
        """Send the newest position; what the socket does not take is sent later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        newest = self._marks[-1][0] if self._marks else self.committed
        if newest < self.position and len(self._marks) < MARKS_MAX:
            self._marks.append((self.position, time.monotonic()))
        connection = self._connection
        if connection is None or (self._told == self.position and not self._outgoing):
            return  # Whoever connects is told.
        if not self._outgoing:
            self._outgoing = NUMBER.pack(self.position)
            self._told = self.position
        try:
            self._outgoing = self._outgoing[connection.send(self._outgoing) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self.disconnect(f"it cannot be told anything: {error}")
            return
        if self._outgoing or self._told < self.position:
            self._timer = self._loop.call_later(TELL_S, self._tell)

    def _readable(self) -> None:
        assert self._connection is not None
        try:
            octets = self._connection.recv(64 * 1024)
            said = self._incoming.feed(octets)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self.disconnect(str(error))
            return
        if not octets:
            self.disconnect("it closed the connection")
            return
        for each in said:
            if isinstance(each, str):
                self.last_note = each
                logger.warning("recorder: %s", each)
            else:
                self.committed = each
        self._heard += len(said)
        while self._marks and self._marks[0][0] <= self.committed:
            self._marks.popleft()
        for position, reached in self._waiting:
            if position <= self.committed and not reached.done():
                reached.set_result(None)


def recorder_command(directory: Path) -> list[str]:
    """How a recorder is started; the number of its descriptor is to be appended."""
    return [sys.executable, "-m", "fairbook", "recorder", str(directory), "--fd"]
