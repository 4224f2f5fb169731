"""Tables of client ids: searches are short for every distribution of ids."""

from __future__ import annotations

import random

import pytest

from fairbook.core.client_ids import CLOSED_MAX, NO_ENTRY, ClientIdTable

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


def longest_run(table: ClientIdTable) -> int:
    """Words of the index without a gap: a removal may visit a whole run."""
    longest = run = 0
    words = [table.table[at] for at in range(table.index_words)]
    for word in words + words:  # It goes on at the beginning.
        run = run + 1 if word else 0
        longest = max(longest, run)
    return longest


@pytest.mark.parametrize("choice", CHOICES)
def test_runs_are_short(choice: str) -> None:
    table = ClientIdTable()
    entries = {each: table.add(each, 1, 2, 3, each) for each in CHOICES[choice]}
    assert longest_run(table) <= WALK_MAX
    assert all(table.find(each) == entry for each, entry in entries.items())


@pytest.mark.parametrize("choice", CHOICES)
def test_evicted_ids_are_gone_and_the_others_are_found(choice: str) -> None:
    table = ClientIdTable()
    ids = list(CHOICES[choice])
    entries = {each: table.add(each, 1, 2, 3, each) for each in ids}
    random.Random(2).shuffle(ids)
    for number, each in enumerate(ids):
        table.close(entries[each], each, number)
        if number >= CLOSED_MAX:
            assert table.find(ids[number - CLOSED_MAX]) == NO_ENTRY
        if number % 100 == 0:
            for other in ids[max(0, number - CLOSED_MAX + 1) :]:
                assert table.find(other) == entries[other]
    assert table.count == CLOSED_MAX
