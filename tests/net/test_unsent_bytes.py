"""Bytes that clients do not read: the limits in all and per address, at random."""

import random

from fairbook.net.unsent_bytes import UnsentBytes


def test_the_longest_waiting_of_the_address_is_aborted_first() -> None:
    aborted: list[int] = []
    unsent = UnsentBytes[int](aborted.append, in_all_max=1000, per_address_max=100)
    unsent.hold(1, "a", 40)
    unsent.hold(2, "b", 100)
    unsent.hold(3, "a", 60)
    assert (aborted, unsent.in_all) == ([], 200)
    unsent.hold(4, "a", 50)
    assert (aborted, unsent.in_all) == ([1, 3], 150)
    unsent.hold(5, "c", 101)
    assert (aborted, unsent.in_all) == ([1, 3, 5], 150)


def test_in_all_the_longest_waiting_is_aborted() -> None:
    aborted: list[int] = []
    unsent = UnsentBytes[int](aborted.append, in_all_max=100, per_address_max=100)
    for connection, size in ((1, 50), (2, 50), (3, 30)):
        unsent.hold(connection, str(connection), size)
    assert (aborted, unsent.in_all) == ([1], 80)
    unsent.release(2)
    unsent.release(2)
    assert unsent.in_all == 30


def test_sums_stay_those_of_what_is_held() -> None:
    chance = random.Random(1)
    held: dict[int, tuple[str, int]] = {}
    unsent = UnsentBytes[int](held.__delitem__, in_all_max=900, per_address_max=400)
    for connection in range(3000):
        address, size = chance.choice("abc"), chance.randrange(1, 300)
        held[connection] = (address, size)
        unsent.hold(connection, address, size)
        if held and chance.random() < 0.3:
            gone = chance.choice(list(held))
            del held[gone]
            unsent.release(gone)
        assert unsent.in_all == sum(size for _, size in held.values()) <= 900
        for one in "abc":
            assert sum(size for address, size in held.values() if address == one) <= 400
