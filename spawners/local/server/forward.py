"""What the server dials, and where it listens, for its client (RFC 4254, section 7), as sshd does.

asyncssh does the copying. Here are sshd's words for what cannot be reached, and its care with
sockets in the file system: for the owner only, and never in the place of a file that is there.
"""

import asyncio
import os
import re
import socket
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

import asyncssh
from asyncssh.constants import MSG_CHANNEL_OPEN
from asyncssh.forward import SSHForwarder, SSHLocalPathForwarder
from asyncssh.listener import SSHForwardListener
from asyncssh.packet import SSHPacket

_ERRNO = re.compile(r"\[Errno (-?\d+)\] ")
_BIND_MASK = 0o177  # sshd_config(5), StreamLocalBindMask
_BACKLOG = 128
_HANDLERS = "_packet_handlers"


def keep_order(conn: asyncssh.SSHServerConnection) -> None:
    """Have a channel open only when it listens wherever the client asked for that before.

    sshd takes one request after the other, so that a command finds the ports of its `ssh -R`;
    asyncssh (2.24) opens channels while it still makes the listeners.
    """
    waiting: deque[tuple[int, int, SSHPacket]] = deque()
    report = conn._report_global_response  # noqa: SLF001

    def opens(
        _conn: asyncssh.SSHServerConnection, kind: int, sequence: int, packet: SSHPacket
    ) -> None:
        waiting.append((kind, sequence, packet))
        go_on()

    def reported(result: bool | bytes) -> None:
        report(result)
        go_on()

    def go_on() -> None:
        while waiting and not conn._global_request_queue:  # noqa: SLF001
            conn._process_channel_open(*waiting.popleft())  # noqa: SLF001

    setattr(conn, _HANDLERS, {**conn._packet_handlers, MSG_CHANNEL_OPEN: opens})  # noqa: SLF001
    conn._report_global_response = reported  # type: ignore[method-assign]  # noqa: SLF001


async def saying_why(dialling: Awaitable[SSHForwarder]) -> SSHForwarder:
    """Return what a connection comes to; a refusal names the reason as sshd does.

    Raises:
        ChannelOpenError: there is no connection.
    """
    try:
        return await dialling
    except asyncssh.ChannelOpenError as error:
        raise asyncssh.ChannelOpenError(error.code, _reason(error.reason)) from error


def _reason(text: str) -> str:
    """Return what is left of an OSError's text, be it of several addresses, for a person."""
    numbers = _ERRNO.findall(text)
    if not numbers:
        return text
    number = int(numbers[-1])
    return os.strerror(number) if number > 0 else text.rpartition("] ")[2]


async def listen_at(conn: asyncssh.SSHServerConnection, path: str) -> asyncssh.SSHListener:
    """Listen at a path, and forward to the client what connects there.

    Raises:
        OSError: there is something already, or nothing can be made there.
    """
    factory = Callable[[], asyncssh.SSHUNIXSession[bytes]]

    async def forward(
        made: factory,
    ) -> tuple[asyncssh.SSHUNIXChannel[bytes], asyncssh.SSHUNIXSession[bytes]]:
        return await conn.create_unix_connection(made, path)

    listening = socket.socket(socket.AF_UNIX)
    try:
        mask = os.umask(_BIND_MASK)
        try:
            listening.bind(path)
        finally:
            os.umask(mask)
        loop = asyncio.get_running_loop()
        make = partial(SSHLocalPathForwarder, conn, forward)
        if sys.version_info >= (3, 13):  # which would remove the socket in the end; sshd does not
            make_server = partial(loop.create_unix_server, cleanup_socket=False)
        else:
            make_server = loop.create_unix_server
        server = await make_server(make, sock=listening, backlog=_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return SSHForwardListener(conn, [server], path)
