"""Who may log in, and what a connection may do besides sessions: forwarding, as sshd allows it.

Public keys only (RFC 4252, section 7), one login name, the owner's keys and the hub's certificate
authorities as they stand in the authorized_keys file at that moment.
"""

import logging
from collections.abc import Awaitable
from pathlib import Path
from typing import cast

import asyncssh

from kworkspace.spawners.local.files import read_small
from kworkspace.spawners.local.server.forward import keep_order, listen_at, saying_why
from kworkspace.spawners.local.server.session import Host, Session
from kworkspace.ssh.bulk import make_bulk_cheap
from kworkspace.ssh.quick import acknowledge_quickly
from kworkspace.ssh.window import keep_windows

log = logging.getLogger(__name__)

_MAX_KEYS_BYTES = 2**20


class Login(asyncssh.SSHServer):
    """One connection.

    Args:
        host: what its sessions share.
        authorized_keys: the file to read.
        connections: the open ones; this one is kept there while it lasts.
    """

    def __init__(
        self,
        host: Host,
        authorized_keys: Path,
        connections: set[asyncssh.SSHServerConnection],
    ) -> None:
        self._host = host
        self._authorized_keys = authorized_keys
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Take the connection."""
        self._connection = conn
        self._connections.add(conn)
        make_bulk_cheap(conn)
        acknowledge_quickly(conn)
        keep_windows(conn)
        keep_order(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; its channels have been told."""
        self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        """Trust the file's keys for the one account, and none for any other name."""
        trusted = self._read_keys() if username == self._host.account.name else None
        self._connection.set_authorized_keys(trusted)
        return True

    def public_key_auth_supported(self) -> bool:
        """Refuse every name in the same way."""
        return True

    def _read_keys(self) -> asyncssh.SSHAuthorizedKeys | None:
        content = read_small(self._authorized_keys, _MAX_KEYS_BYTES)
        if content is None:
            log.warning("Nobody can log in: %s is no file of ours", self._authorized_keys)
            return None
        try:
            return asyncssh.import_authorized_keys(content.decode())
        except ValueError as error:
            log.warning("Nobody can log in: %s: %s", self._authorized_keys, error)
            return None

    def session_requested(self) -> Session | bool:
        """Open a session channel, unless the workspace is about to end."""
        return False if self._host.stopping else Session(self._host)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Awaitable[asyncssh.SSHTCPSession[bytes]]:
        """Forward to wherever a process of the workspace could connect itself (ssh -L)."""
        dialling = saying_why(self._connection.forward_connection(dest_host, dest_port))
        return cast("Awaitable[asyncssh.SSHTCPSession[bytes]]", dialling)

    def unix_connection_requested(
        self, dest_path: str
    ) -> Awaitable[asyncssh.SSHUNIXSession[bytes]]:
        """As `connection_requested`, to a socket in the file system."""
        dialling = saying_why(self._connection.forward_unix_connection(dest_path))
        return cast("Awaitable[asyncssh.SSHUNIXSession[bytes]]", dialling)

    async def server_requested(self, listen_host: str, listen_port: int) -> asyncssh.SSHListener:
        """Listen for the client (ssh -R), on loopback whatever it asks: sshd's GatewayPorts=no."""
        return await self._connection.forward_local_port(
            "localhost", listen_port, listen_host, listen_port
        )

    def unix_server_requested(self, listen_path: str) -> Awaitable[asyncssh.SSHListener]:
        """As `server_requested`, at a socket in the file system."""
        return listen_at(self._connection, listen_path)
