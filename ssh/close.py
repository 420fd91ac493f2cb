"""A channel that the client closes first, and that has something left to say (RFC 4254, 5.3).

A client that has sent and received the end of data closes the channel, though the command has not
exited yet; OpenSSH's does so for every session over a ControlMaster. sshd answers with its own
close only when it has told the exit status. asyncssh answers at once, and the status is lost: the
client reports 255. `tests/spawners/local/server/test_login.py` sees it with OpenSSH's client.
"""

from collections.abc import Callable

from asyncssh import SSHServerChannel
from asyncssh.channel import SSHChannel
from asyncssh.constants import MSG_CHANNEL_CLOSE
from asyncssh.packet import SSHPacket

_HANDLERS = "_packet_handlers"


class HeldClose:
    """Holds back the answer to a client's close until `close` is called.

    Args:
        channel: a server's session channel, before its first packet is processed.
        closed_by_client: called from the event loop, at most once, when the client has closed: it
            takes no more data, but still hears how the command ended.
    """

    def __init__(
        self, channel: SSHServerChannel[bytes], closed_by_client: Callable[[], None]
    ) -> None:
        self._channel = channel
        self._closed_by_client = closed_by_client
        self._held: tuple[int, int, SSHPacket] | None = None
        self._released = False
        # asyncssh finds a packet's handler in a table of the class: this channel gets its own.
        handlers = {**channel._packet_handlers, MSG_CHANNEL_CLOSE: self._received}  # noqa: SLF001
        setattr(channel, _HANDLERS, handlers)

    def close(self) -> None:
        """Close the channel, after what it has left to send; or answer the client's close."""
        self._released = True
        self._channel.close()
        if self._held is not None:
            held, self._held = self._held, None
            self._answer(*held)

    def _received(
        self, _channel: SSHChannel[bytes], kind: int, sequence: int, packet: SSHPacket
    ) -> None:
        if self._released:
            self._answer(kind, sequence, packet)
        else:
            self._held = (kind, sequence, packet)
            self._closed_by_client()

    def _answer(self, kind: int, sequence: int, packet: SSHPacket) -> None:
        self._channel._process_close(kind, sequence, packet)  # noqa: SLF001  what the table had
