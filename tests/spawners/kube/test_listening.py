"""The program that looks what listens in a pod, run for real in this machine's shells."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client.errors import KworkspaceError, NotFound
from kworkspace.spawners.base import Listener
from kworkspace.spawners.kube.listening import MOST_BYTES, parse, program
from tests.kube_api.node.images import Image
from tests.spawners.kube.house import House, workspace
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


LINE = "0: 0100007F:{port:04X} 00000000:0000 0A 0:0 0:0 00000000 0 0 {inode} 1"


async def test_of_a_pod(house: House) -> None:
    """By one exec; what cannot be seen is said in one line."""
    outcome: list[tuple[int, bytes, bytes]] = []
    house.cluster.kubelet.images["cheap:1"] = Image(exec=lambda _argv, _stdin: outcome.pop())
    spawner = await house.open()
    await house.start(spawner, alices := workspace())
    table = "\n".join(LINE.format(port=port, inode=port) for port in (2222, 8888, 80))
    outcome.append((0, f"{table}\nprocess jupyter lab\nsockets 7 8888\n".encode(), b""))
    assert await spawner.listeners(alices.id, alices.slug, 2222) == [
        Listener(80, "127.0.0.1", ""),
        Listener(8888, "127.0.0.1", "jupyter lab"),
    ]
    outcome.append((0, b"x" * (MOST_BYTES + 1), b""))
    with pytest.raises(KworkspaceError, match="What listens cannot be seen"):
        await spawner.listeners(alices.id, alices.slug, 2222)
    await spawner.stop(alices.id, alices.slug)
    with pytest.raises(NotFound):
        await spawner.listeners(alices.id, alices.slug, 2222)


@given(st.binary(max_size=500))
def test_any_output(output: bytes) -> None:
    parse(output, 22)
    parse(b"process \nsockets 1 2\n" + output, 22)
