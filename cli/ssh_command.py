"""The ssh command that leads through the gateway's door, with the hub's word for who stands there.

The door's host keys, and the authorities that sign others, come from the hub with its answer, and
are written to a known_hosts file of our own for this hub: nothing is trusted on first use, no other
file is asked, and no question either. What the hub says is checked, and goes to ssh as an address
and never as the name to look up in ~/.ssh/config: a hub does not choose among the person's `Host`
blocks. Called by `connect`, and for its options by `host_block`; pure functions but for that file.
"""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.client.models import SSHDoor
from kworkspace.cli.client.names import Login
from kworkspace.cli.forwards import Forward
from kworkspace.cli.state import hub_alias, write_private

# A gateway that listens on all addresses is where the hub is.
_ANY_ADDRESS = frozenset({"", "0.0.0.0", "::", "[::]"})  # noqa: S104 - compared, not bound
# RFC 1123, section 2.1, with a dot: a single label is how people call their own `Host` blocks.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
HOST_KEY = re.compile(r"([a-z][A-Za-z0-9@.-]*)\s+([A-Za-z0-9+/]+=*)(\s.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person wants of ssh.

    Attributes:
        command: to run: one word is a line for the shell, several arrive as they are.
        forwards: ports to carry.
        terminal: a terminal for the command too (`ssh -t`).
        no_shell: forwards alone (`ssh -N`).
    """

    command: tuple[str, ...] = ()
    forwards: tuple[Forward, ...] = ()
    terminal: bool = False
    no_shell: bool = False


def pin(state_dir: Path, url: str, door: SSHDoor) -> Path:
    """Write the known_hosts file of a hub into the state folder and return its path.

    Raises:
        HubUnreachable: the hub names no key that can be pinned, or the door's address is none.
    """
    place = known_as(door_host(url, door), door.port)
    lines = [f"{place} {key}\n" for key in usable_keys(door.host_keys)]
    if not lines:
        raise HubUnreachable(f"the hub at {url} names no host key of its SSH gateway")
    # Beside the key itself: whichever of key and authority is another one, one still holds.
    lines += [f"@cert-authority {place} {key}\n" for key in usable_keys(door.host_authorities)]
    path = state_dir / "known_hosts" / hub_alias(url)
    write_private(path, "".join(lines).encode())
    return path


def usable_keys(keys: Iterable[str]) -> list[str]:
    """Return type and key of the lines that are public keys; a comment does not matter."""
    return [f"{match[1]} {match[2]}" for key in keys if (match := HOST_KEY.fullmatch(key))]


def known_as(host: str, port: int) -> str:
    """Return how known_hosts calls a host (sshd(8), SSH_KNOWN_HOSTS)."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def door_options(url: str, door: SSHDoor, known_hosts: Path) -> dict[str, str]:
    """Return the options of ssh_config(5) that lead to the door, and to no other.

    Args:
        url: the hub's, as dialled.
        door: the gateway's address.
        known_hosts: from `pin`.

    Raises:
        HubUnreachable: the door's address cannot be one.
    """
    return {
        "HostName": door_host(url, door).replace("%", "%%"),
        # With it ssh would read its configuration once more, for the HostName (ssh_config(5)).
        "CanonicalizeHostname": "no",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": quoted(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "CheckHostIP": "no",
    }


def ssh_arguments(
    *,
    url: str,
    door: SSHDoor,
    login: Login,
    known_hosts: Path,
    keys: Sequence[Path],
    only_these: bool,
    wish: Wish,
) -> list[str]:
    """Return the arguments of ssh, its own name first.

    Args:
        url: the hub's, as dialled.
        door: the gateway's address.
        login: the login name.
        known_hosts: from `pin`.
        keys: to offer, in this order; none leaves it to ssh.
        only_these: offer no other key of the agent or of ~/.ssh/config.
        wish: what the person wants.

    Raises:
        HubUnreachable: the door's address cannot be one.
    """
    options = door_options(url, door, known_hosts)
    if only_these:
        options["IdentitiesOnly"] = "yes"
    if wish.forwards:
        options["ExitOnForwardFailure"] = "yes"
    arguments = ["ssh", "-p", str(door.port), "-l", str(login)]
    for name, value in options.items():
        arguments += ["-o", f"{name}={value}"]
    for key in keys:
        arguments += ["-o", f"IdentityFile={quoted(key)}"]  # -i takes no path with a `%` in it
    for forward in wish.forwards:
        arguments += ["-L", forward.argument]
    arguments += ["-t"] * wish.terminal + ["-N"] * wish.no_shell
    arguments += ["--", hub_alias(url)]
    if wish.command:
        # One word is a line for the shell, as ssh takes it; several arrive as they are.
        line = wish.command[0] if len(wish.command) == 1 else shlex.join(wish.command)
        arguments.append(line)
    return arguments


def door_host(url: str, door: SSHDoor) -> str:
    """Return the host to dial: the door's, or the hub's own where the door is on all addresses.

    Raises:
        HubUnreachable: it is no address and no host name with a domain, or the port is none.
    """
    own = urlsplit(url).hostname or ""
    host = own if door.host in _ANY_ADDRESS else door.host
    if not 1 <= door.port <= 65535 or not (host == own or _is_host(host)):
        raise HubUnreachable(
            f"the hub at {url} says that its SSH gateway is at {door.host[:255]!r},"
            f" port {door.port}: that is no IP address or full host name with a port; ask its admin"
        )
    return host


def _is_host(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return len(text) <= 253 and _HOST_NAME.fullmatch(text) is not None
    return "%" not in text  # an IPv6 scope may be any text


def told(forwards: Sequence[Forward]) -> str:
    """Return the sentence about what is forwarded."""
    return f"Forwarding {', '.join(map(str, forwards))}; Ctrl-C ends it."


def quoted(path: Path) -> str:
    """Return a path as ssh_config(5) reads it: white space separates, `%` and `~` expand."""
    return '"' + str(path).replace("%", "%%") + '"'
