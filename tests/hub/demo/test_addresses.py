"""Where the demo listens: from a configuration that its owner changed, and only where it can."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kworkspace.hub.demo.addresses import Addresses, DemoUnfit, check_ports, configured
from tests.ports import free_port


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which something else listens, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", Addresses(8000, 2222)),
        ("c.Hub.bind_url = 'http://0.0.0.0:9000'", Addresses(9000, 2222)),
        ("c.Hub.ssh_bind_url = 'ssh://127.0.0.1:2022'", Addresses(8000, 2022)),
        ("c.Hub.base_url = 'x'", Addresses(8000, 2222, "/x/")),
        ("c.Hub.base_url = '/'", Addresses(8000, 2222)),
        ("c.Hub.bind_url = 8000", Addresses(8000, 2222)),
        ("c.Hub.bind_url = 'http://h:99999'", Addresses(8000, 2222)),
        ("nonsense", Addresses(8000, 2222)),
        ("(", Addresses(8000, 2222)),
    ],
)
def test_configuration_of_its_owner(tmp_path: Path, text: str, addresses: Addresses) -> None:
    """What is wrong in it, the hub says."""
    (tmp_path / "hub_config.py").write_text(f"c = get_config()\n{text}\n")
    assert configured(tmp_path / "hub_config.py") == addresses


def test_url() -> None:
    assert Addresses(1, 2).url == "http://127.0.0.1:1"
    assert Addresses(1, 2, "/x/").url == "http://127.0.0.1:1/x"


def test_free_ports(tmp_path: Path) -> None:
    check_ports(tmp_path, Addresses(free_port(), free_port()))


def test_port_of_somebody_else(tmp_path: Path, taken_port: int) -> None:
    with pytest.raises(DemoUnfit, match=rf"^port {taken_port} .* --port \(and"):
        check_ports(tmp_path, Addresses(taken_port, free_port()))
