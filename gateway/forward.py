"""A channel of one side, joined to one that is opened on the other side for it.

From the user: direct-tcpip (RFC 4254, section 7.2) and its like for Unix sockets (OpenSSH's
PROTOCOL, section 2.4). From the workspace: forwarded-tcpip (7.2), its like, and what speaks to the
user's agent. The gateway never dials what a user names: the workspace does, and NetworkPolicy
bounds it there. A refusal of the other side is passed on with code and reason.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, cast

import asyncssh

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.gateway.flow import Flow, Joined, Side
from kworkspace.gateway.relay import Show
from kworkspace.gateway.texts import plain


class Backstage(Protocol):
    """What a forward needs of its session."""

    async def workspace(self, show: Show) -> asyncssh.SSHClientConnection:
        """Return the connection to the workspace, started if need be."""

    def touch(self) -> None:
        """Something went through."""

    def leave(self, joined: Joined) -> None:
        """The forward has ended."""


class Forward:
    """A pair of channels.

    Args:
        session: whose.
        near: the side from which the first of the two was opened.
    """

    def __init__(self, session: Backstage, near: Side) -> None:
        self._session = session
        self._near_side = near
        self._to_near = Flow()
        self._to_far = Flow()
        self._near = End(session, self._to_far, self._to_near)
        self._far = End(session, self._to_near, self._to_far)
        self._near.far, self._far.far = self._far, self._near

    def flow_to(self, side: Side) -> Flow:
        """Return the direction towards a side."""
        return self._to_near if side == self._near_side else self._to_far

    async def dial(
        self, host: str, port: int, origin_host: str, origin_port: int
    ) -> asyncssh.SSHTCPSession[bytes]:
        """Have the workspace connect; as `join`."""

        async def open_far(far: Callable[[], End]) -> None:
            conn = await self._session.workspace(unseen)
            await conn.create_connection(far, host, port, origin_host, origin_port)

        return await self.join(open_far)

    async def dial_path(self, path: str) -> asyncssh.SSHUNIXSession[bytes]:
        """Have the workspace connect to a socket in its file system; as `join`."""

        async def open_far(far: Callable[[], End]) -> None:
            conn = await self._session.workspace(unseen)
            await conn.create_unix_connection(as_unix(far), path)

        return cast("asyncssh.SSHUNIXSession[bytes]", await self.join(open_far))

    async def join(self, open_far: Callable[[Callable[[], "End"]], Awaitable[object]]) -> "End":
        """Open the other side's channel, and return the session for the one that is there.

        Args:
            open_far: opens it, with the function that returns its session.

        Raises:
            ChannelOpenError: the other side refused, or there is none; passed on.
        """
        self._to_near.stop("opening")
        try:
            await open_far(lambda: self._far)
        except KworkspaceError as error:
            self._session.leave(self)
            reason = plain(error.message)
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, reason) from error
        except BaseException:
            self._session.leave(self)
            raise
        self._near.on_made = lambda: self._to_near.go("opening")
        self._near.on_lost = lambda: self._session.leave(self)
        return self._near


def unseen(line: str) -> None:
    """A forward has no stderr: progress is not shown."""


def as_unix(far: "Callable[[], End]") -> Callable[[], asyncssh.SSHUNIXSession[bytes]]:
    """Return a factory of sessions as one for Unix sockets, whose calls are the same."""
    return cast("Callable[[], asyncssh.SSHUNIXSession[bytes]]", far)


class End(asyncssh.SSHTCPSession[bytes]):
    """One end of a forward."""

    far: "End"

    def __init__(self, session: Backstage, onwards: Flow, back: Flow) -> None:
        self._session = session
        self._onwards = onwards
        self._back = back
        self.channel: asyncssh.SSHTCPChannel[bytes] | None = None
        self.on_made = _nothing
        self.on_lost = _nothing

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        """The channel is open."""
        self.channel = chan
        self._onwards.open(chan)
        self.on_made()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Bytes for the other end."""
        self._session.touch()
        far = self.far.channel
        if far is not None and not far.is_closing():
            far.write(data)

    def eof_received(self) -> bool:
        """No more bytes from here; the other direction goes on."""
        if self.far.channel is not None:
            self.far.channel.write_eof()
        return True

    def pause_writing(self) -> None:
        """This end takes no more for now."""
        self._back.stop("window")

    def resume_writing(self) -> None:
        """This end takes more again."""
        self._back.go("window")

    def connection_lost(self, exc: Exception | None) -> None:
        """This end has closed: so does the other, after what is still on its way."""
        self._back.end()
        if self.far.channel is not None:
            self.far.channel.close()
        self.on_lost()


def _nothing() -> None:
    """What is done when there is nothing to do."""
