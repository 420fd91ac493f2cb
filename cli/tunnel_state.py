"""What the command keeps of each workspace that it has been in by tunnel, in the state folder.

Where the tunnel is opened, whom to log in as, and whom to expect: as the hub said last. So `proxy`
need not ask the hub where to go, and ssh finds a known_hosts file of ours for that workspace alone:
the authorities that sign its host key, and beside them the key itself, so that of both one holds
whichever is another one. What ssh logs in with is in `tunnel_key`.
"""

from hashlib import sha256
from pathlib import Path

import msgspec

from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.settings import Settings
from kworkspace.cli.ssh_command import usable_keys
from kworkspace.cli.state import hub_alias, write_private


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub said of a workspace; of one that has not run yet, only `url` and `id`.

    Attributes:
        url: where a tunnel is opened, absolute.
        id: the name in its host certificate, which ssh is told to expect.
        host_key: an OpenSSH line, kind and key alone.
        host_authorities: the keys that sign host keys, likewise.
        account: whom to log in as.
    """

    url: str
    id: str = ""
    host_key: str = ""
    host_authorities: tuple[str, ...] = ()
    account: str = ""


class KnownTunnel:
    """The files of one workspace.

    Args:
        settings: of this run.
        user: whose workspace.
        name: which of them.

    Attributes:
        known_hosts: the file that says whom to expect.
        folder: what ssh logs in with is there.
    """

    def __init__(self, settings: Settings, user: str, name: str) -> None:
        # Also of who enters: what one logs in with is nothing to another, on the same computer.
        digest = sha256(f"{settings.user}\n{user}/{name}".encode()).hexdigest()[:8]
        alias = f"{hub_alias(settings.api)}-{digest}"
        self.known_hosts = settings.state_dir / "known_hosts" / alias
        self.folder: Path = settings.state_dir / "tunnels" / alias
        self._file = self.folder.with_name(f"{alias}.json")

    def load(self) -> Known | None:
        """Return what is known, None for nothing."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Known)
        except (OSError, msgspec.DecodeError):
            return None

    def keep(self, said: Known) -> Known:
        """Keep what the hub says now, and whom to expect; what it does not say stays.

        Raises:
            HubUnreachable: the host key is none that can be pinned.
        """
        before = self.load() or said
        keys = usable_keys([said.host_key])
        if said.host_key and not keys:
            raise HubUnreachable("the hub names no host key of the workspace")
        authorities = tuple(usable_keys(said.host_authorities)) or before.host_authorities
        known = msgspec.structs.replace(
            said,
            host_key=keys[0] if keys else before.host_key,
            host_authorities=authorities,
            account=said.account or before.account,
        )
        if known != before or not self._file.exists():
            write_private(self._file, msgspec.json.encode(known))
        # The file is for this workspace alone, whatever ssh is told to call it: one that was made
        # anew has another name, and who has not heard of that goes by the key.
        lines = f"* {known.host_key}\n" + "".join(
            f"@cert-authority * {key}\n" for key in known.host_authorities
        )
        if known.host_key and not _holds(self.known_hosts, lines.encode()):
            write_private(self.known_hosts, lines.encode())
        return known


def _holds(file: Path, content: bytes) -> bool:
    try:
        return file.read_bytes() == content
    except OSError:
        return False
