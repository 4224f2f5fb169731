"""The table of client ids: however they are chosen, no search in it is long."""

from __future__ import annotations

import random

import pytest

from fairbook.core.receipts import CLOSED_MAX, NONE, Receipts

COUNT = 2_000
WALK_MAX = 32  # words

CHOICES = {
    "counted up": range(1, COUNT + 1),
    "counted down": range(2**32 - 1, 2**32 - 1 - COUNT, -1),
    "tens": range(5, 10 * COUNT, 10),
    "every eighth": range(8, 8 * COUNT + 8, 8),
    "a strategy in the low bits": range(4096, 4096 * COUNT + 4096, 4096),
    "a strategy in the high bits": [number << 16 for number in range(1, COUNT + 1)],
    "halves that are equal": [number << 16 | number ^ 1 for number in range(2, COUNT + 2)],
    "random": random.Random(1).sample(range(1, 2**32), COUNT),
}


def longest_run(receipts: Receipts) -> int:
    """Words of the index without a gap: whoever leaves one may have to walk to its end."""
    longest = run = 0
    words = [receipts.table[at] for at in range(receipts.index_words)]
    for word in words + words:  # It goes on at the beginning.
        run = run + 1 if word else 0
        longest = max(longest, run)
    return longest


@pytest.mark.parametrize("choice", CHOICES)
def test_runs_are_short(choice: str) -> None:
    receipts = Receipts()
    entries = {each: receipts.add(each, 1, 2, 3, each) for each in CHOICES[choice]}
    assert longest_run(receipts) <= WALK_MAX
    assert all(receipts.find(each) == entry for each, entry in entries.items())


@pytest.mark.parametrize("choice", CHOICES)
def test_who_leaves_is_gone_and_the_others_are_found(choice: str) -> None:
    receipts = Receipts()
    ids = list(CHOICES[choice])
    entries = {each: receipts.add(each, 1, 2, 3, each) for each in ids}
    random.Random(2).shuffle(ids)
    for number, each in enumerate(ids):
        receipts.close(entries[each], each, number)
        if number >= CLOSED_MAX:
            assert receipts.find(ids[number - CLOSED_MAX]) == NONE
        if number % 100 == 0:
            for other in ids[max(0, number - CLOSED_MAX + 1) :]:
                assert receipts.find(other) == entries[other]
    assert receipts.count == CLOSED_MAX
