"""Conversations at the gateway itself: whatever is typed, in any pieces, and however it ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kworkspace.cli.client import models as m
from kworkspace.cli.client.errors import Forbidden, KworkspaceError
from kworkspace.cli.client.tasks import Tasks
from kworkspace.gateway.channels import UserChannel
from kworkspace.gateway.desk import MAX_INPUT, Desk
from kworkspace.gateway.invite import Guest

CODE = "7k3f-0m9x-c2vd-h8qa"


class Channel:
    """A user's channel that writes down what it is given."""

    def __init__(self, *, has_pty: bool) -> None:
        self.has_pty = has_pty
        self.newline = "\r\n" if has_pty else "\n"
        self.is_open = True
        self.out, self.err = "", ""
        self.ended = asyncio.get_running_loop().create_future()

    def write(self, data: bytes) -> None:
        """Take output."""
        self.out += data.decode()

    def say(self, line: str) -> None:
        """Take a line of stderr."""
        self.err += line + self.newline

    def finish(self, status: int) -> None:
        """Take the end."""
        self.is_open = False
        self.ended.set_result(status)


class House:
    """A hub that knows one code."""

    def __init__(self) -> None:
        self.door: m.SSHDoor | None = m.SSHDoor(host="hub.example.org", port=22, host_keys=[])
        self.hub: Any = self
        self.added = False

    async def send(self, call: Any) -> m.InviteOffer:
        """Answer a claim."""
        if call.body.code.strip() != CODE:
            raise Forbidden("No")
        self.added |= call.body.confirm
        return m.InviteOffer(user="alice", fingerprint="SHA256:x", type="ssh-ed25519")


class Connection:
    """Nobody's."""

    def disconnect(self, *_: object) -> None:
        """Do nothing."""


async def converse(chunks: list[bytes], *, terminal: bool) -> tuple[int, Channel, House]:
    """Have a guest type something, and leave."""
    house, channel = House(), Channel(has_pty=terminal)
    fields = ("public_key", "signed", "signature", "door_signature", "address")
    claim = m.InviteClaim(code="", confirm=False, **dict.fromkeys(fields, ""))
    guest = Guest(house=house, conn=cast(Any, Connection()), claim=claim)
    desk = Desk(cast(UserChannel, channel), guest.receive, guest.tasks)
    for chunk in chunks:
        desk.feed(chunk)
        await asyncio.sleep(0)
    desk.feed_eof()
    status = await asyncio.wait_for(channel.ended, 20)
    await guest.aclose()
    return status, channel, house


PIECES = st.lists(
    st.binary(max_size=40)
    | st.sampled_from([CODE.encode(), b"\n", b"\r", b"yes", b"\x03", b"\x04", b"\x1b[A", b"\x7f"]),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES, st.booleans())
@example([CODE.encode(), b"\r", b"yes\r"], True)
def test_any_input(caplog: pytest.LogCaptureFixture, chunks: list[bytes], terminal: bool) -> None:
    """It ends, without a failure; nothing dangerous is shown, and the code is in no log."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        status, channel, house = asyncio.run(converse(chunks, terminal=terminal))
    assert status in {0, 1, 130}
    assert house.added is (status == 0)
    assert "gateway failed" not in channel.err
    assert "\x1b" not in channel.out + channel.err
    assert CODE not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("raised", "told"), [(KworkspaceError("no \x1b[2J"), "no \\x1b[2J\n"), (OSError("x"), "failed")]
)
async def test_a_program_that_fails(raised: Exception, told: str) -> None:
    """An error of ours is a line; any other is not shown, and nobody waits for ever."""

    async def fail(_desk: Desk) -> int:
        raise raised

    channel, tasks = Channel(has_pty=False), Tasks()
    Desk(cast(UserChannel, channel), fail, tasks)
    assert await asyncio.wait_for(channel.ended, 20) == 1
    assert told in channel.err


async def test_all_of_the_input_up_to_a_limit() -> None:
    async def read(desk: Desk) -> int:
        desk.out(str(len(await desk.read_all())))
        return 7

    program: Callable[[Desk], Awaitable[int]] = read
    channel, tasks = Channel(has_pty=False), Tasks()
    desk = Desk(cast(UserChannel, channel), program, tasks)
    for _ in range(5):
        desk.feed(b"\xff" * MAX_INPUT)
    desk.feed_eof()
    assert await asyncio.wait_for(channel.ended, 20) == 7
    assert channel.out == f"{MAX_INPUT + 1}\n"
