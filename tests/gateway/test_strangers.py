"""Who waits at the door is counted, and who says least makes room."""

import contextlib
import os
import resource
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kworkspace.gateway.limits import Limits
from kworkspace.gateway.strangers import Strangers

if TYPE_CHECKING:
    from tests.gateway.conftest import GatewayProcess, Stack

HALF_OPEN = int(os.environ.get("KWORKSPACE_HALF_OPEN", "2000"))


@dataclass(eq=False)
class Guest:
    """Somebody at the door."""

    name: str
    standing: int = 0


def arrive(waiting: Strangers[Guest], guest: Guest, address: str) -> str | None:
    """Return the name of who had to go."""
    goes = waiting.add(guest, address)
    return None if goes is None else goes.name


def test_limit_for_one_address() -> None:
    """The one that has waited longest goes; others are not touched, and who left makes room."""
    waiting: Strangers[Guest] = Strangers(Limits(strangers_per_address=2))
    a, b, c, d = (Guest(name) for name in "abcd")
    assert [arrive(waiting, guest, "192.0.2.1") for guest in (a, b)] == [None, None]
    assert arrive(waiting, Guest("other"), "192.0.2.2") is None
    assert arrive(waiting, c, "::ffff:192.0.2.1") == "a"
    waiting.discard(a)
    waiting.discard(b)
    waiting.discard(b)
    assert arrive(waiting, d, "192.0.2.1") is None
    assert [guest.name for guest in waiting] == ["other", "c", "d"]


def test_limit_in_all() -> None:
    """However many addresses there are."""
    waiting: Strangers[Guest] = Strangers(Limits(strangers=3))
    gone = [arrive(waiting, Guest(str(n)), f"192.0.2.{n}") for n in range(5)]
    assert gone == [None, None, None, "0", "1"]


def test_who_has_come_further_stays() -> None:
    """The silent go first, then who has only said what they are, and at last the oldest."""
    waiting: Strangers[Guest] = Strangers(Limits(strangers=3))
    for guest in (Guest("logs in", 2), Guest("greets", 1), Guest("is silent")):
        arrive(waiting, guest, "192.0.2.1")
    gone = [arrive(waiting, Guest(str(n), 2), "192.0.2.1") for n in range(3)]
    assert gone == ["is silent", "greets", "logs in"]


@pytest.fixture
def many_files() -> Iterator[int]:
    """Return how many file descriptors this process may have, as many as it can."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_half_open_connections_keep_nobody_out(
    stack: "Stack", new_gateway: "Callable[[], GatewayProcess]", many_files: int
) -> None:
    """Thousands of them, from many addresses and from the very one that the login comes from."""
    stack.gateway = new_gateway()
    address = ("127.0.0.1", stack.gateway.port)
    number = min(HALF_OPEN, many_files - 1000)
    with contextlib.ExitStack() as held:
        for n in range(number):
            source = (f"127.0.{n // 250 % 100 + 1}.{n % 250 + 1}" if n % 2 else "127.0.0.1", 0)
            held.enter_context(socket.create_connection(address, 20, source))
            if n % (number // 4) == number // 8:
                login = [*stack.ssh()[:-1], "-b", "127.0.0.1", "alice@127.0.0.1", "true"]
                assert subprocess.run(login, timeout=60, check=False).returncode == 0
        assert stack.run("true").returncode == 0
        held_open = len(list(stack.gateway.descriptors()))
        assert held_open < Limits().strangers + 100
    assert stack.gateway.terminate() == 0
    warnings = [line for line in stack.gateway.log.read_text().splitlines() if "WARNING" in line]
    assert 0 < len(warnings) < 20, "an attack does not fill the log"
