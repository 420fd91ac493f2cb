"""Forwarding as sshd does it; tests/gateway/test_behaviours.py compares the rest with sshd's."""

import asyncio
from pathlib import Path
from typing import cast

import asyncssh
import pytest
from asyncssh.forward import SSHForwarder

from kworkspace.spawners.local.server.forward import listen_at, saying_why


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[Errno 111] Connect call failed ('127.0.0.1', 1)", "Connection refused"),
        (
            "Multiple exceptions: [Errno 111] Connect call failed (''), [Errno 111] Connect call",
            "Connection refused",
        ),
        ("[Errno -2] Name or service not known", "Name or service not known"),
        ("AF_UNIX path too long", "AF_UNIX path too long"),
    ],
)
async def test_reasons_are_sshds(text: str, reason: str) -> None:
    """The gateway's and asyncio's own words say nothing to a person."""

    async def dial() -> SSHForwarder:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, text)

    with pytest.raises(asyncssh.ChannelOpenError) as refused:
        await saying_why(dial())
    assert (refused.value.code, refused.value.reason) == (asyncssh.OPEN_CONNECT_FAILED, reason)


async def test_a_socket_is_its_owners_and_replaces_nothing(tmp_path: Path) -> None:
    """Who else is on the machine must not get through it to the person's."""
    path = tmp_path / "s"
    conn = cast("asyncssh.SSHServerConnection", _Connection())
    listener = await listen_at(conn, str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OSError, match="in use"):
        await listen_at(conn, str(path))
    listener.close()
    await asyncio.wait_for(listener.wait_closed(), 20)
    (tmp_path / "new").touch()
    assert (tmp_path / "new").stat().st_mode & 0o077  # the umask is what it was


class _Connection:
    def close_forward_listener(self, _path: str) -> None:
        """Nothing is kept here."""
