"""`/gateway/tunnels` and where a tunnel leads, for gateways; and the certificate, for people."""

from kworkspace.cli.client.models import CertificateRequest, TunnelRequest
from kworkspace.hub.api.base import BaseHandler
from kworkspace.hub.api.servers import find_server
from kworkspace.hub.scopes import Scope


class TunnelsHandler(BaseHandler):
    """Somebody wants a tunnel."""

    scopes = {"POST": Scope.GATEWAY}

    async def post(self) -> None:
        """Return Tunnel, for a user's token."""
        request = self.body(TunnelRequest)
        self.about(request.user, request.address)
        source = self.request.remote_ip or ""
        self.reply(await self.domain.tunnels.open(request, source), 201)


class SessionAddressHandler(BaseHandler):
    """Where a session's workspace is."""

    scopes = {"GET": Scope.GATEWAY}

    async def get(self, session_id: str) -> None:
        """Return WorkspaceAddress."""
        self.reply(await self.domain.tunnels.address(session_id))


class ServerCertificateHandler(BaseHandler):
    """What opens a workspace to who has a tunnel into it."""

    scopes = {"POST": Scope.ACCESS_SERVERS}

    async def post(self, user_name: str, server_name: str | None = None) -> None:
        """Return TunnelCertificate, for a key of the person's."""
        request = self.body(CertificateRequest)
        assert self.token is not None  # the scope needs one
        certificate = await self.domain.tunnel_certificates.issue(
            self.token, find_server(self), request.public_key, self.request.remote_ip or ""
        )
        self.reply(certificate, 201)
