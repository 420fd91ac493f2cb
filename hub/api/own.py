"""`/gateway/sessions/S/own/...`: what the person of a session may do by themselves, for a gateway.

The same handlers as for the person's own token, behind the gateway's: first the session is looked
up, which only a proven login opens, then the person's own scope is checked. Nothing here can be
done that the person could not do without the gateway.
"""

from collections.abc import Awaitable
from dataclasses import replace
from typing import ClassVar

from kworkspace.cli.client.errors import BadRequest, MethodNotAllowed
from kworkspace.cli.client.models import Page
from kworkspace.hub.api.base import BaseHandler
from kworkspace.hub.api.keys import KeyHandler, KeysHandler
from kworkspace.hub.api.servers import ServerHandler, ServerPortsHandler, ServerProgressHandler
from kworkspace.hub.api.users import UserHandler
from kworkspace.hub.audit import origin
from kworkspace.hub.scopes import Caller, Role, Scope


class Own(BaseHandler):
    """Stands before a handler of `/users/N`.

    Attributes:
        methods: those that a gateway needs.
        theirs: the scopes that the person needs.
        of_actor: whether it is about who logged in, where that is an admin in another's workspace.
    """

    methods: ClassVar[frozenset[str]] = frozenset()
    theirs: ClassVar[dict[str, Scope | str]] = {}
    of_actor: ClassVar[bool] = False

    def prepare(self) -> Awaitable[None]:
        """Find out who calls, whose session it is, and what they may do."""
        super().prepare()
        return self._prepare()

    async def _prepare(self) -> None:
        method = self.request.method or ""
        if method not in self.methods:
            raise MethodNotAllowed(f"A gateway does not {method} this")
        session = self.path_kwargs.pop("session_id")
        actor, owner = await self.domain.open_sessions.people_of(session)
        self.by_session = session
        self.path_kwargs["user_name"] = actor if self.of_actor else owner
        role = Role.ADMIN if self.domain.admission.is_admin(actor) else Role.USER
        self.caller = Caller("user", actor, role)
        origin.set(replace(origin.get(), actor=actor))
        needed = self.theirs[method]
        if isinstance(needed, Scope):
            self._check(self.caller, needed)


def own(kind: type[BaseHandler], *methods: str, of_actor: bool = False) -> type[BaseHandler]:
    """Return the handler for a session of one for a user.

    Args:
        kind: of `/users/N`.
        methods: which of its methods.
        of_actor: see `Own`.
    """
    attributes = {
        "scopes": dict.fromkeys(kind.scopes, Scope.GATEWAY),
        "theirs": kind.scopes,
        "methods": frozenset(methods),
        "of_actor": of_actor,
    }
    return type(f"Own{kind.__name__}", (Own, kind), attributes)


class PageHandler(BaseHandler):
    """The hub's page."""

    scopes = {"GET": Scope.GATEWAY}

    def get(self, session_id: str) -> None:
        """Return Page."""
        self.reply(Page(url=f"{self.domain.public_url}/"))


class StopOrStart(ServerHandler):
    """A workspace, which a gateway does not delete."""

    scopes = ServerHandler.scopes

    async def delete(self, user_name: str, server_name: str | None = None) -> None:
        """Stop it."""
        if self.request.body:
            raise BadRequest("body: a gateway only stops a workspace")
        await super().delete(user_name, server_name)


OwnUser = own(UserHandler, "GET")
OwnServer = own(StopOrStart, "GET", "POST", "DELETE")
OwnProgress = own(ServerProgressHandler, "GET")
OwnPorts = own(ServerPortsHandler, "GET")
OwnKeys = own(KeysHandler, "GET", "POST", of_actor=True)
OwnKey = own(KeyHandler, "DELETE", of_actor=True)
