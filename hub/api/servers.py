"""`/users/N/server`, `/users/N/servers/S` and their progress."""

from typing import Any

from kworkspace.cli.client.errors import NotFound, StartFailed
from kworkspace.cli.client.models import ServerState, StopRequest
from kworkspace.hub.api.base import SIGNED_IN, BaseHandler
from kworkspace.hub.readmodel import ServerRow
from kworkspace.hub.scopes import Scope


class ServerHandler(BaseHandler):
    """A user's workspace, the default one or a named one."""

    scopes = {
        "GET": Scope.READ_SERVERS,
        "POST": Scope.SERVERS,
        "PUT": Scope.SERVERS,
        "DELETE": Scope.SERVERS,
    }

    def get(self, user_name: str, server_name: str | None = None) -> None:
        """Return Server."""
        self.reply(self.domain.view_of_server(find_server(self)))

    async def post(self, user_name: str, server_name: str | None = None) -> None:
        """Start it: 201 it is ready, 202 it is on its way. The body is what the user asks for."""
        options = self.body(dict[str, Any]) if self.request.body else None
        row = await self.domain.servers.start(self.user_name, self.server_name, options)
        await reply_started(self, row)

    async def put(self, user_name: str, server_name: str | None = None) -> None:
        """Make it without starting it: 201 it is made, 200 it was there."""
        row, made = await self.domain.servers.create(self.user_name, self.server_name)
        self.reply(self.domain.view_of_server(row), 201 if made else 200)

    async def delete(self, user_name: str, server_name: str | None = None) -> None:
        """Stop it, or delete it if the body says so: 204 it is done, 202 it is on its way."""
        if self.request.body and self.body(StopRequest).remove:
            await self._remove()
            return
        row = await self.domain.servers.stop(self.user_name, self.server_name)
        if row.state is not ServerState.STOPPED:
            message = "Your workspace is being stopped; your files are kept"
            await self.domain.open_sessions.end_of_server(row, message, but=self.by_session)
        row = await self.domain.servers.settle(row.id, self.domain.slow_spawn_seconds)
        self.set_status(204 if row.state is ServerState.STOPPED else 202)
        self.finish()

    async def _remove(self) -> None:
        row = await self.domain.servers.delete(self.user_name, self.server_name)
        message = "This workspace is being deleted, with its files"
        await self.domain.open_sessions.end_of_server(row, message)
        gone = await self.domain.servers.gone([row.id], self.domain.slow_spawn_seconds)
        self.set_status(204 if gone else 202)
        self.finish()


class ServerProgressHandler(BaseHandler):
    """The progress of a start or stop, as server-sent events."""

    scopes = {"GET": Scope.READ_SERVERS}

    async def get(self, user_name: str, server_name: str | None = None) -> None:
        """Stream Progress until the start or stop is over."""
        await self.reply_events(self.domain.board.follow(find_server(self)))


class ServerPortsHandler(BaseHandler):
    """What listens in a workspace."""

    scopes = {"GET": Scope.SERVERS}

    async def get(self, user_name: str, server_name: str | None = None) -> None:
        """Return list[Port]."""
        self.reply(await self.domain.ports.of(self.user_name, self.server_name))


class ProfilesHandler(BaseHandler):
    """What can be asked for when a workspace starts."""

    scopes = {"GET": SIGNED_IN}

    def get(self) -> None:
        """Return list[Profile]."""
        self.reply(self.domain.servers.profiles())


def find_server(handler: BaseHandler) -> ServerRow:
    """Return the server that the path names.

    Raises:
        NotFound: it does not exist.
    """
    row = handler.domain.readmodel.server_of(handler.user_name, handler.server_name)
    if row is None:
        name = f" {handler.server_name}" if handler.server_name else ""
        raise NotFound(f"User {handler.user_name} has no workspace{name} yet")
    return row


async def reply_started(handler: BaseHandler, row: ServerRow) -> None:
    """Wait a little for a start, and answer as JupyterHub does.

    Raises:
        StartFailed: it failed meanwhile.
    """
    # RFC 7240, section 4.1: who prefers to follow the progress is not kept waiting.
    if "respond-async" not in handler.request.headers.get("Prefer", ""):
        row = await handler.domain.servers.settle(row.id, handler.domain.slow_spawn_seconds)
    if row.state is ServerState.STOPPED:
        raise StartFailed(f"The workspace did not start: {row.error or 'it was stopped'}")
    handler.set_status(201 if row.state is ServerState.READY else 202)
    handler.finish()
