"""Who an address is, for limits that are counted by address."""

from __future__ import annotations

from ipaddress import IPv6Address


def address_key(host: str) -> str:
    """Who an address is for the limits: an IPv6 host owns its whole /64."""
    if ":" not in host:
        return host
    try:
        return str(IPv6Address(int(IPv6Address(host.partition("%")[0])) >> 64 << 64))
    except ValueError:
        return host
