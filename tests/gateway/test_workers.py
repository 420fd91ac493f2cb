"""Several processes on one port."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.gateway.workers import reserve
from tests.gateway.openssh import SECONDS

if TYPE_CHECKING:
    from tests.gateway.conftest import GatewayProcess, Stack

NewGateway = Callable[..., "GatewayProcess"]


def workers(gateway: "GatewayProcess") -> set[int]:
    """Return the process ids of a parent's workers."""
    pid = gateway.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def two(stack: "Stack", new_gateway: NewGateway) -> "Iterator[Stack]":
    """The stack with two workers, both known to the hub."""
    before = set(stack.hub.host_keys)
    stack.gateway = new_gateway("--workers", "2")
    stack.wait_for(lambda: len(set(stack.hub.host_keys) - before) == 2, "two reports")
    yield stack
    stack.hub.sessions.clear()  # a worker that was killed told it of none


def test_one_that_dies_is_started_again(two: "Stack") -> None:
    """Its sessions end, those of the other go on, and people come in all the time."""
    instances = set(two.hub.host_keys)
    first, second = workers(two.gateway)
    lives = [two.open("echo ready $PPID; cat") for _ in range(8)]
    for live in lives:
        live.read_until(out=b"ready")
    of = {proof.gateway for proof in two.hub.proofs[-8:]}
    assert len(of) == 2, "the kernel spreads connections"
    os.kill(first, signal.SIGKILL)
    two.wait_for(lambda: len(workers(two.gateway) - {first, second}) == 1, "another worker")
    two.wait_for(lambda: set(two.hub.host_keys) - instances, "its report")
    assert {live.finish() for live in lives} == {0, 255}
    assert two.run("echo in").stdout == b"in\n"


def test_sigterm_is_for_all(two: "Stack") -> None:
    """The parent ends when they have, and says that it went well."""
    pids = workers(two.gateway)
    live = two.open("echo ready; cat")
    live.read_until(out=b"ready")
    assert two.gateway.terminate() == 0
    assert live.finish() == 255
    assert not [pid for pid in pids if alive(pid)]


def test_they_end_when_the_parent_is_killed(two: "Stack") -> None:
    """Nobody else would: they hold its port."""
    pids = workers(two.gateway)
    two.gateway.process.kill()
    two.gateway.process.wait(SECONDS)
    two.wait_for(lambda: not [pid for pid in pids if alive(pid)], "end of the workers")


def test_ports_are_not_shared_with_others() -> None:
    """Neither with who listens alone, nor with workers of another gateway; a free one is found."""
    with reserve("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        with socket.socket() as worker:
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind(("127.0.0.1", port))
            worker.listen()
            with pytest.raises(KworkspaceError, match=f"port {port}.*--listen"):
                reserve("127.0.0.1", port)
    reserve("127.0.0.1", port).close()
