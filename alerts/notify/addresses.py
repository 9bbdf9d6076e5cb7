"""The network addresses that receivers may have, so that no receiver reaches internal services."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
"""NAT64: the IPv4 address is in the last four bytes."""


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Parse networks such as `10.0.0.0/8` or single addresses; ValueError if one is invalid."""
    return tuple(ip_network(text, strict=False) for text in texts)


def forbidden_reason(address: str, allowed: Sequence[Network] = ()) -> str | None:
    """Why an address is forbidden; None: it is public, or in one of the `allowed` networks.

    >>> forbidden_reason("8.8.8.8"), forbidden_reason("::ffff:169.254.169.254")
    (None, '169.254.169.254 is not a public address')
    """
    innermost = _innermost(ip_address(address.partition("%")[0]))
    if any(innermost.version == network.version and innermost in network for network in allowed):
        return None
    if innermost.is_global and not innermost.is_multicast:
        return None
    return f"{innermost} is not a public address"


def _innermost(address: Address) -> Address:
    """The IPv4 address embedded in an IPv6 address, if any."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
