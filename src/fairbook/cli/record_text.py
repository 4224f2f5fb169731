"""Frames as text, for `fairbook inspect`: names instead of codes, whole numbers as in the log.

A command and its outcome are one line, each other event of the command one line below it. Events
that belong to no command, at the head of a frame, are indented as commands are.
"""

from collections.abc import Iterator

from fairbook.cli.command_text import time_text, unit_text
from fairbook.cli.event_text import event_text, outcome_text
from fairbook.cli.executed_units import executed_units
from fairbook.core.exchange import Exchange
from fairbook.core.parts import FrameOrigin, has_origin
from fairbook.log.command_log import Entry


def frame_lines(entry: Entry, events: bytes, exchange: Exchange) -> Iterator[str]:
    """The lines of one frame. events: of all of it.

    exchange: after the frame; the names of markets and assets are read from it.
    """
    origin = FrameOrigin(entry.frame) if has_origin(entry.frame) else None
    by = f" frame {origin.number} of gateway {origin.instance}" if origin is not None else ""
    yield f"[{entry.position}] {time_text(entry.time_ns)}{by}"
    for executed in executed_units(entry.frame, events):
        outcome, indent = executed.outcome, "  "
        if outcome is not None:
            yield (
                f"  #{outcome.sequence} {unit_text(executed.unit, exchange)}"
                f" -> {outcome_text(outcome)}"
            )
            indent = "      "
        yield from (f"{indent}{event_text(events, at, exchange)}" for at in executed.events)
