"""The engine's end of the full replay, and its process, which begins some time after the start."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from fairbook.engine.runner import Runner
from fairbook.followers import wire
from fairbook.followers.follower_link import DOWN, FollowerLink
from fairbook.followers.supervisor import Supervisor, fairbook_command

FLUSH_S: Final = 1.0
LAGGING_S: Final = 60.0  # It stays 20 s behind.
END_WAIT_S: Final = 15.0  # A snapshot of a large state takes seconds.
DAY_S: Final = 86_400.0


class FullReplayLink(FollowerLink):
    """All methods are for the loop's thread."""

    def __init__(
        self,
        directory: Path,
        runner: Runner,
        *,
        on_difference: Callable[[dict[str, Any]], None],
        after_s: float,
        days: int,
        checkpoints: Path,
        witnesses: Sequence[str],
    ) -> None:
        """Needs a running loop. on_difference: called with each report. after_s: when the process
        is started. days: age of a pass after which a start begins with the first entry. checkpoints
        and witnesses: as ReplayOptions.
        """
        super().__init__("full replay", runner, flush_s=FLUSH_S, lagging_s=LAGGING_S)
        self.started_from: int | None = None
        self.is_confirmed = False
        self.on_saved: Callable[[int, bytes], None] = lambda position, digest: None
        """Called with position and digest of each state that a pass which counts has saved."""
        self._on_difference = on_difference
        self._after_s = after_s
        command = fairbook_command(
            "full-replay", str(directory), f"--pass-max-s={days * DAY_S}",
            f"--checkpoints={checkpoints}", *(f"--witness={url}" for url in witnesses), "--fd",
        )  # fmt: skip
        self._supervisor = Supervisor("full replay", command, link=self, end_wait_s=END_WAIT_S)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = self._loop.call_later(self._after_s, self._supervisor.start)

    async def stop(self) -> None:
        """End the process, which saves what it has computed. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        await self._supervisor.stop()
        self._cancel_flush()

    @property
    def is_down(self) -> bool:
        return self.state == DOWN

    def status(self) -> dict[str, Any]:
        """started_from: position of the saved state that this pass goes on from; 0: the first
        entry; None: it has not begun. is_confirmed: a witness knows that state.
        """
        found = super().status() | self._supervisor.status()
        return found | {"started_from": self.started_from, "is_confirmed": self.is_confirmed}

    def _handle(self, message: wire.Message) -> None:
        match message.kind:
            case wire.STARTED:
                self.started_from, self.is_confirmed = message.position, bool(message.number)
            case wire.SNAPSHOT_WRITTEN:
                self.on_saved(message.position, message.digest)
            case wire.REPLAY_DIFFERS:
                self._on_difference(json.loads(message.text))
            case _:
                super()._handle(message)
