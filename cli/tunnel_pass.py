"""How ssh and its ProxyCommand are connected: by pipes, or by a socket that ssh is given.

ssh reads a CertificateFile before its ProxyCommand has done anything. Only with ProxyUseFdpass
(ssh_config(5)) it waits first, until it is given its connection and the command has ended: so one
process ends, and a child goes on to copy. A client that knows no such thing has pipes.
"""

import os
import signal
import socket
import stat

SOCKET_BYTES = 1024 * 1024
"""What each end may have sent ahead: `tunnel_copy` reads much at a time, if it is there."""


class Pipes:
    """stdin and stdout, from the first moment.

    Attributes:
        stdin: where ssh writes.
        stdout: where it reads.
    """

    stdin = 0
    stdout = 1

    def ready(self) -> None:
        """Say that ssh may begin: it has begun."""


class Passed(Pipes):
    """A socket, whose other end ssh gets when all is ready.

    To make one is to go on in a child: the process that was there ends as the child does, or well
    as soon as ssh has its end.
    """

    def __init__(self) -> None:
        self._told = _go_on_in_a_child()
        ours, self._theirs = socket.socketpair()
        for end in (ours, self._theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        self.stdin = ours.detach()
        self.stdout = os.dup(self.stdin)

    def ready(self) -> None:
        """Give ssh its end, and have it begin.

        Raises:
            OSError: it has gone.
        """
        with self._theirs, socket.socket(fileno=os.dup(1)) as ssh:
            socket.send_fds(ssh, [b"\0"], [self._theirs.fileno()])
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):
            os.dup2(null, number)
        os.close(null)
        # What Ctrl-C means is for ssh to say now, and its end ours.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.write(self._told, b"\0")
        os.close(self._told)


def connect(*, passing: bool) -> Pipes:
    """Return how we are connected with ssh.

    Args:
        passing: whether ssh is told to wait until it is given a socket, if it can.
    """
    return Passed() if passing and stat.S_ISSOCK(os.fstat(1).st_mode) else Pipes()


def _go_on_in_a_child() -> int:
    """Return, in a child, where it writes a byte when its parent may end."""
    told, to_tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        return to_tell
    os.close(to_tell)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child says why it ends
    if os.read(told, 1):
        os._exit(0)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
