"""SFTP: OpenSSH's own server where it is installed, asyncssh's otherwise.

OpenSSH's is a process per channel: a slow disk stalls nobody else. asyncssh's runs on the event
loop, so that on a machine with nothing but an OpenSSH client sftp and scp work as well.
"""

import os
from typing import cast

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.stream import SSHServerStreamSession

from kworkspace.ssh.exit import send_exit_status

# Debian, Fedora, Arch and SUSE, Alpine, Homebrew.
_PLACES = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
)
_VERSION = 3  # the one that OpenSSH speaks


def find_sftp_server() -> str | None:
    """Return OpenSSH's sftp-server(8), or None where it is not installed."""
    return next((place for place in _PLACES if os.access(place, os.X_OK)), None)


def _serve(channel: SSHChannel[bytes]) -> asyncssh.SFTPServer:
    return asyncssh.SFTPServer(cast("asyncssh.SSHServerChannel[bytes]", channel))


class SFTPSession(SSHServerStreamSession[bytes]):
    """asyncssh's SFTP server on a channel that is open already.

    Paths are relative to the working directory of this process, the home.
    """

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        super().__init__(None, _serve, _VERSION)
        self._channel = channel
        self.connection_made(channel)
        self.subsystem_requested("sftp")

    def eof_received(self) -> bool:
        """Tell a good end, which asyncssh does not: scp fails without one."""
        send_exit_status(self._channel, 0)
        return super().eof_received()
