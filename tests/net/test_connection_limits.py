"""Limits of open connections."""

from fairbook.net.connection_limits import ConnectionLimits, ExceededLimit

SERVER, ADDRESS = ExceededLimit


def test_connections_are_limited_in_all_and_per_address() -> None:
    limits = ConnectionLimits(connections_max=3, per_address_max=2)
    assert [limits.admit("a") for _ in range(3)] == [None, None, ADDRESS]
    assert [limits.admit("b") for _ in range(2)] == [None, SERVER]
    assert limits.admit("a") is SERVER, "the limit of the server is checked first"
    assert (limits.open, limits.open_of) == (3, {"a": 2, "b": 1})


def test_a_released_connection_makes_room() -> None:
    limits = ConnectionLimits(connections_max=2, per_address_max=1)
    for _ in range(5):
        assert limits.admit("a") is None
        assert limits.admit("a") is ADDRESS
        limits.release("a")
    assert (limits.open, limits.open_of) == (0, {})
