"""Bytes in and out of a socket without a copy, and no more of them in memory than a buffer's worth.

A tunnel's two connections are wires. asyncio's own streams keep what a slow reader has not taken,
and copy it twice: here nothing is read before what was read last is written.
"""

import asyncio
import socket
from contextlib import suppress

LEAST = 32 * 1024
MOST = 512 * 1024
BULK = 48 * 1024
PAUSE_SECONDS = 0.001
"""How long a reader that was given much waits for more: so it is given it in few large pieces,
which takes half of the time of many small ones. What somebody types never waits."""

KEEP_SECONDS = 0.5
QUICK = 16 * 1024
"""Bytes at the beginning that are acknowledged at once: sshd sends the packets of a login with
Nagle's algorithm on, and would wait for each delayed acknowledgement (`ssh.quick`)."""

_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}


class Wire:
    """A connected TCP socket.

    Args:
        sock: it is this wire's from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._quick = QUICK if hasattr(socket, "TCP_QUICKACK") else 0

    async def readable(self) -> None:
        """Return when there is something to read, or the end."""
        came = self._loop.create_future()
        # By number: asyncio's selector takes a socket's text first, which is two system calls.
        self._loop.add_reader(self._sock.fileno(), _settle, came)
        try:
            await came
        finally:
            self._loop.remove_reader(self._sock.fileno())

    def read_into(self, buffer: memoryview) -> int | None:
        """Return how many bytes were read, 0 at the end, None when there are none now.

        Raises:
            OSError: the connection broke.
        """
        try:
            got = self._sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return None
        if self._quick > 0:
            self._quick -= got
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return got

    async def send(self, data: bytes | memoryview) -> None:
        """Send all of it.

        Raises:
            OSError: the connection broke.
        """
        await self._loop.sock_sendall(self._sock, data)

    def end(self) -> None:
        """Send no more."""
        self._shut(socket.SHUT_WR)

    def cut(self) -> None:
        """End both directions: whoever reads or sends is told at once."""
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        with suppress(OSError):  # the other end was faster, or it is closed
            self._sock.shutdown(how)

    def close(self) -> None:
        """Give the socket up; nobody may be reading or sending."""
        self._sock.close()


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class Inflow:
    """Reads a wire piece by piece; while nothing comes it holds no buffer.

    Args:
        wire: what to read.
        room: bytes to keep free before each piece.
    """

    def __init__(self, wire: Wire, room: int = 0) -> None:
        self._wire = wire
        self._room = room
        self._size = LEAST
        self._buffer: memoryview | None = None
        self._much = False

    async def next(self) -> memoryview | None:
        """Return the room and the next bytes; it is good until the next call. None is the end.

        Raises:
            OSError: the connection broke.
        """
        if self._much:
            await asyncio.sleep(PAUSE_SECONDS)
        while True:
            if self._buffer is None:
                await self._wire.readable()
                self._buffer = memoryview(bytearray(self._room + self._size))
            got = self._wire.read_into(self._buffer[self._room :])
            if got is None:
                await self._wait()
                continue
            piece = self._buffer[: self._room + got]
            self._much = got >= BULK
            if got == self._size < MOST:
                self._buffer, self._size = None, self._size * 2
            return piece if got else None

    async def _wait(self) -> None:
        """Wait for more; a large buffer is kept for a while, since what flows will go on."""
        if self._size > LEAST:
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_SECONDS):
                    await self._wire.readable()
                return
        self._buffer, self._size = None, LEAST


async def dial(host: str, port: int) -> Wire:
    """Connect.

    Raises:
        OSError: no address of the host answers.
    """
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"no address is known for {host}")
    for family, kind, proto, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except OSError as error:
            failure = error
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return Wire(sock)
    raise failure
