"""The two pauses, for a person: since when, why, and by what name each is acknowledged.

That trading is paused, and for what reason, is state; when the pause began stands in the log alone.
"""

import asyncio
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.core.records import Command
from fairbook.core.tables import Pause
from fairbook.log.command_log import Entry
from fairbook.log.file_log import FileLog

CAUSES: Final = {"audit": admin_records.BY_AUDIT, "operator": admin_records.BY_OPERATOR}
DIFFERENCE: Final = 1  # reason of the audit's pause: engine and replica differ
DISK_LOW: Final = 2
BY_ORDER: Final = 1  # of an operator
OPERATOR_REASONS: Final = {
    BY_ORDER: "an operator has paused it", DISK_LOW: "the disk is nearly full"
}  # fmt: skip
AUDIT_REASONS: Final = {DIFFERENCE: "engine and replica differ"}
NAME_CHARACTERS: Final = 16

PauseStatus = dict[str, Any]
Starts = dict[int, tuple[int, int]]
"""(position, time in ns) at which a pause began, by cause."""


def pause_name(pause: Pause) -> str:
    """By what a pause is acknowledged whose verdict is gone: the first digits of its hash."""
    return (pause.detail or bytes(32)).hex()[:NAME_CHARACTERS]


class PauseStarts:
    """When the standing pauses began. Reads the log only while there is one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read_to = dict.fromkeys(CAUSES.values(), 0)
        self._began: Starts = {}

    async def status(self, exchange: Exchange, position: int) -> dict[str, PauseStatus | None]:
        """As `pause_statuses`. position: of the exchange."""
        reasons = standing_reasons(exchange)
        for cause in CAUSES.values():
            if cause not in reasons:
                self._read_to[cause] = position
                self._began.pop(cause, None)
        if reasons:
            await asyncio.to_thread(self._read, reasons, position)
        return pause_statuses(exchange, self._began)

    def _read(self, reasons: dict[int, int], position: int) -> None:
        """Read on to `position`. Raises LogDamaged, OSError."""
        first = min(self._read_to[cause] for cause in reasons) + 1
        with closing(FileLog(self._directory, read_only=True)) as log:
            self._began = find_starts(log.read(first), reasons, self._began, position)
        self._read_to.update(dict.fromkeys(reasons, position))


def standing_reasons(exchange: Exchange) -> dict[int, int]:
    """The reasons of the pauses that stand, by cause."""
    reasons = {cause: int(exchange.pause(cause).reason) for cause in CAUSES.values()}
    return {cause: reason for cause, reason in reasons.items() if reason != 0}


def find_starts(
    entries: Iterable[Entry], reasons: dict[int, int], began: Starts, position: int
) -> Starts:
    """Where the pauses began that stand after `position`. began: of those before the entries."""
    found = dict(began)
    command = Command()
    for entry in entries:
        if entry.position > position:
            break
        frame = entry.frame
        kinds = frame[:: records.COMMAND_BYTES]
        if records.PAUSE not in kinds and records.RESUME not in kinds:
            continue
        for number, kind in enumerate(kinds[: len(frame) // records.COMMAND_BYTES]):
            if kind not in (records.PAUSE, records.RESUME):
                continue
            command.read(frame, number * records.COMMAND_BYTES, 0)
            cause = int(command.variant())
            if kind == records.RESUME:
                found.pop(cause, None)
            elif command.parameter() == reasons.get(cause):
                found.setdefault(cause, (entry.position, entry.time_ns))
    return found


def pause_statuses(exchange: Exchange, began: Starts) -> dict[str, PauseStatus | None]:
    """Both pauses by name, for `fairbook status`; None: there is none."""
    found: dict[str, PauseStatus | None] = {}
    for name, cause in CAUSES.items():
        pause = exchange.pause(cause)
        since = began.get(cause)
        found[name] = None
        if pause.reason != 0:
            found[name] = {
                "reason": pause.reason,
                "hash": (pause.detail or bytes(32)).hex(),
                "name": pause_name(pause),
                "since_position": None if since is None else since[0],
                "since_ns": None if since is None else since[1],
            }
    return found
