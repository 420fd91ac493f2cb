"""A gateway that is told to end lets sessions go on for a while."""

import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from kworkspace.gateway.texts import SHUTTING_DOWN, leaving
from tests.gateway.openssh import SECONDS

if TYPE_CHECKING:
    from tests.gateway.conftest import GatewayProcess, Stack

NewGateway = Callable[..., "GatewayProcess"]


def refuses(stack: "Stack") -> bool:
    """Whether nobody is taken any more."""
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", stack.gateway.port), 5).close()
        return False
    return True


def test_sessions_go_on_and_the_last_one_ends_it(stack: "Stack", new_gateway: NewGateway) -> None:
    """Terminals are told when, commands are not disturbed, and nobody else comes in."""
    stack.gateway = new_gateway("--drain", "3600")
    terminal = stack.open("-tt", "echo ready; read line; echo got $line")
    terminal.read_until(out=b"ready")
    command = stack.open("echo ready; cat")
    command.read_until(out=b"ready")
    stack.gateway.process.terminate()
    terminal.read_until(err=leaving(3600).encode() + b"\r\n")
    assert b"in 60 minutes" in terminal.err
    stack.wait_for(lambda: refuses(stack), "closed door")
    terminal.send(b"more\n")
    assert terminal.finish() == 0
    assert b"got more" in terminal.out
    assert stack.gateway.process.poll() is None
    command.send(b"still here\n")
    assert command.finish() == 0
    assert (command.out, command.err) == (b"ready\nstill here\n", b"")
    assert stack.gateway.process.wait(SECONDS) == 0


@pytest.mark.parametrize(("drain", "signals"), [("1", 1), ("3600", 2)])
def test_what_is_left_is_ended(
    stack: "Stack", new_gateway: NewGateway, drain: str, signals: int
) -> None:
    """At the deadline, or at a second SIGTERM: with a line, and the status of a failed ssh."""
    stack.gateway = new_gateway("--drain", drain)
    terminal = stack.open("-tt", "echo ready; sleep 60")
    terminal.read_until(out=b"ready")
    for _ in range(signals):
        stack.gateway.process.terminate()
        terminal.read_until(err=b"shuts down in")
    assert terminal.finish() == 255
    assert SHUTTING_DOWN.encode() in terminal.err
    assert stack.gateway.process.wait(SECONDS) == 0


async def test_connection_without_a_channel_ends_at_once(
    stack: "Stack", new_gateway: NewGateway
) -> None:
    """As of a ControlMaster that nobody uses."""
    stack.gateway = new_gateway("--drain", "3600")
    async with stack.asyncssh() as conn:
        assert (await conn.run("true")).exit_status == 0
        stack.gateway.process.terminate()
        await conn.wait_closed()
    assert stack.gateway.process.wait(SECONDS) == 0
