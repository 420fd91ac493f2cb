"""SSH sessions through the gateway: who may come in, and what the gateway gets for them.

The trust boundary: a gateway's token alone opens nothing. A session is opened only for an
authentication request that the user's own key has signed (RFC 4252, section 7), in a connection
that the gateway's host key vouches for. The hub verifies both itself and accepts them once; start
and certificate are for the session's one server.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from sqlalchemy.exc import IntegrityError

from kworkspace.authenticators.base import Authenticator
from kworkspace.cli.client.errors import Forbidden, InvalidName
from kworkspace.cli.client.models import (
    AuthorizeRequest,
    Certificate,
    FailedLogin,
    SessionRequest,
)
from kworkspace.cli.client.names import Login, parse_login
from kworkspace.hub.audit import Audit, origin
from kworkspace.hub.bans import Bans
from kworkspace.hub.ca import DoorKey, UserAuthority
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import models as db
from kworkspace.hub.db.moment import now as database_now
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.gateway_addresses import seen_addresses
from kworkspace.hub.open_sessions import OpenSessions
from kworkspace.hub.proofs import decode_field, session_id_of
from kworkspace.hub.reach import reach
from kworkspace.hub.readmodel import ReadModel, ServerRow
from kworkspace.hub.servers import Servers
from kworkspace.hub.starts import AlreadyRunning

REFUSED = "Login refused: no such user, or not a key of theirs"


class Sessions:
    """What the gateway may ask for.

    Args:
        store: the database.
        readmodel: what is committed.
        audit: the audit log.
        authenticator: whose keys are whose.
        authority: signs the gateway's keys.
        servers: starts workspaces.
        open_sessions: where a new one is kept.
        gateway_addresses: from where workspaces see gateways, if that is not as it looks here.
        door_key: the gateway's host key.
        clock: now.
        welcome: makes the row of a user who has none yet.
        bans: whose logins are not looked at.
    """

    def __init__(
        self,
        *,
        store: Store,
        readmodel: ReadModel,
        audit: Audit,
        authenticator: Authenticator,
        authority: UserAuthority,
        servers: Servers,
        open_sessions: OpenSessions,
        gateway_addresses: Sequence[str] = (),
        door_key: DoorKey,
        clock: Clock,
        welcome: Callable[[str], Awaitable[None]],
        bans: Bans,
    ) -> None:
        self._store = store
        self._readmodel = readmodel
        self._audit = audit
        self._authenticator = authenticator
        self._authority = authority
        self._servers = servers
        self._open_sessions = open_sessions
        self._gateway_addresses = gateway_addresses
        self._door_key = door_key
        self._clock = clock
        self._welcome = welcome
        self._bans = bans

    def authorize(self, request: AuthorizeRequest) -> None:
        """Say whether an offered key may be this login's. It is not proven yet.

        Raises:
            Forbidden: no such user, not their key, or not theirs to enter; one answer for all.
        """
        login = self._login(request.login)
        if self._bans.is_banned(login.actor, request.address, request.public_key):
            raise Forbidden(REFUSED)
        if not self._authenticator.may_offer(
            login.actor, request.public_key, address=request.address
        ):
            raise Forbidden(REFUSED)
        self._check_access(login)

    def login_failed(self, request: FailedLogin) -> None:
        """A connection has ended whose keys were all refused."""
        self._bans.failed(self._login(request.login).actor, request.address)

    def _login(self, text: str) -> Login:
        try:
            return parse_login(text)
        except InvalidName:
            raise Forbidden(REFUSED) from None

    def _check_access(self, login: Login) -> None:
        """An admin may enter another person's workspace; everybody else only their own."""
        if login.actor == login.user:
            return
        known = self._readmodel.user(login.user) is not None
        if not known or not self._authenticator.is_admin(login.actor):
            raise Forbidden(REFUSED)

    async def open(self, request: SessionRequest) -> tuple[str, ServerRow]:
        """Open a session for a login that the user's key has signed.

        Returns:
            The session's id, and the server.

        Raises:
            BadRequest: a field is not base64.
            Forbidden: the proof does not prove it, or was used before.
            NotFound: the named workspace does not exist.
            TooMany: they have as many sessions as they may.
        """
        login = self._login(request.login)
        signed = decode_field(request.signed, "signed")
        signature = decode_field(request.signature, "signature")
        key = self._authenticator.verify_login(
            login.actor,
            request.login,
            request.public_key,
            signed,
            signature,
            address=request.address,
        )
        vouched = self._door_key.signed(
            session_id_of(signed), decode_field(request.door_signature, "door_signature")
        )
        if key is None or not vouched:
            raise Forbidden(REFUSED)
        self._check_access(login)
        origin.set(replace(origin.get(), actor=login.actor))
        self._bans.succeeded(login.actor, request.address, request.public_key)
        await self._welcome(login.actor)
        server = await self._servers.ensure(login.user, login.server)
        try:
            id = await self._open_row(request, login, key.fingerprint, server)
        except IntegrityError:
            raise Forbidden(REFUSED) from None  # the same signed request a second time
        await self._open_sessions.announce(login.actor, server)
        return id, server

    @retried
    async def _open_row(
        self, request: SessionRequest, login: Login, fingerprint: str, server: ServerRow
    ) -> str:
        async with self._store.begin() as session:
            await self._open_sessions.check_room(session, login.actor)
            now = await database_now(session, self._clock)
            row = db.Session(
                server_id=server.id,
                actor=login.actor,
                gateway=request.gateway[:64],
                address=request.address[:64],
                client_version=request.client_version[:255],
                key_fingerprint=fingerprint,
                proof=hashlib.sha256(decode_field(request.signed, "signed")).hexdigest(),
                started=now,
                last_report=now,
                last_activity=self._clock(),
            )
            session.add(row)
            await session.flush()
            message = f"{login.actor} from {row.address} with {fingerprint}"
            self._audit.record(
                session, "session.open", user=login.user, server=login.server, message=message
            )
        return row.id

    async def start_server(self, id: str) -> ServerRow:
        """Start the session's workspace, if it is not up already.

        Raises:
            NotFound: there is no such open session.
            TooMany: a limit is reached.
        """
        server = await self._open_sessions.server_of(id)
        try:
            return await self._servers.start(server.user, server.name)
        except AlreadyRunning:
            return await self._open_sessions.server_of(id)

    async def certificate(self, id: str, public_key: str, source: str) -> Certificate:
        """Return what opens the session's workspace.

        Args:
            id: the session.
            public_key: the gateway's key for this session, an OpenSSH line.
            source: the gateway's IP address, as it is seen here.

        Raises:
            NotFound: there is no such open session.
            Forbidden: it is to end.
            Conflict: the workspace is not ready.
            BadRequest: the public key is none.
        """
        actor, server = await self._open_sessions.actor_and_server(id)
        place = reach(server)
        certificate = self._authority.issue(
            public_key=public_key,
            principal=server.id,
            key_id=f"session {id} of {actor}",
            sources=await seen_addresses(
                source, place.host, place.port, configured=self._gateway_addresses
            ),
            x11=self._open_sessions.policy.x11_forwarding,
        )
        return Certificate(
            certificate=certificate,
            host=place.host,
            port=place.port,
            account=place.account,
            host_key=place.host_key,
        )
