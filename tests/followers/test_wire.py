"""Messages between engine and follower: whole and in order, in pieces of any size."""

from __future__ import annotations

import random

import pytest

from fairbook.followers import wire


def test_messages_come_out_as_they_went_in() -> None:
    """Cut anywhere, with and without text."""
    sent = [
        wire.pack_hello("replica-1"),
        wire.pack(wire.APPLIED, 2**62, 0, 0, bytes(range(32))),
        wire.pack_text(wire.NOTE, ""),
        wire.pack_text(wire.NOTE, "é" * 63),
        wire.pack(wire.EDIT, -1, 3, 2, b"\1"),
        wire.pack_text(wire.NOTE, "x" * 64),
        wire.pack(wire.SLICE, 5, 9, wire.pack_slice(3, 64), bytes(32)),
    ]
    octets = b"".join(sent)
    assert len(octets) % wire.BLOCK == 0
    whole = list(wire.MessageParser().feed(octets))
    assert [each.kind for each in whole] == [
        wire.HELLO, wire.APPLIED, wire.NOTE, wire.NOTE, wire.EDIT, wire.NOTE, wire.SLICE,
    ]  # fmt: skip
    assert whole[1] == wire.Message(wire.APPLIED, 2**62, 0, 0, bytes(range(32)))
    assert [each.text for each in whole if each.kind == wire.NOTE] == ["", "é" * 63, "x" * 64]
    assert whole[4].position == -1
    assert wire.unpack_slice(whole[6].detail) == (3, 64)
    chance = random.Random(1)
    for _ in range(50):
        messages, at, found = wire.MessageParser(), 0, []
        while at < len(octets):
            size = chance.randrange(1, 150)
            found += list(messages.feed(octets[at : at + size]))
            at += size
        assert found == whole


def test_an_unknown_protocol_is_refused() -> None:
    strange = bytearray(wire.pack_hello("engine-1"))
    strange[8] ^= 1
    with pytest.raises(wire.WireError):
        list(wire.MessageParser().feed(bytes(strange)))
