"""Keys of IP addresses, for limits per address."""

from ipaddress import IPv6Address


def address_key(host: str) -> str:
    """The key of an address: an IPv6 /64 counts as one address, as one host may use all of it."""
    if ":" not in host:
        return host
    try:
        return str(IPv6Address(int(IPv6Address(host.partition("%")[0])) >> 64 << 64))
    except ValueError:
        return host
