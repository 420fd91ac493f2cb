"""The hub's SSH keys: the certificate authority for users, and the gateway's host key.

Workspaces trust the authority, so that the gateway may in. A certificate is for one session:
minutes, one workspace (its UUID is the principal), one source, for a key that never leaves
the gateway (OpenSSH's PROTOCOL.certkeys; sshd_config(5), TrustedUserCAKeys). The host key is known
here by itself, not by what a gateway says: whoever has a gateway's token cannot show people another
door, nor use a login that was made at one. `hub.sessions` asks for both.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import asyncssh
from asyncssh.packet import PacketDecodeError

from kworkspace.cli.client.challenge import door_text
from kworkspace.cli.client.errors import BadRequest, KworkspaceError
from kworkspace.hub.clock import Clock
from kworkspace.hub.files import write_secret

CERTIFICATE_LIFE = timedelta(minutes=5)
CLOCK_SKEW = timedelta(minutes=1)


class UserAuthority:
    """Signs the gateway's keys.

    Args:
        key: the authority's ed25519 key.
        clock: now.
    """

    def __init__(self, *, key: asyncssh.SSHKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    @classmethod
    def load(cls, file: Path, clock: Clock) -> "UserAuthority":
        """Read the key, or make it (0600) at the first start.

        Raises:
            KworkspaceError: the file is there and is no key.
        """
        return cls(key=_load(file, "kworkspace user authority"), clock=clock)

    def public_keys(self) -> tuple[str, ...]:
        """Return what workspaces must trust, as OpenSSH lines."""
        return (self._key.export_public_key().decode().strip(),)

    def issue(self, *, public_key: str, principal: str, key_id: str, sources: Sequence[str]) -> str:
        """Return a user certificate as an OpenSSH line.

        Args:
            public_key: the gateway's key for this session, an OpenSSH line.
            principal: the server's UUID.
            key_id: shown in the workspace's log: whose session it is.
            sources: the addresses and networks that the certificate is good from.

        Raises:
            BadRequest: the public key is none.
        """
        try:
            subject = asyncssh.import_public_key(public_key)
        except asyncssh.KeyImportError:
            raise BadRequest("public_key: not an OpenSSH public key") from None
        if subject.get_algorithm() != "ssh-ed25519":
            raise BadRequest("public_key: a session's key is an ssh-ed25519 one")
        now = self._clock()
        certificate = self._key.generate_user_certificate(
            subject,
            key_id,
            principals=[principal],
            valid_after=int((now - CLOCK_SKEW).timestamp()),
            valid_before=int((now + CERTIFICATE_LIFE).timestamp()),
            source_address=list(sources),
            permit_x11_forwarding=False,
        )
        return certificate.export_certificate().decode().strip()


class DoorKey:
    """The gateway's host key, to recognise what is of its door.

    Args:
        key: public or private.
    """

    def __init__(self, key: asyncssh.SSHKey) -> None:
        self._key = key.convert_to_public()
        self.public_key = key.export_public_key().decode().split("\n")[0].strip()

    @classmethod
    def load(cls, file: Path) -> "DoorKey":
        """Read the key, or make it (0600) at the first start, for the gateway to use.

        Raises:
            KworkspaceError: the file is there and is no key.
        """
        return cls(_load(file, "kworkspace gateway"))

    def signed(self, session_id: bytes, signature: bytes) -> bool:
        """Whether the gateway has signed that a login was made at its door.

        Args:
            session_id: of the SSH connection in which somebody logged in.
            signature: an SSH signature blob (RFC 4253, section 6.6).
        """
        try:
            return self._key.verify(door_text(session_id), signature)
        except (asyncssh.Error, PacketDecodeError, ValueError):
            return False


def _load(file: Path, comment: str) -> asyncssh.SSHKey:
    if not file.exists():
        key = asyncssh.generate_private_key("ssh-ed25519", comment=comment)
        write_secret(file, key.export_private_key().decode().strip())
    try:
        return asyncssh.read_private_key(file)
    except (OSError, asyncssh.KeyImportError) as error:
        raise KworkspaceError(
            f"{file} is not a usable private key ({error}): restore it from a copy"
        ) from error
