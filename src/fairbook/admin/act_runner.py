"""Execute the acts of operators: one logged command each, with who ordered it and why.

Design: the reason's text is stored first; then the command goes to the log with the operator, the
credential and the hash of the reason. An act that needs two is only noted in the log, by the hash
of its text, and executed when another operator approves it (proposals.py).

Invariants:
- one person alone executes no act that needs two;
- one person alone credits at most `creditMax` of an asset within 24 hours;
- an operator never acts on the account that is their own;
- a proposal is approved at most once.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from fairbook.accounts.logged_notes import (
    ReadFrame,
    approval_note,
    drop_note,
    noted_at,
    proposal_note,
)
from fairbook.accounts.sqlite_operators import (
    Announcement,
    Approval,
    Invitation,
    PasswordReset,
    SqliteOperators,
    StoredOperator,
)
from fairbook.admin.act_fields import ActFields
from fairbook.admin.acts import ACTS, CHANGE_KEY, PAUSED_BY_OPERATOR, Act
from fairbook.admin.announcements import Announcements
from fairbook.admin.operators import OperatorAccess
from fairbook.admin.proposals import Proposal, Proposals
from fairbook.api.errors import (
    ApiError,
    BadRequest,
    busy,
    maintenance,
    not_found,
    not_implemented,
    outcome_unknown,
    rejected,
)
from fairbook.api.listings import Listings
from fairbook.api.numbers import whole_number
from fairbook.core import admin_records, records
from fairbook.core.admin_call import role_for
from fairbook.core.admin_records import BY_OPERATOR, CREDITED, HELD, OF_ACCOUNT
from fairbook.core.exchange import Exchange
from fairbook.core.parts import with_operator
from fairbook.core.records import COMMAND_BYTES, Command, Outcome
from fairbook.core.units import MAX_ATOMS, NS_PER_SECOND
from fairbook.ports.accounts import AccountRefused
from fairbook.ports.commands import Answer, Busy, Commands, Stopped
from fairbook.ports.events import Emit

DEADLINE_S: Final = 5.0
DAY_NS: Final = 24 * 3600 * NS_PER_SECOND
ROWS_A_TURN: Final = 5_000
MONEY_COMMANDS: Final = (records.CREDIT, records.DEBIT)


class KeyChange(NamedTuple):
    """Of the key that signs checkpoints. Both raise ApiError if it is not ready to be used."""

    check: Callable[[str], None]
    change: Callable[[str], Awaitable[None]]


class ActRunner:
    """Call it in the thread of the engine's loop."""

    def __init__(
        self,
        commands: Commands,
        exchange: Exchange,
        listings: Listings,
        store: SqliteOperators,
        read_frame: ReadFrame,
        announcements: Announcements,
        emit: Emit,
        key_change: KeyChange | None,
    ) -> None:
        self._key_change = key_change
        self._announcements = announcements
        self._emit = emit
        self._commands = commands
        self._exchange = exchange
        self._listings = listings
        self._store = store
        self._read_frame = read_frame
        self._crediting = asyncio.Lock()
        self.proposals = Proposals()

    async def run(
        self, operator: OperatorAccess, name: str, values: Mapping[str, Any], reason: str
    ) -> dict[str, Any]:
        """Execute or propose an act. Raises ApiError."""
        act, command = self._read(name, values)
        self._check_role(operator.roles, act, command)
        await self._check_own_account(operator, values)
        if command[0] == records.CREDIT:
            async with self._crediting:  # Or two at once would not count each other.
                return await self._credit(operator, name, values, reason, command)
        if name == "approve-withdrawal":
            self._check_held(values)
        if name == CHANGE_KEY:
            self._keys().check(str(values["key"]))
        if act.needs_two or await self._is_large_withdrawal(name, values):
            return await self._propose(operator, name, values, reason, command)
        if command[0] == records.PAUSE:
            await self._end_pause_of_disk(operator, reason)
        return await self._execute(operator, name, values, reason, command)

    async def _execute(
        self,
        operator: OperatorAccess,
        name: str,
        values: Mapping[str, Any],
        reason: str,
        command: bytes,
        *,
        proposal: int = 0,
    ) -> dict[str, Any]:
        if name == "operator":
            await self._store_operator(values)  # First: a link without its act allows nothing.
        answer = await self._submit(operator, command, reason, reference=proposal)
        await self._keep(operator, name, values, answer)
        result = self._result(name, answer, command)
        if name == "close-account":
            await self._end_account(operator, int(values["accountId"]), reason)
        self._emit(name, {"operator": operator.number, "fields": dict(values), **result})
        return result

    async def _keep(
        self, operator: OperatorAccess, name: str, values: Mapping[str, Any], answer: Answer
    ) -> None:
        """What the log has the hash of only."""
        position, number = answer.position, operator.number
        if name == "invite":
            digest = bytes.fromhex(str(values["codeHash"]))
            invitation = Invitation(digest, position, number, 0)
            await asyncio.to_thread(self._store.add_invitation, invitation)
        elif name == "reset-password":
            digest = bytes.fromhex(str(values["codeHash"]))
            reset = PasswordReset(digest, position, number, int(values["accountId"]))
            await asyncio.to_thread(self._store.add_reset, reset)
        elif name == "approve-withdrawal":
            reference = bytes.fromhex(str(values["referenceHash"]))
            await asyncio.to_thread(self._store.add_approval, Approval(reference, position, number))
        elif name == "announce":
            sequence = records.read_outcome(answer.events).sequence
            text = str(values["text"])
            await self._announcements.add(Announcement(sequence, position, number, text))
        elif name == "end-announcements":
            await self._announcements.end()
        elif name == CHANGE_KEY:
            await self._keys().change(str(values["key"]))

    def _keys(self) -> KeyChange:
        if self._key_change is None:
            raise not_implemented("signed checkpoints")
        return self._key_change

    async def _store_operator(self, values: Mapping[str, Any]) -> None:
        number = int(values["operator"])
        before = await asyncio.to_thread(self._store.operator, number)
        name = str(values.get("name") or before.name)
        account = int(values.get("accountId") or before.account)
        known = StoredOperator(number, name, account)
        if known != before:
            await asyncio.to_thread(self._store.put_operator, known)

    async def _end_account(self, operator: OperatorAccess, account: int, reason: str) -> None:
        """After its freeze: cancel its orders, and end its keys and sessions."""
        await self._submit(operator, records.cancel_all(account=account, market=0), reason)
        for fact in self._exchange.credentials(OF_ACCOUNT, account):
            if fact.is_live(self._exchange.time_ns):
                command = admin_records.revoke_credential(
                    detail=fact.digest, owner=account, owner_kind=OF_ACCOUNT
                )
                await self._submit(operator, command, reason)

    async def _credit(
        self,
        operator: OperatorAccess,
        name: str,
        values: Mapping[str, Any],
        reason: str,
        command: bytes,
    ) -> dict[str, Any]:
        """The core lets a credit above creditMax wait. Several that are more together, and those of
        an asset that has no creditMax, are proposals.
        """
        asked = Command()
        asked.read(command, len(command) - COMMAND_BYTES, 0)
        known = self._exchange.reference(admin_records.reference_at(command, 0))
        limit = self._exchange.assets[asked.market].credit_max
        if known is None and limit != MAX_ATOMS and asked.quantity <= limit:
            total = await self._credited_today(operator.number, asked.market) + asked.quantity
        else:
            total = asked.quantity
        if known is None and (limit == MAX_ATOMS or asked.quantity <= limit < total):
            return await self._propose(operator, name, values, reason, command)
        return await self._execute(operator, name, values, reason, command)

    async def _credited_today(self, operator: int, asset: int) -> int:
        """Atoms that this operator alone has credited in the last 24 hours."""
        rows, total = self._exchange.tables.references.rows, 0
        since_ns = self._exchange.time_ns - DAY_NS
        for at in range(len(rows) - 1, -1, -1):
            row = rows[at]
            if row.time_ns < since_ns:
                break
            if row.operator == operator and row.asset == asset and row.state == CREDITED:
                total += row.atoms
            if at % ROWS_A_TURN == 0:
                await asyncio.sleep(0)
        return total

    def _check_held(self, values: Mapping[str, Any]) -> None:
        """Raises 400 for what is no withdrawal that waits."""
        fact = self._exchange.reference(bytes.fromhex(str(values["referenceHash"])))
        if fact is None or fact.state != HELD:
            raise rejected(records.UNKNOWN_REFERENCE if fact is None else records.ALREADY_DECIDED)

    async def _is_large_withdrawal(self, name: str, values: Mapping[str, Any]) -> bool:
        """Above creditMax, and not approved by two before."""
        if name not in ("approve-withdrawal", "confirm-withdrawal"):
            return False
        reference = bytes.fromhex(str(values["referenceHash"]))
        fact = self._exchange.reference(reference)
        if fact is None or fact.atoms <= self._exchange.assets[fact.asset].credit_max:
            return False
        return name == "approve-withdrawal" or not await self.is_approved(reference)

    async def is_approved(self, reference: bytes) -> bool:
        """Whether the log has the approval of a withdrawal."""
        found = await asyncio.to_thread(self._store.approval, reference)
        if found is None:
            return False
        note = approval_note(reference)
        time_ns = await asyncio.to_thread(
            noted_at, self._read_frame, found.position, note, found.operator
        )
        return time_ns is not None

    async def _end_pause_of_disk(self, operator: OperatorAccess, reason: str) -> None:
        """There is one pause of operators; that of a full disk would end by itself."""
        if self._exchange.pause(BY_OPERATOR).reason not in (0, PAUSED_BY_OPERATOR):
            await self._submit(operator, admin_records.resume(BY_OPERATOR), reason)

    async def approve(self, operator: OperatorAccess, sequence: int, reason: str) -> dict[str, Any]:
        """Execute what another operator has proposed. Raises ApiError."""
        proposal = self.proposals.find(sequence)
        if proposal.operator == operator.number:
            raise ApiError(403, "FORBIDDEN", "Another operator must approve it")
        name, values = proposal.act, proposal.fields
        act, command = self._read(name, values)
        try:
            self._check_role(self._exchange.operator_roles(proposal.operator), act, command)
        except ApiError:
            raise ApiError(403, "FORBIDDEN", "Its proposer may not do it any more") from None
        self._check_role(operator.roles, act, command)
        await self._check_own_account(operator, values)
        if name == CHANGE_KEY:
            self._keys().check(str(values["key"]))
        self.proposals.take_in_time(sequence, self._exchange.time_ns)
        try:
            return await self._execute(operator, name, values, reason, command, proposal=sequence)
        except ApiError as error:
            if error.status != 504:  # It was certainly not done.
                self.proposals.add(proposal)
            raise

    async def drop(self, operator: OperatorAccess, sequence: int, reason: str) -> dict[str, Any]:
        """End a proposal: of one's own, or with the role for its act. Raises ApiError."""
        proposal = self.proposals.find(sequence)
        if proposal.operator != operator.number:
            self._check_role(operator.roles, *self._read(proposal.act, proposal.fields))
        self.proposals.take(sequence)
        answer = await self._submit(operator, drop_note(sequence), reason)
        return {"proposal": str(sequence), "status": "dropped", "position": str(answer.position)}

    def _check_role(self, roles: int, act: Act, command: bytes) -> None:
        """Before it is logged or proposed: the core checks the operator who submits it."""
        proposed = Command()
        proposed.read(command, len(command) - COMMAND_BYTES, 0)
        role = act.role or role_for(proposed)
        if not roles or (role and not roles & role):
            raise rejected(records.NOT_PERMITTED)

    def _read(self, name: str, values: Mapping[str, Any]) -> tuple[Act, bytes]:
        act = ACTS.get(name)
        if act is None:
            raise not_found()
        known = {field.name for field in act.fields}
        for given in values:
            if given not in known:
                raise BadRequest(f"Unknown field: {given[:64]}")
        for field in act.fields:
            if not field.is_optional and values.get(field.name) in (None, ""):
                raise BadRequest(f"Missing or malformed field: {field.name}")
        try:
            return act, act.make(ActFields(values, self._listings))
        except (OverflowError, ValueError) as error:
            raise BadRequest(str(error)) from None

    async def _check_own_account(self, operator: OperatorAccess, values: Mapping[str, Any]) -> None:
        stored = await asyncio.to_thread(self._store.operator, operator.number)
        # As a number: "07" is account 7 too.
        accounts = {whole_number(values.get("accountId"), digits_max=19)}
        if values.get("referenceHash"):
            fact = self._exchange.reference(bytes.fromhex(str(values["referenceHash"])))
            accounts.add(None if fact is None else fact.account)
        if stored.account and stored.account in accounts:
            raise ApiError(403, "FORBIDDEN", "An operator may not act on their own account")

    async def _propose(
        self,
        operator: OperatorAccess,
        name: str,
        values: Mapping[str, Any],
        reason: str,
        command: bytes,
    ) -> dict[str, Any]:
        self.proposals.check_room(self._exchange.time_ns)
        content = {"act": name, "fields": dict(values), "reason": reason}
        answer = await self._submit(
            operator, proposal_note(json.dumps(content, sort_keys=True)), reason
        )
        sequence = records.read_outcome(answer.events).sequence
        proposal = Proposal(
            sequence, answer.position, self._exchange.time_ns, operator.number, name,
            dict(values), reason,
        )  # fmt: skip
        self.proposals.add(proposal)
        result = {
            "act": name,
            "status": "proposed",
            "proposal": str(sequence),
            "position": str(answer.position),
        }
        self._emit("proposed", {"operator": operator.number, "fields": dict(values), **result})
        return result

    async def _submit(
        self, operator: OperatorAccess, command: bytes, reason: str, *, reference: int = 0
    ) -> Answer:
        try:
            reason_hash = await asyncio.to_thread(self._store.add_reason, reason)
        except AccountRefused as refused:
            raise BadRequest(str(refused)) from None
        unit = with_operator(
            command,
            operator=operator.number,
            credential=operator.credential,
            reference=reference,
            reason_hash=reason_hash,
        )
        answer = await submitted(self._commands, unit)
        outcome = records.read_outcome(answer.events)
        if outcome.status == records.REJECTED:
            raise rejected(outcome.reason)
        return answer

    def _result(self, name: str, answer: Answer, command: bytes) -> dict[str, Any]:
        outcome = records.read_outcome(answer.events)
        found = {
            "act": name,
            "status": status_of(outcome),
            "position": str(answer.position),
            "sequence": str(outcome.sequence),
        }
        if command[0] in MONEY_COMMANDS:
            found["referenceHash"] = admin_records.reference_at(command, 0).hex()
        return found


def status_of(outcome: Outcome) -> str:
    """Of a command that was not rejected."""
    if outcome.status == records.PENDING:
        return "pending"
    return "repeated" if outcome.repeated else "done"


async def submitted(commands: Commands, unit: bytes) -> Answer:
    """Submit a unit and wait for its answer. Raises ApiError: 503 nothing was logged, 504 it is not
    known.
    """
    try:
        future = commands.submit(unit)
    except Busy:
        raise busy() from None
    except Stopped:
        raise maintenance() from None
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await future
    except (TimeoutError, Stopped):
        raise outcome_unknown() from None
