"""The units of a frame, each with the events that it made."""

from collections.abc import Iterator
from typing import NamedTuple

from fairbook.cli.command_text import units_of
from fairbook.core import records
from fairbook.core.parts import ORIGIN_BYTES, has_origin
from fairbook.core.records import COMMAND_BYTES, Command


class ExecutedUnit(NamedTuple):
    """A command with its parts, or events that belong to no command: `unit` is empty then."""

    unit: bytes
    at: int  # where the unit begins in the frame
    events: list[int]  # offsets of its events, but for the outcome
    outcome: records.Outcome | None

    def command(self) -> Command | None:
        """The fields of the command; None if there is no whole one."""
        if len(self.unit) < COMMAND_BYTES:
            return None
        command = Command()
        command.read(self.unit, len(self.unit) - COMMAND_BYTES, 0)
        return command


def executed_units(frame: bytes, events: bytes) -> Iterator[ExecutedUnit]:
    """In order. events: of the whole frame."""
    unit_at = ORIGIN_BYTES if has_origin(frame) else 0
    units = units_of(frame, unit_at)
    waiting: list[int] = []  # events whose command is not known yet
    at = 0
    while at < len(events):
        kind = records.kind_at(events, at)
        if kind == records.OUTCOME:
            unit = next(units)
            yield ExecutedUnit(unit, unit_at, waiting, records.Outcome(events, at))
            unit_at += len(unit)
            waiting = []
        else:
            waiting.append(at)
            if kind in (records.ENDED, records.PASSED):
                yield ExecutedUnit(b"", unit_at, waiting, None)
                waiting = []
        at = records.next_at(events, at)
