"""Processes as Linux shows them in /proc (proc(5)): who lives, who descends from whom.

A pid alone names nobody for long, it is used again. Everything here goes by pid *and* start time,
and signals travel over a pidfd (pidfd_open(2)), which never reaches a later process of that pid.
Used by the local spawner, its workspaces and the hub's services; imports nothing that is slow.
"""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
MARKER = "KWORKSPACE_SERVER_ID"
"""The environment variable by which everything that a workspace started is found."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process, never a later one of the same pid.

    Attributes:
        pid: the process id.
        started: when it was started, in clock ticks since boot (proc(5), stat, field 22).
    """

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class _Stat:
    process: ProcessId
    parent: int
    state: str

    @property
    def lives(self) -> bool:
        # A zombie has ended: nothing of it runs or holds anything any more.
        return self.state not in "ZXx"


def boot_id() -> str:
    """Return what names this boot: start times of another boot mean nothing."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> _Stat | None:
    try:
        text = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # Field 2, the name, may itself contain blanks and parentheses.
    fields = text[text.rindex(b")") + 2 :].split()
    return _Stat(ProcessId(pid, int(fields[19])), int(fields[1]), fields[0].decode())


def identify(pid: int) -> ProcessId | None:
    """Return the process that has this pid now, or None when there is none that lives."""
    stat = _stat(pid)
    return stat.process if stat is not None and stat.lives else None


def lives(process: ProcessId) -> bool:
    """Whether exactly this process lives; a zombie does not."""
    return identify(process.pid) == process


def open_pidfd(process: ProcessId) -> int | None:
    """Return a pidfd of exactly this process, for the caller to close; None when it has ended."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    # The pidfd pins whoever has the pid; only now it is certain who that is.
    if not lives(process):
        os.close(fd)
        return None
    return fd


@contextmanager
def pidfd(process: ProcessId) -> Iterator[int | None]:
    """Open a pidfd for the time of a block; None when the process has ended."""
    fd = open_pidfd(process)
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def send(process: ProcessId, number: signal.Signals) -> bool:
    """Signal exactly this process.

    Returns:
        Whether it was there to be signalled and is ours to signal.
    """
    with pidfd(process) as fd:
        if fd is None:
            return False
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(fd, number)
            return True
    return False


def _all() -> Iterator[_Stat]:
    for name in os.listdir(PROC):  # noqa: PTH208  os.listdir makes no Path of each of hundreds
        if name.isdigit() and (stat := _stat(int(name))) is not None and stat.lives:
            yield stat


def descendants(ancestor: int) -> list[ProcessId]:
    """Return all that live below a process, children before grandchildren.

    Complete for a process that is a child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): what was
    daemonised below it is its child again.
    """
    children: dict[int, list[ProcessId]] = {}
    for stat in _all():
        children.setdefault(stat.parent, []).append(stat.process)
    found: list[ProcessId] = []
    generation = children.get(ancestor, [])
    while generation:
        found += generation
        generation = [child for one in generation for child in children.get(one.pid, [])]
    return found


def marked(server_id: str, uid: int | None = None) -> list[ProcessId]:
    """Return all processes that carry a workspace's marker in their environment.

    Args:
        server_id: the server's UUID.
        uid: the account that it runs as, if not our own; anybody's else may carry any marker.
    """
    return carrying(MARKER, server_id, uid)


def carrying(variable: str, value: str, uid: int | None = None) -> list[ProcessId]:
    """Return all processes of our own uid and of this one, but us, with this environment."""
    entry = f"{variable}={value}".encode()
    own = os.getpid()
    return [
        stat.process
        for stat in _all()
        if stat.process.pid != own and entry in _environment(stat.process.pid, uid)
    ]


def carries(process: ProcessId, variable: str, value: str) -> bool:
    """Whether exactly this process lives, is of our own uid and was started with this variable."""
    # Read first, then asked who it was.
    return f"{variable}={value}".encode() in _environment(process.pid) and lives(process)


def _environment(pid: int, uid: int | None = None) -> list[bytes]:
    path = PROC / str(pid)
    try:
        # root can read everybody's: what another account runs is none of ours.
        if path.stat().st_uid not in {os.geteuid(), uid}:
            return []
        return (path / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def kill_all(processes: Iterable[ProcessId]) -> int:
    """Kill each with SIGKILL and return how many were there."""
    return sum(send(process, signal.SIGKILL) for process in processes)
