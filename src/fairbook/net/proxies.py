"""Trusted proxies: whose word for the address of a client is taken (X-Forwarded-For)."""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

FORWARDED_FOR: Final = b"x-forwarded-for"
_ADDRESSES_MAX: Final = 32  # looked at, from the right


class TrustedProxies:
    """Addresses and networks of proxies."""

    def __init__(self, networks: Collection[str] = ()) -> None:
        """networks: addresses, or networks such as 10.0.0.0/8. Raises ValueError."""
        self._networks = [_network(text) for text in networks]

    def trusts(self, address: str) -> bool:
        if not self._networks:
            return False
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client(self, peer: str, forwarded: Sequence[bytes]) -> str:
        """The address of the client behind a trusted peer: the right-most that is no proxy itself.

        forwarded: the values of X-Forwarded-For, in order. What stands left of something that is
        no address was not written by a trusted proxy.
        """
        client = peer
        hops = b",".join(forwarded).decode("latin-1").split(",")
        for hop in reversed(hops[-_ADDRESSES_MAX:]):
            address = hop.strip()
            if _parsed(address) is None:
                break
            client = address
            if not self.trusts(address):
                break
        return client


def _parsed(address: str) -> IPv6Address | None:
    """As IPv6, so that an IPv4 address and its mapped form are the same."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return IPv6Address(f"::ffff:{found}") if isinstance(found, IPv4Address) else found


def _network(text: str) -> IPv6Network:
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network):
        return network
    return IPv6Network(f"::ffff:{network.network_address}/{96 + network.prefixlen}", strict=False)
