"""One direction of a relay: read from a side only while the other side can take it.

There are two reasons to stop, and both must be gone before reading goes on: the channel's window
is full (RFC 4254, section 5.2), or the TCP connection under it is.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import asyncssh

Connection = asyncssh.SSHServerConnection | asyncssh.SSHClientConnection
Side = Literal["user", "workspace"]


class Source(Protocol):
    """A channel that can be read."""

    def pause_reading(self) -> None:
        """Stop reading; the channel's window fills up."""

    def resume_reading(self) -> None:
        """Go on reading."""


class Flow:
    """Opens and closes one direction.

    Args:
        resumed: called each time that a reason to stop has gone.
    """

    def __init__(self, resumed: Callable[[], None] | None = None) -> None:
        self._resumed = resumed
        self._source: Source | None = None
        self._stops: set[str] = set()
        self._resuming = False

    def open(self, source: Source) -> None:
        """This is what is read from now on, unless there is a reason not to already."""
        self._source = source
        if self._stops:
            source.pause_reading()

    def stop(self, reason: str) -> None:
        """Stop reading until `go` has been called for each reason that was given."""
        self._stops.add(reason)
        if self._source is not None and not self._resuming:
            self._source.pause_reading()

    def go(self, reason: str) -> None:
        """Take back one reason to stop."""
        self._stops.discard(reason)
        if self._resumed is not None:
            self._resumed()
        if not self._stops and self._source is not None and not self._resuming:
            self._resume(self._source)

    def _resume(self, source: Source) -> None:
        """Take all that waits in the channel, a window at most, before stopping again.

        asyncssh (2.24) opens the whole window again with the first packet that it delivers, however
        many still wait. If we stopped there, each round would add a window to them.
        """
        self._resuming = True
        try:
            source.resume_reading()
        finally:
            self._resuming = False
        if self._stops and self._source is source:
            source.pause_reading()

    def is_stopped(self, reason: str) -> bool:
        """Whether this is a reason why it stands still."""
        return reason in self._stops

    def end(self) -> None:
        """The far side is gone: read what is left, so that its end is seen."""
        self._stops.clear()
        source, self._source = self._source, None
        if source is not None:
            source.resume_reading()


class Joined(Protocol):
    """Two channels that are joined."""

    def flow_to(self, side: Side) -> Flow:
        """Return the direction towards a side."""


def watch_stalls(conn: Connection, tell: Callable[[bool], None]) -> None:
    """Say when a connection's TCP buffer is full (True), and when it has drained (False).

    asyncssh 2.24 ignores it, and so buffers as much as the peer's window allows: a client may
    announce one of 4 GiB and never read. asyncio calls these two on the protocol by name.
    """
    for name, stalled in (("pause_writing", True), ("resume_writing", False)):
        setattr(conn, name, lambda stalled=stalled: tell(stalled))
