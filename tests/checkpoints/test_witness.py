"""What a witness believes, and what it calls a contradiction."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from fairbook.checkpoints.signed_checkpoint import NO_CHECKPOINT, SignedCheckpoint, parse, sign
from fairbook.checkpoints.signed_note import NoteInvalid, public_key
from fairbook.checkpoints.witness import (
    HistoryContradicted,
    NotesFrom,
    Witness,
    first_difference,
    require_proof,
)
from fairbook.log.command_log import hash_frame
from fairbook.log.memory_log import MemoryLog

SEED, OTHER = bytes(range(32)), bytes(range(1, 33))


class Signer:
    """An exchange: a log, and what it signs about it."""

    def __init__(self, seed: bytes = SEED) -> None:
        self.log = MemoryLog()
        self.seed = seed
        self.signed: list[SignedCheckpoint] = []

    def append(self, count: int, content: bytes = b"x") -> None:
        for number in range(count):
            self.log.append(content * (number % 5 + 1), self.log.last.time_ns + number)

    def sign(self, next_key: bytes | None = None) -> str:
        last = self.log.last
        previous = self.signed[-1].hash if self.signed else NO_CHECKPOINT
        made = sign(
            position=last.position, time_ns=last.time_ns, chain=last.chain, event_hash=bytes(32),
            state_position=0, state_digest=bytes(32), previous=previous, seed=self.seed,
            next_key=next_key,
        )  # fmt: skip
        self.signed.append(made)
        return made.note

    def chain(self, first: int, last: int) -> Iterable[tuple[int, bytes]]:
        for entry in self.log.read(first):
            if entry.position <= last:
                yield entry.time_ns, hash_frame(entry.frame)

    def copy(self) -> Signer:
        """Another history from here on."""
        made = Signer(self.seed)
        for entry in self.log.read(1):
            made.log.append(entry.frame, entry.time_ns)
        made.signed = list(self.signed)
        return made


@pytest.fixture
def exchange() -> Signer:
    made = Signer()
    made.append(3)
    return made


def witness(exchange: Signer) -> Witness:
    """After a first look."""
    made = Witness(public_key(SEED), None)
    made.accept(exchange.sign(), exchange.chain)
    return made


def test_a_history_that_goes_on_is_believed(exchange: Signer) -> None:
    known = witness(exchange)
    for _ in range(20):
        exchange.append(random.Random(1).randrange(1, 9))
        known.accept(exchange.sign(), exchange.chain)
    assert known.last == exchange.signed[-1]


def test_another_key_has_not_signed_it(exchange: Signer) -> None:
    known = witness(exchange)
    exchange.append(1)
    exchange.seed = OTHER
    with pytest.raises(NoteInvalid, match="not signed by this key"):
        known.accept(exchange.sign(), exchange.chain)


def test_one_that_was_left_out_is_missed(exchange: Signer) -> None:
    known = witness(exchange)
    exchange.append(1)
    exchange.sign()
    exchange.append(1)
    with pytest.raises(HistoryContradicted, match="does not follow the one of position 3"):
        known.accept(exchange.sign(), exchange.chain)
    assert known.last == exchange.signed[0]


@pytest.mark.parametrize("changed", [4, 6, 9])
def test_a_changed_entry_is_found(exchange: Signer, changed: int) -> None:
    known = witness(exchange)
    exchange.append(6)

    def chain(first: int, last: int) -> Iterable[tuple[int, bytes]]:
        for at, (time_ns, digest) in enumerate(exchange.chain(first, last), start=first):
            yield time_ns, hash_frame(b"other") if at == changed else digest

    with pytest.raises(HistoryContradicted, match="from position 4 to 9 is not the one"):
        known.accept(exchange.sign(), chain)


def test_a_log_with_other_entries_before_is_found(exchange: Signer) -> None:
    """With right chains, and signed with the right key."""
    known = witness(exchange)
    other = Signer()
    other.append(3, b"y")
    other.signed = list(exchange.signed)
    other.append(4)
    with pytest.raises(HistoryContradicted, match="is not the one that was signed") as found:
        known.accept(other.sign(), other.chain)
    assert found.value.notes == (exchange.signed[0].note, other.signed[-1].note)


def test_a_position_is_signed_once(exchange: Signer) -> None:
    known = witness(exchange)
    with pytest.raises(HistoryContradicted, match="two signed checkpoints of position 3"):
        known.accept(exchange.sign(), exchange.chain)


def test_a_key_is_followed_by_the_one_that_it_names(exchange: Signer) -> None:
    known = witness(exchange)
    exchange.append(1)
    known.accept(exchange.sign(next_key=public_key(OTHER)), exchange.chain)
    exchange.append(1)
    old = exchange.copy()
    exchange.seed = OTHER
    known.accept(exchange.sign(), exchange.chain)
    assert known.public == public_key(OTHER)
    again = Witness(public_key(OTHER), exchange.signed[1])
    with pytest.raises(NoteInvalid, match="not signed by this key"):
        again.accept(old.sign(), old.chain)


def line(exchange: Signer) -> NotesFrom:
    """What it has signed, by position."""
    return lambda position, count: [
        each.note for each in exchange.signed if each.position >= position
    ][:count]


def judged(here: Signer, there: Signer, public: bytes, *, last: int = 0) -> None:
    """As a witness of the one compares with a witness of the other."""
    end = last or min(here.signed[-1].position, there.signed[-1].position)
    found = first_difference(here.signed[0].position, end, line(here), line(there))
    if found is not None:
        require_proof(*found, "other", public)


@pytest.mark.parametrize("common", [1, 2, 7, 40])
@pytest.mark.parametrize("steps", [(2, 2), (1, 3), (3, 1)])
def test_two_histories_are_found_by_comparing(
    exchange: Signer, common: int, steps: tuple[int, int]
) -> None:
    """Wherever they part, and whether or not the same positions are signed then."""
    for _ in range(common):
        exchange.append(2)
        exchange.sign()
    other = exchange.copy()
    judged(exchange, other, public_key(SEED))
    for each, step, content in ((exchange, steps[0], b"x"), (other, steps[1], b"y")):
        for _ in range(12):
            each.append(step, content)
            each.sign()
    with pytest.raises(HistoryContradicted) as found:
        judged(exchange, other, public_key(SEED))
    first, second = (parse(note) for note in found.value.notes)
    assert first.previous == second.previous and first.text != second.text
    with pytest.raises(HistoryContradicted):
        judged(other, exchange, public_key(SEED))


def test_two_histories_are_found_across_a_change_of_key(exchange: Signer) -> None:
    exchange.sign()
    other = exchange.copy()
    for each, content, seed in ((exchange, b"x", OTHER), (other, b"y", bytes(32))):
        each.append(1, content)
        each.sign(next_key=public_key(seed))
        each.seed = seed
        for _ in range(3):
            each.append(1, content)
            each.sign()
    with pytest.raises(HistoryContradicted, match="two signed checkpoints of position 4"):
        judged(exchange, other, public_key(SEED))


def test_a_checkpoint_that_is_missing_is_a_contradiction(exchange: Signer) -> None:
    exchange.sign()
    other = exchange.copy()
    exchange.append(1)
    exchange.sign()
    with pytest.raises(HistoryContradicted, match="other has no checkpoint of position 4"):
        judged(exchange, other, public_key(SEED), last=4)


def test_what_another_key_has_signed_proves_nothing(exchange: Signer) -> None:
    exchange.sign()
    stranger = Signer(OTHER)
    stranger.append(3, b"y")
    stranger.sign()
    with pytest.raises(NoteInvalid):
        judged(exchange, stranger, public_key(SEED))


def test_a_signature_written_in_another_way_is_no_other_checkpoint(exchange: Signer) -> None:
    """Signatures of others may be added, and base64 has bits that mean nothing."""
    known = witness(exchange)
    exchange.append(1)
    note = exchange.sign()
    more = note + "\u2014 other AAAA\n"
    assert known.accept(more, exchange.chain).note == note
    exchange.append(1)
    known.accept(exchange.sign(), exchange.chain)
    other = exchange.copy()
    other.signed[1] = parse(more)
    judged(exchange, other, public_key(SEED))


@pytest.mark.parametrize(
    "more", ["junk\n", "\n", "\u2014 a b", "\u2014 \udc80 AAAA\n", "\u2014 a\u0661 AAAA\n", "whole"]
)
def test_nothing_else_stands_in_a_note(exchange: Signer, more: str) -> None:
    known = witness(exchange)
    exchange.append(1)
    note = exchange.sign()
    with pytest.raises(NoteInvalid):
        known.accept(note + (note if more == "whole" else more), exchange.chain)
    assert known.last == exchange.signed[0]
