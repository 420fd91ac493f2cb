"""Keepalives of all kinds: answered, and no sign of life of a person; who is gone is found out."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.gateway.openssh import SSHD, wait_for
from tests.gateway.stand_in_hub import ServerOf

if TYPE_CHECKING:
    from tests.gateway.conftest import GatewayProcess, Stack

IMPATIENT = """
from kworkspace.gateway import __main__, app, house
app.KEEPALIVE_SECONDS = 1
house.REPORT_SECONDS = 0.2
__main__.main()
"""


@pytest.fixture
def impatient(
    stack: "Stack", new_gateway: "Callable[..., GatewayProcess]", tmp_path: Path
) -> "Iterator[Stack]":
    """A gateway and a workspace that ask every second whether the other side is still there."""
    sshd = SSHD(tmp_path / "sshd", stack.hub.authority, stack.sshd.user_key)
    sshd.start("ClientAliveInterval 1", "ClientAliveCountMax 1")
    stack.hub.servers["alice"] = ServerOf(sshd)
    stack.gateway = new_gateway(program=("-c", IMPATIENT))
    yield stack
    stack.gateway.terminate()
    sshd.kill()


def test_they_keep_a_session_and_are_no_use_of_it(impatient: "Stack") -> None:
    """The client's, the gateway's and sshd's: nobody types, so that it is idle all the time."""
    *line, host = impatient.ssh()
    pipe = subprocess.PIPE
    options = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")
    with subprocess.Popen(
        [*line, *options, host, "echo in; cat"], stdin=pipe, stdout=pipe, stderr=pipe
    ) as ssh:
        assert ssh.stdout is not None
        assert ssh.stdout.readline() == b"in\n"
        *_, id = impatient.hub.sessions

        def is_idle() -> bool:
            sessions = [one for report in impatient.hub.reports[-3:] for one in report.sessions]
            return any(one.id == id and one.idle > 3 for one in sessions)

        # Thrice the time after which each of them would have given up.
        wait_for(is_idle, "report of a session that is idle")
        assert ssh.communicate(b"still\n", timeout=20) == (b"still\n", b"")
        assert ssh.returncode == 0


def test_a_client_that_is_gone_is_found_out(impatient: "Stack") -> None:
    """As when a laptop is shut: the session and what it held end."""
    *line, host = impatient.ssh()
    with subprocess.Popen(
        [*line, host, "echo in; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as ssh:
        assert ssh.stdout is not None
        assert ssh.stdout.readline() == b"in\n"
        *_, id = impatient.hub.sessions
        os.kill(ssh.pid, signal.SIGSTOP)
        try:
            wait_for(lambda: id in impatient.hub.ended, "end of the session")
        finally:
            ssh.kill()
    assert "alive" in impatient.hub.ended[id].lower()
