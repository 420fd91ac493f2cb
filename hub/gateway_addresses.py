"""From where a workspace sees a gateway: what a certificate is good from.

The hub sees a gateway's own address, unless both are on one machine: then a workspace elsewhere
sees that of the way out to it. Called by `sessions`; behind NAT the configuration says it.
"""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network

_LOOPBACK = ("127.0.0.1", "::1")


async def seen_addresses(
    address: str, host: str, port: int, *, configured: Sequence[str] = ()
) -> list[str]:
    """Return addresses and networks, as a certificate's `source-address` has them.

    Args:
        address: of the gateway, as the hub sees it.
        host: of the workspace's SSH server, a name or an address.
        port: of the same.
        configured: what an admin has said instead.
    """
    if configured:
        return [str(ip_network(each)) for each in configured]
    if not _is_of_this_machine(address):
        return [address]
    loop = asyncio.get_running_loop()
    try:
        places = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError:  # the gateway is told by its own try
        places = []
    ways = {_way_out(family, place) for family, _, _, _, place in places}
    return sorted({address, *_LOOPBACK, *ways} - {""})


def _is_of_this_machine(address: str) -> bool:
    found = ip_address(address)
    if found.is_loopback:
        return True
    family = socket.AF_INET if found.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as own:
        try:
            own.bind((address, 0))
        except OSError:
            return False
    return True


def _way_out(family: int, place: Iterable[object]) -> str:
    """Return this machine's address on the way to a place; nothing is sent."""
    with socket.socket(family, socket.SOCK_DGRAM) as way:
        try:
            way.connect(tuple(place))
        except OSError:
            return ""
        return str(way.getsockname()[0])
