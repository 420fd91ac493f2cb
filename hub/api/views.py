"""Makes wire models of committed rows; pure functions."""

from urllib.parse import quote

from kworkspace.cli.client.models import Group, Server, ServerState, User
from kworkspace.hub.readmodel import GroupRow, ReadModel, ServerRow, UserRow
from kworkspace.hub.scopes import Caller, Role

_PENDING = {ServerState.STARTING: "spawn", ServerState.STOPPING: "stop"}


def server_view(row: ServerRow, api_prefix: str) -> Server:
    """Return a server as REST shows it."""
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
    )


def user_view(row: UserRow, readmodel: ReadModel, api_prefix: str, *, admin: bool) -> User:
    """Return a user with their servers as REST shows them.

    Args:
        row: the user.
        readmodel: what is theirs.
        api_prefix: the path of the API.
        admin: whether they are an admin, by the database or by the configuration.
    """
    servers = {
        name: server_view(server, api_prefix)
        for name, server in readmodel.servers_of(row.name).items()
    }
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
