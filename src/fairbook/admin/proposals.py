"""Acts that wait for a second operator.

Design: in memory only. An act that needs two is noted in the log, by the hash of its text, and kept
here until another operator approves it. So no file can plant, change or reopen one, and a restart
ends all of them: they are proposed again.
"""

from typing import Any, Final, NamedTuple

from fairbook.api.errors import ApiError, BadRequest, not_found
from fairbook.core.units import NS_PER_SECOND

PROPOSAL_S: Final = 24 * 3600  # of log time
PROPOSALS_MAX: Final = 1_000


class Proposal(NamedTuple):
    """`sequence`, `position`, `time_ns`: of its NOTE in the log."""

    sequence: int
    position: int
    time_ns: int
    operator: int
    act: str
    fields: dict[str, Any]
    reason: str


class Proposals:
    """Those that are not decided, oldest first."""

    def __init__(self) -> None:
        self._open: dict[int, Proposal] = {}

    def check_room(self, now_ns: int) -> None:
        """Raises 400 if too many are open."""
        if len(self.open(now_ns)) >= PROPOSALS_MAX:
            raise BadRequest("Too many proposals are open")

    def add(self, proposal: Proposal) -> None:
        """Also one that was taken out, if its act was not done."""
        self._open[proposal.sequence] = proposal

    def take(self, sequence: int) -> Proposal:
        """Decide it. Raises 404 if it is not open."""
        self.find(sequence)
        return self._open.pop(sequence)

    def find(self, sequence: int) -> Proposal:
        """Raises 404 if it is not open."""
        found = self._open.get(sequence)
        if found is None:
            raise not_found()
        return found

    def open(self, now_ns: int) -> list[Proposal]:
        """Without those that are older than a day, which end here."""
        for proposal in list(self._open.values()):
            if now_ns - proposal.time_ns > PROPOSAL_S * NS_PER_SECOND:
                del self._open[proposal.sequence]
        return list(self._open.values())

    def take_in_time(self, sequence: int, now_ns: int) -> Proposal:
        """As `take`. Raises 403 if it is older than a day."""
        if now_ns - self.find(sequence).time_ns > PROPOSAL_S * NS_PER_SECOND:
            del self._open[sequence]
            raise ApiError(403, "FORBIDDEN", "The proposal is older than a day")
        return self.take(sequence)
