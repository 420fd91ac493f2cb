"""OpenSSH's `eow@openssh.com`, end of write (OpenSSH's PROTOCOL, section 2.1).

`ssh host yes | head -1` ends because the client, whose own output is closed, tells the server that
it reads no more. asyncssh 2.24 answers the request with nothing at all. It looks up the handler of
a channel request by name, as an attribute of the channel: that is where this module puts one.
`spawners.local` receives the request, the gateway receives it and passes it on.
`tests/ssh/test_eow.py` fails when an asyncssh does this differently.

OpenSSH's client sends it only to servers whose banner says OpenSSH: see `version`.
"""

from collections.abc import Callable

from asyncssh import SSHServerChannel
from asyncssh.channel import SSHChannel

_REQUEST = b"eow@openssh.com"
_HANDLER = "_process_eow_at_openssh_dot_com_request"


def on_eow(channel: SSHServerChannel[bytes], callback: Callable[[], None]) -> None:
    """Call back when the client says that it reads no more of this channel's output.

    Args:
        channel: a server's session channel, before its first request is processed: in
            `SSHServerSession.connection_made`, say.
        callback: called from the event loop; it is to end the standard output. The client goes on
            to show standard error.
    """

    def received(packet: object) -> bool:  # noqa: ARG001  asyncssh hands it over; it is empty
        callback()
        drop_output(channel)
        return True

    setattr(channel, _HANDLER, received)


def drop_output(channel: SSHServerChannel[bytes]) -> None:
    """Throw away what of standard output waits for the channel's window, as sshd does.

    Whoever reads nothing more may never open the window again, and the exit status would wait
    behind what nobody wants.
    """
    # asyncssh has no public call for it.
    waiting = [item for item in channel._send_buf if item[1] is not None]  # noqa: SLF001
    channel._send_buf = waiting  # noqa: SLF001
    channel._send_buf_len = sum(len(data) for data, _ in waiting)  # noqa: SLF001
    channel._flush_send_buf()  # noqa: SLF001  what waited behind it


def send_eow(channel: SSHChannel[bytes]) -> None:
    """Tell the other side that nothing more of what it sends on this channel will be read.

    A client says so of a command's output. sshd says so of a command's input, to clients whose
    version has "OpenSSH" in it. Whoever says it must go on to consume what arrives (and throw it
    away): the channel's window is not affected. Does nothing on a closed channel.
    """
    # asyncssh has no public call for a channel request of one's own.
    channel._send_request(_REQUEST)  # noqa: SLF001
