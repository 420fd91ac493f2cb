"""eow@openssh.com between asyncssh and OpenSSH's own client, in both directions."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from kworkspace.ssh.eow import on_eow, send_eow
from kworkspace.ssh.version import SERVER_VERSION

LINES = b"y\n" * 100_000  # more than a channel takes before it says pause


class Yes(asyncssh.SSHServerSession[bytes]):
    """Writes `y` lines until it is told that nobody reads them."""

    def __init__(self, told: asyncio.Event) -> None:
        self._told = told

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan
        on_eow(chan, self._eow)

    def exec_requested(self, command: str) -> bool:
        return True

    def session_started(self) -> None:
        self._channel.write(LINES)

    def resume_writing(self) -> None:
        self._channel.write(LINES)

    def eof_received(self) -> bool:
        return True

    def _eow(self) -> None:
        self._told.set()
        self._channel.exit(7)


class Door(asyncssh.SSHServer):
    def __init__(self, told: asyncio.Event) -> None:
        self._told = told

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> Yes:
        return Yes(self._told)


@pytest.fixture
def told() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def port(told: asyncio.Event) -> AsyncIterator[int]:
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: Door(told),
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        server_version=SERVER_VERSION,
        encoding=None,
        line_editor=False,
    )
    async with server:
        yield server.get_port()


async def test_openssh_tells_a_server_with_our_version(
    port: int, told: asyncio.Event, tmp_path: Path
) -> None:
    ssh = (
        f"ssh -F none -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={tmp_path}/known"
        " -o IdentityFile=none -o IdentityAgent=none -o LogLevel=ERROR"
        f" -p {port} alice@127.0.0.1 yes"
    )
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f"{ssh} </dev/null | head -1; exit ${{PIPESTATUS[0]}}", stdout=subprocess.PIPE
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert told.is_set()
    assert (process.returncode, output) == (7, b"y\n")


async def test_a_client_channel_tells_the_server(port: int, told: asyncio.Event) -> None:
    async with asyncssh.connect(
        "127.0.0.1", port, username="alice", known_hosts=None, config=None, encoding=None
    ) as connection:
        reader = Reader()
        channel, _ = await connection.create_session(lambda: reader, "yes", encoding=None)
        assert not told.is_set()
        send_eow(channel)
        await asyncio.wait_for(channel.wait_closed(), 20)
        assert told.is_set()
        assert channel.get_exit_status() == 7
        assert reader.received
        send_eow(channel)  # closed: nothing happens


class Reader(asyncssh.SSHClientSession[bytes]):
    def __init__(self) -> None:
        self.received = 0

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.received += len(data)
