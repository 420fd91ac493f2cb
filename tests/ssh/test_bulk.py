"""Fewer packets and fewer calls, and the same bytes."""

import asyncio
import os
from collections.abc import AsyncIterator

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_IGNORE
from asyncssh.packet import String, UInt32

from kworkspace.ssh.bulk import PIECE, make_bulk_cheap

DATA = os.urandom(1_500_001)


class Door(asyncssh.SSHServer):
    """Has its writes counted."""

    def __init__(self, cheap: bool, writes: list[int]) -> None:
        self._cheap = cheap
        self._writes = writes

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        transport = conn._transport
        assert transport is not None
        write = transport.write

        def count(data: bytes) -> None:
            self._writes.append(len(data))
            write(data)

        transport.write = count  # type: ignore[method-assign, assignment]
        if self._cheap:
            make_bulk_cheap(conn)

    def begin_auth(self, username: str) -> bool:
        return False


class Client(asyncssh.SSHClient):
    """Keeps why it ended."""

    def __init__(self, ends: list[Exception | None]) -> None:
        self._ends = ends

    def connection_lost(self, exc: Exception | None) -> None:
        self._ends.append(exc)


async def _echo(process: asyncssh.SSHServerProcess[bytes]) -> None:
    process.stdout.write(await process.stdin.read())
    process.exit(0)


@pytest.fixture(params=[True, False], ids=["cheap", "asyncssh's own"])
def cheap(request: pytest.FixtureRequest) -> bool:
    """Whether it is: asyncssh's own way shows that the tests see the difference."""
    return bool(request.param)


@pytest.fixture
async def connection(
    cheap: bool, writes: list[int], ends: list[Exception | None]
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: Door(cheap, writes),
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=_echo,
        encoding=None,
        line_editor=False,
    )
    async with (
        server,
        asyncssh.connect(
            "127.0.0.1",
            server.get_port(),
            client_factory=lambda: Client(ends),
            username="alice",
            known_hosts=None,
            config=None,
        ) as opened,
        asyncio.timeout(30),
    ):
        yield opened


@pytest.fixture
def writes() -> list[int]:
    """The sizes of what the server has written."""
    return []


@pytest.fixture
def ends() -> list[Exception | None]:
    """Why the client's connection ended."""
    return []


async def test_the_bytes_are_the_same_in_fewer_packets_and_writes(
    connection: asyncssh.SSHClientConnection, writes: list[int], cheap: bool
) -> None:
    kinds: list[int] = []
    take = connection.process_packet

    def note(kind: int, *rest: object) -> object:
        kinds.append(kind)
        return take(kind, *rest)  # type: ignore[arg-type]

    connection.process_packet = note  # type: ignore[assignment, method-assign]
    writes.clear()
    done = await connection.run(input=DATA, encoding=None, check=True)
    assert done.stdout == DATA
    assert sum(writes) > len(DATA)
    packets = len(DATA) // PIECE
    assert (MSG_IGNORE not in kinds) == cheap
    assert (len(writes) < packets) == cheap


async def test_what_is_said_last_arrives(
    connection: asyncssh.SSHClientConnection, ends: list[Exception | None]
) -> None:
    """The reason of the end was gathered too, and goes before it."""
    connection.send_packet(MSG_CHANNEL_DATA, UInt32(99), String(b"to no channel"))
    await connection.wait_closed()
    [end] = ends
    assert isinstance(end, asyncssh.ProtocolError), end


async def test_nothing_is_read_behind_the_end(
    connection: asyncssh.SSHClientConnection, cheap: bool
) -> None:
    """What came with the packet that ended it is as if it had not come."""
    if cheap:
        make_bulk_cheap(connection)
    handled: list[int] = []
    handle = connection._recv_data

    def note() -> None:
        handled.append(1)
        handle()

    connection._recv_data = note  # type: ignore[method-assign]
    connection.data_received(bytes(10 * PIECE))
    await connection.wait_closed()
    assert len(handled) == 1
