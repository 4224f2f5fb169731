"""Limits of open connections, and the budget that several servers share."""

import resource

import pytest

from fairbook.net.connection_limits import ADDRESS_FULL, SERVER_FULL, ConnectionLimits
from fairbook.net.descriptors import RESERVE, ConnectionBudget, connection_budget


class Visitor:
    """A connection that has sent nothing yet."""

    def __init__(self) -> None:
        self.gave_way = False

    def give_way(self) -> None:
        self.gave_way = True


def test_connections_are_limited_in_all_and_per_address() -> None:
    limits = ConnectionLimits(connections_max=3, per_address_max=2)
    assert [limits.admit("a", Visitor()) for _ in range(3)] == [None, None, ADDRESS_FULL]
    assert [limits.admit("b", Visitor()) for _ in range(2)] == [None, SERVER_FULL]
    assert limits.admit("a", Visitor()) is SERVER_FULL, "the limit of the server is checked first"
    assert (limits.open, limits.open_of) == (3, {"a": 2, "b": 1})


def test_a_released_connection_makes_room() -> None:
    limits = ConnectionLimits(connections_max=2, per_address_max=1)
    for _ in range(5):
        visitor = Visitor()
        assert limits.admit("a", visitor) is None
        assert limits.admit("a", Visitor()) is ADDRESS_FULL
        limits.release("a", visitor)
    assert (limits.open, limits.open_of) == (0, {})


def test_servers_share_a_budget_and_silent_connections_give_way(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The one that has been silent for longest; one that has sent something stays."""
    budget = ConnectionBudget(3)
    ports = [
        ConnectionLimits(connections_max=9, per_address_max=9, budget=budget) for _ in range(2)
    ]
    first, second, third, fourth, fifth, sixth = (Visitor() for _ in range(6))
    for port, visitor in ((0, first), (1, second), (0, third)):
        assert ports[port].admit("a", visitor) is None
    budget.has_spoken(first)
    assert ports[1].admit("b", fourth) is None
    assert (second.gave_way, third.gave_way) == (True, False)
    ports[1].release("a", second)
    assert budget.open == 3
    budget.has_spoken(third)
    budget.has_spoken(fourth)
    assert [ports[n].admit("c", fifth) for n in (0, 1)] == [SERVER_FULL, SERVER_FULL]
    assert len(caplog.records) == 1, "it is said once"
    ports[0].release("a", first)
    assert ports[1].admit("c", sixth) is None
    assert not any(each.gave_way for each in (first, third, fourth, fifth, sixth))


@pytest.mark.parametrize(
    ("highest", "expected"), [(100_000, 65_536), (61_440, 32_768), (10_240, 8192), (300, None)]
)
def test_the_soft_limit_is_raised_as_far_as_the_system_allows(
    highest: int, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS begins with 256, and refuses more than a limit that getrlimit does not tell."""
    limits = [256, resource.RLIM_INFINITY]

    def setrlimit(_which: int, wanted: tuple[int, int]) -> None:
        if wanted[0] > highest:
            raise ValueError("not allowed to raise maximum limit")
        limits[:] = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _which: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    if expected is None:
        with pytest.raises(OSError, match="256 file descriptors are too few"):
            connection_budget()
    else:
        assert connection_budget().connections_max == expected - RESERVE
