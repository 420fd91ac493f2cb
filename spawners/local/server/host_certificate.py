"""Shows the newest certificate of the hub's for the host key: it is renewed while the server runs.

The hub writes another file long before the certificate ends. That is looked at with each
connection, for the next one, and every hour for who comes seldom.
"""

import asyncio
from pathlib import Path

import asyncssh

from kworkspace.spawners.local.files import read_small
from kworkspace.spawners.local.state import HOST_CERTIFICATE

HostKey = asyncssh.SSHKey | tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]

LOOK_SECONDS = 3600.0


class HostCertificate:
    """The host key with its certificate.

    Args:
        key: the private host key.
        directory: where the hub writes the certificate.
    """

    def __init__(self, key: asyncssh.SSHKey, directory: Path) -> None:
        self._key = key
        self._file = directory / HOST_CERTIFICATE
        self._line: bytes | None = None
        self._acceptor: asyncssh.SSHAcceptor | None = None

    def read(self) -> HostKey:
        """Return the key, with the hub's certificate for it if there is one that can be used."""
        self._line = read_small(self._file)
        try:
            certificate = asyncssh.import_certificate(self._line or b"")
        except asyncssh.KeyImportError:
            return self._key
        same = certificate.key.public_data == self._key.public_data
        return (self._key, certificate) if same else self._key

    def look(self) -> None:
        """Have the next connections be shown what is there by now."""
        if self._acceptor is not None and read_small(self._file) != self._line:
            self._acceptor.update(server_host_keys=[self.read()])

    async def keep(self, acceptor: asyncssh.SSHAcceptor) -> None:
        """Look for ever.

        Args:
            acceptor: what takes the connections.
        """
        self._acceptor = acceptor
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()
