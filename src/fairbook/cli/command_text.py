"""A command and its parts in words, for `fairbook inspect`.

The salt of RULES is not shown: with it, client ids can be chosen that make commands slow.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from fairbook.cli.record_names import (
    CAUSE_NAMES,
    COMMAND_NAMES,
    CREDENTIAL_NAMES,
    LOG_FLAG_NAMES,
    MARKET_STATES,
    ORDER_FLAG_NAMES,
    PARAMETER_NAMES,
    PART_NAMES,
    PERMISSION_NAMES,
    ROLE_NAMES,
    SELF_TRADE_NAMES,
    SIDE_NAMES,
    TIF_NAMES,
    bits_text,
    hash_text,
    name_of,
)
from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.core.parts import Parts, bit_of
from fairbook.core.records import COMMAND_BYTES, HAS_CLIENT_ID, Command
from fairbook.core.units import NS_PER_SECOND


def units_of(frame: bytes, at: int) -> Iterator[bytes]:
    """What gets an OUTCOME each, from `at` on: a command with its parts, a part that belongs to no
    command, or a rest that is too short.
    """
    waiting: list[bytes] = []  # parts that stand right before `at`
    while at + COMMAND_BYTES <= len(frame):
        record = frame[at : at + COMMAND_BYTES]
        at += COMMAND_BYTES
        if bit_of(record[0]) != 0:
            waiting.append(record)
            continue
        own = _own_parts(waiting, record[2])
        yield from waiting[: len(waiting) - own]
        yield b"".join([*waiting[len(waiting) - own :], record])
        waiting = []
    yield from waiting
    if at < len(frame):
        yield frame[at:]


def _own_parts(waiting: list[bytes], announced: int) -> int:
    """How many of the last parts belong to the command that announces some, or 0."""
    wanted = [bit for bit in (1 << place for place in range(8)) if announced & bit]
    last = waiting[len(waiting) - len(wanted) :] if len(wanted) <= len(waiting) else []
    return len(wanted) if [bit_of(part[0]) for part in last] == wanted else 0


def unit_text(unit: bytes, exchange: Exchange) -> str:
    """One line. exchange: its names of assets and markets are used."""
    if len(unit) < COMMAND_BYTES:
        return f"({len(unit)} bytes)"
    at = len(unit) - COMMAND_BYTES
    kind = unit[at]
    if kind in PART_NAMES:
        return f"({PART_NAMES[kind]} without its command)"
    command, parts = Command(), Parts()
    command.read(unit, at, 0)
    for part_at in range(0, at, COMMAND_BYTES):
        parts.read(unit, part_at)
    name = name_of(COMMAND_NAMES, kind, "kind")
    describe = _DESCRIBE.get(kind)
    words = "" if describe is None else describe(_Unit(unit, at, command, parts, exchange))
    return " ".join([*f"{name} {words}".split(), *_parts_words(command, parts)])


def _parts_words(command: Command, parts: Parts) -> Iterator[str]:
    """Who acted, and what the parts add."""
    if command.credential() != 0:
        yield f"by credential {command.credential()}"
    if command.parts & records.HAS_SIGNATURE:
        yield f"signature {hash_text(parts.signature)}"
    if command.parts & records.HAS_DETAIL:
        yield f"detail {hash_text(parts.detail)}"
    if command.parts & records.HAS_OPERATOR:
        by = f"by operator {parts.operator}"
        if parts.operator_credential:
            by += f" credential {parts.operator_credential}"
        yield f"{by} reference {parts.operator_reference} because {hash_text(parts.reason)}"


class _Unit:
    """A command in words, piece by piece."""

    def __init__(
        self, unit: bytes, at: int, command: Command, parts: Parts, exchange: Exchange
    ) -> None:
        self.unit = unit
        self.at = at
        self.command = command
        self.parts = parts
        self._exchange = exchange

    @property
    def account(self) -> str:
        return f"account {self.command.account}"

    @property
    def market(self) -> str:
        return market_text(self.command.market, self._exchange)

    @property
    def markets(self) -> str:
        return self.market if self.command.market else "all markets"

    @property
    def asset(self) -> str:
        return asset_text(self.command.market, self._exchange)

    @property
    def client_id(self) -> str:
        """Of PLACE; empty if it has none."""
        if self.command.parts & records.HAS_TEXT_PART:
            return f"client id {self.parts.text.decode('ascii', 'replace')!r}"
        has_number = self.command.flags & HAS_CLIENT_ID
        return f"client id {self.command.client_id()}" if has_number else ""

    @property
    def order(self) -> str:
        """The order that CANCEL or AMEND names."""
        return self.client_id or f"order {self.command.order_id}"

    @property
    def reference(self) -> str:
        return f"reference {admin_records.reference_at(self.unit, self.at).hex()}"

    @property
    def owner(self) -> str:
        return owner_text(self.command.variant(), self.command.account)


def _place(unit: _Unit) -> str:
    command = unit.command
    at_price = "" if command.price == 0 else f"@ {command.price}"
    session = f"session {command.session()}" if command.session() else ""
    flags = [name for flag, name in ORDER_FLAG_NAMES.items() if command.flags & flag]
    prevention = int(command.flags) >> records.STP_SHIFT & records.STP_MASK
    if prevention != records.REJECT_TAKER:
        flags.append(name_of(SELF_TRADE_NAMES, prevention, "self-trade prevention"))
    side = name_of(SIDE_NAMES, command.side, "side")
    tif = name_of(TIF_NAMES, command.tif, "tif")
    return (
        f"{unit.market} {side} {command.quantity} {at_price} {tif} {unit.account} {unit.client_id}"
        f" {session} {' '.join(flags)}"
    )


def _amend(unit: _Unit) -> str:
    quantity, price = unit.command.quantity or "(kept)", unit.command.price or "(kept)"
    return f"{unit.market} {unit.account} {unit.order} to {quantity} @ {price}"


def _rules(unit: _Unit) -> str:
    command = unit.command
    text = f"version {command.quantity}"
    if command.parameter():
        text += f" {bits_text(LOG_FLAG_NAMES, command.parameter())}"
    return f"{text} log id {command.order_id}" if command.order_id else text


def _money(unit: _Unit) -> str:
    return f"{unit.account} {unit.command.quantity} atoms of {unit.asset} {unit.reference}"


def _capture(unit: _Unit) -> str:
    fee = unit.command.quantity
    return f"{unit.reference}, fee {fee} atoms" if fee else unit.reference


def _setting(unit: _Unit) -> str:
    command = unit.command
    kind, parameter = command.kind, command.parameter()
    if kind == records.SET_ASSET:
        subject = unit.asset
    elif kind == records.SET_MARKET:
        subject = f"{unit.market} group {command.account}" if command.account else unit.market
    elif kind == records.SET_ACCOUNT:
        is_of_asset = parameter == admin_records.DAILY_WITHDRAWAL_MAX
        subject = f"{unit.account} {unit.asset}" if is_of_asset else unit.account
    else:
        subject = ""
    return f"{subject} {setting_text(kind, parameter, command.quantity)}"


def setting_text(kind: int, parameter: int, value: int) -> str:
    """A parameter and its value. kind: of the command that sets it."""
    name = name_of(PARAMETER_NAMES.get(kind, {}), parameter, "parameter")
    if name == "STATE" and 0 <= value < len(MARKET_STATES):
        return f"{name} = {MARKET_STATES[value]}"
    return f"{name} = {value}"


def _add_credential(unit: _Unit) -> str:
    command = unit.command
    what = name_of(CREDENTIAL_NAMES, command.session(), "type")
    text = f"{unit.owner} {what} {bits_text(PERMISSION_NAMES, command.parameter())}"
    return f"{text} until {time_text(command.order_id)}" if command.order_id else text


def _pause(unit: _Unit) -> str:
    cause = name_of(CAUSE_NAMES, unit.command.variant(), "cause")
    if unit.command.kind == records.RESUME:
        return f"the pause of {cause}"
    return f"by {cause} reason {unit.command.parameter()}"


def _note(unit: _Unit) -> str:
    text = admin_records.note_text_at(unit.unit, unit.at)[: unit.command.variant()]
    return note_words(text, is_continued=unit.command.flags & admin_records.NOTE_CONTINUES != 0)


def note_words(text: bytes, *, is_continued: bool) -> str:
    """The text of one NOTE; a letter may be cut in two between it and the next."""
    return f"{text.decode('utf-8', 'replace')!r}{' (continued)' if is_continued else ''}"


_DESCRIBE: Final[dict[int, Callable[[_Unit], str]]] = {
    records.RULES: _rules,
    records.PLACE: _place,
    records.CANCEL: lambda unit: f"{unit.market} {unit.account} {unit.order}",
    records.AMEND: _amend,
    records.CANCEL_ALL: lambda unit: f"{unit.account} {unit.markets}",
    records.END_SESSION: lambda unit: f"{unit.account} session {unit.command.session()}",
    records.OPEN_ACCOUNT: lambda unit: f"user {unit.command.order_id}",
    records.CREDIT: _money,
    records.DEBIT: _money,
    records.LIST_ASSET: lambda unit: unit.asset,
    records.LIST_MARKET: lambda unit: unit.market,
    records.SET_ASSET: _setting,
    records.SET_MARKET: _setting,
    records.SET_ACCOUNT: _setting,
    records.SET_EXCHANGE: _setting,
    records.ADD_CREDENTIAL: _add_credential,
    records.REVOKE_CREDENTIAL: lambda unit: unit.owner,
    records.SET_OPERATOR: lambda unit: (
        f"operator {unit.command.account} roles {bits_text(ROLE_NAMES, unit.command.quantity)}"
    ),
    records.HOLD: _money,
    records.RELEASE: lambda unit: unit.reference,
    records.CAPTURE: _capture,
    records.CONFIRM_CREDIT: lambda unit: unit.reference,
    records.REFUSE_CREDIT: lambda unit: unit.reference,
    records.PAUSE: _pause,
    records.RESUME: _pause,
    records.END_GATEWAY: lambda unit: (
        f"instance {unit.command.order_id} after frame {unit.command.price}"
    ),
    records.NOTE: _note,
}


def market_text(number: int, exchange: Exchange) -> str:
    known = 0 < number < len(exchange.markets)
    return exchange.markets[number].name if known else f"(market {number})"


def asset_text(number: int, exchange: Exchange) -> str:
    known = 0 < number < len(exchange.assets)
    return exchange.assets[number].name if known else f"(asset {number})"


def owner_text(owner_kind: int, owner: int) -> str:
    """Whose a credential is."""
    if owner_kind == admin_records.OF_GATEWAYS:
        return "the gateways"
    names = {admin_records.OF_ACCOUNT: "account", admin_records.OF_OPERATOR: "operator"}
    return f"{name_of(names, owner_kind, 'owner')} {owner}"


def time_text(time_ns: int) -> str:
    """A moment, in UTC; the number if no calendar has it."""
    try:
        at = datetime.fromtimestamp(time_ns // NS_PER_SECOND, UTC)
    except (OverflowError, ValueError):
        return f"{time_ns} ns"
    return f"{at:%Y-%m-%dT%H:%M:%S}.{time_ns % NS_PER_SECOND:09d}Z"
