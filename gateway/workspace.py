"""The gateway's own SSH connection into a workspace.

A certificate of minutes for a key that never leaves this process, the host key that the hub pinned
and no other, and nothing of the machine that the gateway runs on: no agent, no configuration, no
known hosts.
"""

import asyncssh

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.models import Certificate
from kworkspace.ssh.algorithms import modern_algorithms
from kworkspace.ssh.bulk import make_bulk_cheap
from kworkspace.ssh.quick import acknowledge_quickly
from kworkspace.ssh.version import SERVER_VERSION

CONNECT_SECONDS = 10
KEEPALIVE_SECONDS = 15


class WorkspaceUnreachable(KworkspaceError):
    """The workspace should be there and cannot be talked to."""

    status = 502
    code = "workspace-unreachable"


class _Quick(asyncssh.SSHClient):
    """Nothing but quick: sshd too writes packets in a row with Nagle's algorithm on."""

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """A TCP connection was made."""
        make_bulk_cheap(conn)
        acknowledge_quickly(conn)


async def connect(ticket: Certificate, key: asyncssh.SSHKey) -> asyncssh.SSHClientConnection:
    """Open the connection that all channels of one session share.

    Args:
        ticket: from the hub.
        key: the private key that the certificate is for.

    Raises:
        WorkspaceUnreachable: with the reason, for the user.
    """
    try:
        host_key = asyncssh.import_public_key(ticket.host_key)
        certificate = asyncssh.import_certificate(ticket.certificate)
        return await asyncssh.connect(
            ticket.host,
            ticket.port,
            config=None,
            client_factory=_Quick,
            username=ticket.account,
            client_keys=[(key, certificate)],
            agent_path=None,
            preferred_auth=["publickey"],
            gss_host=None,
            disable_trivial_auth=True,
            known_hosts=([host_key], [], []),
            x509_trusted_certs=None,
            client_version=SERVER_VERSION,
            compression_algs=None,
            connect_timeout=CONNECT_SECONDS,
            login_timeout=CONNECT_SECONDS,
            keepalive_interval=KEEPALIVE_SECONDS,
            **modern_algorithms(),
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise WorkspaceUnreachable(
            "What answered is not your workspace: it showed another host key. The connection was"
            " refused; tell your administrator."
        ) from error
    except asyncssh.PermissionDenied as error:
        raise WorkspaceUnreachable(
            "Your workspace refused the gateway's certificate. Stop and start your workspace; if"
            " that does not help, tell your administrator."
        ) from error
    except (TimeoutError, asyncssh.Error, asyncssh.KeyImportError, OSError) as error:
        raise WorkspaceUnreachable(
            f"Your workspace does not answer ({_reason(error)}). Try again; if it stays like this,"
            " stop and start it."
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
