"""Terminals: modes and size as the client wants them, and a person who types."""

import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from fcntl import ioctl
from typing import TYPE_CHECKING

import pytest

from kworkspace.spawners.local.server.terminal import Size, open_terminal

if TYPE_CHECKING:
    from tests.spawners.local.conftest import Ssh

SECONDS = 15.0


class Typist:
    """A person at a terminal of their own, in which ssh runs."""

    def __init__(self, argv: list[str | bytes]) -> None:
        self._master, slave = os.openpty()
        self.resize(33, 101, 808, 528)
        self.process = subprocess.Popen(
            argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb"},
        )
        os.close(slave)
        self.seen = b""

    def resize(self, rows: int, columns: int, width: int, height: int) -> None:
        ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))

    def type(self, text: bytes) -> None:
        os.write(self._master, text)

    def expect(self, pattern: bytes) -> re.Match[bytes]:
        """Read until the pattern has appeared, and forget what came up to it."""
        deadline = time.monotonic() + SECONDS
        while (match := re.search(pattern, self.seen)) is None:
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self.seen!r}"
            if select.select([self._master], [], [], left)[0]:
                try:
                    self.seen += os.read(self._master, 65536)
                except OSError:
                    pytest.fail(f"ended without {pattern!r}: {self.seen!r}")
        self.seen = self.seen[match.end() :]
        return match

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)
        os.close(self._master)


@pytest.fixture
def typist(ssh: "Ssh") -> Iterator[Typist]:
    made = Typist(ssh.argv("exec bash --norc -i", options=("-tt",)))
    try:
        made.type(b"PS1='ready> '\r")
        made.expect(rb"\nready> ")
        yield made
    finally:
        made.close()


def test_window_size_and_its_changes(typist: Typist) -> None:
    typist.type(b"stty size\r")
    typist.expect(rb"33 101")
    typist.type(b"trap 'echo changed to $(stty size)' WINCH; echo trap-'set'\r")
    typist.expect(rb"trap-set\r\n")
    typist.resize(44, 122, 976, 704)
    os.kill(typist.process.pid, signal.SIGWINCH)
    typist.type(b"\r")
    typist.expect(rb"changed to 44 122")
    typist.type(
        b"python3 -c 'import fcntl,struct,termios;"
        b'print(struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"x" * 8)))\'\r'
    )
    typist.expect(rb"\(44, 122, 976, 704\)")


# A job that says so when it is in the foreground: only then may anybody type for it. What is typed
# before that goes to the shell, at a real terminal too. The quotes keep the echo from matching.
JOB = b"bash -c \"trap 'echo ba''ck' CONT; echo go''ing; while :; do sleep 0.05; done\"\r"


def test_job_control(typist: Typist) -> None:
    typist.type(b"echo pid=$$ sid=$(ps -o sid= -p $$)\r")
    match = typist.expect(rb"pid=(\d+) sid= *(\d+)")
    assert match[1] == match[2]
    typist.type(JOB)
    typist.expect(rb"going\r\n")
    typist.type(b"\x1a")
    typist.expect(rb"Stopped")
    typist.expect(rb"ready> ")
    typist.type(b"fg\r")
    typist.expect(rb"back\r\n")
    typist.type(b"\x03")
    typist.expect(rb"ready> ")
    typist.type(b"echo status=$?\r")
    typist.expect(rb"status=130")


def test_interrupt_ends_the_foreground_only(typist: Typist) -> None:
    typist.type(b"bash -c 'echo go''ing; exec cat'\r")
    typist.expect(rb"going\r\n")
    typist.type(b"typed\r")
    typist.expect(rb"typed\r\ntyped")
    typist.type(b"\x03")
    typist.expect(rb"ready> ")
    typist.type(b"exit 17\r")
    assert typist.process.wait(SECONDS) == 17


def test_modes_are_the_clients(ssh: "Ssh") -> None:
    master, slave = os.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~termios.ECHOCTL
    attributes[6][termios.VERASE] = b"\x08"
    attributes[6][termios.VSTOP] = b"\x00"
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    try:
        finished = subprocess.run(
            ssh.argv("stty -a", options=("-tt",)),
            stdin=slave,
            capture_output=True,
            timeout=SECONDS,
            check=True,
        )
    finally:
        os.close(slave)
        os.close(master)
    assert b"erase = ^H;" in finished.stdout
    assert b"stop = <undef>;" in finished.stdout
    assert re.search(rb"\s-echoctl\s", finished.stdout)


def test_open_terminal_applies_every_kind_of_mode() -> None:
    modes = {1: 7, 3: 255, 36: 0, 42: 1, 53: 0, 72: 0, 90: 1, 91: 1, 128: 9600, 129: 9600, 200: 5}
    terminal = open_terminal("xterm", Size(80, 24, 640, 70_000), modes)
    try:
        found = termios.tcgetattr(terminal.slave)
        size = struct.unpack("HHHH", ioctl(terminal.slave, termios.TIOCGWINSZ, b"\0" * 8))
    finally:
        terminal.close()
    assert found[6][termios.VINTR] == b"\x07"
    assert found[6][termios.VERASE] == b"\x00"
    assert not found[0] & termios.ICRNL
    assert found[0] & 0o40000
    assert not found[3] & termios.ECHO
    assert not found[1] & termios.ONLCR
    assert found[2] & termios.CSIZE == termios.CS8
    assert found[4] == found[5] == termios.B9600
    assert size == (24, 80, 640, 65_535)
