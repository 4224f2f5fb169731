"""Which entries of a log with several servers may be executed.

A pure state machine. A server shows entries before the others have them, and a failover takes such
ones away; so an entry counts only up to the position that a quorum has written.

Invariants:
- entries come out once each, in order, without a gap, each chained to the one before;
- none comes out beyond the quorum;
- a log that lacks an entry that came out, or has another one there, is refused for good.
"""

from collections.abc import Sequence

from fairbook.log.command_log import Entry


class LogRegressed(Exception):
    """The log is another one than before, or a part of it is missing."""


class QuorumReader:
    """The place in the log that one reader has reached."""

    def __init__(self, position: int, chain: bytes) -> None:
        self.position = position
        self.chain = chain

    def take(self, entries: Sequence[Entry], durable: int) -> list[Entry]:
        """What may be executed now. entries: from `position` + 1 on, as a server shows them.
        durable: up to where a quorum has written. Raises LogRegressed.
        """
        found = []
        for entry in entries:
            if entry.position > durable:
                break
            if entry.position != self.position + 1:
                raise LogRegressed(f"expected position {self.position + 1}, got {entry.position}")
            if entry.before != self.chain:
                raise LogRegressed(f"position {entry.position} does not continue what was read")
            self.position, self.chain = entry.position, entry.chain
            found.append(entry)
        return found

    def connect(self, last: int, chain: bytes | None) -> None:
        """To a server whose log ends with `last`, and has this chain at `position`. Raises
        LogRegressed.
        """
        if last < self.position:
            raise LogRegressed(f"the log ends at position {last}, before {self.position}")
        if chain != self.chain:
            raise LogRegressed(f"the log has another entry at position {self.position}")
