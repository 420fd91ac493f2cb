"""The user's side of a connection: who may come in, and what may be opened once they are.

One `Visitor` for each TCP connection, made by asyncssh. Publickey only. The hub decides about a
key that is offered; identity is the key that signed, taken when authentication has completed, and
the hub verifies the signature itself. Every refusal looks the same: an unknown or impossible name
is asked about like any other.
"""

import logging
from base64 import b64encode
from collections.abc import Awaitable
from typing import Protocol

import asyncssh

from kworkspace.cli.client import calls
from kworkspace.cli.client import models as m
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import (
    BadRequest,
    Forbidden,
    InvalidName,
    KworkspaceError,
    NotFound,
)
from kworkspace.cli.client.names import INVITE, parse_login
from kworkspace.gateway.certificate import offered_line, pass_certificates
from kworkspace.gateway.channels import UserChannel
from kworkspace.gateway.farewell import disconnect
from kworkspace.gateway.host_key import sign_door
from kworkspace.gateway.hub import AWAY, patient
from kworkspace.gateway.invite import Guest, GuestChannel
from kworkspace.gateway.proof import Proof, keep_proof
from kworkspace.gateway.relay import SessionRelay
from kworkspace.gateway.session import Session
from kworkspace.gateway.texts import RESTARTING, plain
from kworkspace.ssh.bulk import make_bulk_cheap
from kworkspace.ssh.quick import acknowledge_quickly

log = logging.getLogger(__name__)

MAX_OFFERS = 20
"""Keys that one connection may try; an agent may hold many, guessing does not help anyhow."""

STAND_IN_LOGIN = "0" * 64
"""Asked about in place of a name that the grammar does not allow, so that it takes as long."""


class House(Protocol):
    """What stands behind the door."""

    hub: AsyncClient
    instance: str
    host_key: asyncssh.SSHKey
    door: m.SSHDoor | None

    def arrive(self, visitor: "Visitor") -> None:
        """A connection came."""

    def enter(self, visitor: "Visitor", session: Session) -> None:
        """A login completed."""

    def refused(self, login: str, address: str) -> None:
        """A connection ended without a login."""

    def depart(self, visitor: "Visitor", session: Session | Guest | None, reason: str) -> None:
        """A connection ended."""


class Visitor(asyncssh.SSHServer):
    """One connection of somebody's."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._conn: asyncssh.SSHServerConnection | None = None
        self._address = ""
        self._offers = 0
        self._authenticates = False
        self._refused: set[str] = set()
        self._granted: set[tuple[str, str]] = set()
        self._proof: Proof | None = None
        self._session: Session | None = None
        self._guest: Guest | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """A TCP connection came."""
        self._conn = conn
        peer = conn.get_extra_info("peername")  # which is gone when the connection is
        self._address = str(peer[0]) if peer else ""
        make_bulk_cheap(conn)
        acknowledge_quickly(conn)
        pass_certificates(conn)
        self._house.arrive(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended, however."""
        reason = "the user disconnected" if exc is None else plain(str(exc))
        self._house.depart(self, self._session or self._guest, reason)
        if self._session is None:
            for login in self._refused:
                self._house.refused(login, self.address)

    def begin_auth(self, username: str) -> bool:
        """Everybody must authenticate."""
        self._authenticates = True
        return True

    def public_key_auth_supported(self) -> bool:
        """The only way in."""
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether the hub may take this key or its certificate, offered or proven, for this login.

        Raises:
            DisconnectError: nobody can say, or too many keys were tried.
        """
        self._proof = None
        line = offered_line(key)
        if username == INVITE and "-cert-v" in line.partition(" ")[0]:
            return False  # what can be added is a key
        if username != INVITE and (username, line) not in self._granted:
            self._offers += 1
            if self._offers > MAX_OFFERS:
                raise asyncssh.DisconnectError(
                    asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
                    "Too many keys were tried; name the right one with IdentityFile.",
                )
            if not await self._ask(username, line):
                log.info("Key refused for %s from %s", plain(username), self.address)
                return False
            self._granted.add((username, line))
        keep_proof(key, self._keep)
        return True

    async def _ask(self, username: str, line: str) -> bool:
        login, possible = username, True
        try:
            parse_login(username)
        except InvalidName:
            login, possible = STAND_IN_LOGIN, False
        request = m.AuthorizeRequest(login=login, public_key=line, address=self.address)
        try:
            await patient(self._house.hub, calls.authorize(request))
        except AWAY as error:
            log.warning("Login of %s turned away: %s", plain(username), error.message)
            raise asyncssh.DisconnectError(
                asyncssh.DISC_SERVICE_NOT_AVAILABLE, RESTARTING
            ) from error
        except (Forbidden, NotFound, BadRequest):
            if possible:
                self._refused.add(login)
            return False
        except KworkspaceError as error:
            log.error("The hub cannot say who may log in: %s", error.message)
            raise asyncssh.DisconnectError(
                asyncssh.DISC_SERVICE_NOT_AVAILABLE,
                "Nobody can log in for now; tell your administrator.",
            ) from error
        return possible

    def _keep(self, proof: Proof) -> None:
        self._proof = proof

    def auth_completed(self) -> None:
        """The door opened: by the proof that was kept last, or it closes again."""
        conn, proof = self._conn, self._proof
        assert conn is not None
        if proof is None:
            log.error("A login completed without a proof; this asyncssh is not supported")
            conn.disconnect(asyncssh.DISC_BY_APPLICATION, "The login could not be verified.")
            return
        door_signature = sign_door(self._house.host_key, proof.session_id)
        if proof.login == INVITE:
            self._receive_guest(conn, proof, door_signature)
            return
        version = conn.get_extra_info("client_version", "")
        request = m.SessionRequest(
            gateway=self._house.instance,
            login=proof.login,
            public_key=proof.public_key,
            signed=b64encode(proof.signed).decode("ascii"),
            signature=b64encode(proof.signature).decode("ascii"),
            door_signature=b64encode(door_signature).decode("ascii"),
            address=self.address,
            client_version=plain(version),
        )
        self._session = Session(hub=self._house.hub, user=conn, request=request)
        self._house.enter(self, self._session)
        self._session.tasks.spawn(self._session.open(), "open session")

    def _receive_guest(
        self, conn: asyncssh.SSHServerConnection, proof: Proof, door_signature: bytes
    ) -> None:
        """Let somebody in who has nothing but an invitation, and stays a stranger."""
        claim = m.InviteClaim(
            code="",
            confirm=False,
            public_key=proof.public_key,
            signed=b64encode(proof.signed).decode("ascii"),
            signature=b64encode(proof.signature).decode("ascii"),
            door_signature=b64encode(door_signature).decode("ascii"),
            address=self.address,
        )
        self._guest = Guest(house=self._house, conn=conn, claim=claim)

    def session_requested(
        self,
    ) -> tuple[UserChannel, SessionRelay] | tuple[UserChannel, GuestChannel] | bool:
        """A session channel: open at once, so that the start can be seen in it."""
        if self._guest is not None:
            channel = self._guest.channel()
            return channel.user, channel
        if self._session is None:
            return False
        relay = self._session.relay()
        return relay.user, relay

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Awaitable[asyncssh.SSHTCPSession[bytes]] | bool:
        """A direct-tcpip channel: dialled in the workspace."""
        if self._session is None:
            return False
        return self._session.forward().dial(dest_host, dest_port, orig_host, orig_port)

    def server_requested(
        self, listen_host: str, listen_port: int
    ) -> Awaitable[asyncssh.SSHListener | bool] | bool:
        """A request to listen (ssh -R): in the workspace."""
        if self._session is None:
            return False
        return self._session.listen((listen_host, listen_port))

    def unix_connection_requested(
        self, dest_path: str
    ) -> Awaitable[asyncssh.SSHUNIXSession[bytes]] | bool:
        """A direct-streamlocal channel: to a socket in the workspace."""
        if self._session is None:
            return False
        return self._session.forward().dial_path(dest_path)

    def unix_server_requested(
        self, listen_path: str
    ) -> Awaitable[asyncssh.SSHListener | bool] | bool:
        """A request to listen at a path (ssh -R): in the workspace."""
        if self._session is None:
            return False
        return self._session.listen(listen_path)

    @property
    def standing(self) -> int:
        """How far they have come: 0 silent, 1 greets, 2 authenticates."""
        greeted = self._conn is not None and bool(self._conn.get_extra_info("client_version"))
        return 2 if self._authenticates else int(greeted)

    @property
    def address(self) -> str:
        """The IP address that they came from."""
        return self._address

    def abort(self) -> None:
        """Close the connection without a word."""
        if self._conn is not None:
            self._conn.abort()

    def send_away(self, reason: str) -> None:
        """Disconnect somebody who has not logged in yet."""
        if self._conn is not None:
            disconnect(self._conn, asyncssh.DISC_BY_APPLICATION, reason)
