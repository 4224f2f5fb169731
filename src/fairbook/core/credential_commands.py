"""Who may act: ADD_CREDENTIAL, REVOKE_CREDENTIAL, SET_OPERATOR, BEGIN_GATEWAY, END_GATEWAY.

Each function executes one command, as admin_commands.py says.
"""

from __future__ import annotations

from librt.strings import BytesWriter
from mypy_extensions import i64

from fairbook.core import records
from fairbook.core.admin_call import AdminCall
from fairbook.core.admin_records import (
    ALL_PERMISSIONS,
    ALL_ROLES,
    OF_GATEWAYS,
    OF_OPERATOR,
    SIGNED_LOG,
)
from fairbook.core.book import Instance
from fairbook.core.credential_table import Credential, free_slot, is_type_of, live_of_type
from fairbook.core.event_writer import put_credential, put_gateway, put_parameter
from fairbook.core.gateways import INSTANCES_MAX, SILENT_NS
from fairbook.core.records import Command
from fairbook.core.tables import OPERATORS_MAX, Operator, Tables


def add_credential(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    command = call.command
    credential_type, permissions = command.session(), command.parameter()
    if command.variant() > OF_GATEWAYS or permissions & ~ALL_PERMISSIONS != 0:
        return records.MALFORMED
    if not is_type_of(credential_type, command.variant() == OF_GATEWAYS):
        return records.MALFORMED
    reject = _owner_reject(tables, call)
    if reject != 0:
        return reject
    slots = slots_of(tables, command.variant(), command.account)
    digest, expires_ns, time_ns = call.parts.detail, command.order_id, call.time_ns
    known_slot = tables.credentials.slot_of(digest, command.variant(), command.account)
    if known_slot != 0 and _is_same(slots[known_slot - 1], command, time_ns):
        call.order_id = known_slot
        return call.repeat()
    if tables.credentials.is_known(digest):
        return records.DUPLICATE_CREDENTIAL
    if expires_ns < 0 or 0 < expires_ns <= time_ns:
        return records.BAD_VALUE
    replaced = live_of_type(slots, credential_type, time_ns)
    slot = free_slot(slots, tables.owner_credentials_max, replaced, time_ns)
    if slot == 0 or tables.credentials.count >= tables.credentials_max:
        return records.TABLE_FULL
    if replaced != 0:
        _revoke(slots[replaced - 1], time_ns, out)
    added = Credential(
        digest,
        owner_kind=command.variant(),
        owner=command.account,
        slot=slot,
        credential_type=credential_type,
        permissions=permissions,
        expires_ns=expires_ns,
        added_ns=time_ns,
    )
    tables.credentials.put(slots, added)
    put_credential(out, added)
    call.order_id = slot
    return 0


def revoke_credential(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    command = call.command
    if command.variant() > OF_GATEWAYS:
        return records.MALFORMED
    reject = _owner_reject(tables, call)
    if reject != 0:
        return reject
    slot = tables.credentials.slot_of(call.parts.detail, command.variant(), command.account)
    slots = slots_of(tables, command.variant(), command.account)
    if slot == 0 or slots[slot - 1].revoked_ns != 0:
        return records.UNKNOWN_CREDENTIAL
    _revoke(slots[slot - 1], call.time_ns, out)
    call.order_id = slot
    return 0


def slots_of(tables: Tables, owner_kind: i64, owner: i64) -> list[Credential]:
    """The credentials of a known owner, by slot; the first is slot 1."""
    if owner_kind == OF_OPERATOR:
        return tables.operators[owner].credentials
    if owner_kind == OF_GATEWAYS:
        return tables.credentials.of_gateways
    account = tables.accounts[owner]
    slots = account.credentials
    if slots is None:
        slots = account.credentials = []
    return slots


def _owner_reject(tables: Tables, call: AdminCall) -> i64:
    """The checks of the owner, and of who acts."""
    command = call.command
    if tables.rules == 0:
        return records.NO_RULES
    owner = command.account
    reject = call.actor_reject
    if command.variant() == OF_OPERATOR:
        if not 0 < owner < len(tables.operators):
            return records.UNKNOWN_ACCOUNT
    elif command.variant() == OF_GATEWAYS:
        if owner != 0:
            return records.UNKNOWN_ACCOUNT
    elif not tables.is_user(owner):
        return records.UNKNOWN_ACCOUNT
    elif command.credential() != 0:
        acting = tables.accounts[owner].credential(command.credential())
        if acting is None or not acting.is_live(call.time_ns):
            return records.BAD_CREDENTIAL
    return reject


def _is_same(known: Credential, command: Command, time_ns: i64) -> bool:
    """Whether a credential is live and has the terms of an ADD_CREDENTIAL of its hash."""
    return (
        known.is_live(time_ns)
        and known.credential_type == command.session()
        and known.permissions == command.parameter()
        and known.expires_ns == command.order_id
    )


def _revoke(credential: Credential, time_ns: i64, out: BytesWriter) -> None:
    credential.revoked_ns = time_ns
    put_credential(out, credential)


def set_operator(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    command = call.command
    operator, roles = command.account, command.quantity
    if operator == 0:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if call.actor_reject != 0:
        return call.actor_reject
    known: i64 = len(tables.operators)
    if operator > known or roles < 0 or roles > ALL_ROLES:
        return records.BAD_VALUE
    if operator > OPERATORS_MAX:
        return records.TABLE_FULL
    if operator == known:
        tables.operators.append(Operator())
    tables.operators[operator].roles = roles
    put_parameter(out, command, 0, operator, 0)
    return 0


def begin_gateway(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    gateways = tables.gateways
    is_signed = tables.flags & SIGNED_LOG != 0
    has_key = call.command.parts & records.HAS_DETAIL != 0
    if has_key != is_signed or (is_signed and not gateways.is_begin_frame):
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if len(gateways.rows) >= INSTANCES_MAX:
        return records.TABLE_FULL
    if not is_signed and gateways.current.number != 0:
        end_instance(tables, gateways.current, out)
    key = call.parts.detail if is_signed else b""
    begun = gateways.begin(call.command.sequence, key, call.time_ns)
    if not is_signed:
        gateways.current = begun
    put_gateway(out, begun)
    call.order_id = begun.number
    return 0


def end_gateway(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    gateways, command = tables.gateways, call.command
    if tables.rules == 0:
        return records.NO_RULES
    instance = gateways.find(command.order_id)
    if instance is None:
        return records.UNKNOWN_GATEWAY
    if tables.flags & SIGNED_LOG != 0:
        if command.price > instance.last_number:
            return records.BAD_VALUE
        may_be_alive = (
            instance is not gateways.current
            and call.time_ns - instance.last_ns < SILENT_NS
            and tables.credentials.is_live_gateway(instance.key, call.time_ns)
        )
        if may_be_alive or command.price < instance.last_number:
            return records.GATEWAY_ALIVE
    end_instance(tables, instance, out)
    return 0


def end_instance(tables: Tables, instance: Instance, out: BytesWriter) -> None:
    tables.gateways.end(instance)
    put_gateway(out, instance)
