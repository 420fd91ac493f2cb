"""A slow reader of a forward grows nothing: asyncssh on both sides, and its own forwarding."""

import asyncio
from contextlib import suppress

import asyncssh
import pytest
from asyncssh.channel import SSHChannel

from kworkspace.ssh.window import keep_window, keep_windows


class Channel:
    """Delivers what waits until it is paused, as asyncssh does."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self.paused = True

    def pause_reading(self) -> None:
        """Stop."""
        self.paused = True

    def resume_reading(self) -> None:
        """Go on."""
        self.paused = False
        while self.waiting and not self.paused:
            self.waiting -= 1
            self.pause_reading()


def test_all_that_waits_is_taken_before_it_stops() -> None:
    channel = Channel(5)
    keep_window(channel)
    channel.resume_reading()
    assert (channel.waiting, channel.paused) == (0, True)


class Server(asyncssh.SSHServer):
    """Forwards, and keeps the channels that it does it by."""

    def __init__(self, kept: bool, channels: list[SSHChannel[bytes]]) -> None:
        self._kept = kept
        self._channels = channels

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Take the connection."""
        if self._kept:
            keep_windows(conn)
        make = conn.create_tcp_channel

        def making() -> SSHChannel[bytes]:
            self._channels.append(make())
            return self._channels[-1]

        setattr(conn, "create_tcp_channel", making)  # noqa: B010  a method of its own

    def begin_auth(self, username: str) -> bool:
        """Let everybody in."""
        return False

    def connection_requested(self, *_: object) -> bool:
        """Forward."""
        return True


@pytest.mark.parametrize("kept", [True, False])
async def test_what_waits_of_a_forward_is_a_window(kept: bool) -> None:
    """Without it, it is more, or asyncssh needs it no longer."""
    channels: list[SSHChannel[bytes]] = []
    waiting: list[int] = []
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    enough = asyncio.Event()

    async def read_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(200):
            await reader.readexactly(32768)
            await asyncio.sleep(0.002)
            waiting.append(sum(len(data) for data, _ in channels[0]._recv_buf))
        enough.set()
        writer.close()

    async with (
        await asyncio.start_server(read_slowly, "127.0.0.1", 0, limit=1024) as service,
        asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: Server(kept, channels),
            server_host_keys=[host_key],
        ) as ssh,
        asyncssh.connect("127.0.0.1", ssh.get_port(), known_hosts=None, config=None) as conn,
    ):
        _, writer = await conn.open_connection("127.0.0.1", service.sockets[0].getsockname()[1])
        with suppress(OSError, asyncssh.Error):  # the reader closes in the end
            while not enough.is_set():
                writer.write(bytes(65536))
                await writer.drain()
    assert (max(waiting) <= 2 * 1024 * 1024) is kept
