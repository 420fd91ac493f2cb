"""TCP sockets as Linux shows them in /proc/net/tcp and tcp6 (proc_net_tcp in its documentation).

Pure: it reads what somebody else has read. Addresses are words of the machine, little-endian on
all that workspaces run on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address

_LISTENS = "0A"  # TCP_LISTEN, include/net/tcp_states.h


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A socket that takes connections.

    Attributes:
        address: on which it does.
        port: the TCP port.
        inode: names the socket; `/proc/PID/fd` of who holds it leads to it.
    """

    address: Address
    port: int
    inode: str


def listening(table: str) -> Iterator[ListeningSocket]:
    """Yield what listens; lines that make no sense are left out."""
    for line in table.splitlines():
        words = line.split()
        if len(words) < 10 or words[3] != _LISTENS:
            continue
        try:
            port = int(words[1].rpartition(":")[2], 16)
            yield ListeningSocket(read_address(words[1]), port, words[9])
        except ValueError:
            continue


def read_address(text: str) -> Address:
    """Return the address of `0100007F:0016`, or of its long form.

    Raises:
        ValueError: it is none.
    """
    raw = bytes.fromhex(text.partition(":")[0])
    words = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    return plain_address(ip_address(words))


def plain_address(address: Address) -> Address:
    """Return an IPv4 address for what is one, as a socket for both families writes it."""
    return getattr(address, "ipv4_mapped", None) or address
