"""`/gateway/tunnels` and where a tunnel leads: what only a gateway may ask for."""

from kworkspace.cli.client.models import TunnelRequest
from kworkspace.hub.api.base import BaseHandler
from kworkspace.hub.scopes import Scope


class TunnelsHandler(BaseHandler):
    """Somebody wants a tunnel."""

    scopes = {"POST": Scope.GATEWAY}

    async def post(self) -> None:
        """Return Tunnel, for a user's token."""
        request = self.body(TunnelRequest)
        self.about(request.user, request.address)
        self.reply(await self.domain.tunnels.open(request), 201)


class SessionAddressHandler(BaseHandler):
    """Where a session's workspace is."""

    scopes = {"GET": Scope.GATEWAY}

    async def get(self, session_id: str) -> None:
        """Return WorkspaceAddress."""
        self.reply(await self.domain.tunnels.address(session_id))
