"""Limits of open connections."""

from fairbook.net.connection_limits import ADDRESS_FULL, SERVER_FULL, ConnectionLimits


def test_connections_are_limited_in_all_and_per_address() -> None:
    limits = ConnectionLimits(connections_max=3, per_address_max=2)
    assert [limits.admit("a") for _ in range(3)] == [None, None, ADDRESS_FULL]
    assert [limits.admit("b") for _ in range(2)] == [None, SERVER_FULL]
    assert limits.admit("a") is SERVER_FULL, "the limit of the server is checked first"
    assert (limits.open, limits.open_of) == (3, {"a": 2, "b": 1})


def test_a_released_connection_makes_room() -> None:
    limits = ConnectionLimits(connections_max=2, per_address_max=1)
    for _ in range(5):
        assert limits.admit("a") is None
        assert limits.admit("a") is ADDRESS_FULL
        limits.release("a")
    assert (limits.open, limits.open_of) == (0, {})
