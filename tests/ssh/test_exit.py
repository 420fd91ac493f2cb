"""Exit statuses that are told before the channel's end, commands of any bytes, quick logins."""

import asyncio
from collections.abc import AsyncIterator

import asyncssh
import pytest

from kworkspace.ssh.command import accept_any_command, command_bytes
from kworkspace.ssh.exit import send_exit_signal, send_exit_status
from kworkspace.ssh.quick import acknowledge_quickly

Channel = asyncssh.SSHServerChannel[bytes]


class Told(asyncssh.SSHServerSession[bytes]):
    """Tells how it ended, writes on, and closes when the client says so."""

    def connection_made(self, chan: Channel) -> None:
        self._channel = chan
        accept_any_command(chan)

    def exec_requested(self, command: str) -> bool:
        self._command = command_bytes(command)
        return True

    def session_started(self) -> None:
        kind, _, value = self._command.partition(b" ")
        if kind == b"status":
            send_exit_status(self._channel, int(value))
        elif kind == b"signal":
            send_exit_signal(self._channel, value.decode(), core_dumped=True)
        self._channel.write(b"after: " + self._command)

    def eof_received(self) -> bool:
        self._channel.close()
        return True


class Door(asyncssh.SSHServer):
    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        acknowledge_quickly(conn)

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> Told:
        return Told()


@pytest.fixture
async def connection() -> AsyncIterator[asyncssh.SSHClientConnection]:
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Door,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        encoding=None,
        line_editor=False,
    )
    async with (
        server,
        asyncssh.connect(
            "127.0.0.1", server.get_port(), username="alice", known_hosts=None, config=None
        ) as opened,
    ):
        yield opened


@pytest.mark.parametrize(
    ("command", "status", "signal"),
    [
        ("status 0", 0, None),
        ("status 255", 255, None),
        ("signal TERM", -1, ("TERM", True, "", "")),
        ("signal RTMIN", -1, ("SIG@openssh.com", True, "", "")),
    ],
)
async def test_told_while_the_channel_stays_open(
    connection: asyncssh.SSHClientConnection,
    command: str,
    status: int,
    signal: tuple[str, bool, str, str] | None,
) -> None:
    process = await connection.create_process(command, encoding=None)
    assert await process.stdout.read(7 + len(command)) == f"after: {command}".encode()
    assert process.channel.get_exit_status() == status
    assert process.channel.get_exit_signal() == signal
    assert not process.channel.is_closing()
    process.stdin.write_eof()
    await asyncio.wait_for(process.wait_closed(), 10)


async def test_a_closed_channel_is_told_nothing(connection: asyncssh.SSHClientConnection) -> None:
    process = await connection.create_process("status 1", encoding=None)
    process.channel.abort()
    await asyncio.wait_for(process.wait_closed(), 10)


def test_commands_come_back_as_they_came() -> None:
    for command in (b"plain", "ä".encode(), b"\xff\xfe\xe4", b""):
        assert command_bytes(command.decode("utf-8", "surrogateescape")) == command
