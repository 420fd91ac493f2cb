"""The hub's SSH keys: the certificate authorities for users and hosts, and the gateway's host key.

Workspaces trust the authority for users, so that the gateway may in. A certificate is for one
session: minutes, one workspace (its UUID is the principal), one source, for a key that never leaves
the gateway (OpenSSH's PROTOCOL.certkeys; sshd_config(5), TrustedUserCAKeys). People trust the
authority for hosts, so that they need not know host keys (sshd(8), SSH_KNOWN_HOSTS). The gateway's
host key is known here by itself, not by what a gateway says: whoever has a gateway's token cannot
show people another door, nor use a login that was made at one. `key_ring` has the files.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Self

import asyncssh
from asyncssh.packet import PacketDecodeError

from kworkspace.cli.client.challenge import door_text
from kworkspace.cli.client.errors import BadRequest, KworkspaceError
from kworkspace.hub.clock import Clock
from kworkspace.hub.files import write_secret
from kworkspace.hub.key_ring import SETTLE, KeyRing, read_ring

log = logging.getLogger(__name__)

CERTIFICATE_LIFE = timedelta(minutes=5)
HOST_CERTIFICATE_LIFE = timedelta(days=30)
WORKSPACE_CERTIFICATE_LIFE = timedelta(days=90)
WORKSPACE_CERTIFICATE_PERIOD = timedelta(days=30)  # after which there is another one
CLOCK_SKEW = timedelta(minutes=1)
LOOK_SECONDS = 5.0


class Authority:
    """A certificate authority: what is to be trusted, and what signs.

    Args:
        ring: its keys.
        clock: now.
        file: where the keys are, to be read again.
        seconds: a clock that only goes forward, in seconds.
    """

    comment = "kworkspace authority"

    def __init__(
        self,
        *,
        ring: KeyRing,
        clock: Clock,
        file: Path | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._file = file
        self._seconds = seconds
        self._heard: dict[str, float] = {}
        self._complaint = ""
        self._take(ring)

    @classmethod
    def load(cls, file: Path, clock: Clock) -> Self:
        """Read the keys, or make a first one (0600) at the first start.

        Raises:
            KworkspaceError: the file is there and is no key.
        """
        ring = read_ring(file)
        if ring is None:
            ring = KeyRing.new(cls.comment, clock().replace(microsecond=0))
            write_secret(file, ring.text().strip())
        return cls(ring=ring, clock=clock, file=file)

    @property
    def origin(self) -> str:
        """What names the authority, however often its keys have changed."""
        return self._ring.origin

    def public_keys(self) -> tuple[str, ...]:
        """Return what must be trusted, as OpenSSH lines."""
        return tuple(one.line for one in self._ring.trusted(self._clock()))

    async def keep(self, on_change: Callable[[], object]) -> None:
        """Take over for ever what is put into the file, and what time brings.

        Args:
            on_change: called when what must be trusted is something else.
        """
        told = self.public_keys()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.reload)
            if (trusted := self.public_keys()) != told:
                log.info("The %s has %d trusted keys now", self.comment, len(trusted))
                told = trusted
                on_change()

    def reload(self) -> None:
        """Take over what is in the file by now; one that cannot be used changes nothing."""
        if self._file is None:
            return
        try:
            ring = read_ring(self._file)
        except KworkspaceError as error:
            ring, complaint = None, str(error)
        else:
            complaint = "" if ring else f"{self._file} is gone: restore it from a copy"
        if complaint and complaint != self._complaint:
            log.error("%s. What was in it before still counts", complaint)
        self._complaint = complaint
        if ring is not None:
            self._take(ring)

    def _take(self, ring: KeyRing) -> None:
        now = self._seconds()
        self._ring = ring
        self._heard = {one.fingerprint: self._heard.get(one.fingerprint, now) for one in ring.keys}

    def _signing_key(self) -> asyncssh.SSHKey:
        """Return the key to sign with: the newest that whoever trusts us has heard of.

        When that is, is in the file. But a hub that was away, or a Secret that came late, hears of
        a key only now, and so do the workspaces: then one before it signs for a while yet.
        """
        now, seconds = self._clock(), self._seconds()
        trusted = self._ring.trusted(now + CERTIFICATE_LIFE)
        for one in reversed(trusted):
            settled = seconds - self._heard[one.fingerprint] >= SETTLE.total_seconds()
            if settled and (one.signs is None or one.signs <= now):
                return one.key
        return trusted[0].key


class UserAuthority(Authority):
    """Signs keys for sessions: the gateway's, and those that people use in a tunnel."""

    comment = "kworkspace user authority"

    def issue(
        self,
        *,
        public_key: str,
        principal: str,
        key_id: str,
        sources: Sequence[str],
        not_after: datetime | None = None,
        x11: bool = False,
    ) -> str:
        """Return a user certificate as an OpenSSH line.

        Args:
            public_key: the key for this session, an OpenSSH line.
            principal: the server's UUID.
            key_id: shown in the workspace's log: whose session it is.
            sources: the addresses and networks that the certificate is good from.
            not_after: when it ends at the latest.
            x11: whether X11 may be forwarded.

        Raises:
            BadRequest: the public key is none.
        """
        subject = session_key(public_key)
        now = self._clock()
        ends = now + CERTIFICATE_LIFE
        if not_after is not None:
            ends = min(ends, not_after)
        certificate = self._signing_key().generate_user_certificate(
            subject,
            key_id,
            principals=[principal],
            valid_after=int((now - CLOCK_SKEW).timestamp()),
            valid_before=int(ends.timestamp()),
            source_address=list(sources),
            permit_x11_forwarding=x11,
        )
        return certificate.export_certificate().decode().strip()


def session_key(public_key: str) -> asyncssh.SSHKey:
    """Return the key of an OpenSSH line, for which a certificate is to be made.

    Raises:
        BadRequest: it is none, or of another kind.
    """
    try:
        key = asyncssh.import_public_key(public_key)
    except asyncssh.KeyImportError:
        raise BadRequest("public_key: not an OpenSSH public key") from None
    if key.get_algorithm() != "ssh-ed25519":
        raise BadRequest("public_key: a session's key is an ssh-ed25519 one")
    return key


class HostAuthority(Authority):
    """Signs host keys."""

    comment = "kworkspace host authority"

    def certify_workspace(self, id: str, public_key: str) -> str:
        """Return a certificate for a workspace's host key, made at its starts and while it runs.

        Its only name is the server's UUID: whoever is root in a workspace can read the key, and
        must not be able to pose as a host of any other name.
        """
        return self.issue(
            public_key=public_key,
            principals=[id],
            key_id=f"kworkspace workspace {id}",
            life=WORKSPACE_CERTIFICATE_LIFE,
        )

    def workspace_mark(self, id: str) -> str:
        """Return what is another one when a workspace is to have another certificate.

        That is when another key signs, and in each period, of which those of many workspaces do
        not begin at once.
        """
        period = int(WORKSPACE_CERTIFICATE_PERIOD.total_seconds())
        shift = int.from_bytes(sha256(id.encode()).digest()[:4]) % period
        number = (int(self._clock().timestamp()) + shift) // period
        return f"{self._signing_key().get_fingerprint()} {number}"

    def issue(
        self,
        *,
        public_key: str,
        principals: Sequence[str],
        key_id: str,
        life: timedelta = HOST_CERTIFICATE_LIFE,
    ) -> str:
        """Return a host certificate as an OpenSSH line.

        Args:
            public_key: of the host, an OpenSSH line that the hub knows by itself.
            principals: the names that people call the host by.
            key_id: whose key it is, for logs.
            life: how long it is good.
        """
        now = self._clock()
        certificate = self._signing_key().generate_host_certificate(
            asyncssh.import_public_key(public_key),
            key_id,
            principals=list(principals),
            valid_after=int((now - CLOCK_SKEW).timestamp()),
            valid_before=int((now + life).timestamp()),
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

    def is_same(self, public_key: str) -> bool:
        """Whether an OpenSSH line is this key."""
        return public_key.split()[:2] == self.public_key.split()[:2]

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
