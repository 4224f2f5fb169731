"""The state that a command in the middle of a frame has met."""

from fairbook.core import state
from fairbook.core.exchange import Exchange
from fairbook.core.parts import ORIGIN_BYTES, FrameOrigin, has_origin
from fairbook.log.command_log import Entry


def state_before(image: bytes, entry: Entry, at: int) -> Exchange:
    """image: of the state before the entry; at: where the unit of the command begins in its frame.

    A copy of the state executes the commands that stand before, as the exchange has.
    """
    copy = state.load(image)
    start = 0
    if has_origin(entry.frame):
        # A part of a signed frame has no valid signature: the copy is not asked for one.
        start = ORIGIN_BYTES
        tables = copy.tables
        instance = tables.gateways.find(FrameOrigin(entry.frame).instance)
        tables.gateways.current = tables.gateways.none if instance is None else instance
        tables.flags = 0
    copy.apply(entry.frame[start:at], entry.time_ns)
    return copy
