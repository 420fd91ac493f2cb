"""Where the server of a workspace listens, with which key, and whom it believes.

Its own files where it runs as whoever runs the hub; else what its monitor has handed to it.
"""

import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from kworkspace.spawners.local.files import read_small
from kworkspace.spawners.local.server.host_certificate import HostCertificate
from kworkspace.spawners.local.state import ADDRESS, Paths, Settings

log = logging.getLogger(__name__)

_MAX_KEY_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Place:
    """What a server needs before it can listen.

    Attributes:
        listening: a bound socket.
        host_key: the private host key, with its certificate.
        authorized_keys: the file to read at each login.
    """

    listening: socket.socket
    host_key: HostCertificate
    authorized_keys: Path


def find_place(settings: Settings) -> Place:
    """Return the place of this process.

    Raises:
        OSError: there is no address left.
        asyncssh.KeyImportError: the host key is none.
    """
    given = settings.given
    if given is None:
        paths = Paths(Path(settings.root))
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.bind((ADDRESS, 0))
        host_key = asyncssh.import_private_key(read_small(paths.host_key) or b"")
        return Place(listening, HostCertificate(host_key, paths.login), paths.authorized_keys)
    os.set_inheritable(given.login_fd, False)
    with open(given.host_key_fd, "rb") as file:  # noqa: PTH123  a descriptor
        host_key = asyncssh.import_private_key(file.read(_MAX_KEY_BYTES))
    # By way of the open directory: the account can reach none of those above it.
    directory = Path(f"/proc/self/fd/{given.login_fd}")
    return Place(
        socket.socket(fileno=given.listen_fd),
        HostCertificate(host_key, directory),
        directory / "authorized_keys",
    )


def enter_home(settings: Settings) -> Path:
    """Go home, where relative paths of SFTP begin, or as sshd to / when there is none."""
    home = Path(settings.home)
    try:
        os.chdir(home)
    except OSError as error:
        if settings.given is None:
            raise
        log.warning("Cannot go to %s: %s", home, error.strerror)
        os.chdir("/")
    return home
