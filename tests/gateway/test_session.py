"""Start on connect, one connection for all channels, and what is said when it does not work."""

import asyncio
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from kworkspace.cli.client import models as m
from kworkspace.gateway.session import MAX_CHANNELS

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

PULLING = m.Progress(progress=30, message="Pulling the image\x1b[31m")
READY = m.Progress(progress=100, message="Your workspace is ready", ready=True)
FAILED = m.Progress(progress=100, message="the image does not exist", failed=True)


def _stopped(stack: "Stack", *script: m.Progress) -> None:
    stack.server().state = m.ServerState.STOPPED
    stack.server().script = list(script)


def test_starts_on_connect_with_progress_on_stderr(stack: "Stack") -> None:
    """Progress is on stderr, harmless, and stdout has nothing but the command's output."""
    _stopped(stack, PULLING, PULLING, READY)
    ssh = stack.open("echo out; echo err >&2; exit 3")
    ssh.read_until(err=b"Pulling the image\\x1b[31m\n")
    assert ssh.out == b""
    stack.hub.go_on.set()
    assert ssh.finish() == 3
    assert ssh.out == b"out\n"
    assert ssh.err == b"Pulling the image\\x1b[31m\nYour workspace is ready\nerr\n"


def test_progress_on_a_terminal_begins_each_line_at_its_start(stack: "Stack") -> None:
    """A terminal in raw mode needs a carriage return."""
    _stopped(stack, PULLING, READY)
    stack.hub.go_on.set()
    ssh = stack.open("-tt", "echo in the workspace")
    assert ssh.finish() == 0
    assert ssh.err.startswith(b"Pulling the image\\x1b[31m\r\nYour workspace is ready\r\n")
    assert ssh.out == b"in the workspace\r\n"


def test_input_typed_while_it_starts_arrives(stack: "Stack") -> None:
    """What came before the workspace was ready is not lost, and not cut."""
    _stopped(stack, PULLING, READY)
    ssh = stack.open("cat")
    ssh.send(b"typed early\n")
    ssh.read_until(err=b"Pulling")
    stack.hub.go_on.set()
    assert ssh.finish() == 0
    assert ssh.out == b"typed early\n"


def test_failed_start_says_why_and_ends_with_255(stack: "Stack") -> None:
    """The reason and what to do on stderr, nothing on stdout."""
    _stopped(stack, PULLING, FAILED)
    stack.hub.go_on.set()
    ended = stack.run("echo never")
    assert ended.returncode == 255
    assert ended.stdout == b""
    assert b"did not start: the image does not exist. Try again" in ended.stderr


def test_control_c_ends_the_wait_and_not_the_start(stack: "Stack") -> None:
    """In a terminal Ctrl-C is a byte; the hub goes on starting."""
    _stopped(stack, PULLING, READY)
    ssh = stack.open("-tt")
    ssh.read_until(err=b"Pulling")
    ssh.send(b"\x03")
    assert ssh.finish() == 255
    assert b"goes on starting" in ssh.err
    assert stack.server().state is m.ServerState.STARTING


def test_leaving_during_the_wait_closes_the_session(stack: "Stack") -> None:
    """A client that is killed leaves nothing behind, and the start goes on."""
    from_before = set(stack.hub.ended)
    _stopped(stack, PULLING, READY)
    ssh = stack.open("true")
    ssh.read_until(err=b"Pulling")
    ssh.kill()
    stack.wait_for(lambda: set(stack.hub.ended) - from_before, "end of the session")
    assert stack.server().state is m.ServerState.STARTING


def test_start_is_followed_over_a_restart_of_the_hub(stack: "Stack") -> None:
    """The hub goes away while somebody waits, and comes back."""
    _stopped(stack, PULLING, READY)
    ssh = stack.open("echo there")
    ssh.read_until(err=b"Pulling")
    stack.hub.stop()
    stack.hub.go_on.set()
    stack.hub.start()
    assert ssh.finish() == 0
    assert ssh.out == b"there\n"


def test_another_host_key_is_refused(stack: "Stack") -> None:
    """Only the workspace that the hub pinned is talked to."""
    stack.server().host_key = asyncssh.generate_private_key("ssh-ed25519")
    ended = stack.run("echo never")
    assert ended.returncode == 255
    assert ended.stdout == b""
    assert b"another host key" in ended.stderr


def test_many_channels_share_one_connection(stack: "Stack", tmp_path: Path) -> None:
    """ControlMaster: one login, one certificate, many commands at once."""
    socket = tmp_path / "master"
    master = stack.open("-M", "-S", str(socket), "-N")
    stack.wait_for(socket.exists, "control socket")
    before = len(stack.hub.calls)
    slave = ["ssh", "-F", "none", "-S", str(socket), "alice@127.0.0.1"]
    running = [
        subprocess.Popen([*slave, f"echo {n}; exit {n}"], stdout=subprocess.PIPE)
        for n in range(1, 21)
    ]
    for n, process in enumerate(running, 1):
        assert process.communicate(timeout=20)[0] == f"{n}\n".encode()
        assert process.returncode == n
    calls = [call for call in stack.hub.calls[before:] if "certificate" in call]
    assert len(calls) <= 1
    subprocess.run([*slave[:-1], "-O", "exit", slave[-1]], check=True, capture_output=True)
    master.finish()


@pytest.mark.parametrize("size", ["80x24", "132x50"])
async def test_terminal_size_and_its_changes_arrive(stack: "Stack", size: str) -> None:
    """The first size with the terminal, later ones as they come."""
    columns, rows = map(int, size.split("x"))
    async with stack.asyncssh() as conn:
        process = await conn.create_process(
            "stty size; trap 'stty size; exit' WINCH; echo go; while :; do sleep 0.02; done",
            term_type="xterm",
            term_size=(columns, rows),
        )
        assert await process.stdout.readline() == f"{rows} {columns}\r\n"
        assert await process.stdout.readline() == "go\r\n"
        process.change_terminal_size(columns + 1, rows + 1)
        assert await process.stdout.readline() == f"{rows + 1} {columns + 1}\r\n"


async def test_ended_commands_leave_room_in_their_connection(stack: "Stack") -> None:
    """Whoever closes first: here it is the workspace, as after an interactive shell."""
    async with stack.asyncssh() as conn:
        for number in range(MAX_CHANNELS + 1):
            assert (await conn.run(f"exit {number % 2}")).exit_status == number % 2


async def test_channels_of_one_connection_are_bounded(stack: "Stack") -> None:
    """The one too many is refused with the code for it, of whichever kind; later there is room."""
    stack.server().state = m.ServerState.STARTING
    stack.server().script = [m.Progress(progress=100, message="Ready", ready=True)]
    async with stack.asyncssh() as conn:
        waiting = asyncio.gather(
            *(conn.open_connection("127.0.0.1", 1) for _ in range(MAX_CHANNELS)),
            return_exceptions=True,
        )
        for one_more in (conn.open_connection("127.0.0.1", 1), conn.run("true")):
            with pytest.raises(asyncssh.ChannelOpenError) as refused:
                await asyncio.wait_for(one_more, 20)
            assert refused.value.code == asyncssh.OPEN_RESOURCE_SHORTAGE
        assert not waiting.done()
        stack.hub.go_on.set()
        for error in await waiting:
            assert isinstance(error, asyncssh.ChannelOpenError)
            assert error.code == asyncssh.OPEN_CONNECT_FAILED
        assert (await conn.run("true")).exit_status == 0
