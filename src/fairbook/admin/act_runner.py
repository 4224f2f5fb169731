"""Execute the acts of operators: one logged command each, with who ordered it and why.

Design: the reason's text is stored first; then the command goes to the log with the operator, the
credential and the hash of the reason. An act that needs two is only noted in the log, by the hash
of its text (a proposal). Another operator approves it; then the frame of the note is read from the
log again, so that no row of the store alone can be approved.

Invariants:
- one person alone executes no act that needs two: proposer and approver differ, by the log;
- an operator never acts on the account that is their own;
- a proposal is approved at most once, within PROPOSAL_S of log time.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from fairbook.accounts.logged_notes import ReadFrame, noted_at, proposal_note
from fairbook.accounts.sqlite_operators import (
    APPROVED,
    OPEN,
    WITHDRAWN,
    Announcement,
    Invitation,
    PasswordReset,
    Proposal,
    SqliteOperators,
    StoredOperator,
)
from fairbook.admin.act_fields import ActFields
from fairbook.admin.acts import ACTS, PAUSED_BY_OPERATOR, Act
from fairbook.admin.announcements import Announcements
from fairbook.admin.operators import OperatorAccess
from fairbook.api.errors import (
    ApiError,
    BadRequest,
    busy,
    maintenance,
    not_found,
    outcome_unknown,
    rejected,
)
from fairbook.api.listings import Listings
from fairbook.api.numbers import whole_number
from fairbook.core import admin_records, records
from fairbook.core.admin_call import role_for
from fairbook.core.admin_records import BY_OPERATOR
from fairbook.core.exchange import Exchange
from fairbook.core.parts import with_operator
from fairbook.core.records import COMMAND_BYTES, Command, Outcome
from fairbook.core.units import NS_PER_SECOND
from fairbook.ports.accounts import AccountRefused
from fairbook.ports.commands import Answer, Busy, Commands, Stopped

DEADLINE_S: Final = 5.0
PROPOSAL_S: Final = 24 * 3600
MONEY_COMMANDS: Final = (records.CREDIT, records.DEBIT)
DECISIONS: Final = (
    records.CONFIRM_CREDIT, records.REFUSE_CREDIT, records.CAPTURE, records.RELEASE,
)  # fmt: skip


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
    ) -> None:
        self._announcements = announcements
        self._commands = commands
        self._exchange = exchange
        self._listings = listings
        self._store = store
        self._read_frame = read_frame

    async def run(
        self, operator: OperatorAccess, name: str, values: Mapping[str, Any], reason: str
    ) -> dict[str, Any]:
        """Execute or propose an act. Raises ApiError."""
        act, command = self._read(name, values)
        if act.role and not operator.roles & act.role:
            raise rejected(records.NOT_PERMITTED)
        await self._check_own_account(operator, values, command)
        if act.needs_two or self._is_large_withdrawal(command):
            return await self._propose(operator, name, values, reason, command)
        if command[0] == records.PAUSE:
            await self._end_pause_of_disk(operator, reason)
        answer = await self._submit(operator, command, reason)
        await self._keep(operator, name, values, answer)
        return self._result(name, answer, command)

    async def _keep(
        self, operator: OperatorAccess, name: str, values: Mapping[str, Any], answer: Answer
    ) -> None:
        """What the log has the hash of only."""
        if name == "invite":
            digest = bytes.fromhex(str(values["codeHash"]))
            invitation = Invitation(digest, answer.position, operator.number, 0)
            await asyncio.to_thread(self._store.add_invitation, invitation)
        elif name == "reset-password":
            digest = bytes.fromhex(str(values["codeHash"]))
            account = int(values["accountId"])
            reset = PasswordReset(digest, answer.position, operator.number, account)
            await asyncio.to_thread(self._store.add_reset, reset)
        elif name == "announce":
            sequence = records.read_outcome(answer.events).sequence
            text = str(values["text"])
            await self._announcements.add(
                Announcement(sequence, answer.position, operator.number, text)
            )
        elif name == "end-announcements":
            await self._announcements.end()
        elif name == "operator" and ("name" in values or "accountId" in values):
            number = int(values["operator"])
            before = await asyncio.to_thread(self._store.operator, number)
            known = StoredOperator(
                number,
                str(values.get("name") or before.name),
                int(values.get("accountId") or before.account),
            )
            await asyncio.to_thread(self._store.put_operator, known)

    def _is_large_withdrawal(self, command: bytes) -> bool:
        if command[0] != records.CAPTURE:
            return False
        fact = self._exchange.reference(admin_records.reference_at(command, 0))
        return fact is not None and fact.atoms > self._exchange.assets[fact.asset].credit_max

    async def _end_pause_of_disk(self, operator: OperatorAccess, reason: str) -> None:
        """There is one pause of operators; that of a full disk would end by itself."""
        if self._exchange.pause(BY_OPERATOR).reason not in (0, PAUSED_BY_OPERATOR):
            await self._submit(operator, admin_records.resume(BY_OPERATOR), reason)

    async def approve(self, operator: OperatorAccess, sequence: int, reason: str) -> dict[str, Any]:
        """Execute what another operator has proposed. Raises ApiError."""
        proposal = await self._open_proposal(sequence)
        if proposal.operator == operator.number:
            raise ApiError(403, "FORBIDDEN", "Another operator must approve it")
        if not self._exchange.operator_roles(proposal.operator):
            raise ApiError(403, "FORBIDDEN", "Its proposer is no operator any more")
        await asyncio.to_thread(self._check_log, proposal, self._exchange.time_ns)
        proposed = json.loads(proposal.text)
        name, values = str(proposed["act"]), dict(proposed["fields"])
        act, command = self._read(name, values)
        if act.role and not operator.roles & act.role:
            raise rejected(records.NOT_PERMITTED)
        await self._check_own_account(operator, values, command)
        if not await asyncio.to_thread(self._store.decide, sequence, APPROVED):
            raise rejected(records.ALREADY_DECIDED)
        try:
            answer = await self._submit(operator, command, reason, reference=sequence)
        except ApiError as error:
            if error.status != 504:  # It was certainly not done.
                await asyncio.to_thread(self._store.reopen, sequence)
            raise
        await self._keep(operator, name, values, answer)
        return self._result(name, answer, command)

    async def drop(self, operator: OperatorAccess, sequence: int) -> dict[str, Any]:
        """Take a proposal back, which any operator may. Raises ApiError."""
        del operator
        await self._open_proposal(sequence)
        if not await asyncio.to_thread(self._store.decide, sequence, WITHDRAWN):
            raise rejected(records.ALREADY_DECIDED)
        return {"proposal": str(sequence), "status": "withdrawn"}

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

    async def _check_own_account(
        self, operator: OperatorAccess, values: Mapping[str, Any], command: bytes
    ) -> None:
        stored = await asyncio.to_thread(self._store.operator, operator.number)
        # As a number: "07" is account 7 too.
        accounts = {whole_number(values.get("accountId"), digits_max=19)}
        if command[-COMMAND_BYTES] in DECISIONS:
            fact = self._exchange.reference(admin_records.reference_at(command, 0))
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
        proposed = Command()
        proposed.read(command, len(command) - COMMAND_BYTES, 0)
        role = role_for(proposed)
        if role and not operator.roles & role:
            raise rejected(records.NOT_PERMITTED)
        content = {"act": name, "fields": dict(values), "reason": reason}
        text = json.dumps(content, sort_keys=True)
        answer = await self._submit(operator, proposal_note(text), reason)
        outcome = records.read_outcome(answer.events)
        proposal = Proposal(outcome.sequence, answer.position, operator.number, text, OPEN)
        try:
            await asyncio.to_thread(self._store.add_proposal, proposal)
        except AccountRefused as refused:
            raise BadRequest(str(refused)) from None
        return {
            "act": name,
            "status": "proposed",
            "proposal": str(outcome.sequence),
            "position": str(answer.position),
        }

    async def _open_proposal(self, sequence: int) -> Proposal:
        proposal = await asyncio.to_thread(self._store.proposal, sequence)
        if proposal is None:
            raise not_found()
        if proposal.decision != OPEN:
            raise rejected(records.ALREADY_DECIDED)
        return proposal

    def _check_log(self, proposal: Proposal, now_ns: int) -> None:
        """Raise 403 unless the log has it, of this operator, and not too long ago."""
        note = proposal_note(proposal.text)
        time_ns = noted_at(self._read_frame, proposal.position, note, proposal.operator)
        if time_ns is None:
            raise ApiError(403, "FORBIDDEN", "The log does not have this proposal")
        if now_ns - time_ns > PROPOSAL_S * NS_PER_SECOND:
            raise ApiError(403, "FORBIDDEN", "The proposal is older than a day")

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
