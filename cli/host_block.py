"""The block that `ssh-config` writes: what ssh has to know to reach a hub's workspaces by name.

`ALIAS` is the default workspace and `NAME.ALIAS` each named one, as `Host` lines of their own:
editors list those, and ssh cannot make a login name of a part of a host's name (ssh_config(5),
TOKENS). What comes from the hub is checked: no name and no address can write lines of its own.
"""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.models import SSHDoor
from kworkspace.cli.client.names import Login, is_dns_label
from kworkspace.cli.marked_block import Part
from kworkspace.cli.ssh_command import door_options, quoted

DEFAULT_ALIAS = "kworkspace"
# What ssh_config(5) has no way to say, or what another release of ssh reads in another way.
_UNSPEAKABLE = re.compile(r'["\\\x00-\x1f\x7f]|\$\{')
_HOSTS = re.compile(r"^Host (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TunnelHost:
    """A workspace that is reached by tunnel.

    Attributes:
        host: what ssh is called with.
        account: whom to log in as there.
        id: of the server, the name in its host certificate.
        known_hosts: the file that says whom to expect there.
        key: what ssh logs in with.
        certificate: for that key, from `kworkspace proxy`.
        proxy: the command line of that.
    """

    host: str
    account: str
    id: str
    known_hosts: Path
    key: Path
    certificate: Path
    proxy: Sequence[str]


def host_names(alias: str, workspaces: Iterable[str]) -> list[str]:
    """Return the names that ssh can be called with, the default workspace's first."""
    return [alias, *(f"{name}.{alias}" for name in _named(workspaces))]


def host_block(
    *,
    url: str,
    user: str,
    alias: str,
    workspaces: Iterable[str],
    door: SSHDoor,
    known_hosts: Path,
    keys: Sequence[Path],
    only_these: bool,
    tunnels: Sequence[TunnelHost] = (),
) -> str:
    """Return the lines of the block.

    Args:
        url: the hub's, as dialled.
        user: the person's name there.
        alias: what the default workspace is called.
        workspaces: the names that the hub tells.
        door: the gateway's.
        known_hosts: from `ssh_command.pin`.
        keys: to offer, in this order; none leaves it to ssh.
        only_these: offer no other key.
        tunnels: what can be reached by tunnel too.

    Raises:
        HubUnreachable: the door's address cannot be one.
        UsageFault: a path cannot stand in ssh's configuration.
    """
    theirs = [path for each in tunnels for path in (each.known_hosts, each.key, each.certificate)]
    for path in (known_hosts, *keys, *theirs):
        if _UNSPEAKABLE.search(str(path)):
            raise UsageFault(f"ssh's configuration cannot hold the path {path}: choose another")
    named = _named(workspaces)
    lines = [
        "# Written by `kworkspace ssh-config`, which renews it, and removes it with --remove.",
        f"Host {' '.join(host_names(alias, named))}",
        f"    Port {door.port}",
        *(f"    {name} {value}" for name, value in door_options(url, door, known_hosts).items()),
        *(identity := _identity(keys, only_these=only_these)),
        f"Host {alias}",
        f'    User "{Login(user)}"',
    ]
    for name in named:
        lines += [f"Host {name}.{alias}", f'    User "{Login(user, name)}"']
    for tunnel in tunnels:
        lines += [f"Host {tunnel.host}", *_tunnel_lines(tunnel), *identity]
    # Without it the person's own lines before their first `Host` would belong to ours.
    lines += ["# What follows is for all hosts, as it was before this block.", "Host *", ""]
    return "\n".join(lines)


def _identity(keys: Sequence[Path], *, only_these: bool) -> list[str]:
    return [
        *(["    IdentitiesOnly yes"] if only_these else []),
        *(f"    IdentityFile {quoted(key)}" for key in keys),
    ]


def _tunnel_lines(tunnel: TunnelHost) -> list[str]:
    """Return what leads into a workspace through `kworkspace proxy`.

    ssh reads the certificate when it has been passed the connection (see `tunnel_pass`).
    """
    for text in (tunnel.account, tunnel.id, *tunnel.proxy):
        if _UNSPEAKABLE.search(text):
            raise UsageFault(f"ssh's configuration cannot hold {text!r}: choose another")
    command = " ".join(shlex.quote(word) for word in tunnel.proxy).replace("%", "%%")
    return [
        f'    User "{tunnel.account}"',
        f"    ProxyCommand {command}",
        "    ProxyUseFdpass yes",
        f"    CertificateFile {quoted(tunnel.certificate)}",
        f"    IdentityFile {quoted(tunnel.key)}",
        f'    HostKeyAlias "{tunnel.id}"',
        "    StrictHostKeyChecking yes",
        f"    UserKnownHostsFile {quoted(tunnel.known_hosts)}",
        "    GlobalKnownHostsFile /dev/null",
        "    CanonicalizeHostname no",
        "    UpdateHostKeys no",
        "    CheckHostIP no",
    ]


def tunnel_host(alias: str, name: str) -> str:
    """Return what ssh is called with for a workspace by tunnel; `name` "" is the default one."""
    return f"{name}.{alias}-tunnel" if name else f"{alias}-tunnel"


def has_tunnels(url: str, found: Sequence[Part]) -> bool:
    """Whether a hub's block leads by tunnel too.

    Args:
        url: the hub's.
        found: the parts of ~/.ssh/config.
    """
    return any(part.url == url and b"    ProxyCommand " in part.content for part in found)


def alias_of(url: str, found: Sequence[Part], wanted: str | None) -> str:
    """Return what the default workspace is called: as wanted, as before, or DEFAULT_ALIAS.

    Args:
        url: the hub's.
        found: the parts of ~/.ssh/config.
        wanted: the person's wish; None for none.

    Raises:
        UsageFault: another hub's workspace is called so, or it is no good name.
    """
    taken = {
        match[1]: part.url
        for part in found
        if part.url and (match := _HOSTS.search(part.content.decode(errors="replace")))
    }
    before = next((alias for alias, hub in taken.items() if hub == url), DEFAULT_ALIAS)
    alias = wanted or before
    if not is_dns_label(alias):
        raise UsageFault("--alias: it has 1 to 63 of the characters a-z, 0-9 and '-'")
    if taken.get(alias, url) != url:
        raise UsageFault(
            f"'ssh {alias}' leads to {taken[alias]} already: choose another name with --alias"
        )
    return alias


def _named(workspaces: Iterable[str]) -> list[str]:
    return sorted(name for name in workspaces if name and is_dns_label(name))
