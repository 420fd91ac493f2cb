"""The texts of the demo's files: hub_config.py, cli.toml, ssh_config and known_hosts.

hub_config.py is the first one that a newcomer reads, and is meant to be changed.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from kworkspace.cli.client.models import SSHDoor

_HUB_CONFIG = """\
# The hub of your demo. This is Python, read once at each start of
#     kworkspace-hub -f {file}
# Change it as you like: ./xtask demo writes it only where there is none.
# Every option with its help: kworkspace-hub --help-all

c = get_config()  # noqa: F821 - the hub provides it

# All that the hub keeps: its database, its keys and the homes of the workspaces.
c.Hub.data_dir = {data_dir!r}

# Where it is reached: HTTP for the page and the REST API, SSH for the gateway. Both are open to
# this machine alone.
c.Hub.bind_url = {bind_url!r}
c.Hub.ssh_bind_url = {ssh_bind_url!r}

# How workspaces are started. "local" runs each as a process of your own account: it keeps nobody
# away from anything of yours, so it is for one person or a machine where all trust each other.
c.Hub.spawner_class = "local"

# Who may come in, with which keys: lines as in ~/.ssh/*.pub.
c.Hub.authenticator_class = "ssh-key"
c.SSHKeyAuthenticator.users = {{
    {user!r}: [
{keys}
    ],
}}

# Who may see and do everything.
c.Authenticator.admin_users = {{{user!r}}}

# What the page tells people to type.
c.Hub.template_vars = {{
    "commands": [
{commands}
    ],
}}
"""


def hub_config(
    *,
    file: Path,
    data_dir: Path,
    user: str,
    keys: Iterable[str],
    port: int,
    ssh_port: int,
    commands: Iterable[str],
) -> str:
    """Return the newcomer's first hub_config.py."""
    return _HUB_CONFIG.format(
        file=file,
        data_dir=str(data_dir),
        bind_url=f"http://127.0.0.1:{port}",
        ssh_bind_url=f"ssh://127.0.0.1:{ssh_port}",
        user=user,
        keys="\n".join(f"        {line!r}," for line in keys),
        commands="\n".join(f"        {line!r}," for line in commands),
    )


def cli_toml(*, api: str, user: str, state_dir: Path, ssh_key_path: Path | None) -> str:
    """Return the settings of the `kworkspace` command; `state_dir` keeps its files here, too."""
    settings = {"api": api, "user": user, "state_dir": str(state_dir)}
    if ssh_key_path is not None:
        settings["ssh_key_path"] = str(ssh_key_path)
    # A JSON text is a TOML one, as long as it is not escaped beyond need.
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in settings.items()
    )


def ssh_config(
    *,
    user: str,
    port: int,
    known_hosts: Path,
    identities: Iterable[Path],
    identities_only: bool,
) -> str:
    """Return what `ssh -F FILE demo` needs, and nothing of the person's own configuration."""
    lines = [
        "Host demo",
        "    HostName 127.0.0.1",
        f"    Port {port}",
        f"    User {user}",
        f"    UserKnownHostsFile {_quoted(known_hosts)}",
        "    GlobalKnownHostsFile /dev/null",
        "    StrictHostKeyChecking yes",
        "    UpdateHostKeys no",
        *(f"    IdentityFile {_quoted(identity)}" for identity in identities),
    ]
    if identities_only:
        lines.append("    IdentitiesOnly yes")
    return "\n".join(lines) + "\n"


def known_hosts(door: SSHDoor) -> str:
    """Return the door's host keys, pinned (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    host = "127.0.0.1" if door.port == 22 else f"[127.0.0.1]:{door.port}"
    return "".join(f"{host} {key}\n" for key in door.host_keys)


def _quoted(path: Path) -> str:
    """A path as ssh_config(5) reads it: `%` expands, a quoted text may hold white space."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'
