"""Which connections start a workspace is the hub's option; the others are told what to do."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import asyncssh
import pytest

from kworkspace.cli.client import models as m

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

READY = m.Progress(progress=100, message="Your workspace is ready", ready=True)
STARTING = m.Progress(message="Starting your workspace")
TOLD = b"The workspace is stopped, and this connection does not start it: "


@pytest.fixture
def stopped(stack: "Stack") -> "Iterator[Stack]":
    """A workspace that does not run and would start at once."""
    stack.server().state = m.ServerState.STOPPED
    stack.server().script = [STARTING, READY]
    stack.hub.go_on.set()
    yield stack
    stack.hub.start_on_connect = "always"


@pytest.mark.parametrize(
    ("option", "terminal", "starts"),
    [
        ("never", True, False),
        ("never", False, False),
        ("interactive", True, True),
        ("interactive", False, False),
        ("always", False, True),
    ],
)
def test_who_starts_it(
    stopped: "Stack", option: m.StartOnConnect, terminal: bool, starts: bool
) -> None:
    """One line says what to do instead; nothing is on stdout."""
    stopped.hub.start_on_connect = option
    ended = stopped.run(*(["-tt"] if terminal else []), "echo in")
    if starts:
        assert (ended.returncode, ended.stdout.strip()) == (0, b"in")
        return
    assert (ended.returncode, ended.stdout) == (255, b"")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(TOLD)
    assert b"kworkspace start" in line
    assert (b"ssh -t" in line) == (option == "interactive")
    assert stopped.server().state is m.ServerState.STOPPED


def test_what_runs_or_starts_is_used(stopped: "Stack") -> None:
    """Somebody else has started it: that is waited for."""
    stopped.hub.start_on_connect = "never"
    stopped.server().state = m.ServerState.STARTING
    assert stopped.run("echo in").stdout == b"in\n"
    assert stopped.run("echo again").stdout == b"again\n"


async def test_forwards_do_not_start_it_and_terminals_do(stopped: "Stack") -> None:
    """In one connection, and also when both ask at the same time."""
    stopped.hub.start_on_connect = "interactive"
    async with stopped.asyncssh() as conn:
        with pytest.raises(asyncssh.ChannelListenError):
            await conn.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 1)
        dialled, ran = await asyncio.gather(
            conn.open_connection("127.0.0.1", 1),
            conn.run("echo in", term_type="xterm"),
            return_exceptions=True,
        )
        assert isinstance(dialled, asyncssh.ChannelOpenError)
        assert isinstance(ran, asyncssh.SSHCompletedProcess)
        assert str(ran.stdout).strip() == "in"


async def test_client_that_waits_for_each_answer(stopped: "Stack") -> None:
    """It asks for the terminal, and for nothing more until that is granted."""
    stopped.hub.start_on_connect = "interactive"
    async with stopped.asyncssh() as conn:
        ended = await conn.run("echo in", term_type="xterm")
        assert str(ended.stdout).strip() == "in"
    stopped.server().state = m.ServerState.STOPPED
    async with stopped.asyncssh() as conn:
        with pytest.raises(asyncssh.ChannelOpenError, match="does not start it"):
            await conn.open_connection("127.0.0.1", 1)


async def test_a_client_that_waits_for_each_answer(stopped: "Stack") -> None:
    """What it asks for before the workspace runs is granted, and there when it does."""
    async with stopped.asyncssh() as conn:
        process = await conn.create_process(
            "tty; stty size; echo $LC_X", term_type="xterm", term_size=(91, 31), env={"LC_X": "y"}
        )
        assert (await process.stdout.readline()).startswith("/dev/pts/")
        assert await process.stdout.readline() == "31 91\r\n"
        assert await process.stdout.readline() == "y\r\n"
        assert (await process.wait()).exit_status == 0
