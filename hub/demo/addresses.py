"""Where the demo's hub and gateway listen, and whether they can."""

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from kworkspace.cli.client.errors import KworkspaceError

PORT, SSH_PORT = 8000, 2222


class DemoUnfit(KworkspaceError):
    """The demo cannot run like this; the message says why."""

    code = "demo"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where hub and gateway are: ports on 127.0.0.1, and the hub's base path, `/` or `/x/`."""

    port: int
    ssh_port: int
    base: str = "/"

    @property
    def url(self) -> str:
        """The hub's URL."""
        return f"http://127.0.0.1:{self.port}{self.base}".rstrip("/")


def configured(file: Path) -> Addresses:
    """Read the addresses of a hub_config.py that its owner may have changed."""
    try:
        hub = PyFileConfigLoader(file.name, path=str(file.parent)).load_config().Hub
        port = urlsplit(_text(hub, "bind_url")).port
        ssh_port = urlsplit(_text(hub, "ssh_bind_url")).port
    except Exception:  # noqa: BLE001 - it may raise anything, and the hub will say it with the line
        return Addresses(PORT, SSH_PORT)
    path = _text(hub, "base_url").strip("/")
    return Addresses(port or PORT, ssh_port or SSH_PORT, f"/{path}/" if path else "/")


def _text(section: Config, option: str) -> str:
    return str(section.get(option) or "")


def check_ports(directory: Path, at: Addresses) -> None:
    """See that the ports can be had, so that nobody is sent to another's hub.

    The gateway may still be there from a hub that was killed; the next one takes it over.

    Raises:
        DemoUnfit: one is taken.
    """
    if _taken(at.port):
        raise DemoUnfit(
            f"port {at.port} of 127.0.0.1 is in use, perhaps by another demo:"
            " end that one, or take another with --port (and --ssh-port, --data-dir)"
        )
    if _taken(at.ssh_port) and not _is_our_gateway(directory, at.ssh_port):
        raise DemoUnfit(
            f"port {at.ssh_port} of 127.0.0.1 is in use: end what listens there,"
            " or take another with --ssh-port"
        )


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise DemoUnfit(f"port {port} is for root alone: take one above 1023") from None
        except OSError:
            return True
    return False


def _is_our_gateway(directory: Path, port: int) -> bool:
    """Whether the server at the port has the host key that is pinned here."""
    scan = ("ssh-keyscan", "-T", "2", "-t", "ed25519", "-p", str(port), "127.0.0.1")
    seen = subprocess.run(scan, capture_output=True, text=True, check=False).stdout
    try:
        pinned = (directory / "known_hosts").read_text()
    except FileNotFoundError:
        return False
    pinned_keys = {tuple(line.split()[1:3]) for line in pinned.splitlines()}
    return any(tuple(line.split()[1:3]) in pinned_keys for line in seen.splitlines())
