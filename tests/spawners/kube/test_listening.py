"""The program that looks what listens in a pod, run for real in this machine's shells."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.spawners.base import Listener
from kworkspace.spawners.kube.listening import parse, program
from tests.spawners.kube.test_samples import SHELLS


@pytest.mark.parametrize("shell", SHELLS)
def test_a_program_that_listens(shell: list[str]) -> None:
    argv = program()
    assert argv[0] == "/bin/sh"
    with socket.create_server(("127.0.0.1", 0)) as sock, socket.create_server(("", 0)) as own:
        done = subprocess.run([*shell, *argv[1:]], check=True, capture_output=True, timeout=60)
        port, own_port = sock.getsockname()[1], own.getsockname()[1]
        found = {one.port: one for one in parse(done.stdout, own_port)}
    name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert found[port] == Listener(port, "127.0.0.1", name)
    assert own_port not in found


@given(st.binary(max_size=500))
def test_any_output(output: bytes) -> None:
    parse(output, 22)
    parse(b"process \nsockets 1 2\n" + output, 22)
