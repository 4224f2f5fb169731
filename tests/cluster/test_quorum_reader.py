"""What a reader of a log with several servers may execute."""

from __future__ import annotations

import pytest

from fairbook.cluster.quorum_reader import LogRegressed, QuorumReader
from fairbook.log.command_log import GENESIS_CHAIN, Entry
from fairbook.log.memory_log import MemoryLog


def entries(count: int, content: bytes = b"x") -> list[Entry]:
    log = MemoryLog()
    for number in range(count):
        log.append(content, number)
    return list(log.read(1))


def test_nothing_beyond_the_quorum() -> None:
    log, reader = entries(6), QuorumReader(0, GENESIS_CHAIN)
    assert reader.take(log, 0) == []
    assert reader.take(log, 4) == log[:4]
    assert reader.take(log[4:], 4) == []
    assert reader.take(log[4:], 9) == log[4:]
    assert (reader.position, reader.chain) == (6, log[-1].chain)


def test_a_gap_and_another_history_are_refused() -> None:
    log, other = entries(6), entries(6, b"y")
    reader = QuorumReader(2, log[1].chain)
    for wrong in (log[3:], other[2:]):
        with pytest.raises(LogRegressed):
            reader.take(wrong, 9)
    assert reader.position == 2


def test_a_log_that_lost_what_was_read_is_refused() -> None:
    log, other = entries(6), entries(6, b"y")
    reader = QuorumReader(5, log[4].chain)
    reader.connect(5, log[4].chain)
    reader.connect(9, log[4].chain)
    for last, chain in ((4, log[3].chain), (6, other[4].chain), (6, None)):
        with pytest.raises(LogRegressed):
            reader.connect(last, chain)
