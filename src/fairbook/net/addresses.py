"""Keys of IP addresses, for limits per address."""

from ipaddress import IPv6Address


def address_key(host: str) -> str:
    """The key of an address: an IPv6 /64 counts as one address, as one host may use all of it. An
    IPv4 address that is written as one of IPv6 is that IPv4 address.
    """
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped
    return str(IPv6Address(int(address) >> 64 << 64) if mapped is None else mapped)
