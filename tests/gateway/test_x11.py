"""X11 forwarding with OpenSSH's client, sshd and xauth; the screen is a socket that records."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import asyncssh
import pytest
from asyncssh.packet import Boolean, String, UInt32

from kworkspace.cli.client import models as m
from kworkspace.gateway.x11 import Screen
from tests.gateway.openssh import SSHD, public_line
from tests.gateway.stand_in_hub import ServerOf
from tests.gateway.test_backward import Grabber
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

    Run = Callable[..., "subprocess.CompletedProcess[bytes]"]

PROTOCOL = b"MIT-MAGIC-COOKIE-1"
COOKIE = bytes(range(16))
REFUSED = b"X11 forwarding request failed on channel 0\r\n"
FIRST_PORT = 6000
# What a program in the workspace does: the connection's set-up (X11, chapter 8), and some talk; X11
# knows no half-close, and OpenSSH allows none.
PROGRAM = """
import os, socket, struct, subprocess, sys
host, _, number = os.environ["DISPLAY"].partition(":")
shown = subprocess.run(["xauth", "list", os.environ["DISPLAY"]], capture_output=True, text=True)
cookie = bytes.fromhex(shown.stdout.split()[2])
for word in sys.argv[1:]:
    screen = socket.create_connection((host, 6000 + int(number.split(".")[0])), 20)
    head = struct.pack("<ccHHHHH", b"l", b"\\0", 11, 0, 18, len(cookie), 0)
    screen.sendall(head + b"MIT-MAGIC-COOKIE-1\\0\\0" + cookie + word.encode() * 100_000)
    answer = screen.makefile("rb").read(450_000)
    print(len(answer), answer[:6].decode())
    screen.close()
"""


@dataclass
class Display:
    """A screen at 127.0.0.1, and what came to it."""

    number: int
    authority: Path
    seen: list[tuple[bytes, bytes]] = field(default_factory=list)

    def serve(self, listening: socket.socket) -> None:
        """Read all of each connection, one after the other, and answer."""
        while True:
            try:
                connection = listening.accept()[0]
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                connection.settimeout(20)
                stream.read(12)
                name, _, cookie = stream.read(18), stream.read(2), stream.read(16)
                size = len(stream.read(100_000))
                self.seen.append((name, cookie))
                connection.sendall(f"{size:<9}".encode() * 50_000)
                assert stream.read() == b""

    def environment(self) -> dict[str, str]:
        """What a person's programs know of it."""
        here = {"DISPLAY": f"127.0.0.1:{self.number}", "XAUTHORITY": str(self.authority)}
        return {**os.environ, **here}


@contextmanager
def display(folder: Path) -> Iterator[Display]:
    """A screen for the time of a block."""
    with socket.create_server(("127.0.0.1", free_port())) as listening:
        number = listening.getsockname()[1] - FIRST_PORT
        made = Display(number, folder / "Xauthority")
        add = ["add", f"127.0.0.1:{number}", PROTOCOL.decode(), COOKIE.hex()]
        subprocess.run(
            ["xauth", "-q", "-f", made.authority, *add], check=True, stderr=subprocess.DEVNULL
        )
        thread = threading.Thread(target=made.serve, args=(listening,))
        thread.start()
        try:
            yield made
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def run(line: list[str], shown: Display) -> "subprocess.CompletedProcess[bytes]":
    """Run ssh to its end, for a person with a screen."""
    return subprocess.run(
        line,
        env=shown.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


class Intruder(Grabber):
    """A workspace that opens an X11 channel, whoever comes and whatever they asked for."""

    async def _grab(self, stdin: object, stdout: "asyncssh.SSHWriter[str]", stderr: object) -> None:
        try:
            channel = self._conn.create_x11_channel()
            await channel.open(asyncssh.SSHTCPSession, "127.0.0.1", 1)
        except asyncssh.ChannelOpenError as error:
            self.answers.append(error.reason)
        cast("asyncssh.SSHServerChannel[str]", stdout.channel).exit(0)


@pytest.fixture
def x11(stack: "Stack", tmp_path: Path) -> Iterator[SSHD]:
    """A workspace with X11, at a hub that allows it."""
    sshd = SSHD(tmp_path / "x11", stack.hub.authority, stack.sshd.user_key)
    sshd.start("X11Forwarding yes")
    stack.hub.servers["alice"] = ServerOf(sshd)
    stack.hub.x11_forwarding = True
    (sshd.folder / "program.py").write_text(PROGRAM)
    with stack.gateway.known_hosts.open("a") as known:
        known.write(f"[127.0.0.1]:{sshd.port} {public_line(sshd.host_key)}\n")
    yield sshd
    stack.hub.x11_forwarding = False
    sshd.kill()


@pytest.fixture(params=["directly", "through the gateway"])
def ssh(request: pytest.FixtureRequest, stack: "Stack", x11: SSHD) -> "Run":
    """Runs ssh into that workspace, with options before its name."""

    def run_ssh(
        shown: Display, *options: str, command: str
    ) -> "subprocess.CompletedProcess[bytes]":
        directly = request.param == "directly"
        *line, host = stack.direct() if directly else stack.ssh()
        if directly:
            line[line.index("-p") + 1] = str(x11.port)
        return run([*line, *options, host, command], shown)

    return run_ssh


def program(sshd: SSHD, *words: str) -> str:
    """Return the command line of the program in the workspace."""
    return f"{sys.executable} {sshd.folder}/program.py {' '.join(words)}"


def test_windows_come_to_the_users_screen(
    ssh: "Run", x11: SSHD, stack: "Stack", tmp_path: Path
) -> None:
    """Two programs, one after the other, with more than a window each way."""
    with display(tmp_path) as shown:
        done = ssh(shown, "-Y", command=program(x11, "a", "b"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"450000 100000\n" * 2, done.stderr
    assert shown.seen == [(PROTOCOL, COOKIE)] * 2
    assert COOKIE.hex() not in stack.gateway.log.read_text()


def test_of_a_workspace_that_had_to_start(stack: "Stack", x11: SSHD, tmp_path: Path) -> None:
    stack.server().state = m.ServerState.STOPPED
    stack.server().script = [m.Progress(ready=True)]
    stack.hub.go_on.set()
    *line, host = stack.ssh()
    with display(tmp_path) as shown:
        done = run([*line, "-Y", host, program(x11, "a")], shown)
    assert done.returncode == 0, done.stderr
    assert shown.seen == [(PROTOCOL, COOKIE)]


def test_without_being_asked(ssh: "Run", tmp_path: Path) -> None:
    with display(tmp_path) as shown:
        done = ssh(shown, "-x", command="echo [$DISPLAY]")
        assert done.stdout == b"[]\n", done.stderr


@pytest.mark.parametrize("refuser", ["the hub", "sshd"])
def test_refused(stack: "Stack", x11: SSHD, tmp_path: Path, refuser: str) -> None:
    """ssh says what it says of an sshd that does not, and goes on."""
    if refuser == "the hub":
        stack.hub.x11_forwarding = False
    else:
        x11.kill()
        x11.start("X11Forwarding no")
    *line, host = stack.ssh()
    with display(tmp_path) as shown:
        done = run([*line, "-v", "-Y", host, "echo [$DISPLAY]"], shown)
    assert (done.returncode, done.stdout) == (0, b"[]\n"), done.stderr
    assert REFUSED in done.stderr


async def test_a_workspace_that_opens_windows_unasked(stack: "Stack", tmp_path: Path) -> None:
    """It gets no further than the gateway, though the hub allows X11."""
    stack.hub.x11_forwarding = True
    Intruder.answers.clear()
    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=Intruder, server_host_keys=[Intruder.host_key]
    ) as acceptor:
        Intruder.port = acceptor.get_port()
        stack.hub.servers["alice"] = ServerOf(cast("SSHD", Intruder()))
        *line, host = stack.ssh()
        with display(tmp_path) as shown:
            done = await asyncio.to_thread(run, [*line, "-x", host, "true"], shown)
    stack.hub.x11_forwarding = False
    assert done.returncode == 0, done.stderr
    assert Intruder.answers == ["The user has lent no screen"]
    assert shown.seen == []


def asked(*, single: bool) -> bytes:
    """Return the fields of an x11-req."""
    return Boolean(single) + String(PROTOCOL) + String(COOKIE.hex()) + UInt32(0)


def test_one_program_alone() -> None:
    """Each request counts by itself."""
    screen = Screen()
    assert not screen.lend(asked(single=False)), "the hub does not allow it"
    screen.allowed = True
    assert not screen.lend(b"")
    with pytest.raises(asyncssh.ChannelOpenError):
        screen.take()
    assert screen.lend(asked(single=True))
    assert screen.lend(asked(single=True))
    screen.take()
    screen.take()
    with pytest.raises(asyncssh.ChannelOpenError):
        screen.take()
    assert screen.lend(asked(single=False))
    for _ in range(3):
        screen.take()
