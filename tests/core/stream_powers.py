"""Who may act, in a stream: credentials, operators, pauses, gateways, notes."""

from __future__ import annotations

from collections.abc import Callable

from fairbook.core import admin_records as admin
from fairbook.core import parts, records
from tests.core.stream_choices import SECOND, Choices
from tests.core.wire import Kind

OPERATORS = 5  # that the opening names
ACCOUNT, OPERATOR, GATEWAYS = admin.OF_ACCOUNT, admin.OF_OPERATOR, admin.OF_GATEWAYS


class PowerChoices(Choices):
    """Commands about who may act."""

    def __init__(self, pick: Callable[[int], int]) -> None:
        super().__init__(pick)
        self.hashes: list[tuple[int, int, bytes]] = []  # (owner kind, owner, hash)
        self.added: list[bytes] = []  # ADD_CREDENTIAL units, to be repeated
        self.added_count = 0  # hashes that are known, at most
        self.instances: list[int] = [1]  # of gateways, newest last

    def operator_id(self) -> int:
        """Mostly one that has a role."""
        return self.one_of((1, 1, 1, 2, 3, 4, 5)) if self.pick(20) else self.one_of((0, 6, 2**31))

    def with_operator(self, unit: bytes) -> bytes:
        """Ordered by an operator."""
        operator = self.operator_id()
        return parts.with_operator(
            unit,
            operator=operator,
            reason_hash=self.one_of((b"r", b"s")) * 32,
            reference=self.one_of((0, 7, -(2**63), 2**63 - 1)),
            credential=self.credential_of(OPERATOR, operator),
        )

    def _owner(self) -> tuple[int, int]:
        kind = self.one_of((ACCOUNT, ACCOUNT, ACCOUNT, OPERATOR, GATEWAYS))
        if self.rarely(40):
            return self.one_of(((3, 0), (255, 2), (GATEWAYS, 1), (OPERATOR, 0), (OPERATOR, 9)))
        owner = {ACCOUNT: self.account(), OPERATOR: 1 + self.pick(OPERATORS), GATEWAYS: 0}[kind]
        return kind, owner

    def add_credential(self) -> bytes:
        """Mostly a new one."""
        if self.added and self.rarely(8):
            return self.added[-1 - self.pick(len(self.added))]
        kind, owner = self._owner()
        detail = self.new_hash(kind)
        if self.hashes and self.rarely(10):
            detail = self.hashes[-1 - self.pick(len(self.hashes))][2]
        types = (5,) if kind == GATEWAYS else (1, 2, 3, 4)
        permissions = self.one_of((7, 7, 7, 3, 2, 1, 0)) if kind == ACCOUNT else 0
        soon = self.time_ns + self.one_of((SECOND // 100, SECOND, 60 * SECOND, 0, -1, 1))
        made = admin.add_credential(
            detail=detail,
            credential_type=self.one_of((0, 5, 6, 1, 2**31))
            if self.rarely(40)
            else self.one_of(types),
            owner=owner,
            owner_kind=kind,
            permissions=self.one_of((8, 1, 2**31)) if self.rarely(40) else permissions,
            expires_ns=self.one_of((0, 0, soon, soon, -5 if self.rarely(20) else 0)),
            credential=self.credential_of(kind, owner),
        )
        self.added.append(made)
        self.hashes.append((kind, owner, detail))
        del self.added[:-30], self.hashes[:-60]
        return made

    def new_hash(self, owner_kind: int) -> bytes:
        """Of a credential that was not added before."""
        return self.next_number().to_bytes(32, "little")

    def revoke_credential(self) -> bytes:
        """Mostly one that was added."""
        kind, owner = self._owner()
        detail = self.next_number().to_bytes(32, "little")
        slots = self.slots.get((kind, owner))
        if slots and self.pick(6):
            detail = self.one_of(list(slots.values()))
        elif self.hashes and self.pick(6):
            kind, owner, detail = self.hashes[-1 - self.pick(len(self.hashes))]
        credential = self.credential_of(kind, owner)
        return admin.revoke_credential(
            detail=detail, owner=owner, owner_kind=kind, credential=credential
        )

    def set_operator(self) -> bytes:
        """Change the roles of one, or add the next."""
        operator = self.one_of((2, 3, 4, 5, 1, self.pick(9)))
        if operator:
            roles = 15 if operator == 1 else (0, 4, 3, 8, 13)[operator % 5]
            self.repair(admin.set_operator(operator=operator, roles=roles))
        return admin.set_operator(operator=operator, roles=self.one_of((15, 4, 1, 2, 8, 0, 16, -1)))

    def pause(self) -> bytes:
        """For one of the causes."""
        cause = self.pick(2)
        self.repair(admin.resume(cause))
        if self.rarely(10):
            return admin.pause(*self.one_of(((2, 1), (0, 0))))
        made = admin.pause(cause, self.one_of((1, 2, 2**32 - 1)))
        return parts.with_detail(made, b"p" * 32) if self.pick(2) else made

    def resume(self) -> bytes:
        """Of one of the causes."""
        return admin.resume(self.one_of((0, 1, 0, 1, 0, 1, 2)))

    def begin_gateway(self) -> bytes:
        """The local instance; with a key only a signed log knows it."""
        return admin.begin_gateway(b"k" * 32 if self.rarely(10) else None)

    def end_gateway(self) -> bytes:
        """Of the last one, mostly."""
        instance = self.instances[-1 - self.pick(min(len(self.instances), 3))]
        if self.rarely(8):
            instance = self.one_of((0, -1, 2**62))
        return admin.end_gateway(instance, last_number=self.one_of((0, 0, 1, -1)))

    def note(self) -> bytes:
        """A text of up to 40 bytes; rarely a length that is none."""
        made = self.one_of(admin.note(self.one_of(("a", "why: " + "x" * 35, "y" * 100, "\xe9"))))
        if self.rarely(8):
            return made[:1] + self.one_of((b"\0", b"\x29", b"\xff")) + made[2:]
        return made

    def odd(self) -> bytes:
        """A record that is no command, or one that has no meaning here."""
        return self.one_of(
            (
                parts.with_origin(b"", instance=1, number=1, signature=bytes(64)),
                bytes([Kind.NOTE + 1]) + bytes(47),
                bytes([records.ORIGIN_REST]) + bytes(47),
                bytes(48),
            )
        )
