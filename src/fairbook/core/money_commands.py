"""Money in, out and held: CREDIT, DEBIT, HOLD, and what becomes of holds and pending credits.

Each function executes one command, as admin_commands.py says. Every command that moves or promises
money leaves a row under its reference (references.py); the same reference again changes nothing.
"""

from __future__ import annotations

from librt.strings import BytesWriter
from mypy_extensions import i64

from fairbook.core import records
from fairbook.core.admin_call import AdminCall
from fairbook.core.admin_records import (
    CAPTURED,
    CONFIRMED,
    CREDITED,
    DEBITED,
    HELD,
    MAY_WITHDRAW,
    PENDING_CREDIT,
    REFUSED,
    RELEASED,
    reference_at,
)
from fairbook.core.daily_withdrawals import AS_ASSET, day_of
from fairbook.core.event_writer import put_moved
from fairbook.core.ledger import EXTERNAL, FEE
from fairbook.core.order_checks import credential_reject
from fairbook.core.records import Command
from fairbook.core.references import Reference
from fairbook.core.tables import Tables
from fairbook.core.units import MAX_ATOMS, NS_PER_SECOND

_NO_REFERENCE = bytes(16)


def move_money(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    """CREDIT, DEBIT and HOLD."""
    command = call.command
    reference = reference_at(call.frame, call.at)
    reject = _who_reject(tables, call, reference)
    if reject != 0:
        return reject
    if command.market == 0 or command.market >= len(tables.assets):
        return records.UNKNOWN_ASSET
    known = tables.references.find(reference)
    if known is not None:
        return _repeat(call, known)
    if command.kind == records.CREDIT:
        return _credit(tables, call, reference, out)
    reject = _leaving_reject(tables, command)
    if reject == 0 and command.kind == records.HOLD:
        reject = _hold_reject(tables, call)
    cell = tables.ledger.find(command.account, command.market)
    if reject == 0 and (cell is None or command.quantity > cell.available):
        reject = records.INSUFFICIENT_FUNDS
    if reject != 0 or cell is None:
        return reject
    cell.available -= command.quantity
    state: i64 = DEBITED
    if command.kind == records.HOLD:
        state = HELD
        cell.locked += command.quantity
        row = tables.daily_withdrawals.row(command.account, command.market)
        row.add(day_of(call.time_ns), command.quantity)
    else:
        tables.ledger.cell(EXTERNAL, command.market).available += command.quantity
    _add(tables, call, reference, state, out)
    return 0


def _who_reject(tables: Tables, call: AdminCall, reference: bytes) -> i64:
    """The checks of the reference's form, the account, and who acts."""
    command = call.command
    if reference == _NO_REFERENCE:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    account = command.account
    if account == EXTERNAL or account >= len(tables.accounts):
        return records.UNKNOWN_ACCOUNT
    if command.kind != records.HOLD:
        return call.actor_reject
    if not tables.is_user(account):
        return records.UNKNOWN_ACCOUNT
    acting = tables.accounts[account]
    reject = credential_reject(acting, command.credential(), MAY_WITHDRAW, call.time_ns)
    if reject != 0 and call.actor_reject != 0:
        return min(reject, call.actor_reject)
    return reject | call.actor_reject


def _repeat(call: AdminCall, known: Reference) -> i64:
    """A reference that was used: the first result, or a reject if it was another command."""
    command = call.command
    if (
        known.kind() != command.kind
        or known.account != command.account
        or known.asset != command.market
        or known.atoms != command.quantity
        or known.detail != call.parts.detail
    ):
        return records.DUPLICATE_REFERENCE
    call.order_id = known.sequence
    if known.was_pending():
        call.status = records.PENDING
    return call.repeat()


def _credit(tables: Tables, call: AdminCall, reference: bytes, out: BytesWriter) -> i64:
    command = call.command
    asset, atoms = command.market, command.quantity
    if atoms < 1 or atoms > MAX_ATOMS:
        return records.BAD_QUANTITY
    if len(tables.references.rows) >= tables.references_max:
        return records.TABLE_FULL
    if atoms > tables.assets[asset].credit_max:
        call.status = records.PENDING
        _add(tables, call, reference, PENDING_CREDIT, out)
        return 0
    if atoms > tables.assets[asset].reserve_cap - tables.ledger.supply(asset):
        return records.OVER_CAP
    _pay_in(tables, command.account, asset, atoms)
    _add(tables, call, reference, CREDITED, out)
    return 0


def _pay_in(tables: Tables, account: i64, asset: i64, atoms: i64) -> None:
    tables.ledger.cell(account, asset).available += atoms
    tables.ledger.cell(EXTERNAL, asset).available -= atoms


def _leaving_reject(tables: Tables, command: Command) -> i64:
    """The checks that DEBIT and HOLD share."""
    if tables.accounts[command.account].frozen:
        return records.ACCOUNT_FROZEN
    if tables.audit_pause.reason != 0:
        return records.TRADING_PAUSED
    if command.quantity < 1 or command.quantity > MAX_ATOMS:
        return records.BAD_QUANTITY
    if len(tables.references.rows) >= tables.references_max:
        return records.TABLE_FULL
    return 0


def withdrawable_today(tables: Tables, account: i64, asset: i64, time_ns: i64) -> i64:
    """What the limit of the day leaves, in atoms: below 0 if it was lowered since."""
    atoms_max = tables.assets[asset].daily_withdrawal_max
    row = tables.daily_withdrawals.find(account, asset)
    if row is None:
        return atoms_max
    if row.atoms_max != AS_ASSET:
        atoms_max = row.atoms_max
    return atoms_max - row.used(day_of(time_ns))


def _hold_reject(tables: Tables, call: AdminCall) -> i64:
    """The limit of a day, and the age of the credential."""
    command = call.command
    left = withdrawable_today(tables, command.account, command.market, call.time_ns)
    if command.quantity > left:
        return records.OVER_DAILY_LIMIT
    credential = tables.accounts[command.account].credential(command.credential())
    if credential is not None:
        delay_ns = tables.withdrawal_delay_s * NS_PER_SECOND
        if call.time_ns - credential.added_ns < delay_ns:
            return records.TOO_YOUNG
    return 0


def _add(tables: Tables, call: AdminCall, reference: bytes, state: i64, out: BytesWriter) -> None:
    """Remember a command that was executed, and say so."""
    command = call.command
    row = Reference(
        reference,
        state=state,
        account=command.account,
        asset=command.market,
        atoms=command.quantity,
        operator=call.operator(),
        sequence=command.sequence,
        time_ns=call.time_ns,
        detail=call.parts.detail,
    )
    tables.references.add(row)
    call.order_id = command.sequence
    put_moved(out, state, row)


def end_hold(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    """RELEASE and CAPTURE."""
    command = call.command
    reference = reference_at(call.frame, call.at)
    if reference == _NO_REFERENCE:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if call.actor_reject != 0:
        return call.actor_reject
    row = tables.references.find(reference)
    if row is None or row.kind() != records.HOLD:
        return records.UNKNOWN_REFERENCE
    is_capture = command.kind == records.CAPTURE
    wanted: i64 = CAPTURED if is_capture else RELEASED
    call.order_id = row.sequence
    if row.state == wanted:
        return call.repeat()
    if row.state != HELD:
        return records.ALREADY_DECIDED
    fee_atoms = command.quantity if is_capture else 0
    if is_capture and tables.audit_pause.reason != 0:
        return records.TRADING_PAUSED
    if fee_atoms < 0 or fee_atoms > row.atoms:
        return records.BAD_QUANTITY
    cell = tables.ledger.cell(row.account, row.asset)
    cell.locked -= row.atoms
    if is_capture:
        row.fee_atoms = fee_atoms
        tables.ledger.cell(EXTERNAL, row.asset).available += row.atoms - fee_atoms
        tables.ledger.cell(FEE, row.asset).available += fee_atoms
    else:
        cell.available += row.atoms
        day = day_of(row.time_ns)
        if day == day_of(call.time_ns):
            tables.daily_withdrawals.row(row.account, row.asset).add(day, -row.atoms)
    row.state = wanted
    put_moved(out, wanted, row)
    return 0


def decide_credit(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    """CONFIRM_CREDIT and REFUSE_CREDIT."""
    reference = reference_at(call.frame, call.at)
    if reference == _NO_REFERENCE:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if call.actor_reject != 0:
        return call.actor_reject
    operator = call.operator()
    if operator == 0:
        return records.NOT_PERMITTED
    row = tables.references.find(reference)
    if row is None or not row.was_pending():
        return records.UNKNOWN_REFERENCE
    is_confirmed = call.command.kind == records.CONFIRM_CREDIT
    if is_confirmed and row.operator == operator:
        return records.NOT_PERMITTED
    wanted: i64 = CONFIRMED if is_confirmed else REFUSED
    call.order_id = row.sequence
    if row.state == wanted:
        return call.repeat()
    if row.state != PENDING_CREDIT:
        return records.ALREADY_DECIDED
    if is_confirmed:
        supply = tables.ledger.supply(row.asset)
        if row.atoms > tables.assets[row.asset].reserve_cap - supply:
            return records.OVER_CAP
        _pay_in(tables, row.account, row.asset, row.atoms)
    row.state = wanted
    put_moved(out, wanted, row)
    return 0
