"""Records of chance: most are no valid commands, and core and oracle must still agree on each."""

from __future__ import annotations

import os
from random import Random
from struct import pack

from tests.core.commands import ORIGIN_REST, TEXT
from tests.core.lockstep import Lockstep
from tests.core.stream import START_NS, has_later_rules, opening
from tests.core.stream_choices import EXTREMES, SECOND
from tests.core.wire import Kind

COMMANDS = int(os.environ.get("FAIRBOOK_COMMANDS", "10000"))
SEED = int(os.environ.get("FAIRBOOK_SEED", "1"))
COMPARED_EVERY = 300  # frames


class Noise:
    """Records whose fields are small, extreme or random."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.time_ns = START_NS

    def field(self, bits: int) -> int:
        chance = self.random.random()
        if chance < 0.9:
            return self.random.randrange(9 if chance < 0.6 else 20) % (1 << bits)
        return self.random.getrandbits(bits)

    def word(self) -> int:
        """An i64."""
        chance = self.random.random()
        if chance < 0.5:
            return self.random.randrange(-2, 130)
        if chance < 0.8:
            return self.random.choice(EXTREMES)
        if chance < 0.9:
            return self.random.getrandbits(64) - 2**63
        return self.time_ns + self.random.choice((-1, 0, 1, SECOND))

    def record(self) -> bytes:
        """A part, a command, or neither."""
        choose = self.random.choice
        kind = choose(
            (
                choose(list(Kind)), choose(list(Kind)), self.random.randrange(TEXT, TEXT + 4),
                self.random.randrange(TEXT - 4, ORIGIN_REST + 3), self.random.randrange(256),
            )
        )  # fmt: skip
        if TEXT <= kind < TEXT + 4:
            text = choose((b"a", b"b", b"007", b"7", b"ab")).ljust(36, choose((b"\0", b"x")))
            length = choose((1, 2, 3, 36, 37, 0))
            return pack("<BBHI4x36s", kind, length, self.field(2), self.field(3), text)
        parts = choose((0, 0, 0, 1, 2, 4, 8, 12, 3, 10, self.random.randrange(256)))
        head = pack("<BBBB", kind, choose((0, 1, 2, self.field(8))), parts, self.field(8))
        pairs = (
            self.field(16),
            choose((0, 1, self.field(16))),
            *(self.field(32) for _ in range(4)),
        )
        return head + pack("<HHIIIIqqq", *pairs, self.word(), self.word(), self.word())

    def frame(self) -> bytes:
        """Some records, of which the last may be cut off."""
        frame = b"".join(self.record() for _ in range(self.random.choice((1, 2, 3, 5, 8))))
        return frame[: self.random.randrange(len(frame))] if self.random.random() < 0.05 else frame

    def step(self) -> int:
        """The time of the next frame."""
        self.time_ns += self.random.choice((0, 0, 1, SECOND // 1000, SECOND))
        if self.random.random() < 0.004:
            self.time_ns += self.random.choice((5, 130, 600, 86_400)) * SECOND
        return self.time_ns


def test_records_of_chance_agree() -> None:
    """Parts, flags, lengths and numbers that no builder makes."""
    both, noise, frames = Lockstep(), Noise(SEED), 0
    both.apply(opening(), START_NS)
    while both.core.sequence < COMMANDS:
        frame = noise.frame()
        if has_later_rules(frame):
            continue
        both.apply(frame, noise.step())
        frames += 1
        if frames % COMPARED_EVERY == 0:
            both.compare()
            both.check()
    assert len(both.met) > 200
