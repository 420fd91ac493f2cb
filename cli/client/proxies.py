"""Where a request came from, when proxies stand in between (X-Forwarded-For, X-Forwarded-Proto).

Anybody can send these headers, so they count only as far as they were written by proxies that the
admin trusts: read from the right, up to the first address that is not one of those. For the hub,
and for the gateway's port for tunnels.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Networks = Sequence[IPv4Network | IPv6Network]


def trusted_networks(texts: Iterable[str]) -> Networks:
    """Return the networks of `c.Hub.trusted_downstream_ips`; an address is a network of one.

    Raises:
        ValueError: one is neither an address nor a network.
    """
    return tuple(ip_network(text) for text in texts)


def is_trusted(address: str, trusted: Networks) -> bool:
    """Whether an address is that of a trusted proxy; what is no address is not."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in trusted)


def client_address(peer: str, forwarded: Sequence[str], trusted: Networks) -> str:
    """Return the address of the client.

    Args:
        peer: the address at the other end of the connection.
        forwarded: the X-Forwarded-For headers, in their order.
        trusted: the proxies whose word counts.
    """
    address = peer
    for told in reversed([part.strip() for header in forwarded for part in header.split(",")]):
        if not is_trusted(address, trusted) or not _is_address(told):
            break
        address = told
    return address


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
