"""Channels that a workspace opens towards its user: forwarded ports and the user's agent.

They come over the one connection that a session has into its workspace, so they can go to that
session's user and to nobody else: forwarded-tcpip where the user has asked to listen (RFC 4254,
section 7.1), the same of Unix sockets (OpenSSH's PROTOCOL, section 2.4), and agent channels where
they have lent their agent (draft-ietf-sshm-ssh-agent).
Whatever else a workspace opens is refused by asyncssh.
"""

from collections.abc import Awaitable, Callable
from typing import cast

import asyncssh
from asyncssh.channel import SSHUNIXChannel
from asyncssh.packet import SSHPacket

from kworkspace.gateway.forward import End, Forward, as_unix

_AGENT_OPENS = "_process_auth_agent_at_openssh_dot_com_open"


def join_agents(
    conn: asyncssh.SSHClientConnection,
    user: asyncssh.SSHServerConnection,
    make: Callable[[], Forward],
) -> None:
    """Join each agent channel that a workspace opens to one of its user.

    asyncssh (2.24) would dial an agent of this machine's, and finds what answers by this name.
    `tests/gateway/test_backward.py` fails when an asyncssh does this differently.

    Args:
        conn: the connection into the workspace.
        user: the user's connection.
        make: returns a new pair; raises ChannelOpenError when there may be none.
    """

    def opened(packet: SSHPacket) -> tuple[SSHUNIXChannel[bytes], Awaitable[End]]:
        packet.check_end()
        forward = make()
        channel = conn.create_unix_channel()

        async def open_far(far: Callable[[], End]) -> None:
            await user.create_agent_channel().open(as_unix(far))

        return channel, forward.join(open_far)

    setattr(conn, _AGENT_OPENS, opened)


async def listen(
    conn: asyncssh.SSHClientConnection,
    user: asyncssh.SSHServerConnection,
    host: str,
    port: int,
    make: Callable[[], Forward],
) -> asyncssh.SSHListener:
    """Have a workspace listen, and join what it accepts to channels of its user.

    Args:
        conn: the connection into the workspace.
        user: the user's connection.
        host: where to listen, as the user wrote it; the workspace decides what it means.
        port: 0 takes a free one.
        make: returns a new pair; raises ChannelOpenError when there may be none.

    Raises:
        ChannelListenError: the workspace refused.
    """

    async def accept(origin_host: str, origin_port: int) -> End:
        async def open_far(far: Callable[[], End]) -> None:
            await user.create_connection(far, host, listener.get_port(), origin_host, origin_port)

        return await make().join(open_far)

    listener = await conn.create_server(accept, host, port)
    return listener


async def listen_at_path(
    conn: asyncssh.SSHClientConnection,
    user: asyncssh.SSHServerConnection,
    path: str,
    make: Callable[[], Forward],
) -> asyncssh.SSHListener:
    """As `listen`, at a socket in the workspace's file system."""

    async def accept() -> asyncssh.SSHUNIXSession[bytes]:
        async def open_far(far: Callable[[], End]) -> None:
            await user.create_unix_connection(as_unix(far), path)

        return cast("asyncssh.SSHUNIXSession[bytes]", await make().join(open_far))

    return await conn.create_unix_server(accept, path)
