"""Money of a stream: CREDIT, DEBIT, HOLD, and what is decided about them."""

from __future__ import annotations

from collections.abc import Callable

from fairbook.core import admin_records as admin
from tests.core import wire
from tests.core.stream_choices import POOR, Choices
from tests.core.wire import Kind

KEPT = 60  # references that are decided or repeated


class MoneyChoices(Choices):
    """Commands that move or hold atoms."""

    def __init__(self, pick: Callable[[int], int]) -> None:
        super().__init__(pick)
        self.moves: list[bytes] = []  # units to be repeated
        self.held: list[bytes] = []  # references of HOLD
        self.pending: list[bytes] = []  # references of CREDIT that waited
        self.others: list[bytes] = []  # references of the other ones
        self.references_count = 0  # that were executed

    def reference(self) -> bytes:
        """16 bytes: mostly new ones."""
        number = self.next_number()
        chance = self.pick(60)
        if chance == 59:
            return bytes(16)
        if chance == 58 and self.held:
            return self.one_of(self.held)
        if chance >= 40:
            return bytes(8) + number.to_bytes(8, "little")
        return number.to_bytes(8, "little") + bytes(8)

    def move(self, kind: Kind) -> bytes:
        """CREDIT, DEBIT or HOLD."""
        if self.moves and self.rarely(12):
            old = self.moves[-1 - self.pick(len(self.moves))]
            return self.one_of((old, old, old[:-8] + (3).to_bytes(8, "little")))
        account = self.account()
        asset = self.one_of((1, 2, 3, 3, self.pick(5)))
        atoms = 1 + self.pick(5000 if kind == Kind.CREDIT else 700)
        if account == POOR:
            atoms = 10 * (1 + self.pick(6))
        elif self.rarely(4):
            large: tuple[int, ...] = (2**30, 2**42, 2**61, 2**62 - 100_000)
            if kind == Kind.HOLD:  # what is held and not decided is gone for the rest of the stream
                large = (2**20, 2**25, 2**30)
            atoms = self.one_of((*large, 2**62, -5, 2**63 - 1))
        reference = self.reference()
        if kind == Kind.HOLD:
            made = admin.hold(
                account=account,
                asset=asset,
                atoms=atoms,
                reference=reference,
                detail=self.one_of((b"x", b"y")) * 32,
                credential=self.credential_of(0, account),
            )
        else:
            command = admin.credit if kind == Kind.CREDIT else admin.debit
            made = command(account=account, asset=asset, atoms=atoms, reference=reference)
        self.moves.append(made)
        del self.moves[:-KEPT]
        return made

    def decide(self, kind: Kind) -> bytes:
        """RELEASE, CAPTURE, CONFIRM_CREDIT or REFUSE_CREDIT."""
        is_of_hold = kind in (Kind.RELEASE, Kind.CAPTURE)
        known = self.held if is_of_hold else self.pending
        if self.rarely(20):
            known = self.one_of((self.others, self.pending if is_of_hold else self.held))
        reference = known[-1 - self.pick(len(known))] if known else self.reference()
        if self.rarely(30):
            reference = self.one_of((bytes(16), bytes(15) + b"\1"))
        match kind:
            case Kind.RELEASE:
                return admin.release(reference)
            case Kind.CAPTURE:
                fee = self.one_of((0, 0, 1, 7, self.pick(700), -1, 2**62, 2**63 - 1))
                return admin.capture(reference, fee_atoms=fee)
            case Kind.CONFIRM_CREDIT:
                return admin.confirm_credit(reference)
        return admin.refuse_credit(reference)

    def saw_moved(self, event: wire.Moved) -> None:
        """Which references there are."""
        known = {
            wire.CREDITED: self.others,
            wire.DEBITED: self.others,
            wire.PENDING_CREDIT: self.pending,
            wire.HELD: self.held,
        }.get(event.movement)
        if known is not None:
            self.references_count += 1
            known.append(event.reference)
            del known[:-KEPT]
