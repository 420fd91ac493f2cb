"""What the command keeps of each workspace that it has been in by tunnel, in the state folder.

Where the tunnel is opened, whom to log in as, and the workspace's host key: as the hub said last.
So `proxy` need not ask the hub each time, and ssh finds the key in a known_hosts file of ours for
that workspace alone.
"""

from hashlib import sha256
from pathlib import Path

import msgspec

from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.settings import Settings
from kworkspace.cli.ssh_command import HOST_KEY
from kworkspace.cli.state import hub_alias, write_private


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub said of a workspace; `host_key` and `account` are "" until it has run.

    Attributes:
        url: where a tunnel is opened, absolute.
        host_key: an OpenSSH line, kind and key alone.
        account: whom to log in as.
    """

    url: str
    host_key: str = ""
    account: str = ""


class KnownTunnel:
    """The files of one workspace.

    Args:
        settings: of this run.
        user: whose workspace.
        name: which of them.

    Attributes:
        alias: what ssh calls its host key.
        known_hosts: the file that pins it.
    """

    def __init__(self, settings: Settings, user: str, name: str) -> None:
        digest = sha256(f"{user}/{name}".encode()).hexdigest()[:8]
        self.alias = f"{hub_alias(settings.api)}-{digest}"
        self.known_hosts = settings.state_dir / "known_hosts" / self.alias
        self._file: Path = settings.state_dir / "tunnels" / f"{self.alias}.json"

    def load(self) -> Known | None:
        """Return what is known, None for nothing."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Known)
        except (OSError, msgspec.DecodeError):
            return None

    def keep(self, url: str, host_key: str, account: str) -> Known:
        """Keep what the hub says now, and pin the host key; what it does not say stays.

        Raises:
            HubUnreachable: the host key is none that can be pinned.
        """
        before = self.load()
        if host_key:
            match = HOST_KEY.fullmatch(host_key)
            if match is None:
                raise HubUnreachable("the hub names no host key of the workspace")
            host_key = f"{match[1]} {match[2]}"
        elif before is not None:
            host_key, account = before.host_key, before.account
        known = Known(url=url, host_key=host_key, account=account)
        if known != before:
            write_private(self._file, msgspec.json.encode(known))
        line = f"{self.alias} {host_key}\n".encode()
        if host_key and (not self.known_hosts.exists() or self.known_hosts.read_bytes() != line):
            write_private(self.known_hosts, line)
        return known
