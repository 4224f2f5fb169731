"""Which address counts as the client's behind trusted proxies."""

import asyncio

import pytest

from fairbook.gateway.server_state import ServerLimits
from fairbook.net.connection_limits import ConnectionLimits
from fairbook.net.proxies import TrustedProxies
from fairbook.streams.ws_server import StreamLimits
from tests.world.running_exchange import NO_LIMITS, run_exchange
from tests.world.ws_frames import head

PROXIES = TrustedProxies(("10.0.0.0/8", "192.0.2.7", "2001:db8::/32"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("192.0.2.7", True), ("2001:db8::5", True),
        ("192.0.2.8", False), ("11.0.0.1", False), ("2001:db9::5", False), ("", False),
        ("unix", False), ("fe80::1%eth0", False),
    ],
)  # fmt: skip
def test_who_is_trusted(address: str, expected: bool) -> None:
    assert PROXIES.trusts(address) is expected
    assert not TrustedProxies().trusts(address)


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ([], "10.0.0.1"),
        ([b"203.0.113.9"], "203.0.113.9"),
        ([b"1.1.1.1, 203.0.113.9"], "203.0.113.9"),  # the client's own word for itself
        ([b"1.1.1.1", b"203.0.113.9 , 192.0.2.7"], "203.0.113.9"),
        ([b"2001:db9::1,10.9.9.9"], "2001:db9::1"),
        ([b"10.2.2.2, 10.3.3.3"], "10.2.2.2"),  # all of them are proxies
        ([b"1.1.1.1, nonsense, 10.3.3.3"], "10.3.3.3"),
        ([b"nonsense"], "10.0.0.1"),
        ([b"203.0.113.9:443"], "10.0.0.1"),
        ([b""], "10.0.0.1"),
        ([b"\xff\xfe"], "10.0.0.1"),
        ([b"1.1.1.1," + b"10.0.0.2," * 99 + b"10.0.0.3"], "10.0.0.2"),
    ],
)
def test_the_client_is_the_right_most_that_is_no_proxy(
    forwarded: list[bytes], expected: str
) -> None:
    assert PROXIES.client("10.0.0.1", forwarded) == expected


@pytest.mark.parametrize("wrong", ["", "10.0.0.0/33", "proxy.example", "10.0.0"])
def test_a_wrong_network_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        TrustedProxies((wrong,))


LOCAL = TrustedProxies(("127.0.0.1",))
FORWARDED = "X-Forwarded-For"


@pytest.mark.parametrize("proxies", [LOCAL, TrustedProxies(("10.0.0.1",))])
async def test_limits_over_http_are_those_of_the_client(proxies: TrustedProxies) -> None:
    """One connection of a proxy carries requests of many clients; others cannot choose a name."""
    limits = NO_LIMITS._replace(address_per_minute=1, address_burst=2)
    server_limits = ServerLimits(proxies=proxies, connections_per_address_max=1)
    async with run_exchange(limits, server_limits) as venue:
        client = await venue.connect()
        statuses = []
        for name in ("1.1.1.1", "1.1.1.1", "1.1.1.1", "2.2.2.2", "9.9.9.9, 1.1.1.1"):
            headers = {FORWARDED: name}
            statuses.append((await client.ask("GET", "/api/v1/ping", headers=headers)).status)
        second = await venue.connect()
        if proxies is LOCAL:
            assert statuses == [200, 200, 429, 200, 429]
            headers = {FORWARDED: "3.3.3.3"}
            assert (await second.ask("GET", "/api/v1/ping", headers=headers)).status == 200
        else:
            assert statuses == [200, 200, 429, 429, 429]
            assert await second.is_closed()


async def test_websockets_through_a_proxy_count_as_those_of_their_clients() -> None:
    stream_limits = StreamLimits(proxies=LOCAL, connections_per_address_max=2)
    async with run_exchange(streams=True) as venue:
        venue.streams.limits = stream_limits
        venue.streams.admitted = ConnectionLimits(connections_max=9, per_address_max=2)
        statuses = []
        sockets = []
        for name in ("1.1.1.1", "1.1.1.1", "1.1.1.1", "2.2.2.2"):
            reader, writer = await asyncio.open_connection("127.0.0.1", venue.ws_port)
            writer.write(head(x_forwarded_for=name))
            statuses.append((await reader.readuntil(b"\r\n"))[9:12])
            sockets.append(writer)
        assert statuses == [b"101", b"101", b"429", b"101"]
        for writer in sockets:
            writer.transport.abort()
        await asyncio.sleep(0.05)
        assert venue.streams.admitted.open_of == {}
