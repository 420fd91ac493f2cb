"""Windows that do not add up behind a slow reader (RFC 4254, section 5.2).

asyncssh (2.24) opens a channel's whole window again with the first packet that it delivers after a
pause, however many still wait. If the reader stops it there, as asyncssh's own forwarding does,
each round adds a window to what waits. So whoever goes on takes all of that, a window at most.

For channels that asyncssh itself reads: `spawners.local` uses it for its forwards. The gateway's
`Flow` and the server's `Inlet`, which read channels of their own, do the same.
"""

from typing import Protocol

import asyncssh


class _Channel(Protocol):
    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def keep_windows(conn: asyncssh.SSHServerConnection) -> None:
    """Have every forwarded channel of a connection keep its window; before the first is opened."""
    for name in ("create_tcp_channel", "create_unix_channel"):
        make = getattr(conn, name)

        def making(*args: object, make=make, **kwargs: object) -> object:  # type: ignore[no-untyped-def]
            channel = make(*args, **kwargs)
            keep_window(channel)
            return channel

        setattr(conn, name, making)


def keep_window(channel: _Channel) -> None:
    """Have a channel stop only when all that waits in it has been delivered."""
    pause, resume = channel.pause_reading, channel.resume_reading
    stopped = resuming = False

    def pause_reading() -> None:
        nonlocal stopped
        stopped = True
        if not resuming:
            pause()

    def resume_reading() -> None:
        nonlocal stopped, resuming
        stopped = False
        if resuming:
            return
        resuming = True
        try:
            resume()
        finally:
            resuming = False
        if stopped:
            pause()

    channel.pause_reading = pause_reading  # type: ignore[method-assign]
    channel.resume_reading = resume_reading  # type: ignore[method-assign]
