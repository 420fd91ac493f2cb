"""`/gateway/*`: what only a gateway may ask for."""

from kworkspace.cli.client.models import (
    AuthorizeRequest,
    CertificateRequest,
    FailedLogin,
    GatewayReport,
    HostCertificateRequest,
    Session,
    SessionEnd,
    SessionRequest,
)
from kworkspace.hub.api.base import BaseHandler
from kworkspace.hub.api.servers import reply_started
from kworkspace.hub.scopes import Scope


class AuthorizeHandler(BaseHandler):
    """May an offered key be this login's?"""

    scopes = {"POST": Scope.GATEWAY}

    def post(self) -> None:
        """204: it may. 403: it may not, for whatever reason."""
        request = self.body(AuthorizeRequest)
        self.about(request.login, request.address)
        self.domain.sessions.authorize(request)
        self.set_status(204)
        self.finish()


class FailuresHandler(BaseHandler):
    """Connections whose keys were all refused."""

    scopes = {"POST": Scope.GATEWAY}

    def post(self) -> None:
        """Count one: who fails often is not looked at for a while."""
        self.domain.sessions.login_failed(self.body(FailedLogin))
        self.set_status(204)
        self.finish()


class SessionsHandler(BaseHandler):
    """Logins that completed."""

    scopes = {"POST": Scope.GATEWAY}

    async def post(self) -> None:
        """Return Session, for a proof."""
        request = self.body(SessionRequest)
        self.about(request.login, request.address)
        id, server = await self.domain.sessions.open(request)
        view = self.domain.view_of_server(server)
        policy = self.domain.open_sessions.policy
        session = Session(
            id=id,
            user=server.user,
            server=view,
            start_on_connect=policy.start_on_connect,
            x11_forwarding=policy.x11_forwarding,
        )
        self.reply(session, 201)


class SessionHandler(BaseHandler):
    """One session."""

    scopes = {"DELETE": Scope.GATEWAY}

    async def delete(self, session_id: str) -> None:
        """It has ended."""
        await self.domain.open_sessions.close(session_id, self.body(SessionEnd))
        self.set_status(204)
        self.finish()


class SessionServerHandler(BaseHandler):
    """The workspace of a session."""

    scopes = {"POST": Scope.GATEWAY}

    async def post(self, session_id: str) -> None:
        """Start it: 201 it is ready, 202 it is on its way."""
        await reply_started(self, await self.domain.sessions.start_server(session_id))


class SessionProgressHandler(BaseHandler):
    """The start of a session's workspace."""

    scopes = {"GET": Scope.GATEWAY}

    async def get(self, session_id: str) -> None:
        """Stream Progress."""
        row = await self.domain.open_sessions.server_of(session_id)
        await self.reply_events(self.domain.board.follow(row))


class SessionCertificateHandler(BaseHandler):
    """What opens a session's workspace."""

    scopes = {"POST": Scope.GATEWAY}

    async def post(self, session_id: str) -> None:
        """Return Certificate."""
        request = self.body(CertificateRequest)
        source = self.request.remote_ip or ""
        self.reply(
            await self.domain.sessions.certificate(session_id, request.public_key, source), 201
        )


class GatewayHandler(BaseHandler):
    """A gateway's report of itself."""

    scopes = {"PUT": Scope.GATEWAY}

    async def put(self, instance: str) -> None:
        """Take it over."""
        await self.domain.open_sessions.report(instance[:64], self.body(GatewayReport))
        self.set_status(204)
        self.finish()


class HostCertificateHandler(BaseHandler):
    """What shows people that the door is the hub's."""

    scopes = {"POST": Scope.GATEWAY}

    def post(self) -> None:
        """Return HostCertificate."""
        request = self.body(HostCertificateRequest)
        self.reply(self.domain.gateways.certificate(request.public_key), 201)


class GatewayCommandsHandler(BaseHandler):
    """What gateways are to do."""

    scopes = {"GET": Scope.GATEWAY}

    async def get(self) -> None:
        """Stream Command."""
        await self.reply_events(self.domain.gateways.commands())
