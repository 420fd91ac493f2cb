"""Where the SSH server of a workspace that runs is, and who is to log in there."""

from dataclasses import dataclass

from kworkspace.cli.client.errors import Conflict
from kworkspace.cli.client.models import ServerState
from kworkspace.hub.readmodel import ServerRow


@dataclass(frozen=True, slots=True)
class Reach:
    """The place.

    Attributes:
        host: its address.
        port: its TCP port.
        host_key: the key to expect there, an OpenSSH line.
        account: the Unix account.
    """

    host: str
    port: int
    host_key: str
    account: str


def reach(server: ServerRow) -> Reach:
    """Return where a workspace is.

    Raises:
        Conflict: it is not ready.
    """
    if (
        server.state is not ServerState.READY
        or server.host is None
        or server.port is None
        or not server.host_key
        or server.account is None
    ):
        raise Conflict("The workspace is not running")
    return Reach(server.host, server.port, server.host_key, server.account)
