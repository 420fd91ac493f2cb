"""What listens in a workspace of this machine: the sockets of its own processes, no one else's.

The port of its SSH server is not among them. Reads /proc alone; blocking.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kworkspace.spawners.base import Listener
from kworkspace.spawners.processes import PROC, ProcessId, lives, marked
from kworkspace.spawners.sockets import ListeningSocket, listening

_PREFIX, _SUFFIX = "socket:[", "]"


def listeners(server_id: str, uid: int | None, own_port: int) -> list[Listener]:
    """Return what the processes of a workspace listen on.

    Args:
        server_id: the server's UUID, by which its processes are known.
        uid: the account that it runs as, if not our own.
        own_port: of its SSH server.
    """
    sockets = {socket.inode: socket for socket in _all()}
    found: dict[str, Listener] = {}
    for process in marked(server_id, uid):
        held = [sockets[inode] for inode in _held(process) if inode in sockets]
        if held and lives(process):
            name = _name(process)
            for socket in held:
                if socket.port != own_port:
                    found[socket.inode] = Listener(socket.port, str(socket.address), name)
    return sorted(found.values(), key=lambda one: (one.port, one.address))


def _all() -> Iterator[ListeningSocket]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            yield from listening((PROC / "net" / table).read_text())


def _held(process: ProcessId) -> Iterator[str]:
    """Yield the inodes of a process's sockets."""
    folder = PROC / str(process.pid) / "fd"
    with suppress(OSError):
        for fd in os.listdir(folder):  # noqa: PTH208  os.listdir makes no Path of each of hundreds
            with suppress(OSError):
                target = os.readlink(f"{folder}/{fd}")  # noqa: PTH115  nor is one made here
                if target.startswith(_PREFIX):
                    yield target.removeprefix(_PREFIX).removesuffix(_SUFFIX)


def _name(process: ProcessId) -> str:
    with suppress(OSError):
        return Path(PROC / str(process.pid) / "comm").read_text(errors="replace").strip()
    return ""
