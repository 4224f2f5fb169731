"""Enumerated parameters: an unknown value is refused on every endpoint, never ignored."""

import pytest

from fairbook.api.enumerations import INTERVALS_OF, VALUES
from fairbook.gateway.gateway import Gateway
from tests.world.http_client import HttpClient
from tests.world.memory_accounts import ALICE_TOKEN
from tests.world.running_exchange import RunningExchange, with_exchange

WRONG = {
    "marketType": ("SOL_USDC", "spot", "SPOT,PERP", "0"),
    "sortDirection": ("asc", "up"),
    "side": ("Buy", "bid"),
    "priceType": ("last", "Oracle"),
    "fillType": ("user", "All"),
}


def paths(gateway: Gateway) -> list[str]:
    """Every path that is read with GET."""
    return sorted(path.decode() for method, path in gateway.routes.endpoints if method == b"GET")


@with_exchange()
async def test_an_unknown_value_is_refused_on_every_endpoint(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Also where the endpoint does not use the parameter, and where it is not offered."""
    assert WRONG.keys() == VALUES.keys()
    found = paths(venue.gateway)
    assert len(found) > 60
    for path in found:
        for name, values in WRONG.items():
            for value in values:
                reply = await client.ask("GET", f"{path}?{name}={value}", token=ALICE_TOKEN)
                assert reply.error()[:2] == (400, "INVALID_CLIENT_REQUEST"), (path, name, value)
                assert reply.error()[2].startswith(f"Invalid {name}, must be one of ")


@pytest.mark.parametrize("path", [path.decode() for path in INTERVALS_OF])
@with_exchange()
async def test_an_unknown_interval_is_refused(
    venue: RunningExchange, client: HttpClient, path: str
) -> None:
    reply = await client.ask("GET", f"{path}?symbol=SOL_USDC&interval=7m")
    assert reply.error()[:2] == (400, "INVALID_CLIENT_REQUEST")


@with_exchange()
async def test_known_values_and_empty_ones_are_taken(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Of a known value that selects nothing here the answer is an empty list."""
    for query, count in (
        ("marketType=SPOT", 2), ("marketType=PERP", 0), ("marketType=", 2),
        ("marketType=PERP&marketType=SPOT", 2), ("marketType=DATED&marketType=RFQ", 0),
    ):  # fmt: skip
        reply = await client.ask("GET", f"/api/v1/markets?{query}")
        assert len(reply.json()) == count, query
    for name, values in VALUES.items():
        for value in values:
            reply = await client.ask("GET", f"/api/v1/assets?{name}={value}")
            assert reply.status == 200
