"""A naive exchange: docs/reference/protocol.md written as plainly as possible, regardless of speed.

Design: `apply` takes one frame and gives its events, unit by unit. The answer to an invalid command
is the lowest reject code, so all checks are collected first, in any order; changes follow. Each
file has one subject; `State` is in oracle_state.py.

Invariants: numbers are Python's and never overflow; the locked amounts are computed from the open
orders and holds.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.core import wire
from tests.core.commands import Command, split_frame
from tests.core.oracle_checks import is_malformed
from tests.core.oracle_credentials import CredentialCommands
from tests.core.oracle_gateways import ORIGIN_BYTES, GatewayCommands
from tests.core.oracle_money import MoneyCommands
from tests.core.oracle_settings import SettingCommands
from tests.core.wire import Event, Kind, Reject

RULES = 1  # the version that this oracle knows


class LaterRules(Exception):
    """The frame has RULES of a later version; it is not executed."""


class Oracle(GatewayCommands, MoneyCommands, CredentialCommands, SettingCommands):
    """One exchange."""

    def apply(self, frame: bytes, time_ns: int) -> Iterator[tuple[Command | None, list[Event]]]:
        """The units of the frame with their events. None for events that belong to no command, and
        for a rest that is too short. Raises LaterRules.
        """
        passed = self._passed_at(frame, time_ns)
        if passed:
            self.time_ns = time_ns
            yield None, [passed]
            return
        units = split_frame(frame[ORIGIN_BYTES:] if self.is_signed else frame)
        if any(unit and unit.kind == Kind.RULES and unit.quantity > RULES for unit in units):
            raise LaterRules
        is_first = self.sequence == 0
        self.time_ns = time_ns
        self.forget()
        for market in self.markets:
            market.looked_at = 0
        self.take_number(frame)
        is_begin = self.is_signed and self.instance == 0
        head = self.cancel_of_ended()
        if head:
            yield None, head
        for unit in units:
            self.sequence += 1
            yield unit, self._apply_one(unit, is_first, is_begin)

    def _passed_at(self, frame: bytes, time_ns: int) -> wire.Passed | None:
        """A credential may have expired by now."""
        before, self.time_ns = self.time_ns, time_ns
        passed = self.passed_over(frame)
        self.time_ns = before
        return passed

    def _apply_one(self, c: Command | None, is_first: bool, is_begin: bool) -> list[Event]:
        if c is None:
            return [wire.Outcome(0, 0, Reject.MALFORMED, 0, 0, 0, 0, self.sequence, 0, 0, 0, 0)]
        if is_malformed(c):
            return self.rejected(c, {Reject.MALFORMED})
        if c.kind == Kind.BEGIN_GATEWAY and (c.detail is not None) != self.is_signed:
            return self.rejected(c, {Reject.MALFORMED})
        if not self.rules and c.kind not in (Kind.RULES, Kind.TICK, Kind.NOTE):
            return self.rejected(c, {Reject.NO_RULES})
        match c.kind:
            case Kind.RULES:
                return self.set_rules(c, is_first)
            case Kind.TICK:
                return [self.done(c)]
            case Kind.PLACE:
                return self.place(c)
            case Kind.CANCEL:
                return self.cancel(c)
            case Kind.AMEND:
                return self.amend(c)
            case Kind.CANCEL_ALL | Kind.END_SESSION:
                return self.cancel_many(c)
            case Kind.BEGIN_GATEWAY:
                return self.begin_gateway(c, is_begin)
        return self._apply_administrative(c)

    def _apply_administrative(self, c: Command) -> list[Event]:
        match c.kind:
            case Kind.OPEN_ACCOUNT:
                return self.open_account(c)
            case Kind.CREDIT | Kind.DEBIT | Kind.HOLD:
                return self.move(c)
            case Kind.RELEASE | Kind.CAPTURE | Kind.CONFIRM_CREDIT | Kind.REFUSE_CREDIT:
                return self.decide(c)
            case Kind.LIST_ASSET:
                return self.list_asset(c)
            case Kind.LIST_MARKET:
                return self.list_market(c)
            case Kind.ADD_CREDENTIAL:
                return self.add_credential(c)
            case Kind.REVOKE_CREDENTIAL:
                return self.revoke_credential(c)
            case Kind.SET_OPERATOR:
                return self.set_operator(c)
            case Kind.PAUSE | Kind.RESUME:
                return self.pause(c)
            case Kind.END_GATEWAY:
                return self.end_gateway(c)
            case Kind.NOTE:
                return self.note(c)
        return self.set_parameter(c)
