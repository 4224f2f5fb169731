"""The engine's end of the recorder: announces positions, and waits for what must be recorded.

Design: the newest position is sent every second, or at once if a request waits for it.

Invariant: at most WAITING_MAX requests wait, none longer than REACHED_S.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fairbook.engine.runner import Runner
from fairbook.followers import wire
from fairbook.followers.follower_link import FollowerLink
from fairbook.followers.supervisor import Supervisor, fairbook_command
from fairbook.ports.history import HistoryBehind

FLUSH_S: Final = 1.0
LAGGING_S: Final = 2.0
REACHED_S: Final = 2.0
WAITING_MAX: Final = 1_000
END_WAIT_S: Final = 15.0  # A snapshot of a large state takes seconds.


class RecorderLink(FollowerLink):
    """The engine's end, and the recorder's process. All methods are for the loop's thread."""

    def __init__(
        self, directory: Path, runner: Runner, *, command: Sequence[str] | None = None
    ) -> None:
        """Needs a running loop. command: starts a recorder; its descriptor's number is appended."""
        super().__init__("recorder", runner, flush_s=FLUSH_S, lagging_s=LAGGING_S)
        self._wanted = 0  # The newest position that a request waits for.
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        command = command or fairbook_command("recorder", str(directory), "--fd")
        self.supervisor = Supervisor("recorder", command, link=self, end_wait_s=END_WAIT_S)

    @property
    def time_ns(self) -> int:
        return self._runner.exchange.time_ns

    @property
    def committed(self) -> int:
        """Up to where everything is recorded, as the recorder has reported."""
        return self.position

    def start(self) -> None:
        self.supervisor.start()

    async def stop(self) -> None:
        """Let the recorder record what was applied, and end it. Idempotent."""
        self._flush()
        await self.supervisor.stop()
        self._cancel_flush()

    async def reached(self, position: int) -> None:
        """Raises HistoryBehind after REACHED_S, or if too many wait."""
        if position <= self.position:
            return
        if len(self._waiting) >= WAITING_MAX:
            raise HistoryBehind("too many requests wait for the recorder")
        reached: asyncio.Future[None] = self._loop.create_future()
        waiter = (position, reached)
        self._waiting.append(waiter)
        self._wanted = max(self._wanted, position)
        if self._announced < position:
            self._flush()
        try:
            async with asyncio.timeout(REACHED_S):
                await reached
        except TimeoutError:
            raise HistoryBehind(f"position {position} is not recorded yet") from None
        finally:
            self._waiting.remove(waiter)

    def status(self) -> dict[str, Any]:
        return super().status() | self.supervisor.status()

    def _on_frame(self, position: int, time_ns: int, frame: bytes, events: bytes) -> None:
        if self._announced < self._wanted:
            self._flush()
        else:
            super()._on_frame(position, time_ns, frame, events)

    def _handle(self, message: wire.Message) -> None:
        super()._handle(message)
        for position, reached in self._waiting:
            if position <= self.position and not reached.done():
                reached.set_result(None)
