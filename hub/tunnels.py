"""Tunnels: where people open one, and who may.

The trust boundary: a tunnel is opened for a user's own token, which the gateway hands over and the
hub judges; the gateway's token alone opens none. What comes through is SSH, for which the
workspace's own server asks for a key (`tunnel_certificates`). A tunnel is a session like others
(`open_sessions`).
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

from kworkspace.cli.client.errors import (
    Conflict,
    Forbidden,
    InvalidName,
    NotFound,
)
from kworkspace.cli.client.models import Tunnel, TunnelRequest, WorkspaceAddress
from kworkspace.cli.client.names import parse_user_name, parse_workspace_name
from kworkspace.hub.admission import Admission
from kworkspace.hub.audit import Audit, origin
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import models as db
from kworkspace.hub.db import tokens as token_queries
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.moment import now as database_now
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.open_sessions import OpenSessions
from kworkspace.hub.reach import reach
from kworkspace.hub.readmodel import ReadModel, ServerRow, TokenRow
from kworkspace.hub.servers import Servers
from kworkspace.hub.tokens import Tokens

REVOKED = "The token that this tunnel was opened with has been revoked"

_UNKNOWN = "The token is unknown or has expired: sign in again"


class Tunnels:
    """What the gateway's HTTP port asks for.

    Args:
        store: the database.
        readmodel: what is committed.
        audit: the audit log.
        tokens: knows tokens.
        admission: who may come in.
        servers: the workspaces.
        sessions: what a tunnel is one of.
        clock: now.
        base: returns the URL below which tunnels are opened, None where there are none.
    """

    def __init__(
        self,
        *,
        store: Store,
        readmodel: ReadModel,
        audit: Audit,
        tokens: Tokens,
        admission: Admission,
        servers: Servers,
        sessions: OpenSessions,
        clock: Clock,
        base: Callable[[], str | None],
    ) -> None:
        self._store = store
        self._readmodel = readmodel
        self._audit = audit
        self._tokens = tokens
        self._admission = admission
        self._servers = servers
        self._sessions = sessions
        self._clock = clock
        self._base = base

    def url(self, server: ServerRow) -> str | None:
        """Return where a tunnel into a server is opened, None where there are none."""
        base = self._base()
        if base is None:
            return None
        words = [server.user, server.name] if server.name else [server.user]
        return "/".join([base, *(quote(word, safe="") for word in words)])

    async def open(self, request: TunnelRequest, source: str) -> Tunnel:
        """Open a session for who has a good token.

        Args:
            request: the gateway's.
            source: the gateway's IP address, as it is seen here.

        Raises:
            NotFound: there are no tunnels, or no such workspace that they may know of.
            Forbidden: the token's user may not enter it.
            TooMany: they have as many sessions as they may.
            Conflict: the token is none, or does not count; who asks here has a good one.
        """
        if self._base() is None:
            raise NotFound("This hub has no tunnels: connect without, as in ssh NAME@HUB")
        token = self._tokens.find(request.token)
        if token is None or token.user is None or not self._admission.counts(token):
            raise Conflict(_UNKNOWN)
        try:
            user, name = parse_user_name(request.user), parse_workspace_name(request.server)
        except InvalidName as error:
            raise NotFound(error.message) from None
        if token.user != user:
            if not self._admission.is_admin(token.user):
                raise Forbidden(f"User {token.user} may not enter the workspaces of {user}")
            if self._readmodel.user(user) is None:
                raise NotFound(f"User {user} does not exist")
        origin.set(replace(origin.get(), actor=token.user))
        server = await self._servers.ensure(user, name)
        id = await self._open_row(request, source, token, server)
        await self._sessions.announce(token.user, server)
        try:
            address = _address(server)
        except Conflict:
            address = None
        start = self._sessions.policy.start_on_connect
        return Tunnel(id=id, actor=token.user, start_on_connect=start, address=address)

    @retried
    async def _open_row(
        self, request: TunnelRequest, source: str, token: TokenRow, server: ServerRow
    ) -> str:
        async with self._store.begin() as session:
            # Either whoever revokes the token finds this row, or it is gone already.
            await serialize(session, token_queries.REVOCATION)
            if await token_queries.get(session, token.digest) is None:
                raise Conflict(_UNKNOWN)
            await self._sessions.check_room(session, token.user or "")
            now = await database_now(session, self._clock)
            row = db.Session(
                kind="tunnel",
                token_id=token.id,
                server_id=server.id,
                actor=token.user,
                gateway=request.gateway[:64],
                gateway_address=source,
                address=request.address[:64],
                client_version=request.client_version[:255],
                key_fingerprint=token.key_fingerprint or "",
                proof=secrets.token_hex(32),
                started=now,
                last_report=now,
                last_activity=self._clock(),
            )
            session.add(row)
            await session.flush()
            self._audit.record(
                session,
                "session.open",
                user=server.user,
                server=server.name,
                message=f"{token.user} from {row.address} by tunnel, with token {token.id}",
            )
        return row.id

    async def address(self, id: str) -> WorkspaceAddress:
        """Return where the workspace of an open session is.

        Raises:
            NotFound: there is no such open session.
            Conflict: the workspace is not ready.
        """
        return _address(await self._sessions.server_of(id))


def _address(server: ServerRow) -> WorkspaceAddress:
    place = reach(server)
    return WorkspaceAddress(host=place.host, port=place.port, host_key=place.host_key)
