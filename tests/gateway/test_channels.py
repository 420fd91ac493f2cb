"""Requests that OpenSSH's programs cannot make, or not as root: passed on as they came.

The workspace is an SSH server of asyncssh here, which writes down what it is asked for.
"""

import asyncio
import getpass
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import asyncssh
import pytest
from asyncssh.misc import TermModes, TermSize
from asyncssh.packet import String

from kworkspace.cli.client import models as m
from kworkspace.gateway.channels import accepts_env

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack


class Recorder(asyncssh.SSHServerSession[bytes]):
    """A command that ends when it is told to, and writes down what it was asked."""

    def __init__(self, seen: list[tuple[object, ...]]) -> None:
        self._seen = seen

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """Keep the channel."""
        self._channel = chan

    def exec_requested(self, command: str) -> bool:
        """Take any command."""
        self._seen.append(("exec", command))
        return True

    def pty_requested(self, term_type: str, term_size: TermSize, term_modes: TermModes) -> bool:
        """Write down the terminal."""
        self._seen.append(("pty", term_type, term_size, dict(term_modes)))
        return True

    def session_started(self) -> None:
        """Be there."""
        self._channel.write(b"go\n")

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Write down the new size."""
        self._seen.append(("size", width, height, pixwidth, pixheight))

    def break_received(self, msec: int) -> bool:
        """Write down the length."""
        self._seen.append(("break", msec))
        return True

    def signal_received(self, signal: str) -> None:
        """End as if the signal had killed it."""
        self._seen.append(("signal", signal))
        self._channel.write_stderr(b"last words\n")
        self._channel.exit_with_signal(signal, True, "killed by a test", "en")


@pytest.fixture
async def seen(stack: "Stack", _without_sshd: None) -> AsyncIterator[list[tuple[object, ...]]]:
    """What alice's workspace was asked for."""
    seen: list[tuple[object, ...]] = []

    conns: list[asyncssh.SSHServerConnection] = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            conns.append(conn)

        def session_requested(self) -> Recorder:
            return Recorder(seen)

    authority = stack.hub.authority.export_public_key().decode()
    async with asyncssh.listen(
        "127.0.0.1",
        stack.sshd.port,
        config=None,
        server_factory=Server,
        server_host_keys=[stack.sshd.host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(
            f'cert-authority,principals="{stack.sshd.principal},{getpass.getuser()}" {authority}'
        ),
        line_editor=False,
        encoding=None,
    ):
        yield seen
        for conn in conns:
            await conn.wait_closed()


@pytest.fixture
def _without_sshd(stack: "Stack") -> Iterator[None]:
    stack.sshd.kill()
    yield
    stack.sshd.start()


async def test_signal_and_how_it_ended(stack: "Stack", seen: list[tuple[object, ...]]) -> None:
    """Signal to the workspace; exit signal with core, message and language to the user."""
    async with stack.asyncssh() as conn:
        process = await conn.create_process("serve", encoding=None)
        assert await process.stdout.readline() == b"go\n"
        process.send_signal("USR1")
        assert await process.stderr.read() == b"last words\n"
        await process.wait()
    assert process.exit_signal == ("USR1", True, "killed by a test", "en")
    assert seen == [("exec", "serve"), ("signal", "USR1")]


async def test_break_sizes_and_modes(stack: "Stack", seen: list[tuple[object, ...]]) -> None:
    """The terminal as it was asked for, in the order in which things were asked."""
    modes = {asyncssh.PTY_ECHO: 0, asyncssh.PTY_VINTR: 3, asyncssh.PTY_OP_OSPEED: 38400}
    async with stack.asyncssh() as conn:
        process = await conn.create_process(
            "serve",
            encoding=None,
            term_type="screen-256color",
            term_size=(100, 40, 800, 600),
            term_modes=modes,
        )
        assert await process.stdout.readline() == b"go\n"
        process.change_terminal_size(101, 41, 801, 601)
        process.channel.send_break(250)
        process.send_signal("TERM")
        await process.wait()
    assert seen == [
        ("pty", "screen-256color", (100, 40, 800, 600), modes),
        ("exec", "serve"),
        ("size", 101, 41, 801, 601),
        ("break", 250),
        ("signal", "TERM"),
    ]


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("LANG", True),
        ("LC_ALL", True),
        ("TZ", True),
        ("GIT_AUTHOR_NAME", True),
        ("LD_PRELOAD", False),
        ("PATH", False),
        ("BASH_ENV", False),
        ("LANGUAGES", False),
    ],
)
def test_accepted_environment(name: str, accepted: bool) -> None:
    """What changes which program runs is not accepted."""
    assert accepts_env(String(name) + String("value")) is accepted


def test_environment_that_is_no_name() -> None:
    """A request cut short is refused."""
    assert not accepts_env(b"\0\0\0\x09LANG")
    assert not accepts_env(String("LANG"))


def test_environment_that_is_too_long() -> None:
    """8 KiB are plenty for a value."""
    assert accepts_env(String("LC_ALL") + String(b"x" * 8192))
    assert not accepts_env(String("LC_ALL") + String(b"x" * 8193))


def _environment(size: int) -> dict[str, str]:
    """Return variables of 4 kB each, `size` of them."""
    return {f"LC_{number}": "x" * 4000 for number in range(size)}


async def test_waiting_requests_are_bounded_in_bytes(stack: "Stack") -> None:
    """While a workspace starts, 256 KiB of requests may wait; with more the connection ends."""
    stack.server().state = m.ServerState.STARTING
    stack.server().script = [m.Progress(progress=100, message="Ready", ready=True)]
    async with stack.asyncssh() as greedy:
        await asyncio.to_thread(stack.wait_for, stack.opened, "the session at the gateway")
        with pytest.raises((asyncssh.Error, ConnectionError)):
            await asyncio.wait_for(greedy.run("true", env=_environment(70)), 20)
    stack.wait_for(lambda: "Too many channel requests" in stack.hub.ended.values(), "its end")
    async with stack.asyncssh() as modest:
        begun = modest.create_process("cat", env=_environment(60))
        asyncio.get_running_loop().call_later(0.3, stack.hub.go_on.set)
        process = await asyncio.wait_for(begun, 20)
        # What was answered waits no longer: as much again may come.
        for _ in range(60):
            assert (
                await process.channel._make_request(b"env", String("LC_X"), String("x" * 4000))
                is False
            )
        process.stdin.write_eof()
        assert (await process.wait()).exit_status == 0


async def test_requests_wait_while_a_workspace_reads_nothing(stack: "Stack") -> None:
    """What asks for no answer is not piled up in front of a workspace that is frozen."""
    async with stack.asyncssh() as conn:
        process = await conn.create_process("echo ready; cat")
        assert await process.stdout.readline() == "ready\n"
        before = len(stack.hub.ended)
        with stack.sshd.frozen():
            # One at a time, as fast as each is dealt with.
            for _ in range(200):
                process.channel._send_request(b"window-change", b"x" * 100_000)
                await asyncio.sleep(0.005)
            await asyncio.wait_for(conn.wait_closed(), 20)
    stack.wait_for(lambda: len(stack.hub.ended) > before, "its end")
    assert list(stack.hub.ended.values())[-1] == "Too many channel requests"
