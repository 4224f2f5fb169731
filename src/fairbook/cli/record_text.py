"""Frames as text, for `fairbook inspect`: names instead of codes, whole numbers as in the log.

A command and its outcome are one line, each other event of the command one line below it. Events
that belong to no command, at the head of a frame, are indented as commands are.
"""

from collections.abc import Iterator

from fairbook.cli.command_text import time_text, unit_text, units_of
from fairbook.cli.event_text import event_text, outcome_text
from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.core.parts import ORIGIN_BYTES, FrameOrigin, has_origin
from fairbook.log.command_log import Entry


def frame_lines(entry: Entry, events: bytes, exchange: Exchange) -> Iterator[str]:
    """The lines of one frame. events: of all of it.

    exchange: after the frame; the names of markets and assets are read from it.
    """
    is_signed = has_origin(entry.frame)
    origin = FrameOrigin(entry.frame) if is_signed else None
    by = f" frame {origin.number} of gateway {origin.instance}" if origin is not None else ""
    yield f"[{entry.position}] {time_text(entry.time_ns)}{by}"
    units = units_of(entry.frame, ORIGIN_BYTES if is_signed else 0)
    lines: list[str] = []  # of events that wait for what they belong to
    at = 0
    while at < len(events):
        kind = records.kind_at(events, at)
        if kind == records.OUTCOME:
            outcome = records.Outcome(events, at)
            yield (
                f"  #{outcome.sequence} {unit_text(next(units), exchange)}"
                f" -> {outcome_text(outcome)}"
            )
            yield from (f"      {line}" for line in lines)
            lines = []
        else:
            lines.append(event_text(events, at, exchange))
            if kind in (records.ENDED, records.PASSED):
                yield from (f"  {line}" for line in lines)
                lines = []
        at = records.next_at(events, at)
