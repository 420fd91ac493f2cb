"""What a workspace opens towards its user: forwarded ports and the agent; to nobody else."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

import asyncssh
import pytest

from kworkspace.gateway import session
from tests.gateway.conftest import run
from tests.gateway.openssh import SSHD, wait_for
from tests.gateway.stand_in_hub import ServerOf
from tests.gateway.test_forward import PAGE, _echo_all_then_page, listening
from tests.ports import free_port
from tests.ssh_agent import agent_with

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack


def through(stack: "Stack", agent: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    *command, host = stack.ssh()
    return subprocess.run(
        [*command, *words[:-1], host, words[-1]],
        env=os.environ | {"SSH_AUTH_SOCK": str(agent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_the_agent_is_lent(stack: "Stack") -> None:
    """`ssh -A`: what `ssh-add -l` shows there, and what is signed there, comes from here."""
    with agent_with(stack.keys["alice-second"]) as agent:
        here = subprocess.run(
            ["ssh-add", "-l"],
            env=os.environ | {"SSH_AUTH_SOCK": str(agent)},
            capture_output=True,
            text=True,
            check=True,
        )
        there = through(stack, agent, "-A", "ssh-add -l; ls -ld $SSH_AUTH_SOCK >/dev/null")
        assert (there.returncode, there.stdout) == (0, here.stdout), there.stderr
        public = stack.folder / "signs.pub"
        key = asyncssh.read_private_key(stack.keys["alice-second"])
        public.write_bytes(key.export_public_key())
        signed = through(stack, agent, "-A", f"echo x | ssh-keygen -Y sign -n test -f {public}")
        assert signed.stdout.startswith("-----BEGIN SSH SIGNATURE-----"), signed.stderr


def test_no_agent_without_being_asked(stack: "Stack") -> None:
    with agent_with(stack.keys["alice-second"]) as agent:
        refused = through(stack, agent, "-a", "echo sock=$SSH_AUTH_SOCK; ssh-add -l")
        assert refused.stdout == "sock=\n"
        assert refused.returncode == 2


class Grabber(asyncssh.SSHServer):
    """A workspace that opens a channel to the agent, whoever comes and whatever they asked for."""

    port = 0
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    principal = "root"  # asyncssh wants the login name there
    answers: ClassVar[list[str]] = []

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_ca_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return True

    def session_requested(self) -> "Callable[..., Awaitable[None]]":
        return self._grab

    async def _grab(
        self,
        stdin: object,
        stdout: "asyncssh.SSHWriter[str]",
        stderr: object,
    ) -> None:
        listener = self._conn._agent_listener
        self._conn._agent_listener = listener or object()  # type: ignore[assignment]
        agent = asyncssh.SSHAgentClient(self._conn)
        try:
            self.answers.append(f"{len(list(await agent.get_keys()))} keys")
        except (OSError, asyncssh.Error, ValueError) as error:
            self.answers.append(str(error))
        finally:
            self._conn._agent_listener = listener
            agent.close()
            await agent.wait_closed()
        cast("asyncssh.SSHServerChannel[str]", stdout.channel).exit(0)


async def test_a_workspace_that_grabs_at_the_agent(stack: "Stack") -> None:
    Grabber.answers.clear()
    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=Grabber, server_host_keys=[Grabber.host_key]
    ) as acceptor:
        Grabber.port = acceptor.get_port()
        stack.hub.servers["alice"] = ServerOf(cast("SSHD", Grabber()))
        with agent_with(stack.keys["alice-second"]) as agent:
            for flag in ("-a", "-A"):
                ended = await asyncio.to_thread(through, stack, agent, flag, "true")
                assert ended.returncode == 0, ended.stderr
    assert Grabber.answers == ["The user has lent no agent", "1 keys"]


class Slow(Grabber):
    """A workspace that takes its time to listen."""

    order: ClassVar[list[str]] = []

    async def server_requested(self, listen_host: str, listen_port: int) -> bool:
        await asyncio.sleep(0.1)
        self.order.append("listens")
        return True

    def session_requested(self) -> "Callable[..., Awaitable[None]]":
        self.order.append("begins")
        return super().session_requested()


async def test_a_command_can_be_sure_of_its_ports(stack: "Stack") -> None:
    """As with sshd, which does one thing after the other: -R is there before what uses it."""
    Slow.order.clear()
    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=Slow, server_host_keys=[Slow.host_key]
    ) as acceptor:
        Slow.port = acceptor.get_port()
        stack.hub.servers["alice"] = ServerOf(cast("SSHD", Slow()))
        *command, host = stack.ssh()
        ports = [word for i in (1, 2, 3) for word in ("-R", f"0:127.0.0.1:{i}")]
        ended = await asyncio.to_thread(run, [*command, *ports, host, "true"])
        assert ended.returncode == 0, ended.stderr
    assert Slow.order == [*["listens"] * 3, "begins"]


async def test_the_agent_of_one_session_is_no_other_ones(stack: "Stack") -> None:
    with agent_with(stack.keys["alice-second"]) as agent:
        *command, host = stack.ssh()
        lender = await asyncio.create_subprocess_exec(
            *(*command, "-A", host, "echo $SSH_AUTH_SOCK; cat"),
            env=os.environ | {"SSH_AUTH_SOCK": str(agent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert lender.stdout is not None
        path = (await asyncio.wait_for(lender.stdout.readline(), 20)).decode().strip()
        # The lender's own works; it is another session's, which shares nothing with it.
        assert Path(path).is_socket()
        async with stack.asyncssh() as conn:
            shown = await conn.run("ssh-add -l; echo $?")
            assert str(shown.stdout).strip().endswith("2")
        lender.terminate()
        await lender.communicate()
        wait_for(lambda: not Path(path).exists(), "end of the agent's socket")


@pytest.mark.parametrize("port", [0, None])
async def test_remote_forward(stack: "Stack", port: int | None) -> None:
    """`ssh -R`: the workspace listens, and what it accepts comes out at the user's side."""
    with listening(_echo_all_then_page) as target:
        async with stack.asyncssh() as conn:
            listener = await conn.forward_remote_port(
                "localhost", free_port() if port is None else port, "127.0.0.1", target
            )
            for size in (1, 300_000):
                reader, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
                writer.write(b"x" * size)
                writer.write_eof()
                assert await asyncio.wait_for(reader.read(), 20) == f"{size}\n".encode() + PAGE
                writer.close()
                await writer.wait_closed()
            listener.close()
            await listener.wait_closed()
            await _until_refused(listener.get_port())


async def _until_refused(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.02)


def test_remote_forward_of_openssh_ends_with_it(stack: "Stack") -> None:
    """-R, -L and -D beside each other, with OpenSSH's client."""
    remote, local, dynamic = free_port(), free_port(), free_port()
    with listening(_echo_all_then_page) as target:
        *command, host = stack.ssh()
        forwards = ["-R", f"{remote}:127.0.0.1:{target}", "-L", f"{local}:127.0.0.1:{remote}"]
        process = subprocess.Popen(
            [*command, *forwards, "-D", f"127.0.0.1:{dynamic}", host, "echo up; cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        for port in (remote, local):
            assert _ask(port) == b"5\n" + PAGE
        # A connection by SOCKS 5 (RFC 1928): no authentication, CONNECT, an IPv4 address.
        hello, address = b"\x05\x01\x00", socket.inet_aton("127.0.0.1")
        request = b"\x05\x01\x00\x01" + address + remote.to_bytes(2, "big")
        assert _ask(dynamic, (hello, 2), (request, 10)) == b"5\n" + PAGE
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    asyncio.run(_until_refused(remote))


def _ask(port: int, *greetings: tuple[bytes, int]) -> bytes:
    """Say hello and return the answer, after greetings with answers of that many bytes."""

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for greeting, size in greetings:
            writer.write(greeting)
            await asyncio.wait_for(reader.readexactly(size), 20)
        writer.write(b"hello")
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await writer.wait_closed()
        return answer

    return asyncio.run(ask())


async def test_it_is_the_workspace_that_listens(stack: "Stack") -> None:
    """sshd's own permission decides, so it is sshd that was asked."""
    stack.sshd.kill()
    stack.sshd.start("AllowTcpForwarding no")
    try:
        async with stack.asyncssh() as conn:
            with pytest.raises(asyncssh.ChannelListenError):
                await conn.forward_remote_port("localhost", 0, "127.0.0.1", 1)
            assert (await conn.run("echo alive")).stdout == "alive\n"
    finally:
        stack.sshd.kill()
        stack.sshd.start()


async def test_nobody_listens_where_it_should_lead(stack: "Stack") -> None:
    """The user's side refuses: the workspace closes what it accepted."""
    async with stack.asyncssh() as conn:
        listener = await conn.forward_remote_port("localhost", 0, "127.0.0.1", free_port())
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        await writer.wait_closed()
        assert (await conn.run("echo alive")).stdout == "alive\n"


async def test_listeners_are_bounded(stack: "Stack") -> None:
    async with stack.asyncssh() as conn:
        for _ in range(session.MAX_LISTENERS):
            await conn.forward_remote_port("localhost", 0, "127.0.0.1", 1)
        with pytest.raises(asyncssh.ChannelListenError):
            await conn.forward_remote_port("localhost", 0, "127.0.0.1", 1)
        assert (await conn.run("echo alive")).stdout == "alive\n"
