"""direct-tcpip: dialled inside the workspace, with its refusals, half-close and many at once."""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import asyncssh
import pytest

from kworkspace.cli.client import models as m

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

PAGE = b"page " * 100_000


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve connections on a port of the loopback, which is the workspace's network here."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    with connection:
                        serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def _echo_all_then_page(connection: socket.socket) -> None:
    """Answer only when the request has ended: half-close must go through."""
    connection.settimeout(20)
    size = 0
    while chunk := connection.recv(65536):
        size += len(chunk)
    connection.sendall(f"{size}\n".encode() + PAGE)


def test_stdio_forward_keeps_half_close(stack: "Stack") -> None:
    """`ssh -W`, which ProxyJump uses: ends of both directions, and all bytes."""
    with listening(_echo_all_then_page) as port:
        *options, host = stack.ssh()
        command = [*options, "-W", f"127.0.0.1:{port}", host]
        sent = b"x" * 300_000
        ended = subprocess.run(command, input=sent, capture_output=True, timeout=20, check=False)
    assert ended.stdout == b"300000\n" + PAGE
    assert ended.returncode == 0


async def test_many_forwards_at_once(stack: "Stack") -> None:
    """Each has its own bytes and its own end."""
    with listening(_echo_all_then_page) as port:
        async with stack.asyncssh() as conn:
            for size in range(1, 20):
                reader, writer = await conn.open_connection("127.0.0.1", port)
                writer.write(b"x" * size)
                writer.write_eof()
                assert await reader.read() == f"{size}\n".encode() + PAGE
                writer.close()
                await writer.wait_closed()


async def test_refusal_of_the_workspace_is_passed_on(stack: "Stack") -> None:
    """Code and reason are sshd's own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with stack.asyncssh() as conn:
        with pytest.raises(asyncssh.ChannelOpenError, match="Connection refused") as refused:
            await conn.open_connection("127.0.0.1", port)
    assert refused.value.code == asyncssh.OPEN_CONNECT_FAILED


async def test_it_is_the_workspace_that_dials(stack: "Stack") -> None:
    """sshd's own permission decides, so it is sshd that was asked."""
    stack.sshd.kill()
    stack.sshd.start("AllowTcpForwarding no")
    try:
        async with stack.asyncssh() as conn:
            with pytest.raises(asyncssh.ChannelOpenError) as refused:
                await conn.open_connection("127.0.0.1", stack.hub.port)
        assert refused.value.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
    finally:
        stack.sshd.kill()
        stack.sshd.start()


async def test_forward_starts_the_workspace(stack: "Stack") -> None:
    """A connection without any session channel: VS Code's, or `ssh -N -L`."""
    stack.server().state = m.ServerState.STOPPED
    stack.server().script = [m.Progress(progress=100, message="Ready", ready=True)]
    stack.hub.go_on.set()
    with listening(_echo_all_then_page) as port:
        async with stack.asyncssh() as conn:
            reader, writer = await conn.open_connection("127.0.0.1", port)
            writer.write_eof()
            assert (await reader.readline()) == b"0\n"


async def test_failed_start_refuses_the_forward(stack: "Stack") -> None:
    """With the reason."""
    stack.server().state = m.ServerState.STOPPED
    stack.server().script = [m.Progress(progress=100, message="no image", failed=True)]
    stack.hub.go_on.set()
    async with stack.asyncssh() as conn:
        with pytest.raises(asyncssh.ChannelOpenError, match="did not start: no image"):
            await conn.open_connection("127.0.0.1", 1)


async def test_sockets_are_the_workspaces(stack: "Stack") -> None:
    """Unix sockets too are for the workspace's sshd to allow, and the connection lives."""
    stack.sshd.kill()
    stack.sshd.start("AllowStreamLocalForwarding no")
    path = stack.sshd.folder / "s"
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            async with stack.asyncssh() as conn:
                with pytest.raises(asyncssh.ChannelOpenError):
                    await conn.open_unix_connection(str(path))
                with pytest.raises(asyncssh.ChannelListenError):
                    await conn.forward_remote_path(f"{path}2", "/tmp/kw-nobody")
                assert (await conn.run("echo alive")).stdout == "alive\n"
    finally:
        path.unlink()
        stack.sshd.kill()
        stack.sshd.start()
