"""Used signatures: so that a signed request without a client id counts once over all gateways.

A signature is valid for at most 60 s before and after its timestamp, so not longer than 120 s after
its first use. It is remembered for 130 s of log time.

Invariants: one entry of `hashes` and `times` for each use, oldest first; the index knows the last
use of each.
"""

from typing import Final, final

from mypy_extensions import i64

from fairbook.core.bytes_index import ABSENT, BytesIndex
from fairbook.core.units import NS_PER_SECOND

KEPT_NS: Final = 130 * NS_PER_SECOND
SIGNATURES_MAX: Final = 1 << 20
FORGOTTEN_PER_FRAME: Final = 8192
_COMPACTED_FROM: Final = 65_536


@final
class UsedSignatures:
    """The hashes of used signatures (16 bytes each) and when they were used, in log time."""

    def __init__(self) -> None:
        self.hashes: list[bytes] = []
        self.times: list[int] = []
        self.first: i64 = 0  # what stands before was forgotten
        self.last_use = BytesIndex()

    @property
    def count(self) -> i64:
        """How many are remembered."""
        return len(self.hashes) - self.first

    def is_used(self, signature: bytes, time_ns: i64) -> bool:
        used_ns = self.last_use.get(signature)
        return used_ns != ABSENT and time_ns - used_ns < KEPT_NS

    def add(self, signature: bytes, time_ns: i64) -> None:
        self.hashes.append(signature)
        self.times.append(time_ns)
        self.last_use.put(signature, time_ns)

    def forget(self, time_ns: i64) -> None:
        """Forget what was used KEPT_NS ago, a bounded number at a time."""
        first, stop = self.first, min(self.first + FORGOTTEN_PER_FRAME, len(self.hashes))
        while first < stop and time_ns - self.times[first] >= KEPT_NS:
            signature = self.hashes[first]
            if self.last_use.get(signature) == self.times[first]:
                self.last_use.remove(signature)
            first += 1
        if first > _COMPACTED_FROM and 2 * first > len(self.hashes):
            del self.hashes[:first]
            del self.times[:first]
            first = 0
        self.first = first
