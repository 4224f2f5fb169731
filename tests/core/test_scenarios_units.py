"""Parts of commands: which ones belong to a command, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from struct import pack

import pytest

from fairbook.core import admin_records as admin
from fairbook.core import parts, records
from tests.core import wire
from tests.core.commands import DETAIL, OPERATOR, SIGNATURE, TEXT
from tests.core.lockstep import Lockstep
from tests.core.stream import START_NS, Stream, opening
from tests.core.wire import Kind, Reject

PARTS = {
    TEXT: pack("<BB10x36s", TEXT, 4, b"text"),
    SIGNATURE: pack("<B7x16s24x", SIGNATURE, b"s" * 16),
    DETAIL: pack("<B15x32s", DETAIL, b"d" * 32),
    OPERATOR: pack("<BxHIq32s", OPERATOR, 0, 1, 5, b"r" * 32),
}
BITS = {TEXT: 1, SIGNATURE: 2, DETAIL: 4, OPERATOR: 8}
ALLOWED: dict[Kind, frozenset[int]] = {
    **dict.fromkeys(Kind, frozenset({OPERATOR})),
    **dict.fromkeys((Kind.PLACE, Kind.CANCEL, Kind.AMEND), frozenset({TEXT, SIGNATURE})),
    Kind.CANCEL_ALL: frozenset({SIGNATURE, OPERATOR}),
    **dict.fromkeys((Kind.TICK, Kind.END_SESSION, Kind.END_GATEWAY), frozenset()),
    Kind.BEGIN_GATEWAY: frozenset(),  # DETAIL only in a signed log
    **dict.fromkeys(
        (Kind.HOLD, Kind.ADD_CREDENTIAL, Kind.REVOKE_CREDENTIAL, Kind.PAUSE),
        frozenset({DETAIL, OPERATOR}),
    ),
}
NEED_DETAIL = (Kind.HOLD, Kind.ADD_CREDENTIAL, Kind.REVOKE_CREDENTIAL)
TICK = admin.tick()


def rows() -> Iterator[tuple[int, ...]]:
    """Every order of every choice of parts, and each twice."""
    for count in range(len(PARTS) + 1):
        yield from permutations(PARTS, count)
    yield from ((kind, kind) for kind in PARTS)


def announced(command: bytes, bits: int) -> bytes:
    """The command with other `parts`."""
    return command[:2] + bytes([bits]) + command[3:]


def owned(row: tuple[int, ...], bits: int) -> set[int] | None:
    """Which of the parts before a command that announces `bits` are its own; None: wrong ones."""
    wanted = [each for each in PARTS if BITS[each] & bits]
    fits = bits < 16 and list(row[len(row) - len(wanted) :]) == wanted
    return set(wanted) if fits else None


def bare(kind: Kind) -> bytes:
    """A command of this kind without its parts, as valid as it can be."""
    if kind == Kind.LIST_ASSET:
        return admin.list_asset(asset=1, decimals=0, name="AAA")
    if kind == Kind.LIST_MARKET:
        return admin.list_market(
            market=1, base=1, quote=2, lot_atoms=1, tick_atoms=1, name="AAA_BBB"
        )
    if kind == Kind.SET_ASSET:
        return admin.set_asset(asset=1, parameter=admin.RESERVE_CAP, value=2**62)
    if kind == Kind.RULES:
        return admin.rules()
    return Stream(lambda count: 0)._command(kind)[-48:]


def outcomes(both: Lockstep, frame: bytes) -> list[wire.Outcome]:
    """Of one frame."""
    events = both.apply(frame, START_NS)
    return [event for event in events if isinstance(event, wire.Outcome)]


def opened() -> Lockstep:
    both = Lockstep()
    both.apply(opening(), START_NS)
    return both


@pytest.mark.parametrize("kind", Kind)
def test_every_row_of_parts_before_every_kind(kind: Kind) -> None:
    """Those that `parts` announces belong to the command if they stand right before it, in order
    and once; then it depends on the kind. All others are malformed commands of their own.
    """
    both = opened()
    command = bare(kind)
    for row in rows():
        before = b"".join(PARTS[each] for each in row)
        true_bits = sum({BITS[each] for each in row})
        for bits in {0, true_bits, 16 | true_bits, *(true_bits ^ bit for bit in BITS.values())}:
            own = owned(row, bits)
            given = outcomes(both, before + announced(command, bits))
            alone = row[: len(row) - len(own or ())]
            assert [each.command for each in given] == [*alone, kind]
            assert {each.reason for each in given[:-1]} <= {Reject.MALFORMED}
            is_allowed = (
                own is not None
                and own <= ALLOWED[kind]
                and (kind not in NEED_DETAIL or DETAIL in own)
            )
            assert (given[-1].reason != Reject.MALFORMED) == is_allowed, (row, bits)
    both.compare()
    both.check()


@pytest.mark.parametrize("kind", [0, 30, 39, 63, 68, 72, 73, 255])
def test_records_of_no_kind_take_their_parts_and_are_malformed_as_one(kind: int) -> None:
    both = opened()
    for row in rows():
        before = b"".join(PARTS[each] for each in row)
        bits = sum({BITS[each] for each in row})
        alone = row[: len(row) - len(owned(row, bits) or ())]
        given = outcomes(both, TICK + before + bytes([kind, 0, bits]) + bytes(45))
        assert [each.command for each in given] == [Kind.TICK, *alone, kind]
        assert all(each.reason == Reject.MALFORMED for each in given[1:])


@pytest.mark.parametrize("row", [row for row in rows() if row])
def test_parts_at_the_start_in_the_middle_and_at_the_end_of_a_frame(row: tuple[int, ...]) -> None:
    """A frame is no place to wait in: parts at its end belong to nothing, nor does a rest."""
    both = opened()
    before = b"".join(PARTS[each] for each in row)
    place = records.place(account=2, market=1, side=0, quantity=1, price=97)
    for frame in (
        before, TICK + before, before + TICK, TICK + before + TICK, before + b"\3", before[:-1],
        before + place[:47],
    ):  # fmt: skip
        given = outcomes(both, frame)
        complete = [each for each in given if each.command in PARTS]
        assert len(complete) == len(frame.replace(TICK, b"")) // 48
        assert all(each.reason == Reject.MALFORMED for each in complete)
    bits = sum({BITS[each] for each in row})
    assert outcomes(both, announced(place, bits))[-1].reason == Reject.MALFORMED
    both.compare()


def test_a_unit_has_one_sequence_and_the_next_command_the_next() -> None:
    """However many parts it has; the order id comes from it."""
    both = opened()
    first = both.core.sequence
    unit = records.place(account=2, market=1, side=0, quantity=1, price=97, text="mine")
    given = outcomes(both, unit + TICK)
    assert [each.sequence for each in given] == [first + 1, first + 2]
    assert given[0].order_id == first + 1 << 20
    signed = records.place(account=2, market=1, side=0, quantity=1, price=96, text="other")
    given = outcomes(both, TICK + parts.with_signature(signed, b"1" * 16) + TICK)
    assert [each.sequence for each in given] == [first + 3, first + 4, first + 5]


def test_the_outcome_of_a_part_alone_shows_its_own_words() -> None:
    """Kind, bytes 4..6 as the market, word 1 as account and client id."""
    both = opened()
    (outcome,) = outcomes(both, PARTS[OPERATOR])
    assert (outcome.command, outcome.market, outcome.account, outcome.client_id) == (67, 1, 5, 0)
    (outcome,) = outcomes(both, PARTS[TEXT])
    assert (outcome.command, outcome.account) == (64, 0)
    assert outcome.client_id == int.from_bytes(b"text", "little")
    assert outcome.order_id == 0
