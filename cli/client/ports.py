"""`ports`: what listens in a workspace, and the `ssh -L` that leads to each."""

import shlex
from collections.abc import Iterable, Sequence

from kworkspace.cli.client.layout import NOTHING, PLAIN, Cell, Screen, table
from kworkspace.cli.client.models import Port
from kworkspace.cli.client.names import Login
from kworkspace.cli.client.reports import PortReport
from kworkspace.cli.client.workspaces import label

SSH_PORT = 22
PRIVILEGED = 1024
ANY_ADDRESS = frozenset({"", "0.0.0.0", "::", "[::]"})  # noqa: S104 - compared, not bound
"""What a door or a program is said to listen on that listens on every address."""
HEADS = ("PORT", "PROCESS", "LISTENS ON", "REACH IT BY")

_LOCALHOST = frozenset({"0.0.0.0", "::", "127.0.0.1"})  # noqa: S104 - compared, not bound


def port_reports(ports: Iterable[Port], ssh: str) -> list[PortReport]:
    """Return the ports with the way to each; one that is listened on for both families is one.

    Args:
        ports: from the hub.
        ssh: the command that leads to the workspace, without options for it: `ssh alice@HUB`.
    """
    found: dict[tuple[int, str], PortReport] = {}
    program, _, rest = ssh.partition(" ")
    for port in sorted(ports, key=lambda one: (one.port, ":" in one.address, one.address)):
        to = _target(port.address)
        before = found.get((port.port, to))
        found[port.port, to] = PortReport(
            port=port.port,
            address=port.address if before is None else before.address,
            process=port.process if before is None else before.process or port.process,
            forward=f"{program} -L {_here(port.port)}:{to}:{port.port} {rest}",
        )
    return list(found.values())


def _target(address: str) -> str:
    """Return how ssh, inside, reaches what listens on an address."""
    if address in _LOCALHOST:
        return "localhost"
    return f"[{address}]" if ":" in address else address


def _here(port: int) -> int:
    """Return the port of one's own computer: below 1024 only root may listen."""
    return port if port >= PRIVILEGED else port + 8000


def ssh_words(login: Login, host: str, port: int) -> str:
    """Return the ssh command that leads to a login's workspace, harmless to paste.

    Args:
        login: the login name.
        host: the gateway's.
        port: the gateway's.
    """
    option = "" if port == SSH_PORT else f"-p {port} "
    return f"ssh {option}{shlex.quote(f'{login}@{host}')}"


def ports_picture(name: str, ports: Sequence[PortReport], screen: Screen = PLAIN) -> list[str]:
    """Return a table of the ports, or the sentence that there is none."""
    if not ports:
        return [f"Nothing listens in {label(name)}."]
    rows = [
        [
            Cell(str(one.port), bold=True),
            Cell(one.process or NOTHING),
            Cell(one.address),
            Cell(one.forward),
        ]
        for one in ports
    ]
    return table(HEADS, rows, screen)
