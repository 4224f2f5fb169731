"""Instances of gateways: who may append frames, and the end of those that are gone.

In a log that is not signed there is one local instance, to which all frames belong. In a signed
one each frame names its instance and its number, and is signed; what does not fit is passed over,
so that write access to the log's store moves nothing.

Invariants:
- `rows` has every instance that is not ended or still has session orders, by rising number;
- an instance's frames count from 1 without a gap;
- `ending` has the ended ones that still have orders, oldest end first.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from fairbook.core.admin_records import SIGNED_LOG
from fairbook.core.book import Instance
from fairbook.core.credential_table import CredentialTable
from fairbook.core.parts import ORIGIN_BYTES, FrameOrigin, has_origin, signed_bytes
from fairbook.core.records import BEGIN_GATEWAY, COMMAND_BYTES, DETAIL_PART, HAS_DETAIL
from fairbook.core.units import NS_PER_SECOND

INSTANCES_MAX: Final = 256
ENDED_ORDERS_PER_FRAME: Final = 1000
SILENT_NS: Final = 5 * NS_PER_SECOND  # before another instance may end it

# Why a frame is passed over.
UNSIGNED: Final = 1
NOT_BEGUN: Final = 2
OUT_OF_NUMBER: Final = 3
BAD_SIGNATURE: Final = 4
BAD_BEGIN: Final = 5

_BEGIN_BYTES: Final = ORIGIN_BYTES + 2 * COMMAND_BYTES


@final
class Gateways:
    """All instances. `current`: that of the present frame."""

    def __init__(self) -> None:
        self.rows: list[Instance] = []
        self.ending: list[Instance] = []
        self.none = Instance(0, b"", 0)  # what belongs to no instance; never ended
        self.current = self.none
        self.begins: dict[bytes, int] = {}  # number of the last begin frame, by key
        self.is_begin_frame = False

    def find(self, number: i64) -> Instance | None:
        """An instance that is begun and not ended."""
        for instance in self.rows:
            if instance.number == number and not instance.is_ended:
                return instance
        return None

    def begin(self, number: i64, key: bytes, time_ns: i64) -> Instance:
        """A new instance; there must be fewer than INSTANCES_MAX."""
        instance = Instance(number, key, time_ns)
        self.rows.append(instance)
        return instance

    def end(self, instance: Instance) -> None:
        """It appends no more; its orders are cancelled at the head of following frames."""
        instance.is_ended = True
        if instance is self.current:
            self.current = self.none
        if instance.count > 0:
            self.ending.append(instance)
        else:
            self.rows.remove(instance)

    def forget_ended(self) -> None:
        """Drop the oldest ended instance, whose orders are all cancelled."""
        self.rows.remove(self.ending.pop(0))

    def admit(
        self, frame: bytes, flags: i64, log_id: i64, keys: CredentialTable, time_ns: i64
    ) -> i64:
        """Why a frame is passed over, or 0: then `current` is its instance.

        `flags`, `log_id`: of the first RULES.
        """
        self.is_begin_frame = False
        if flags & SIGNED_LOG == 0:
            return NOT_BEGUN if has_origin(frame) else 0
        if not has_origin(frame):
            return UNSIGNED
        origin = FrameOrigin(frame)
        if origin.instance == 0:
            return self._admit_begin(frame, origin, log_id, keys, time_ns)
        instance = self.find(origin.instance)
        if instance is None or not keys.is_live_gateway(instance.key, time_ns):
            return NOT_BEGUN
        if origin.number != instance.last_number + 1:
            return OUT_OF_NUMBER
        if not _is_signed(frame, origin, log_id, instance.key):
            return BAD_SIGNATURE
        instance.last_number = origin.number
        instance.last_ns = time_ns
        self.current = instance
        return 0

    def _admit_begin(
        self,
        frame: bytes,
        origin: FrameOrigin,
        log_id: i64,
        keys: CredentialTable,
        time_ns: i64,
    ) -> i64:
        at: i64 = ORIGIN_BYTES
        if (
            len(frame) != _BEGIN_BYTES
            or frame[at] != DETAIL_PART
            or frame[at + COMMAND_BYTES] != BEGIN_GATEWAY
            or frame[at + COMMAND_BYTES + 2] != HAS_DETAIL
        ):
            return BAD_BEGIN
        key = frame[at + 16 : at + COMMAND_BYTES]
        if not keys.is_live_gateway(key, time_ns):
            return NOT_BEGUN
        if origin.number <= self.begins.get(key, 0):
            return OUT_OF_NUMBER
        if not _is_signed(frame, origin, log_id, key):
            return BAD_SIGNATURE
        self.begins[key] = origin.number
        self.is_begin_frame = True
        self.current = self.none
        return 0


def _is_signed(frame: bytes, origin: FrameOrigin, log_id: i64, key: bytes) -> bool:
    message = signed_bytes(log_id, origin.instance, origin.number, frame[ORIGIN_BYTES:])
    try:
        crypto_sign_open(origin.signature + message, key)
    except BadSignatureError:
        return False
    return True
