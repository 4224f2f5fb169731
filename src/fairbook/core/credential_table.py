"""CredentialTable: who may act for an account, an operator, or as a gateway; facts of the log.

The exchange knows a credential by a hash of 32 bytes; a gateway key by itself, to verify what it
signs. Each owner has slots, counted from 1; a command names the slot of the credential that acts.

Invariants:
- a known hash is in one slot, or was revoked; a revoked one never comes back;
- what a slot holds changes only when its credential has ended.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64, mypyc_attr

from fairbook.core.admin_records import GATEWAY_KEY, OF_GATEWAYS, PASSWORD, SECOND_FACTOR
from fairbook.core.bytes_index import ABSENT, BytesIndex
from fairbook.core.records import LOW

REVOKED: Final = -2  # in the index: revoked, and no longer in a slot
_SLOT_BITS: Final = 16
_OWNER_BITS: Final = 32


@final
@mypyc_attr(acyclic=True)
class Credential:
    """One credential in a slot. `expires_ns` 0: never; `revoked_ns` 0: not revoked."""

    def __init__(
        self,
        digest: bytes,
        *,
        owner_kind: i64,
        owner: i64,
        slot: i64,
        credential_type: i64,
        permissions: i64,
        expires_ns: i64,
        added_ns: i64,
    ) -> None:
        self.digest = digest
        self.owner_kind = owner_kind
        self.owner = owner
        self.slot = slot
        self.credential_type = credential_type
        self.permissions = permissions
        self.expires_ns = expires_ns
        self.added_ns = added_ns
        self.revoked_ns: i64 = 0

    def is_live(self, time_ns: i64) -> bool:
        return self.revoked_ns == 0 and (self.expires_ns == 0 or time_ns < self.expires_ns)

    def ended_ns(self) -> i64:
        """When it ended, if it has: it may have expired before it was revoked."""
        if self.revoked_ns == 0 or 0 < self.expires_ns < self.revoked_ns:
            return self.expires_ns
        return self.revoked_ns


@final
class CredentialTable:
    """All owners' credentials, by hash. The slots of an owner are a list that the owner has."""

    def __init__(self) -> None:
        self.places = BytesIndex()  # hash: owner kind, owner and slot; or REVOKED
        self.revoked: list[bytes] = []  # those with REVOKED, in the order of losing their slots
        self.of_gateways: list[Credential] = []

    @property
    def count(self) -> i64:
        """How many hashes are known."""
        return self.places.count

    def is_known(self, digest: bytes) -> bool:
        return self.places.get(digest) != ABSENT

    def put(self, slots: list[Credential], credential: Credential) -> None:
        """Enter a new credential in its slot: the next one, or that of an ended one."""
        slot = credential.slot
        place = credential.owner_kind << _SLOT_BITS + _OWNER_BITS | credential.owner << _SLOT_BITS
        self.places.put(credential.digest, place | slot)
        if slot > len(slots):
            slots.append(credential)
            return
        before = slots[slot - 1]
        if before.revoked_ns != 0:
            self.places.put(before.digest, REVOKED)
            self.revoked.append(before.digest)
        else:
            self.places.remove(before.digest)
        slots[slot - 1] = credential

    def slot_of(self, digest: bytes, owner_kind: i64, owner: i64) -> i64:
        """The slot in which the owner has this credential, live or ended; 0: none."""
        place = self.places.get(digest)
        if place < 0 or place >> _SLOT_BITS != owner_kind << _OWNER_BITS | owner:
            return 0
        return place & (1 << _SLOT_BITS) - 1

    def is_live_gateway(self, key: bytes, time_ns: i64) -> bool:
        """Whether a key may sign frames."""
        slot = self.slot_of(key, OF_GATEWAYS, 0)
        return slot != 0 and self.of_gateways[slot - 1].is_live(time_ns)

    def place_of(self, digest: bytes) -> tuple[int, int, int] | None:
        """(owner kind, owner, slot) of a credential in a slot."""
        place = self.places.get(digest)
        if place < 0:
            return None
        slot = place & (1 << _SLOT_BITS) - 1
        return place >> _SLOT_BITS + _OWNER_BITS, place >> _SLOT_BITS & LOW, slot


def free_slot(slots: list[Credential], slots_max: i64, replaced: i64, time_ns: i64) -> i64:
    """The slot for a new credential; 0: all have a live one.

    The next that was never used; else the one whose credential ended first. `replaced`: a slot
    whose credential ends now, or 0.
    """
    if len(slots) < slots_max:
        return len(slots) + 1
    found: i64 = 0
    found_ns: i64 = 0
    for credential in slots:
        ended_ns = credential.ended_ns()
        if credential.slot == replaced:
            ended_ns = time_ns
        elif credential.is_live(time_ns):
            continue
        if found == 0 or ended_ns < found_ns:
            found, found_ns = credential.slot, ended_ns
    return found


def live_of_type(slots: list[Credential], credential_type: i64, time_ns: i64) -> i64:
    """The slot of the live password or second factor, which a new one replaces; 0: none."""
    if credential_type != PASSWORD and credential_type != SECOND_FACTOR:
        return 0
    for credential in slots:
        if credential.credential_type == credential_type and credential.is_live(time_ns):
            return credential.slot
    return 0


def is_type_of(credential_type: i64, owner_is_gateways: bool) -> bool:
    """Whether this owner may have credentials of this type."""
    if owner_is_gateways:
        return credential_type == GATEWAY_KEY
    return 1 <= credential_type < GATEWAY_KEY
