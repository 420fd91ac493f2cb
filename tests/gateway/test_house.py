"""The hub hears of sessions and commands them; it may be away; and the gateway ends politely."""

import asyncio
import contextlib
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from kworkspace.cli.client import models as m
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.gateway.door import Visitor
from kworkspace.gateway.host_key import public_line
from kworkspace.gateway.house import House
from kworkspace.gateway.session import Session
from kworkspace.gateway.texts import SHUTTING_DOWN

if TYPE_CHECKING:
    from tests.gateway.conftest import GatewayProcess, Stack


def _session(stack: "Stack") -> str:
    """Return the id of the session that was opened last."""
    return list(stack.hub.sessions)[-1]


def test_end_command_shows_the_message_and_closes(stack: "Stack") -> None:
    """One line in the terminal, exit status 255, and the hub hears that it ended."""
    ssh = stack.open("-tt", "echo ready; sleep 60")
    ssh.read_until(out=b"ready")
    session = _session(stack)
    other = stack.open("echo ready; sleep 1; echo lives")
    other.read_until(out=b"ready")
    stack.hub.command(m.Command(kind="end", sessions=[session], message="Stopped:\x1b[2J idle"))
    assert ssh.finish() == 255
    assert b"Stopped:\\x1b[2J idle\r\n" in ssh.err
    stack.wait_for(lambda: session in stack.hub.ended, "end of the session")
    assert stack.hub.ended[session] == "Stopped:\\x1b[2J idle"
    assert other.finish() == 0


def test_message_command_only_shows(stack: "Stack") -> None:
    """The session goes on."""
    ssh = stack.open("echo ready; cat")
    ssh.read_until(out=b"ready")
    command = m.Command(kind="message", sessions=[_session(stack)], message="It stops in 5 min.")
    stack.hub.command(command)
    ssh.read_until(err=b"It stops in 5 min.\n")
    ssh.send(b"still here\n")
    assert ssh.finish() == 0
    assert ssh.out == b"ready\nstill here\n"


def test_session_lives_while_the_hub_is_away(stack: "Stack") -> None:
    """Input and output go on; the end is told when the hub is back; so are door and sessions."""
    ssh = stack.open("echo ready; cat")
    ssh.read_until(out=b"ready")
    session = _session(stack)
    staying = stack.open("echo ready; cat")
    staying.read_until(out=b"ready")
    stays = _session(stack)
    stack.hub.stop()
    ssh.send(b"without a hub\n")
    ssh.read_until(out=b"without a hub")
    assert ssh.finish() == 0
    assert session not in stack.hub.ended
    reports = len(stack.hub.reports)
    stack.hub.start()
    stack.wait_for(lambda: session in stack.hub.ended, "end of the session")
    assert stack.hub.ended[session] == "the user disconnected"

    def reported() -> list[list[str]]:
        """Return what this gateway has reported since; another test's may report too."""
        return [
            [activity.id for activity in report.sessions]
            for report in stack.hub.reports[reports:]
            if report.door.port == stack.gateway.port
        ]

    stack.wait_for(reported, "report")
    assert reported()[-1] == [stays]
    assert staying.finish() == 0


def test_login_while_the_hub_is_away_is_told_so(stack: "Stack") -> None:
    """Not "wrong key"; after a few seconds of patience."""
    stack.hub.stop()
    begun = time.monotonic()
    ended = stack.run("true")
    stack.hub.start()
    assert ended.returncode == 255
    assert b"The hub is restarting; try again in a few seconds." in ended.stderr
    assert b"Permission denied" not in ended.stderr
    assert 2 < time.monotonic() - begun < 10


def test_login_during_a_short_restart_succeeds(stack: "Stack") -> None:
    """Who logs in while the hub restarts only waits a little."""
    stack.hub.stop()
    ssh = stack.open("echo in")
    time.sleep(0.5)
    stack.hub.start()
    assert ssh.finish() == 0
    assert ssh.out == b"in\n"


def test_sigterm_tells_the_terminals_and_ends_quickly(
    stack: "Stack", new_gateway: "Callable[[], GatewayProcess]"
) -> None:
    """A line in each session, what was printed before it is complete, exit status 0."""
    stack.gateway = new_gateway()
    others = set(stack.hub.sessions)
    terminal = stack.open("-tt", "echo ready; sleep 60")
    terminal.read_until(out=b"ready")
    forward = stack.open("-N", "-L", "127.0.0.1:0:127.0.0.1:1")
    plain = stack.open("echo ready; sleep 60")
    plain.read_until(out=b"ready")
    sessions = set(stack.hub.sessions) - others
    assert sessions
    begun = time.monotonic()
    assert stack.gateway.terminate() == 0
    assert time.monotonic() - begun < 5
    message = SHUTTING_DOWN.encode()
    for live in (terminal, plain):
        assert live.finish() == 255
        assert message in live.err
    assert forward.finish() == 255
    assert {stack.hub.ended.get(session) for session in sessions} == {SHUTTING_DOWN}
    assert "Traceback" not in stack.gateway.log.read_text()


def test_killed_hub_does_not_end_the_gateway(stack: "Stack") -> None:
    """It has a process group of its own, and no parent that it needs."""
    stack.hub.stop()
    stack.hub.start()
    assert stack.run("true").returncode == 0
    assert stack.gateway.process.poll() is None


@dataclass
class Home:
    """A house in this process, with its door open."""

    stack: "Stack"
    house: House
    port: int
    lost: asyncio.Queue[Exception | None] = field(default_factory=asyncio.Queue)

    @contextlib.asynccontextmanager
    async def visit(self, user: str = "alice") -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Connect; how each connection ended is in `lost`."""
        lost = self.lost

        class Client(asyncssh.SSHClient):
            def connection_lost(self, exc: Exception | None) -> None:
                lost.put_nowait(exc)

        async with asyncssh.connect(
            "127.0.0.1",
            self.port,
            config=None,
            client_factory=Client,
            username=user,
            client_keys=[str(self.stack.keys[user])],
            known_hosts=None,
            agent_path=None,
        ) as conn:
            yield conn


@pytest.fixture
async def home(stack: "Stack", tmp_path: Path) -> AsyncIterator[Home]:
    """The house, known to the hub."""
    token = tmp_path / "token"
    token.write_text(stack.hub.token)
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    async with AsyncClient(stack.hub.url, token) as hub:
        house = House(hub=hub, instance=str(uuid.uuid4()), host_key=host_key)
        async with asyncssh.listen(
            "127.0.0.1",
            0,
            config=None,
            server_factory=lambda: Visitor(house),
            server_host_keys=[host_key],
            encoding=None,
        ) as acceptor:
            port = acceptor.get_port()
            house.begin(m.SSHDoor(host="127.0.0.1", port=port, host_keys=[public_line(host_key)]))
            await asyncio.to_thread(stack.wait_for, lambda: port in stack.hub.doors, "report")
            yield Home(stack, house, port)
            await house.aclose()


async def test_requests_go_on_when_a_workspace_reads_again(home: Home) -> None:
    """What waits in front of a stalled workspace is passed on, in its order."""
    command = "trap 'stty size' WINCH; echo ready; while read line; do echo $line; done"
    async with home.visit() as conn:
        process = await conn.create_process(command, term_type="xterm")
        assert "ready" in await process.stdout.readline()
        (session,) = home.house._sessions
        assert isinstance(session, Session)
        session._stall("workspace", True)
        process.change_terminal_size(123, 45)
        process.stdin.write("marker\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.stdout.readuntil("45 123"), 0.3)
        session._stall("workspace", False)
        await asyncio.wait_for(process.stdout.readuntil("45 123"), 20)


def test_workspace_that_dies_is_told_honestly(stack: "Stack") -> None:
    """Killed in the middle of a transfer: a line on stderr, 255, no hang."""
    ssh = stack.open("echo ready >&2; cat /dev/zero")
    ssh.read_until(err=b"ready", out=b"\0" * 1000)
    stack.sshd.kill()
    try:
        assert ssh.finish() == 255
    finally:
        stack.sshd.start()
    assert b"connection to your workspace was lost" in ssh.err
    assert stack.run("echo again").stdout == b"again\n"


def test_slow_reader_keeps_memory_bounded(stack: "Stack") -> None:
    """A reader that stops reading stops the workspace, not the gateway's memory."""
    before = stack.gateway.rss_mib()
    ssh = stack.open("cat /dev/zero")
    ssh.read_until(out=b"\0" * 1000)
    sink = stack.open("sleep 60")
    assert sink.process.stdin is not None
    with subprocess.Popen(["cat", "/dev/zero"], stdout=sink.process.stdin) as source:
        for _ in range(10):
            time.sleep(0.1)
            assert stack.gateway.rss_mib() < before + 30
        source.kill()
