"""`ssh invite@HUB`: somebody with a code and any key, of whom the hub does not know anything yet.

The login opens one session channel, in which a code is asked for; every other channel and request
is refused, and a guest counts among those who have not logged in. The key that is added is the one
that signed, by the proof that the hub verifies. The code goes to the hub and nowhere else.
"""

import asyncio
import logging
from typing import Protocol

import asyncssh
import msgspec

from kworkspace.cli.client import calls
from kworkspace.cli.client import models as m
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import Forbidden, HubUnreachable, KworkspaceError, TooMany
from kworkspace.cli.client.names import Login
from kworkspace.cli.client.ports import ANY_ADDRESS, SSH_PORT, ssh_words
from kworkspace.cli.client.tasks import Tasks
from kworkspace.gateway.channels import UserChannel
from kworkspace.gateway.desk import FAILED, Desk
from kworkspace.gateway.hub import AWAY, patient
from kworkspace.gateway.texts import RESTARTING, plain

log = logging.getLogger(__name__)

GUEST_SECONDS = 300.0
"""How long an invitation's session may take."""
TRIES = 3


class House(Protocol):
    """What a guest needs of the house."""

    hub: AsyncClient
    door: m.SSHDoor | None


class Guest:
    """A connection whose login was `invite`.

    Args:
        house: what stands behind the door.
        conn: the connection.
        claim: the proof, still without a code.
    """

    def __init__(
        self, *, house: House, conn: asyncssh.SSHServerConnection, claim: m.InviteClaim
    ) -> None:
        self.tasks = Tasks()
        self._house = house
        self._conn = conn
        self._claim = claim
        self._has_channel = False
        self.tasks.spawn(self._leave_in_time(), "an invitation's time")

    async def _leave_in_time(self) -> None:
        await asyncio.sleep(GUEST_SECONDS)
        self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, "That took too long; connect again.")

    def channel(self) -> "GuestChannel":
        """Make the one session channel.

        Raises:
            ChannelOpenError: there is one already.
        """
        if self._has_channel:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "An invitation is one session"
            )
        self._has_channel = True
        return GuestChannel(self, self._conn)

    async def aclose(self) -> None:
        """The connection has ended."""
        await self.tasks.aclose()

    async def receive(self, desk: Desk) -> int:
        """Ask for a code and whether it is meant, add the key, and say how to go on."""
        desk.out("Welcome. With the code that you were given, the key that you came with becomes")
        desk.out("a key of your account. Ctrl-C leaves, and the code stays good.")
        found = await self._ask_for_code(desk)
        if found is None:
            return FAILED
        code, offer = found
        desk.out("")
        desk.out(f"Account  {offer.user}")
        desk.out(f"Key      {offer.fingerprint} ({offer.type})")
        if (await desk.ask("Add this key to this account? Type yes: ")).lower() != "yes":
            desk.err("Nothing was added; the code stays good.")
            return FAILED
        try:
            offer = await self._give(code, confirm=True)
        except HubUnreachable:
            raise HubUnreachable(
                f"The hub did not answer in time; try whether `{self._way_in(offer.user)}` works"
                " already."
            ) from None
        log.info("A key of %s was added by invitation: %s", plain(offer.user), offer.fingerprint)
        desk.out("Added. From now on you connect with:")
        desk.out(f"    {self._way_in(offer.user)}")
        return 0

    async def _ask_for_code(self, desk: Desk) -> tuple[str, m.InviteOffer] | None:
        for _ in range(TRIES):
            code = await desk.ask("Code: ")
            try:
                return code, await self._give(code, confirm=False)
            except Forbidden as error:
                desk.err(f"{error.message}.")
        return None

    async def _give(self, code: str, *, confirm: bool) -> m.InviteOffer:
        claim = msgspec.structs.replace(self._claim, code=code, confirm=confirm)
        try:
            return await patient(self._house.hub, calls.claim_invite(claim), once=confirm)
        except TooMany as error:
            raise KworkspaceError(
                f"{error.message} (try again in {error.retry_after} s)."
            ) from error
        except AWAY as error:
            log.warning("An invitation's code could not be asked about: %s", error.message)
            raise HubUnreachable(RESTARTING) from error

    def _way_in(self, user: str) -> str:
        door = self._house.door
        host = "HUB" if door is None or door.host in ANY_ADDRESS else door.host
        return ssh_words(Login(user), host, SSH_PORT if door is None else door.port)


class GuestChannel(asyncssh.SSHServerSession[bytes]):
    """A guest's session channel: a terminal if they want one, and the conversation."""

    is_joined = False

    def __init__(self, guest: Guest, conn: asyncssh.SSHServerConnection) -> None:
        self._guest = guest
        self._desk: Desk | None = None
        self._begins = False
        self.user = UserChannel(conn, self)

    def user_request(self, name: str, payload: bytes, want_reply: bool) -> None:
        """Grant a terminal and one beginning; refuse all else."""
        if name in {"shell", "exec"} and not self._begins:
            self._begins = True
            self.user.answer_soon(True)
        else:
            self.user.answer_soon(name == "pty-req" and not self._begins)

    def session_started(self) -> None:
        """The beginning was granted."""
        self._desk = Desk(self.user, self._guest.receive, self._guest.tasks)

    def user_interrupt(self) -> None:
        """Ctrl-C before the beginning: there is nothing to interrupt."""

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Something was typed."""
        if self._desk is not None:
            self._desk.feed(data)

    def eof_received(self) -> bool:
        """Nothing more will be typed; what is said still arrives."""
        if self._desk is not None:
            self._desk.feed_eof()
        return True

    def user_closed(self) -> None:
        """The guest has closed the channel."""
        self.user.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel has ended."""
        if self._desk is not None:
            self._desk.close()
