"""A host authority as a hub has one, and ssh's options for who trusts it and knows no host key."""

from dataclasses import dataclass, field
from pathlib import Path

import asyncssh


@dataclass
class Hosts:
    """Certifies workspaces.

    Attributes:
        asked: the host keys that it was asked to certify.
    """

    key: asyncssh.SSHKey = field(
        default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519")
    )
    asked: list[str] = field(default_factory=list)

    def certify(self, id: str, public_key: str) -> str:
        """Return a certificate for a workspace's host key."""
        self.asked.append(public_key)
        host = asyncssh.import_public_key(public_key)
        certificate = self.key.generate_host_certificate(host, "workspace", principals=[id])
        return certificate.export_certificate().decode().strip()

    def trust(self, file: Path, name: str) -> tuple[str, ...]:
        """Write known_hosts; return options with which ssh expects the workspace of this name."""
        public = self.key.export_public_key().decode()
        file.write_text(f"@cert-authority {name} {public}")
        return ("-o", f"UserKnownHostsFile={file}", "-o", f"HostKeyAlias={name}")
