"""Makes wire models of committed rows; pure functions."""

from urllib.parse import quote

from kworkspace.cli.client.models import Group, Server, ServerState, User
from kworkspace.hub.readmodel import GroupRow, ReadModel, ServerRow, UserRow
from kworkspace.hub.scopes import Caller, Role

_PENDING = {ServerState.STARTING: "spawn", ServerState.STOPPING: "stop"}


def server_view(row: ServerRow, api_prefix: str, tunnel_url: str | None = None) -> Server:
    """Return a server as REST shows it.

    Args:
        row: the server.
        api_prefix: the path of the API.
        tunnel_url: where a tunnel into it is opened; None: nowhere.
    """
    tunnel = {"tunnel_url": tunnel_url, "host_key": row.host_key, "account": row.account}
    owner, name = quote(row.user, safe=""), quote(row.name, safe="")
    path = f"{api_prefix}/users/{owner}/" + (f"servers/{name}" if name else "server")
    return Server(
        id=row.id,
        name=row.name,
        full_name=f"{row.user}/{row.name}",
        ready=row.state is ServerState.READY,
        stopped=row.state is ServerState.STOPPED,
        pending=_PENDING.get(row.state),  # type: ignore[arg-type]  # the two literals
        started=row.started,
        last_activity=row.last_activity,
        url=f"/user/{owner}/{name}/" if name else f"/user/{owner}/",
        progress_url=f"{path}/progress",
        user_options=row.options,
        status=row.state,
        error=row.error,
        **({name: text for name, text in tunnel.items() if text} if tunnel_url else {}),
    )


def user_view(
    row: UserRow, readmodel: ReadModel, servers: dict[str, Server], *, admin: bool
) -> User:
    """Return a user with their servers as REST shows them.

    Args:
        row: the user.
        readmodel: what is theirs.
        servers: what they have.
        admin: whether they are an admin, by the database or by the configuration.
    """
    default = servers.get("")
    return User(
        name=row.name,
        admin=admin,
        roles=[Role.USER, Role.ADMIN] if admin else [Role.USER],
        groups=readmodel.groups_of(row.name),
        server=default.url if default is not None and default.ready else None,
        pending=default.pending if default is not None else None,
        created=row.created,
        last_activity=row.last_activity,
        servers=servers,
    )


def group_view(row: GroupRow) -> Group:
    """Return a group as REST shows it."""
    return Group(name=row.name, users=sorted(row.users))


def caller_view(caller: Caller) -> User:
    """Return a service that asks who it is."""
    return User(
        name=caller.name, admin=False, kind="service", roles=[caller.role], scopes=caller.scopes()
    )
