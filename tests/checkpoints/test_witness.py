"""What a witness believes, and what it calls a contradiction."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from fairbook.checkpoints.signed_checkpoint import NO_CHECKPOINT, SignedCheckpoint, sign
from fairbook.checkpoints.signed_note import NoteInvalid, public_key
from fairbook.checkpoints.witness import HistoryContradicted, Witness, compare
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
    with pytest.raises(HistoryContradicted, match="not signed by this key"):
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
    with pytest.raises(HistoryContradicted, match="not signed by this key"):
        again.accept(old.sign(), old.chain)


def test_two_histories_are_found_by_comparing(exchange: Signer) -> None:
    here = exchange.sign()

    def key_at(_position: int) -> bytes:
        return public_key(SEED)

    compare(here, [here], "other", key_at)
    other = exchange.copy()
    exchange.append(2)
    other.append(2, b"y")
    mine, theirs = exchange.sign(), other.sign()
    with pytest.raises(HistoryContradicted, match="two signed checkpoints of position 5"):
        compare(mine, [theirs], "other", key_at)
    other.append(1)
    with pytest.raises(HistoryContradicted, match="other has no checkpoint of position 5"):
        compare(mine, [other.sign()], "other", key_at)
    with pytest.raises(HistoryContradicted, match="other has no checkpoint of position 5"):
        compare(mine, [], "other", key_at)


def test_what_another_key_has_signed_proves_nothing(exchange: Signer) -> None:
    mine = exchange.sign()
    stranger = Signer(OTHER)
    stranger.append(3)
    with pytest.raises(NoteInvalid):
        compare(mine, [stranger.sign()], "other", lambda _: public_key(SEED))
