"""Signed checkpoints as texts: what is signed is read again, and what was changed is not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from fairbook.checkpoints.signed_checkpoint import (
    SignedCheckpoint,
    parse,
    sign,
    split_notes,
)
from fairbook.checkpoints.signed_note import (
    NoteInvalid,
    key_text,
    parse_key_text,
    public_key,
)

SEED, OTHER = bytes(range(32)), bytes(range(1, 33))
FIELDS: dict[str, Any] = {
    "position": 4077, "time_ns": 1_795_745_057_801_930_159, "chain": b"\x01" * 32,
    "event_hash": b"\x02" * 32, "state_position": 4012, "state_digest": b"\x03" * 32,
    "previous": b"\x04" * 32,
}  # fmt: skip


def signed(**more: Any) -> SignedCheckpoint:
    return sign(**FIELDS | more, seed=SEED)


def test_what_was_signed_is_read() -> None:
    made = signed()
    assert parse(made.note, public_key(SEED)) == made
    assert {name: getattr(made, name) for name in FIELDS} == FIELDS


def test_another_key_has_not_signed_it() -> None:
    with pytest.raises(NoteInvalid, match="not signed"):
        parse(signed().note, public_key(OTHER))


def test_no_change_of_a_note_is_accepted() -> None:
    """One character anywhere; lines of other keys may follow."""
    note, public = signed().note, public_key(SEED)
    chance = random.Random(5)
    for _ in range(500):
        at = chance.randrange(len(note) - 1)
        changed = note[:at] + chance.choice("0123456789abcdefAZ \n") + note[at + 1 :]
        if changed == note:
            continue
        with pytest.raises(NoteInvalid):
            parse(changed, public)
    assert parse(note + "\u2014 witness AAAAAAAA\n", public).position == 4077


@pytest.mark.parametrize("text", ["", "\n", "fairbook checkpoint\n", "x" * 10_000, "\u2014 a b\n"])
def test_other_texts_are_no_checkpoints(text: str) -> None:
    with pytest.raises(NoteInvalid):
        parse(text)


def test_a_file_has_many() -> None:
    made = [signed(position=position) for position in range(1, 6)]
    lines = "".join(each.note for each in made).splitlines(keepends=True)
    assert [parse(note) for note in split_notes(lines)] == made


def test_a_key_as_a_text() -> None:
    text = key_text(public_key(SEED))
    assert parse_key_text(text + "\n") == public_key(SEED)
    for bad in ("", text[:-3], text.replace("fairbook", "other"), "fairbook+00000000+AQ=="):
        with pytest.raises(NoteInvalid):
            parse_key_text(bad)
