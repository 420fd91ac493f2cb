"""A gigabyte is offered, and taken slowly: what the gateway holds of it is a few windows."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from tests.gateway.openssh import wait_for

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

OFFERED = 1 << 30
SECONDS = 6.0
PACE = 0.02
"""Between two reads of 32 KiB: 1.6 MB a second, which the gateway could fill a thousand times."""
ALLOWED_MIB = 24
"""Windows of 2 MiB in front of both sides, what asyncio and asyncssh hold on the way, and slack."""

SLOW = f"""
import os, time
while os.read(0, 32768):
    time.sleep({PACE})
"""


def _popen(*words: str, **streams: "int | IO[bytes] | None") -> "subprocess.Popen[bytes]":
    return subprocess.Popen(words, **streams)  # type: ignore[call-overload,no-any-return]


@contextlib.contextmanager
def _offer() -> "Iterator[subprocess.Popen[bytes]]":
    """Offer a gigabyte of zeros."""
    with _popen("head", "-c", str(OFFERED), "/dev/zero", stdout=subprocess.PIPE) as source:
        yield source
        source.kill()


@contextlib.contextmanager
def _down(stack: "Stack", _folder: Path) -> Iterator[Callable[[], bool]]:
    """The user reads slowly what a command prints."""
    with (
        _popen(*stack.ssh(), f"head -c {OFFERED} /dev/zero", stdout=subprocess.PIPE) as ssh,
        _popen(sys.executable, "-c", SLOW, stdin=ssh.stdout) as reader,
    ):
        yield lambda: ssh.poll() is None and reader.poll() is None
        reader.kill()
        ssh.kill()


@contextlib.contextmanager
def _up(stack: "Stack", _folder: Path) -> Iterator[Callable[[], bool]]:
    """A command reads slowly what the user sends."""
    slow = f'exec {sys.executable} -c "{SLOW}"'
    with _offer() as source, _popen(*stack.ssh(), slow, stdin=source.stdout) as ssh:
        yield lambda: ssh.poll() is None and source.poll() is None
        ssh.kill()


@contextlib.contextmanager
def _forward(stack: "Stack", folder: Path, flag: str) -> Iterator[Callable[[], bool]]:
    """One end of a forward offers, and the other one reads slowly: -L is up, -R is down."""
    *options, host = stack.ssh()
    near, far = folder / "near", folder / "far"
    with (
        _popen(sys.executable, "-c", LISTEN, str(far)) as reader,
        _offer() as source,
    ):
        wait_for(far.exists, "the reader")
        with _popen(*options, flag, f"{near}:{far}", "-N", host) as ssh:
            wait_for(near.exists, "the forward")
            with _popen(sys.executable, "-c", SEND, str(near), stdin=source.stdout) as sender:
                yield lambda: sender.poll() is None and reader.poll() is None
                sender.kill()
            ssh.kill()
        reader.kill()


LISTEN = f"""
import socket, sys, time
at = socket.socket(socket.AF_UNIX)
at.bind(sys.argv[1])
at.listen()
at = at.accept()[0]
while at.recv(32768):
    time.sleep({PACE})
"""
SEND = """
import os, socket, sys
at = socket.socket(socket.AF_UNIX)
at.connect(sys.argv[1])
while chunk := os.read(0, 65536):
    at.sendall(chunk)
"""


@pytest.mark.parametrize("flow", ["down", "up", "-L", "-R"])
def test_a_slow_reader_costs_no_memory(stack: "Stack", tmp_path: Path, flow: str) -> None:
    """However slowly it goes on, and in whichever direction."""
    assert stack.run("true").returncode == 0
    before = most = stack.gateway.rss_mib()
    if flow in {"-L", "-R"}:
        making = _forward(stack, tmp_path, flow)
    else:
        making = (_down if flow == "down" else _up)(stack, tmp_path)
    with making as is_alive:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            assert is_alive()
            most = max(most, stack.gateway.rss_mib())
            time.sleep(0.05)
    assert most - before < ALLOWED_MIB
