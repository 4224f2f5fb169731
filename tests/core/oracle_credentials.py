"""Credentials and operators of the naive exchange."""

from __future__ import annotations

from tests.core import wire
from tests.core.commands import Command
from tests.core.oracle_answers import Answers
from tests.core.oracle_records import CREDENTIALS_MAX, OWNER_CREDENTIALS_MAX, Credential
from tests.core.wire import Event, Reject

PASSWORD, SECOND_FACTOR = 3, 4  # types: a new one revokes the one before
OPERATORS_MAX = 1_000


class CredentialCommands(Answers):
    """Who may act."""

    def _owner_failures(self, c: Command) -> set[Reject]:
        match c.variant:
            case 0:
                exists = self.account(c.account) is not None
            case 1:
                exists = 1 <= c.account <= len(self.operators)
            case _:
                exists = c.account == 0
        return set() if exists else {Reject.UNKNOWN_ACCOUNT}

    def add_credential(self, c: Command) -> list[Event]:
        """Give it a slot."""
        assert c.detail is not None
        owner_kind, owner = c.variant, c.account
        failed = self.who_failures(c) | self._owner_failures(c)
        if failed:
            return self.rejected(c, failed)
        terms = owner_kind, owner, c.session, c.parameter, c.order_id
        known = self.in_slots().get(c.detail)
        if known and not known.has_ended(self.time_ns):
            its = known.owner_kind, known.owner, known.type, known.permissions, known.expires_ns
            if its == terms:
                return [self.done(c)._replace(repeated=1, order_id=known.slot)]
        if known or c.detail in self.revoked:
            failed.add(Reject.DUPLICATE_CREDENTIAL)
        if c.order_id and c.order_id <= self.time_ns:
            failed.add(Reject.BAD_VALUE)
        slots = self.credentials.get((owner_kind, owner), {})
        replaced = self._replaced(c, slots)
        slot = self._next_slot(slots, replaced)
        if slot == 0 or self.known_hashes() >= self.parameters[CREDENTIALS_MAX]:
            failed.add(Reject.TABLE_FULL)
        if failed:
            return self.rejected(c, failed)

        events: list[Event] = [self._revoke(replaced)] if replaced else []
        added = Credential(c.detail, owner_kind, owner, slot, *terms[2:], self.time_ns)
        self.credentials.setdefault((owner_kind, owner), {})[slot] = added
        events.append(credential_event(added, revoked=0))
        return [*events, *self.acted(c), self.done(c)._replace(order_id=slot)]

    def _replaced(self, c: Command, slots: dict[int, Credential]) -> Credential | None:
        """The live password or second factor that the new one takes the place of."""
        if c.session not in (PASSWORD, SECOND_FACTOR):
            return None
        live = [each for each in slots.values() if not each.has_ended(self.time_ns)]
        return next((each for each in live if each.type == c.session), None)

    def _next_slot(self, slots: dict[int, Credential], replaced: Credential | None) -> int:
        """The next one, or the one that ended longest ago; 0: none."""
        if len(slots) < self.parameters[OWNER_CREDENTIALS_MAX]:
            return len(slots) + 1
        ended = [
            (each.ended_ns, each.slot) for each in slots.values() if each.has_ended(self.time_ns)
        ]
        if replaced:
            ended.append((self.time_ns, replaced.slot))
        return min(ended)[1] if ended else 0

    def revoke_credential(self, c: Command) -> list[Event]:
        """It never counts again."""
        failed = self.who_failures(c) | self._owner_failures(c)
        slots = self.credentials.get((c.variant, c.account), {})
        found = next((each for each in slots.values() if each.hash == c.detail), None)
        if found is None or found.revoked_ns is not None:
            failed.add(Reject.UNKNOWN_CREDENTIAL)
        if failed or found is None:
            return self.rejected(c, failed)
        event = self._revoke(found)
        return [event, *self.acted(c), self.done(c)._replace(order_id=found.slot)]

    def _revoke(self, credential: Credential) -> Event:
        credential.revoked_ns = self.time_ns
        self.revoked[credential.hash] = None
        return credential_event(credential, revoked=1)

    def set_operator(self, c: Command) -> list[Event]:
        """Add one, or change the roles of one."""
        failed = self.who_failures(c)
        count = len(self.operators)
        if c.account > count + 1 or not 0 <= c.quantity <= 15:
            failed.add(Reject.BAD_VALUE)
        if c.account > count >= OPERATORS_MAX:
            failed.add(Reject.TABLE_FULL)
        if failed:
            return self.rejected(c, failed)
        if c.account > count:
            self.operators.append(0)
        self.operators[c.account - 1] = c.quantity
        event = wire.Parameter(c.kind, 0, c.account, 0, c.quantity)
        return [event, *self.acted(c), self.done(c)]


def credential_event(credential: Credential, *, revoked: int) -> Event:
    """The event of adding or revoking it."""
    return wire.CredentialChanged(
        credential.owner_kind, revoked, credential.slot, credential.owner, credential.type,
        credential.permissions, credential.expires_ns, credential.hash,
    )  # fmt: skip
