"""`/user`, `/users`, `/users/N`, `/users/N/tokens`."""

from collections.abc import Callable

import msgspec

from kworkspace.cli.client.errors import BadRequest
from kworkspace.cli.client.models import NewUsers, ServerState, UserChange, UserTokenRequest
from kworkspace.hub.api.base import SIGNED_IN, BaseHandler
from kworkspace.hub.api.paging import reply_page
from kworkspace.hub.api.views import caller_view
from kworkspace.hub.readmodel import UserRow
from kworkspace.hub.scopes import Scope

_STATES: dict[str, Callable[[set[ServerState]], bool]] = {
    "active": lambda states: bool(states - {ServerState.STOPPED}),
    "inactive": lambda states: not states - {ServerState.STOPPED},
    "ready": lambda states: ServerState.READY in states,
}


class SelfHandler(BaseHandler):
    """Who the token stands for."""

    scopes = {"GET": SIGNED_IN}

    def get(self) -> None:
        """Return User, with the caller's scopes."""
        assert self.caller is not None  # SIGNED_IN
        row = self.domain.readmodel.user(self.caller.name)
        if self.caller.kind == "service" or row is None:
            self.reply(caller_view(self.caller))
            return
        view = self.domain.view_of_user(row)
        self.reply(msgspec.structs.replace(view, scopes=self.caller.scopes()))


class UsersHandler(BaseHandler):
    """All users."""

    scopes = {"GET": Scope.LIST_USERS, "POST": Scope.ADMIN_USERS}

    def get(self) -> None:
        """Return a page of User; `state` asks for those with such servers, as in JupyterHub."""
        rows = list(self.domain.readmodel.users())
        if state := self.get_query_argument("state", ""):
            if state not in _STATES:
                raise BadRequest(f"state: expected one of {', '.join(_STATES)}")
            rows = [row for row in rows if _STATES[state](self._states(row))]
        reply_page(self, rows, self.domain.view_of_user)

    def _states(self, row: UserRow) -> set[ServerState]:
        return {server.state for server in self.domain.readmodel.servers_of(row.name).values()}

    async def post(self) -> None:
        """Add users: 201 with those who were not there yet, 409 if all were."""
        request = self.body(NewUsers)
        rows = await self.domain.people.add(request.usernames, admin=request.admin)
        self.reply([self.domain.view_of_user(row) for row in rows], 201)


class UserHandler(BaseHandler):
    """One user."""

    scopes = {
        "GET": Scope.READ_USERS,
        "POST": Scope.ADMIN_USERS,
        "PATCH": Scope.ADMIN_USERS,
        "DELETE": Scope.ADMIN_USERS,
    }

    def get(self, user_name: str) -> None:
        """Return User."""
        self.reply(self.domain.view_of_user(self.domain.people.get(self.user_name)))

    async def post(self, user_name: str) -> None:
        """Add the user: 201."""
        admin = bool(self.body(UserChange).admin)
        [row] = await self.domain.people.add([self.user_name], admin=admin)
        self.reply(self.domain.view_of_user(row), 201)

    async def patch(self, user_name: str) -> None:
        """Rename the user, or make them an admin, or no admin any more; return User."""
        row = await self.domain.people.change(self.user_name, self.body(UserChange), by=self.by)
        self.reply(self.domain.view_of_user(row))

    async def delete(self, user_name: str) -> None:
        """Remove the user with all that is theirs: 204 they are gone, 202 it is on its way."""
        domain, name = self.domain, self.user_name
        servers = await domain.people.remove(name, by=self.by)
        await domain.open_sessions.end_of_user(name, f"{name} is being removed from this hub")
        domain.servers.see_to(servers)
        await domain.servers.gone(servers, domain.slow_spawn_seconds)
        self.set_status(204 if domain.readmodel.user(name) is None else 202)
        self.finish()


class UserTokensHandler(BaseHandler):
    """A user's tokens."""

    scopes = {"POST": Scope.TOKENS}

    async def post(self, user_name: str) -> None:
        """Make a token; the only time that it is shown."""
        request = self.body(UserTokenRequest)
        if request.expires_in is not None and not 0 < request.expires_in < 10**9:
            raise BadRequest("expires_in: expected seconds, more than 0")
        assert self.token is not None  # the scope needs one
        token = await self.domain.tokens.issue_for_user(
            self.user_name, note=request.note[:255], expires_in=request.expires_in, by=self.token
        )
        self.reply(token, 201)
