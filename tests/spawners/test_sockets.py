"""What the kernel says of sockets: its own table, and any text."""

import socket
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.spawners.sockets import listening, plain_address, read_address


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_socket_of_our_own(host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        try:
            one.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} here")
        port, inode = one.getsockname()[1], Path(f"/proc/self/fd/{one.fileno()}").readlink()
        table = Path("/proc/net/tcp6" if ":" in host else "/proc/net/tcp")
        assert port not in {found.port for found in listening(table.read_text())}
        one.listen()
        [found] = [found for found in listening(table.read_text()) if found.port == port]
        assert str(found.address) == host
        assert str(inode) == f"socket:[{found.inode}]"


def test_addresses() -> None:
    assert str(read_address("0100007F:0016")) == "127.0.0.1"
    assert str(read_address("0000000000000000FFFF00000100007F:0016")) == "127.0.0.1"
    assert plain_address(ip_address("::1")) == IPv6Address("::1")
    with pytest.raises(ValueError, match="hexadecimal"):
        read_address("xyz")


@given(st.text() | st.lists(st.sampled_from(["0A", "0100007F:1F90", "x", "12"])).map(" ".join))
def test_any_text(text: str) -> None:
    list(listening(text))
