"""The HTTP port at which tunnels are opened: each connection from its request to its end.

It stands behind a proxy that speaks TLS, or on a loopback address. The hub decides by the token in
the request; until then a connection is a stranger, as at the SSH door.
"""

import asyncio
import logging
import socket
from contextlib import suppress

from kworkspace.cli.client import calls
from kworkspace.cli.client import models as m
from kworkspace.cli.client.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    KworkspaceError,
    NotFound,
    TooMany,
    Unauthorized,
    Unavailable,
)
from kworkspace.cli.client.proxies import Networks, client_address
from kworkspace.cli.client.tasks import Tasks
from kworkspace.gateway.house import House
from kworkspace.gateway.hub import AWAY, patient
from kworkspace.gateway.texts import RESTARTING, plain
from kworkspace.gateway.tunnel import Tunnel
from kworkspace.gateway.upgrade import END, MAX_HEAD, Upgrade, accepted, parse, refused
from kworkspace.gateway.wire import Wire

log = logging.getLogger(__name__)

REST_SECONDS = 0.5


class TunnelPort:
    """The listening socket.

    Args:
        house: what stands behind it.
        listener: bound, and listening.
        grace: seconds within which a request must have come.
        trusted: the proxies whose word on where a request came from counts.
    """

    def __init__(
        self, house: House, listener: socket.socket, grace: float, *, trusted: Networks = ()
    ) -> None:
        self._house = house
        self._listener = listener
        self._grace = grace
        self._trusted = trusted
        self._tasks = Tasks()
        self.port: int = listener.getsockname()[1]
        listener.setblocking(False)
        self._accepting = self._tasks.spawn(self._accept(), "accept tunnels")

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(self._listener)
            except OSError as error:  # the other end was faster, or there are no descriptors
                log.warning("A tunnel's connection cannot be taken: %s", error)
                await asyncio.sleep(REST_SECONDS)
                continue
            caller = Caller(self._house, Wire(sock), str(address[0]), self._trusted)
            self._tasks.spawn(caller.run(self._grace), "tunnel")

    async def close(self) -> None:
        """Take no more connections; those that there are go on."""
        self._accepting.cancel()
        with suppress(asyncio.CancelledError):
            await self._accepting
        self._listener.close()

    async def aclose(self) -> None:
        """End what is left."""
        await self._tasks.aclose()


class Caller:
    """One connection.

    Args:
        house: what stands behind the port.
        wire: the connection.
        address: the IP address that it comes from.
        trusted: the proxies whose word on that counts.
    """

    def __init__(self, house: House, wire: Wire, address: str, trusted: Networks) -> None:
        self._house = house
        self._wire = wire
        self.address = address
        self._trusted = trusted
        self.standing = 0

    def abort(self) -> None:
        """Too many wait, and this one goes."""
        self._wire.cut()

    def send_away(self, reason: str) -> None:
        """The gateway ends."""
        self._wire.cut()

    async def run(self, grace: float) -> None:
        """Answer its request, and be its tunnel until that ends."""
        tunnel: Tunnel | None = None
        reason = "the user disconnected"
        self._house.arrive(self)
        try:
            async with asyncio.timeout(grace) as limit:
                upgrade, leftover = await self._request()
                request = self._ask(upgrade)
                tunnel = Tunnel(
                    hub=self._house.hub,
                    person=self._wire,
                    opened=await self._open(request),
                    request=request,
                )
                self._house.enter(self, tunnel)
                log.info("Session %s of %s opened, a tunnel", tunnel.id, tunnel.name)
                await self._wire.send(accepted(upgrade))
                limit.reschedule(None)
            reason = await tunnel.run(leftover)
        except KworkspaceError as error:
            await self._refuse(error)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self._wire.cut()
        finally:
            if tunnel is not None:
                await tunnel.aclose()
            self._house.depart(self, tunnel, reason)
            self._wire.close()

    async def _request(self) -> tuple[Upgrade, bytes]:
        """Return the request, and what came after it."""
        head = bytearray()
        buffer = memoryview(bytearray(4096))
        while (end := head.find(END)) < 0:
            if len(head) > MAX_HEAD:
                raise BadRequest("The request is too long")
            await self._wire.readable()
            got = self._wire.read_into(buffer)
            if got == 0:
                raise asyncio.IncompleteReadError(bytes(head), None)
            head += buffer[: got or 0]
        self.standing = 1
        return parse(bytes(head[:end])), bytes(head[end + len(END) :])

    def _ask(self, upgrade: Upgrade) -> m.TunnelRequest:
        if not upgrade.token:
            raise Unauthorized("This needs a token: Authorization: token TOKEN")
        self.address = client_address(self.address, [upgrade.forwarded], self._trusted)
        return m.TunnelRequest(
            gateway=self._house.instance,
            token=upgrade.token,
            user=upgrade.user,
            server=upgrade.server,
            address=self.address,
            client_version=plain(upgrade.agent)[:255],
        )

    async def _open(self, request: m.TunnelRequest) -> m.Tunnel:
        """Have the hub open a session.

        Raises:
            KworkspaceError: for the person.
        """
        try:
            return await patient(self._house.hub, calls.open_tunnel(request))
        except (BadRequest, Forbidden, NotFound, TooMany):
            log.info("Tunnel refused for %s from %s", plain(request.user), self.address)
            raise
        except Conflict as error:
            log.info("Token refused for %s from %s", plain(request.user), self.address)
            raise Unauthorized(error.message) from None
        except AWAY as error:
            log.warning("Tunnel of %s turned away: %s", plain(request.user), error.message)
            raise Unavailable(RESTARTING) from error
        except KworkspaceError as error:
            log.error("The hub cannot say who may have a tunnel: %s", error.message)
            raise Unavailable("Nobody gets a tunnel for now; tell your administrator") from error

    async def _refuse(self, error: KworkspaceError) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(REST_SECONDS):
                await self._wire.send(refused(error))
        self._wire.end()
