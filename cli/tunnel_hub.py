"""What the hub says of a workspace's tunnel: asked the first time, and when it has changed."""

from urllib.parse import urljoin

from kworkspace.cli.client import calls
from kworkspace.cli.client.errors import NotFound
from kworkspace.cli.client.models import Server
from kworkspace.cli.client.workspaces import missing
from kworkspace.cli.settings import Settings
from kworkspace.cli.signin import open_client
from kworkspace.cli.tunnel_state import Known, KnownTunnel


def ask(settings: Settings, user: str, name: str) -> tuple[Known, str]:
    """Return what is to be known of a workspace, and a token that counts; both are kept.

    Raises:
        NotFound: there is no such workspace, or the hub has no tunnels.
        KworkspaceError: the hub's.
    """
    with open_client(settings) as client:
        servers = client.send(calls.get_user(user)).servers
        if name and name not in servers:
            raise missing(user, name, servers, make=True)
        server = servers.get(name) or client.send(calls.create(user, name))
        return keep(settings, user, name, server), client.token or ""


def keep(settings: Settings, user: str, name: str, server: Server) -> Known:
    """Keep what the hub says of a workspace.

    Raises:
        NotFound: the hub has no tunnels.
    """
    if not isinstance(server.tunnel_url, str):
        raise NotFound(
            f"the hub at {settings.api} has no tunnels now: connect without, as with kworkspace"
            " connect"
        )
    return KnownTunnel(settings, user, name).keep(
        Known(
            url=urljoin(f"{settings.api}/", server.tunnel_url),
            id=server.id,
            host_key=server.host_key if isinstance(server.host_key, str) else "",
            account=server.account if isinstance(server.account, str) else "",
        )
    )
