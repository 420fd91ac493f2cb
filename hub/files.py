"""The files of the hub: secrets (0600), and the lock that keeps a second hub out."""

import fcntl
import os
from pathlib import Path

from kworkspace.cli.client.errors import KworkspaceError


class FileUnusable(KworkspaceError):
    """A file or directory of the hub's cannot be used; the hub ends with the message."""

    code = "file"


def make_directory(directory: Path) -> None:
    """Make the data directory, 0700.

    Raises:
        FileUnusable: it cannot be made or written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FileUnusable(
            f"The data directory {directory} cannot be made ({error.strerror}):"
            " set c.Hub.data_dir, or change the permissions above it"
        ) from error
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise FileUnusable(
            f"The data directory {directory} is not writable:"
            " change its permissions, or set c.Hub.data_dir"
        )


def read_secret(file: Path) -> str | None:
    """Return a secret, None if there is none yet.

    A file that is not ours may be readable by our group: so a pod gets a Secret (fsGroup).

    Raises:
        FileUnusable: others may read it, or it cannot be read.
    """
    try:
        status = file.stat()
        if status.st_mode & (0o077 if status.st_uid == os.geteuid() else 0o037):
            raise FileUnusable(f"{file} holds a secret and others may read it: chmod 600 {file}")
        return file.read_text().strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileUnusable(f"{file} cannot be read ({error.strerror})") from error


def write_secret(file: Path, secret: str) -> None:
    """Write a secret: 0600 from its first byte, and whole or not at all.

    Raises:
        FileUnusable: it cannot be written.
    """
    temporary = file.with_name(f"{file.name}.new")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secret + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError as error:
        raise FileUnusable(f"{file} cannot be written ({error.strerror})") from error


class HubLock:
    """Held by one process, for as long as it lives or needs it (flock(2)).

    Args:
        file: the lock file, as the one beside an SQLite database, which has one hub.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    def acquire(self, *, wait: bool = False) -> bool:
        """Take the lock; False if another process has it and it is not to be waited for.

        Raises:
            FileUnusable: the file cannot be made.
        """
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileUnusable(
                f"The lock file {self._file} cannot be made ({error.strerror}): make its"
                " directory, change the permissions, or set c.Hub.db_url"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
