"""Answers of the naive exchange: outcomes, and the checks of who acts."""

from __future__ import annotations

from tests.core import wire
from tests.core.commands import Command
from tests.core.oracle_records import Order
from tests.core.oracle_state import OF_ACCOUNT, OF_OPERATOR, State
from tests.core.wire import Event, Kind, Reject

TRADE, WITHDRAW = 2, 4  # permissions
ACCOUNTS, MARKETS, MONEY, OPERATORS = 1, 2, 4, 8  # roles
NEEDS_PERMISSION: dict[int, int] = {
    **dict.fromkeys((Kind.PLACE, Kind.CANCEL, Kind.AMEND, Kind.CANCEL_ALL), TRADE),
    Kind.HOLD: WITHDRAW,
}
OF_CREDENTIALS = (Kind.ADD_CREDENTIAL, Kind.REVOKE_CREDENTIAL)
NEEDS_ROLE: dict[int, int] = {
    **dict.fromkeys((Kind.OPEN_ACCOUNT, Kind.SET_ACCOUNT, Kind.CANCEL_ALL), ACCOUNTS),
    **dict.fromkeys(
        (
            Kind.LIST_ASSET, Kind.LIST_MARKET, Kind.SET_ASSET, Kind.SET_MARKET, Kind.SET_EXCHANGE,
            Kind.PAUSE, Kind.RESUME,
        ),
        MARKETS,
    ),
    **dict.fromkeys(
        (
            Kind.CREDIT, Kind.DEBIT, Kind.HOLD, Kind.RELEASE, Kind.CAPTURE, Kind.CONFIRM_CREDIT,
            Kind.REFUSE_CREDIT,
        ),
        MONEY,
    ),
    **dict.fromkeys((Kind.RULES, Kind.SET_OPERATOR), OPERATORS),
}  # fmt: skip
SIGNATURES_MAX = 2**20


class Answers(State):
    """Outcomes, and the checks of who acts."""

    # Outcomes.

    def outcome(self, c: Command, status: int, reason: int) -> wire.Outcome:
        account, client_id = (0, 0) if c.kind == Kind.NOTE else (c.account, c.client_id)
        return wire.Outcome(
            c.kind, status, reason, 0, c.market, account, client_id, self.sequence, 0, 0, 0, 0
        )

    def rejected(self, c: Command, failed: set[Reject]) -> list[Event]:
        """The answer has the lowest code."""
        named = c.order_id if c.kind in (Kind.CANCEL, Kind.AMEND) else 0
        return [self.outcome(c, wire.REJECTED, min(failed))._replace(order_id=named)]

    def done(self, c: Command) -> wire.Outcome:
        return self.outcome(c, wire.DONE, 0)

    def order_outcome(self, c: Command, order: Order, status: int, reason: int) -> wire.Outcome:
        return self.outcome(c, status, reason)._replace(
            market=order.market.id,
            order_id=order.id,
            filled=order.filled,
            quote=order.quote,
            created_ns=order.created_ns,
        )

    def acted(self, c: Command) -> list[Event]:
        """The operator, right before the outcome of what was executed."""
        if c.operator is None:
            return []
        operator = c.operator
        return [wire.Acted(operator.slot, operator.id, operator.reference, operator.reason_hash)]

    # Who acts.

    def who_failures(self, c: Command) -> set[Reject]:
        """Of the credential and of the operator that act."""
        return self._credential_failures(c) | self._operator_failures(c)

    def _credential_failures(self, c: Command) -> set[Reject]:
        is_of_account = c.kind in NEEDS_PERMISSION or (
            c.kind in OF_CREDENTIALS and c.variant == OF_ACCOUNT
        )
        if not is_of_account or c.credential == 0 or self.account(c.account) is None:
            return set()
        credential = self.live(OF_ACCOUNT, c.account, c.credential)
        if credential is None:
            return {Reject.BAD_CREDENTIAL}
        needed = NEEDS_PERMISSION.get(c.kind, 0)
        return set() if credential.permissions & needed == needed else {Reject.NOT_PERMITTED}

    def _operator_failures(self, c: Command) -> set[Reject]:
        if c.operator is None:
            return set()
        number, slot = c.operator.id, c.operator.slot
        roles = self.operators[number - 1] if 1 <= number <= len(self.operators) else 0
        if roles == 0 or (slot and self.live(OF_OPERATOR, number, slot) is None):
            return {Reject.BAD_CREDENTIAL}
        if c.kind in OF_CREDENTIALS:
            needed = ACCOUNTS if c.variant == OF_ACCOUNT else OPERATORS
        else:
            needed = NEEDS_ROLE.get(c.kind, 0)
        return set() if roles & needed == needed else {Reject.NOT_PERMITTED}

    def signature_failures(self, c: Command) -> set[Reject]:
        """Whether the signature was used, or cannot be remembered."""
        if c.signature is None:
            return set()
        if c.signature in self.signatures:
            return {Reject.REPEATED_SIGNATURE}
        return {Reject.SIGNATURES_FULL} if len(self.signatures) >= SIGNATURES_MAX else set()

    def use_signature(self, c: Command, failed: set[Reject]) -> None:
        """It is used up unless the command has one of the rejects up to SIGNATURES_FULL."""
        if c.signature is not None and (not failed or min(failed) > Reject.SIGNATURES_FULL):
            self.signatures[c.signature] = self.time_ns
