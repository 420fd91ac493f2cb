"""Commands as the bytes that they are (RFC 4254, section 6.5, names no encoding).

asyncssh refuses an `exec` request that is not UTF-8; sshd hands any bytes to the shell, and names
of files from older systems are such bytes. As in `eow`, the handler is found by its name.
"""

from asyncssh import SSHServerChannel
from asyncssh.packet import SSHPacket

_HANDLER = "_process_exec_request"


def accept_any_command(channel: SSHServerChannel[bytes]) -> None:
    """Let a channel take any command.

    `exec_requested` gets the bytes that are no UTF-8 as lone surrogates: `command_bytes` gives the
    command back as it came.

    Args:
        channel: a server's session channel, before its first request is processed.
    """

    def received(packet: SSHPacket) -> bool:
        command = packet.get_string()
        packet.check_end()
        text = command.decode("utf-8", "surrogateescape")
        return channel._start_session(command=text)  # noqa: SLF001  there is no public way

    setattr(channel, _HANDLER, received)


def command_bytes(command: str) -> bytes:
    """Return the bytes of a command that `accept_any_command` let in, whatever the locale."""
    return command.encode("utf-8", "surrogateescape")
