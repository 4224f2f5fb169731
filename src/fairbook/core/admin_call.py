"""One command of an operator or of the exchange itself while it is executed, and its result."""

from __future__ import annotations

from typing import final

from mypy_extensions import i64

from fairbook.core import records
from fairbook.core.admin_records import (
    ACCOUNTS_ROLE,
    MARKETS_ROLE,
    MONEY_ROLE,
    OF_ACCOUNT,
    OPERATORS_ROLE,
)
from fairbook.core.parts import Parts
from fairbook.core.records import Command
from fairbook.core.tables import Tables


@final
class AdminCall:
    """The exchange has one, and sets it up anew for each command.

    A function that executes a command returns a reject, or 0 after it has set what differs from the
    result of most: `status` DONE, `order_id` 0, not repeated.
    """

    def __init__(self, command: Command, parts: Parts) -> None:
        self.command = command
        self.parts = parts
        self.frame = b""
        self.at: i64 = 0  # where the command begins in it
        self.time_ns: i64 = 0
        self.actor_reject: i64 = 0  # of the operator who ordered it; checked after the account
        self.status: i64 = records.DONE
        self.order_id: i64 = 0  # of the outcome
        self.is_repeated = False

    def begin(self, tables: Tables, frame: bytes, at: i64, time_ns: i64) -> None:
        """Before the command at `at` is executed."""
        self.frame = frame
        self.at = at
        self.time_ns = time_ns
        self.status = records.DONE
        self.order_id = 0
        self.is_repeated = False
        self.actor_reject = 0
        if self.command.parts & records.HAS_OPERATOR != 0:
            self.actor_reject = operator_reject(tables, self.command, self.parts, time_ns)

    def repeat(self) -> i64:
        """The command was executed before and changes nothing."""
        self.is_repeated = True
        return 0

    def operator(self) -> i64:
        """Who ordered it; 0: the exchange itself."""
        return self.parts.operator if self.command.parts & records.HAS_OPERATOR != 0 else 0


def operator_reject(tables: Tables, command: Command, parts: Parts, time_ns: i64) -> i64:
    """Whether an operator is known, acts with a live credential, and has the role for it."""
    if not 0 < parts.operator < len(tables.operators):
        return records.BAD_CREDENTIAL
    operator = tables.operators[parts.operator]
    slot = parts.operator_credential
    if operator.roles == 0 or slot > len(operator.credentials):
        return records.BAD_CREDENTIAL
    if slot > 0 and not operator.credentials[slot - 1].is_live(time_ns):
        return records.BAD_CREDENTIAL
    role = role_for(command)
    return 0 if role == 0 or operator.roles & role != 0 else records.NOT_PERMITTED


def role_for(command: Command) -> i64:
    """The role that an operator needs for a command; 0: any."""
    kind = command.kind
    if kind == records.ADD_CREDENTIAL or kind == records.REVOKE_CREDENTIAL:
        return ACCOUNTS_ROLE if command.variant() == OF_ACCOUNT else OPERATORS_ROLE
    if kind == records.OPEN_ACCOUNT or kind == records.SET_ACCOUNT or kind == records.CANCEL_ALL:
        return ACCOUNTS_ROLE
    if kind == records.CREDIT or kind == records.DEBIT:
        return MONEY_ROLE
    if records.HOLD <= kind <= records.REFUSE_CREDIT:
        return MONEY_ROLE
    if kind == records.RULES or kind == records.SET_OPERATOR:
        return OPERATORS_ROLE
    return 0 if kind == records.NOTE else MARKETS_ROLE
