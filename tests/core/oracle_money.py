"""Money of the naive exchange: CREDIT, DEBIT, HOLD, and what is decided about them."""

from __future__ import annotations

from tests.core import wire
from tests.core.commands import Command
from tests.core.oracle_answers import Answers
from tests.core.oracle_records import (
    CREDIT_MAX,
    DAILY_WITHDRAWAL_MAX,
    FROZEN,
    MAX_ATOMS,
    REFERENCES_MAX,
    RESERVE_CAP,
    WITHDRAWAL_DELAY_S,
    Asset,
    Reference,
)
from tests.core.oracle_state import DAY_NS, EXTERNAL, FEE, FIRST_USER, OF_ACCOUNT, SECOND
from tests.core.wire import Event, Kind, Reject

AUDIT = 0  # cause of a pause
MOVEMENTS: dict[int, int] = {
    Kind.CREDIT: wire.CREDITED,
    Kind.DEBIT: wire.DEBITED,
    Kind.HOLD: wire.HELD,
    Kind.RELEASE: wire.RELEASED,
    Kind.CAPTURE: wire.CAPTURED,
    Kind.CONFIRM_CREDIT: wire.CONFIRMED,
    Kind.REFUSE_CREDIT: wire.REFUSED,
}


class MoneyCommands(Answers):
    """Commands that move atoms from and to EXTERNAL, or hold them."""

    def move(self, c: Command) -> list[Event]:
        """CREDIT, DEBIT or HOLD."""
        asset = self.asset(c.market)
        failed = self.who_failures(c)
        lowest = FIRST_USER if c.kind == Kind.HOLD else FEE
        if not lowest <= c.account < len(self.accounts):
            failed.add(Reject.UNKNOWN_ACCOUNT)
        if asset is None:
            failed.add(Reject.UNKNOWN_ASSET)
        if failed or asset is None:
            return self.rejected(c, failed)
        payload = c.kind, c.account, c.market, c.quantity, c.detail or b""
        known = self.references.get(c.reference)
        if known and known.payload == payload:
            status = wire.PENDING if known.was_pending else wire.DONE
            return [self.outcome(c, status, 0)._replace(repeated=1, order_id=known.sequence)]
        if known:
            failed.add(Reject.DUPLICATE_REFERENCE)
        failed |= self._move_failures(c, asset)
        if failed:
            return self.rejected(c, failed)

        is_pending = c.kind == Kind.CREDIT and c.quantity > asset.parameters[CREDIT_MAX]
        movement = wire.PENDING_CREDIT if is_pending else MOVEMENTS[c.kind]
        day = self.time_ns // DAY_NS
        reference = Reference(
            c.reference, payload, c.account, asset.id, c.quantity,
            c.operator.id if c.operator else 0, self.sequence, day, is_pending, movement,
        )  # fmt: skip
        self.references[c.reference] = reference
        match movement:
            case wire.CREDITED:
                self.pay(EXTERNAL, c.account, asset.id, c.quantity)
            case wire.DEBITED:
                self.pay(c.account, EXTERNAL, asset.id, c.quantity)
            case wire.HELD:
                self.accounts[c.account].open_holds[c.reference] = reference
                held = self.held_in_day.get((c.account, asset.id, day), 0)
                self.held_in_day[c.account, asset.id, day] = held + c.quantity
        status = wire.PENDING if is_pending else wire.DONE
        return self._moved(c, reference, status, 0)

    def _move_failures(self, c: Command, asset: Asset) -> set[Reject]:
        """Those after DUPLICATE_REFERENCE."""
        failed: set[Reject] = set()
        if not 1 <= c.quantity <= MAX_ATOMS:
            failed.add(Reject.BAD_QUANTITY)
        if len(self.references) >= self.parameters[REFERENCES_MAX]:
            failed.add(Reject.TABLE_FULL)
        if c.kind == Kind.CREDIT:
            if c.quantity <= asset.parameters[CREDIT_MAX] and self._exceeds_cap(asset, c.quantity):
                failed.add(Reject.OVER_CAP)
            return failed
        if self.accounts[c.account].parameters[FROZEN]:
            failed.add(Reject.ACCOUNT_FROZEN)
        if AUDIT in self.pauses:
            failed.add(Reject.TRADING_PAUSED)
        if c.kind == Kind.HOLD:
            failed |= self._hold_failures(c, asset)
        if self.available(c.account, asset.id) < c.quantity:
            failed.add(Reject.INSUFFICIENT_FUNDS)
        return failed

    def _hold_failures(self, c: Command, asset: Asset) -> set[Reject]:
        failed: set[Reject] = set()
        limit = self.accounts[c.account].daily_max.get(asset.id, -1)
        if limit == -1:
            limit = asset.parameters[DAILY_WITHDRAWAL_MAX]
        held = self.held_in_day.get((c.account, asset.id, self.time_ns // DAY_NS), 0)
        if held + c.quantity > limit:
            failed.add(Reject.OVER_DAILY_LIMIT)
        credential = self.live(OF_ACCOUNT, c.account, c.credential)
        if credential:
            age_ns = self.time_ns - credential.added_ns
            if age_ns < self.parameters[WITHDRAWAL_DELAY_S] * SECOND:
                failed.add(Reject.TOO_YOUNG)
        return failed

    def _exceeds_cap(self, asset: Asset, atoms: int) -> bool:
        return self.supply(asset.id) + atoms > asset.parameters[RESERVE_CAP]

    def decide(self, c: Command) -> list[Event]:
        """RELEASE or CAPTURE of a HOLD; CONFIRM_CREDIT or REFUSE_CREDIT of a pending CREDIT."""
        failed = self.who_failures(c)
        is_of_hold = c.kind in (Kind.RELEASE, Kind.CAPTURE)
        known = self.references.get(c.reference)
        if known and not (known.is_hold if is_of_hold else known.was_pending):
            known = None
        if known is None:
            failed.add(Reject.UNKNOWN_REFERENCE)
        if not is_of_hold and c.operator is None:
            failed.add(Reject.NOT_PERMITTED)
        is_confirmed = c.kind == Kind.CONFIRM_CREDIT
        if is_confirmed and known and c.operator and known.operator == c.operator.id:  # four eyes
            failed.add(Reject.NOT_PERMITTED)
        if failed or known is None:
            return self.rejected(c, failed)
        movement = MOVEMENTS[c.kind]
        if known.movement == movement:
            return [self.done(c)._replace(repeated=1, order_id=known.sequence)]
        if known.movement not in (wire.HELD, wire.PENDING_CREDIT):
            return self.rejected(c, {Reject.ALREADY_DECIDED})
        if c.kind == Kind.CAPTURE:
            if AUDIT in self.pauses:
                failed.add(Reject.TRADING_PAUSED)
            if not 0 <= c.quantity <= known.atoms:
                failed.add(Reject.BAD_QUANTITY)
        if is_confirmed and self._exceeds_cap(self.assets[known.asset - 1], known.atoms):
            failed.add(Reject.OVER_CAP)
        if failed:
            return self.rejected(c, failed)

        known.movement = movement
        fee_atoms = c.quantity if c.kind == Kind.CAPTURE else 0
        match movement:
            case wire.CONFIRMED:
                self.pay(EXTERNAL, known.account, known.asset, known.atoms)
            case wire.RELEASED | wire.CAPTURED:
                del self.accounts[known.account].open_holds[known.reference]
        if movement == wire.CAPTURED:
            self.pay(known.account, EXTERNAL, known.asset, known.atoms - fee_atoms)
            self.pay(known.account, FEE, known.asset, fee_atoms)
        if movement == wire.RELEASED and known.day == self.time_ns // DAY_NS:
            self.held_in_day[known.account, known.asset, known.day] -= known.atoms
        return self._moved(c, known, wire.DONE, fee_atoms)

    def _moved(self, c: Command, reference: Reference, status: int, fee_atoms: int) -> list[Event]:
        moved = wire.Moved(
            reference.movement, reference.asset, reference.account, reference.operator,
            reference.reference, reference.atoms, fee_atoms,
        )  # fmt: skip
        outcome = self.outcome(c, status, 0)._replace(order_id=reference.sequence)
        return [moved, *self.acted(c), outcome]
