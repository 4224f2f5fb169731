"""The commands and events that concern one account, in words."""

from collections.abc import Iterator
from typing import Final

from fairbook.cli.amount_text import amount_text
from fairbook.cli.command_text import market_text, unit_text
from fairbook.cli.event_text import event_text, outcome_text
from fairbook.cli.executed_units import ExecutedUnit, executed_units
from fairbook.cli.order_story import moment_text
from fairbook.cli.order_text import (
    actor_text,
    amended_text,
    client_id_of,
    closed_text,
    fill_text,
    parts_of,
    result_text,
    terms_text,
    with_client_id,
)
from fairbook.cli.reason_text import reject_sentence
from fairbook.cli.record_names import MOVEMENT_NAMES, name_of
from fairbook.core import admin_records, records
from fairbook.core.admin_records import Change, Moved, reference_at
from fairbook.core.exchange import Exchange
from fairbook.core.records import COMMAND_BYTES, LOW, Command, Fill, OrderRecord
from fairbook.log.command_log import Entry

_NAMES_ACCOUNT: Final = (
    records.PLACE, records.CANCEL, records.AMEND, records.CANCEL_ALL, records.END_SESSION,
    records.CREDIT, records.DEBIT, records.HOLD, records.SET_ACCOUNT,
)  # fmt: skip
_NAMES_OWNER: Final = (records.ADD_CREDENTIAL, records.REVOKE_CREDENTIAL)
_NAMES_REFERENCE: Final = (
    records.RELEASE, records.CAPTURE, records.CONFIRM_CREDIT, records.REFUSE_CREDIT
)  # fmt: skip
_OF_ORDERS: Final = (records.PLACE, records.AMEND, records.CANCEL)


def account_frame_lines(
    entry: Entry, events: bytes, exchange: Exchange, account: int
) -> Iterator[str]:
    """The lines of one frame; none if it does not concern the account. exchange: after it."""
    lines: list[str] = []
    for executed in executed_units(entry.frame, events):
        if _is_of(executed, exchange, account):
            lines.append(_command_text(executed, exchange))
        for at in executed.events:
            text = _event_text(events, at, exchange, account)
            lines += [f"  {text}"] if text else []
    if lines:
        yield moment_text(entry)
        yield from (f"  {line}" for line in lines)


def _is_of(executed: ExecutedUnit, exchange: Exchange, account: int) -> bool:
    """Whether a command is of the account, or about it."""
    command = executed.command()
    if command is None or executed.outcome is None:
        return False
    if command.kind in _NAMES_ACCOUNT:
        return command.account == account
    if command.kind in _NAMES_OWNER:
        is_of_account = command.variant() == admin_records.OF_ACCOUNT
        return is_of_account and command.account == account
    if command.kind in _NAMES_REFERENCE:
        at = len(executed.unit) - COMMAND_BYTES
        row = exchange.reference(reference_at(executed.unit, at))
        return row is not None and row.account == account
    return command.kind == records.OPEN_ACCOUNT and executed.outcome.account == account


def _command_text(executed: ExecutedUnit, exchange: Exchange) -> str:
    """A command and what it led to."""
    command, outcome, unit = executed.command(), executed.outcome, executed.unit
    assert command is not None
    assert outcome is not None
    what = f"#{outcome.sequence} {_what(command, unit, exchange)}"
    if outcome.status == records.REJECTED:
        return f"{what}: refused, {reject_sentence(outcome.reason)}"
    if command.kind in _OF_ORDERS:
        return f"{what}: {_order_outcome(outcome)}"
    if command.kind == records.CANCEL_ALL:
        return f"{what}: {outcome.filled} cancelled"
    return f"{what}: {outcome_text(outcome)}"


def _what(command: Command, unit: bytes, exchange: Exchange) -> str:
    """A command of a client in words; another as the log has it."""
    by = actor_text(command, parts_of(unit), exchange)
    client_id = client_id_of(unit)
    if command.kind == records.PLACE:
        terms = terms_text(records.read_placed(unit), exchange)
        return f"{with_client_id(f'order to {terms}', client_id)}, by {by}"
    if command.kind in (records.CANCEL, records.AMEND):
        word = "cancel" if command.kind == records.CANCEL else "amendment"
        named = f"order {command.order_id}" if client_id is None else f"client id {client_id}"
        return f"{word} of {named}, by {by}"
    if command.kind == records.CANCEL_ALL:
        market = market_text(command.market, exchange) if command.market else "all markets"
        return f"cancel of all orders in {market}, by {by}"
    return unit_text(unit, exchange)


def _order_outcome(outcome: records.Outcome) -> str:
    order = f"order {outcome.order_id}"
    if outcome.repeated:
        return f"answered with the first result of {order}"
    if outcome.status in (records.NEW, records.PARTIALLY_FILLED):
        return f"{order} is open"
    return f"{order} is closed"


def _event_text(events: bytes, at: int, exchange: Exchange, account: int) -> str:
    """What an event means for the account; empty: nothing."""
    kind = records.kind_at(events, at)
    if kind == records.FILL:
        fill = Fill(events, at)
        if account == fill.taker_account:
            return f"order {fill.taker_order_id} {fill_text(fill, fill.taker_order_id, exchange)}"
        if account == fill.maker_account:
            return f"order {fill.maker_order_id} {fill_text(fill, fill.maker_order_id, exchange)}"
    elif kind in (records.CLOSED, records.AMENDED):
        order = OrderRecord(events, at)
        if order.account == account and kind == records.AMENDED:
            return f"order {order.order_id} amended: {amended_text(order, exchange)}"
        if order.account == account:
            return f"order {order.order_id} {closed_text(order)}; {result_text(order, exchange)}"
    elif kind == records.MOVED:
        moved = Moved(events, at)
        if moved.account == account:
            word = name_of(MOVEMENT_NAMES, moved.movement, "movement")
            return f"{word}: {amount_text(exchange, moved.asset, moved.atoms)}"
    elif kind == records.CREDENTIAL:
        change = Change(events, at)
        if change.variant == admin_records.OF_ACCOUNT and change.words[0] & LOW == account:
            return event_text(events, at, exchange)
    return ""
