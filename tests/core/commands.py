"""An independent reader of the commands of docs/reference/protocol.md, with their parts.

It shares nothing with the core's records. A unit is one `Command`, which carries the parts that
stand before it; a part that belongs to no command is a `Command` of its own.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from tests.core.wire import Kind

COMMAND_BYTES = 48
TEXT, SIGNATURE, DETAIL, OPERATOR = range(64, 68)  # kinds of parts; bit n of `parts` is kind 64 + n
ORIGIN, ORIGIN_REST = 72, 73
TEXT_MAX = 36

_COMMAND = Struct("<BBBBHHIIIIqqq")
_LOT_AND_TICK = Struct("<qq")  # at 16, of LIST_MARKET
_OPERATOR = Struct("<xxHIq32s")
_ORIGIN = Struct("<8xqq24s8x40s")


class OperatorPart(NamedTuple):
    """Who ordered the command; `slot`: with which credential, or 0."""

    slot: int
    id: int
    reference: int
    reason_hash: bytes


class Command(NamedTuple):
    """The 48 bytes of every kind but the two listings and NOTE (`raw` for those), and the parts."""

    kind: int
    variant: int
    parts: int
    flags: int
    market: int
    credential: int
    account: int
    client_id: int
    session: int
    parameter: int
    order_id: int
    price: int
    quantity: int
    raw: bytes
    has_its_parts: bool = True
    text: bytes | None = None
    signature: bytes | None = None
    detail: bytes | None = None
    operator: OperatorPart | None = None

    @property
    def side(self) -> int:
        """Of an order."""
        return self.variant & 1

    @property
    def tif(self) -> int:
        """Time in force of an order."""
        return self.variant >> 1

    @property
    def self_trade(self) -> int:
        """Which self-trade prevention: two bits of the flags."""
        return self.flags >> 4 & 3

    @property
    def reference(self) -> bytes:
        """Of the commands that move money."""
        return self.raw[24:40]

    @property
    def name(self) -> bytes:
        """The name in a listing, with its padding."""
        return self.raw[32:]

    @property
    def note(self) -> bytes:
        """The text of a NOTE, with what stands after it."""
        return self.raw[8:]

    @property
    def lot_and_tick(self) -> tuple[int, int]:
        """(lot_atoms, tick_atoms) of LIST_MARKET."""
        lot_atoms, tick_atoms = _LOT_AND_TICK.unpack_from(self.raw, 16)
        return lot_atoms, tick_atoms


def split_frame(frame: bytes) -> list[Command | None]:
    """The units of a frame without its origin; None for a rest that is too short."""
    units: list[Command | None] = []
    before: list[bytes] = []  # parts directly before the next record
    for at in range(0, len(frame), COMMAND_BYTES):
        raw = frame[at : at + COMMAND_BYTES]
        if len(raw) < COMMAND_BYTES:
            units += [*map(read_command, before), None]
            before = []
        elif TEXT <= raw[0] <= OPERATOR:
            before.append(raw)
        else:
            units += _with_parts(read_command(raw), before)
            before = []
    return [*units, *map(read_command, before)]


def _with_parts(command: Command, before: list[bytes]) -> list[Command]:
    """The command with its parts, after those of `before` that do not belong to it."""
    wanted = [kind for kind in range(TEXT, OPERATOR + 1) if command.parts >> (kind - TEXT) & 1]
    first = len(before) - len(wanted)
    own = before[max(first, 0) :]
    if command.parts > 15 or [part[0] for part in own] != wanted:
        return [*map(read_command, before), command._replace(has_its_parts=False)]
    for part in own:
        match part[0]:
            case 64:
                length = part[1] if part[1] <= TEXT_MAX else 0  # a text of 0 characters is none
                command = command._replace(text=part[12 : 12 + length])
            case 65:
                command = command._replace(signature=part[8:24])
            case 66:
                command = command._replace(detail=part[16:])
            case 67:
                command = command._replace(operator=OperatorPart(*_OPERATOR.unpack(part)))
    return [*map(read_command, before[:first]), command]


def read_command(raw: bytes) -> Command:
    """Decode 48 bytes."""
    return Command(*_COMMAND.unpack(raw), raw)  # type: ignore[call-arg]


class Origin(NamedTuple):
    """The first two records of a frame."""

    instance: int
    number: int
    signature: bytes


def read_origin(frame: bytes) -> Origin | None:
    """None: the frame does not begin with an ORIGIN and its rest."""
    if len(frame) < 2 * COMMAND_BYTES or (frame[0], frame[48]) != (ORIGIN, ORIGIN_REST):
        return None
    instance, number, first, rest = _ORIGIN.unpack_from(frame)
    return Origin(instance, number, first + rest)


def signed_bytes(log_id: int, origin: Origin, commands: bytes) -> bytes:
    """What the signature of a frame is of; `commands`: the bytes after the origin."""
    numbers = (log_id, origin.instance, origin.number)
    words = [number.to_bytes(8, "little", signed=True) for number in numbers]
    return b"fairbook frame" + b"".join(words) + commands


def describe(command: Command | None) -> str:
    """One line for a failure report."""
    if command is None:
        return "(shorter than a command)"
    name = Kind(command.kind).name if 0 < command.kind <= len(Kind) else f"kind {command.kind}"
    fields = zip(command._fields[1:13], command[1:13], strict=True)
    shown = [f"{field}={value}" for field, value in fields if value]
    shown += [] if command.has_its_parts else ["(parts do not fit)"]
    parts = zip(command._fields[15:], command[15:], strict=True)
    return " ".join([name, *shown, *(f"{field}={value!r}" for field, value in parts if value)])
