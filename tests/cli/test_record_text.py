"""Every command, part and event of random logs in words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fairbook.cli.command_text import unit_text, units_of
from fairbook.cli.record_names import (
    CLOSE_NAMES,
    COMMAND_NAMES,
    PASSED_NAMES,
    REJECT_NAMES,
    STATUS_NAMES,
)
from fairbook.cli.record_text import frame_lines
from fairbook.core import admin_records, parts, records
from fairbook.core.exchange import Exchange
from fairbook.log.command_log import Entry
from tests.core import wire
from tests.core.commands import split_frame
from tests.core.stream import START_NS, SplitMix64, Stream, opening
from tests.core.stream_signed import SignedStream, signed_opening
from tests.world.money import new_reference

SALT = -(2**61) - 1  # of both openings


def entry_of(frame: bytes, position: int = 1, time_ns: int = START_NS) -> Entry:
    return Entry(position, time_ns, bytes(32), frame)


def printed(stream: Stream, first: bytes, frames: int) -> Iterator[tuple[bytes, bytes, list[str]]]:
    """(frame, events, lines) of a random log."""
    exchange = Exchange()
    frame, time_ns = first, START_NS
    for position in range(1, frames + 1):
        events = exchange.apply(frame, time_ns)
        yield frame, events, list(frame_lines(entry_of(frame, position, time_ns), events, exchange))
        stream.saw(wire.split_events(events))
        frame, time_ns = stream.frame(), stream.step()


def test_each_outcome_stands_beside_its_command() -> None:
    """Over every kind, with parts that belong to no command, and frames that are cut off."""
    seen = ""
    for frame, events, lines in printed(Stream(SplitMix64(5).pick), opening(), 8_000):
        outcomes = [each for each in wire.split_events(events) if isinstance(each, wire.Outcome)]
        commands = [line for line in lines if line.startswith("  #")]
        assert len(commands) == len(outcomes)
        assert len(lines) == 1 + len(wire.split_events(events))
        units = [] if parts.has_origin(frame) else split_frame(frame)  # that is passed over
        for line, unit, outcome in zip(commands, units, outcomes, strict=True):
            kind = 0 if unit is None else unit.kind
            assert line.startswith(f"  #{outcome.sequence} ")
            name = COMMAND_NAMES.get(kind)
            assert name is None or f" {name}" in line, line
        seen += "\n".join(lines)
    assert "(event" not in seen
    words = set(re.findall(r"[A-Z_]+", seen))
    assert set(COMMAND_NAMES.values()) <= words
    assert set(STATUS_NAMES.values()) <= words
    assert set(CLOSE_NAMES.values()) <= words
    assert "(reason" not in seen and set(REJECT_NAMES) == set(range(1, 34))
    assert f"{SALT}" not in seen and SALT.to_bytes(8, "little", signed=True).hex() not in seen


def test_signed_frames_say_where_they_come_from_or_why_they_are_passed_over() -> None:
    seen = ""
    for frame, events, lines in printed(SignedStream(SplitMix64(7).pick), signed_opening(), 6_000):
        if parts.has_origin(frame):
            assert re.search(r"Z frame -?\d+ of gateway -?\d+$", lines[0]), lines[0]
        found = wire.split_events(events)
        assert len(lines) == 1 + len(found)
        if any(isinstance(each, wire.Passed) for each in found):
            assert lines[1].startswith("  passed over, ")
        seen += "\n".join(lines)
    words = set(re.findall(r"[A-Z_]+", seen))
    assert set(PASSED_NAMES.values()) <= words
    assert "SIGNED" in words


def line_of(unit: bytes) -> str:
    """In an exchange with two assets and a market."""
    exchange = Exchange()
    exchange.apply(opening(), START_NS)
    return unit_text(unit, exchange)


def test_what_a_command_says() -> None:
    reference = new_reference()
    ordered = parts.with_operator(
        admin_records.credit(account=3, asset=1, atoms=700, reference=reference),
        operator=4, credential=2, reference=77, reason_hash=bytes([0xAB] * 32),
    )  # fmt: skip
    assert line_of(ordered) == (
        f"CREDIT account 3 700 atoms of AAA reference {reference.hex()}"
        " by operator 4 credential 2 reference 77 because abababababababab..."
    )
    order = records.place(
        account=3, market=1, side=records.ASK, price=5, quantity=6, text="my:id/1", credential=9
    )
    assert line_of(parts.with_signature(records.cancel_all(account=3), bytes(16))) == (
        "CANCEL_ALL account 3 all markets signature 0000000000000000..."
    )
    assert line_of(order) == (
        "PLACE AAA_BBB Ask 6 @ 5 GTC account 3 client id 'my:id/1' by credential 9"
    )
    pause = parts.with_detail(admin_records.pause(admin_records.BY_AUDIT, 1), bytes([1] * 32))
    assert line_of(pause) == "PAUSE by the audit reason 1 detail 0101010101010101..."
    rules = admin_records.rules(flags=admin_records.TEST_LOG, log_id=12, salt=987_654_321)
    assert line_of(rules) == "RULES version 1 TEST log id 12"
    credential = admin_records.add_credential(
        detail=bytes(32), credential_type=admin_records.TOKEN, owner=3,
        permissions=admin_records.MAY_READ | admin_records.MAY_TRADE, expires_ns=10**18,
    )  # fmt: skip
    assert line_of(credential) == (
        "ADD_CREDENTIAL account 3 token READ TRADE until 2001-09-09T01:46:40.000000000Z"
        " detail 0000000000000000..."
    )
    (note,) = admin_records.note("half past nine")
    assert line_of(note) == "NOTE 'half past nine'"
    fees = admin_records.set_market(
        market=2, parameter=admin_records.MAKER_FEE_PPM, value=3, fee_group=5
    )
    assert line_of(fees) == "SET_MARKET BBB_CCC group 5 MAKER_FEE_PPM = 3"


def test_what_stands_alone_is_named() -> None:
    text = records.cancel(account=3, text="a")
    frame = text[: records.COMMAND_BYTES] * 2 + text[records.COMMAND_BYTES :] + b"rest"
    assert [line_of(unit) for unit in units_of(frame, 0)] == [
        "(TEXT without its command)",
        "CANCEL (market 0) account 3 client id 'a'",
        "(4 bytes)",
    ]
