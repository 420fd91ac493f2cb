"""What a workspace's own processes listen on, and nobody else's."""

import os
import socket
import subprocess
import sys
import uuid

from kworkspace.spawners.base import Listener
from kworkspace.spawners.local.listening import listeners
from kworkspace.spawners.processes import MARKER

LISTEN = """
import socket
socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(sock.getsockname()[1] for sock in socks), flush=True)
input()
"""


def test_its_own_alone() -> None:
    id = str(uuid.uuid4())
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        subprocess.Popen(
            [sys.executable, "-c", LISTEN],
            env=os.environ | {MARKER: id},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        first, second = map(int, process.stdout.readline().split())
        found = listeners(id, None, first)
        assert [(one.port, one.address) for one in found] == [(second, "127.0.0.1")]
        assert found[0].process.startswith("python")
        assert {one.port for one in listeners(id, None, 0)} == {first, second}
        assert other.getsockname()[1] not in {one.port for one in listeners(id, None, 0)}
        assert listeners(str(uuid.uuid4()), None, 0) == []
        process.communicate("\n")
    gone: list[Listener] = listeners(id, None, 0)
    assert gone == []
