"""A disconnect that arrives: the message is read before the connection is reset.

asyncssh's own aborts the connection at once. When the client has just sent something that nobody
has read, the kernel answers with a reset, upon which the client forgets what it has not read
either (RFC 1122, section 4.2.2.13): it ends without a word.
"""

import asyncio

import asyncssh

LINGER_SECONDS = 2.0


def disconnect(conn: asyncssh.SSHServerConnection, code: int, reason: str) -> None:
    """Send a disconnect message (RFC 4253, section 11.1), and close once the client has.

    Nothing that comes from then on is looked at.

    Args:
        conn: the client's connection.
        code: one of asyncssh's DISC_*.
        reason: one harmless line.
    """
    transport = conn._transport  # noqa: SLF001  the public ways all abort it
    if transport is None or transport.is_closing():
        return
    conn._send_disconnect(code, reason, "")  # noqa: SLF001
    setattr(conn, "data_received", _drop)  # noqa: B010  what its transport calls
    asyncio.get_running_loop().call_later(LINGER_SECONDS, conn.abort)


def _drop(_data: bytes, _datatype: int | None = None) -> None:
    """Read it, so that there is nothing unread."""
