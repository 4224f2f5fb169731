"""An event in words, for `fairbook inspect`."""

from collections.abc import Callable
from struct import pack
from typing import Final

from fairbook.cli.command_text import (
    asset_text,
    market_text,
    note_words,
    owner_text,
    setting_text,
    time_text,
)
from fairbook.cli.record_names import (
    CAUSE_NAMES,
    CLOSE_NAMES,
    CREDENTIAL_NAMES,
    LOG_FLAG_NAMES,
    MOVEMENT_NAMES,
    PASSED_NAMES,
    PERMISSION_NAMES,
    REJECT_NAMES,
    ROLE_NAMES,
    SIDE_NAMES,
    STATUS_NAMES,
    bits_text,
    hash_text,
    name_of,
)
from fairbook.core import records
from fairbook.core.admin_records import Change, Moved
from fairbook.core.exchange import Exchange
from fairbook.core.records import LOW

_COUNTS_ORDERS: Final = (records.CANCEL_ALL, records.END_SESSION)
_REFERS: Final = (
    records.CREDIT,
    records.DEBIT,
    records.HOLD,
    records.RELEASE,
    records.CAPTURE,
    records.CONFIRM_CREDIT,
    records.REFUSE_CREDIT,
)


def outcome_text(outcome: records.Outcome) -> str:
    words = [name_of(STATUS_NAMES, outcome.status, "status")]
    names = REJECT_NAMES if outcome.status == records.REJECTED else CLOSE_NAMES
    if outcome.reason:
        words.append(name_of(names, outcome.reason, "reason"))
    if outcome.repeated:
        words.append("repeated")
    if outcome.command == records.OPEN_ACCOUNT:
        words.append(f"account {outcome.account}")
    if outcome.order_id and (outcome.command not in _REFERS or outcome.repeated):
        words.append(f"{_what_order_id_is(outcome.command)} {outcome.order_id}")
    if outcome.filled and outcome.command in _COUNTS_ORDERS:
        words.append(f"{outcome.filled} orders cancelled")
    elif outcome.filled:
        words.append(f"filled {outcome.filled} for {outcome.quote} atoms")
    return " ".join(words)


def _what_order_id_is(command: int) -> str:
    """The meaning of the field `order id` in an OUTCOME."""
    if command in (records.ADD_CREDENTIAL, records.REVOKE_CREDENTIAL):
        return "slot"
    if command == records.BEGIN_GATEWAY:
        return "instance"
    return "of command" if command in _REFERS else "order"


def event_text(events: bytes, at: int, exchange: Exchange) -> str:
    """The event at `at`, but for OUTCOME. exchange: its names of assets and markets are used."""
    kind = records.kind_at(events, at)
    if kind == records.TEXT:
        return f"client id {records.text_at(events, at)!r}"
    if kind == records.ACCEPTED:
        return f"accepted order {records.read_accepted(events, at).order_id}"
    if kind == records.FILL:
        return _fill(records.Fill(events, at), exchange)
    if kind == records.LEVEL:
        level = records.LevelChange(events, at)
        side = name_of(SIDE_NAMES, level.side, "side")
        market = market_text(level.market, exchange)
        return f"level {market} {side} {level.price}: {level.lots} (update {level.update_id})"
    if kind in (records.CLOSED, records.AMENDED):
        return _order(records.OrderRecord(events, at))
    if kind == records.MOVED:
        return _moved(Moved(events, at), exchange)
    change = Change(events, at)
    describe = _DESCRIBE.get(kind)
    return f"(event {kind})" if describe is None else describe(change, exchange)


def _fill(fill: records.Fill, exchange: Exchange) -> str:
    return (
        f"trade {fill.trade_id} of {market_text(fill.market, exchange)}:"
        f" {fill.lots} @ {fill.price},"
        f" taker {fill.taker_account} order {fill.taker_order_id} fee {fill.taker_fee},"
        f" maker {fill.maker_account} order {fill.maker_order_id} fee {fill.maker_fee}"
    )


def _order(order: records.OrderRecord) -> str:
    word = "closed" if order.kind == records.CLOSED else "amended"
    reason = f" {name_of(CLOSE_NAMES, order.reason, 'reason')}" if order.reason else ""
    return (
        f"{word} order {order.order_id} of account {order.account}:"
        f" {name_of(STATUS_NAMES, order.status, 'status')}{reason},"
        f" {order.filled} of {order.quantity} @ {order.price}, fee {order.fee}"
    )


def _moved(moved: Moved, exchange: Exchange) -> str:
    by = f", ordered by operator {moved.operator}" if moved.operator else ""
    fee = f", fee {moved.fee_atoms}" if moved.fee_atoms else ""
    return (
        f"{name_of(MOVEMENT_NAMES, moved.movement, 'movement')}: {moved.atoms} atoms of"
        f" {asset_text(moved.asset, exchange)} of account {moved.account}{fee},"
        f" reference {moved.reference.hex()}{by}"
    )


def _account(change: Change, _exchange: Exchange) -> str:
    return f"account {change.words[0]} of user {change.words[1]}"


def _asset(change: Change, exchange: Exchange) -> str:
    name = asset_text(change.subject, exchange)
    return f"asset {change.subject}: {name}, {change.words[0]} decimals"


def _market(change: Change, exchange: Exchange) -> str:
    name, (_, lot_atoms, tick_atoms) = market_text(change.subject, exchange), change.words[:3]
    return f"market {change.subject}: {name}, lot_atoms {lot_atoms}, tick_atoms {tick_atoms}"


def _parameter(change: Change, _exchange: Exchange) -> str:
    account, parameter, value = change.words
    if change.variant == records.RULES:
        flags = f" {bits_text(LOG_FLAG_NAMES, parameter)}" if parameter else ""
        return f"rules of version {value}{flags}"
    if change.variant == records.SET_OPERATOR:
        return f"operator {account}: roles {bits_text(ROLE_NAMES, value)}"
    of_group = change.variant == records.SET_MARKET and account != 0
    group = f" for group {account}" if of_group else ""
    return setting_text(change.variant, parameter, value) + group


def _credential(change: Change, _exchange: Exchange) -> str:
    owner_word, permissions, expires_ns, *digest = change.words
    word = "revoked" if change.reason else "added"
    what = name_of(CREDENTIAL_NAMES, owner_word >> 32 & LOW, "type")
    until = f" until {time_text(expires_ns)}" if expires_ns else ""
    return (
        f"{word} {what} {hash_text(_octets(digest))} in slot {change.subject} of"
        f" {owner_text(change.variant, owner_word & LOW)}:"
        f" {bits_text(PERMISSION_NAMES, permissions)}{until}"
    )


def _acted(change: Change, _exchange: Exchange) -> str:
    operator, reference, *reason = change.words
    with_credential = f" with credential {change.subject}" if change.subject else ""
    return (
        f"ordered by operator {operator}{with_credential}, reference {reference},"
        f" reason {hash_text(_octets(reason))}"
    )


def _paused(change: Change, _exchange: Exchange) -> str:
    reason, *digest = change.words
    cause = name_of(CAUSE_NAMES, change.variant, "cause")
    if not change.flags:
        return f"the pause of {cause} is lifted"
    return f"trading is paused by {cause}: reason {reason}, detail {hash_text(_octets(digest))}"


def _gateway(change: Change, _exchange: Exchange) -> str:
    instance, *key = change.words
    with_key = f", key {hash_text(_octets(key))}" if any(key) else ""
    return f"gateway {instance} is {'ended' if change.reason else 'begun'}{with_key}"


def _passed(change: Change, _exchange: Exchange) -> str:
    instance, number = change.words
    reason = name_of(PASSED_NAMES, change.reason, "reason")
    return f"passed over, {reason}: frame {number} of gateway {instance}"


def _noted(change: Change, _exchange: Exchange) -> str:
    text = _octets(change.words)[: change.variant]
    return f"note {note_words(text, is_continued=change.flags & 1 != 0)}"


def _ended(change: Change, _exchange: Exchange) -> str:
    instance, closed, left = change.words
    return f"gateway {instance} is ended: {closed} orders closed, {left} left"


_DESCRIBE: Final[dict[int, Callable[[Change, Exchange], str]]] = {
    records.ACCOUNT: _account,
    records.ASSET: _asset,
    records.MARKET: _market,
    records.PARAMETER: _parameter,
    records.CREDENTIAL: _credential,
    records.ACTED: _acted,
    records.PAUSED: _paused,
    records.GATEWAY: _gateway,
    records.PASSED: _passed,
    records.NOTED: _noted,
    records.ENDED: _ended,
}


def _octets(words: list[int]) -> bytes:
    """The bytes of a hash or text that Change has read as words."""
    return pack(f"<{len(words)}q", *words)
