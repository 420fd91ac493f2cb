"""How a command ended, told before its output has (RFC 4254, section 6.10).

sshd tells the exit status when the command has exited, and closes the channel when nobody holds
its output open any more, which a background process may do for long. asyncssh's `exit` closes at
once. `spawners.local` tells it so for its commands, the gateway can for those that it relays.
"""

from asyncssh import SSHServerChannel
from asyncssh.packet import Boolean, String, UInt32

# The names that the RFC has; sshd tells any other signal by a name that belongs to OpenSSH.
SIGNALS = frozenset(
    (
        *("ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL"),
        *("PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2"),
    )
)
_OTHER_SIGNAL = "SIG@openssh.com"


def send_exit_status(channel: SSHServerChannel[bytes], status: int) -> None:
    """Tell the exit status and leave the channel open; nothing happens on a closed one.

    Args:
        channel: a server's session channel.
        status: 0 to 255.
    """
    # asyncssh has no public call that does not close as well.
    channel._send_request(b"exit-status", UInt32(status))  # noqa: SLF001


def send_exit_signal(
    channel: SSHServerChannel[bytes], name: str, *, core_dumped: bool = False
) -> None:
    """Tell that a signal ended the command and leave the channel open, as `send_exit_status`.

    Args:
        channel: a server's session channel.
        name: without SIG, such as "TERM".
        core_dumped: whether a core file was written.
    """
    told = name if name in SIGNALS else _OTHER_SIGNAL
    channel._send_request(  # noqa: SLF001  see above
        b"exit-signal", String(told), Boolean(core_dumped), String(""), String("")
    )
