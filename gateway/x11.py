"""X11 forwarding (RFC 4254, section 6.3): windows of programs in a workspace on the user's screen.

The user asks in a session channel, which `relay` passes on where the hub allows it; the workspace's
sshd then listens, and opens a channel for each program that comes. Such a channel goes to the user
of that connection and to nobody else, and only for what they have asked. The cookie of a request
passes in its bytes: nothing here reads it.
"""

from collections.abc import Awaitable, Callable

import asyncssh
from asyncssh.channel import SSHX11Channel
from asyncssh.packet import PacketDecodeError, SSHPacket

from kworkspace.gateway.forward import End, Forward

_X11_OPENS = "_process_x11_open"


class Screen:
    """What a user has lent of their screen.

    Attributes:
        allowed: whether the hub lets them.
    """

    def __init__(self) -> None:
        self.allowed = False
        self._any = False
        self._single = 0

    def lend(self, payload: bytes) -> bool:
        """Take an x11-req into account; whether it may be passed on.

        Args:
            payload: the request's own fields; the first says that it is for one program alone.
        """
        if not self.allowed:
            return False
        try:
            single = SSHPacket(payload).get_boolean()
        except PacketDecodeError:
            return False
        self._single += single
        self._any = self._any or not single
        return True

    def take(self) -> None:
        """A program of the workspace comes.

        Raises:
            ChannelOpenError: the user has not asked for it, or not for one more.
        """
        if self._any:
            return
        if not self._single:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "The user has lent no screen"
            )
        self._single -= 1


def join_screens(
    conn: asyncssh.SSHClientConnection,
    user: asyncssh.SSHServerConnection,
    make: Callable[[], Forward],
) -> None:
    """Join each X11 channel that a workspace opens to one of its user.

    asyncssh (2.24) would look for a display of this machine's, and finds what answers by this
    name. `tests/gateway/test_x11.py` fails when an asyncssh does this differently.

    Args:
        conn: the connection into the workspace.
        user: the user's connection.
        make: returns a new pair; raises ChannelOpenError when there may be none.
    """

    def opened(packet: SSHPacket) -> tuple[SSHX11Channel, Awaitable[End]]:
        host, port = packet.get_string().decode("ascii", "replace"), packet.get_uint32()
        packet.check_end()
        forward = make()

        async def open_far(far: Callable[[], End]) -> None:
            await user.create_x11_channel().open(far, host, port)

        return conn.create_x11_channel(), forward.join(open_far)

    setattr(conn, _X11_OPENS, opened)
