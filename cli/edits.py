"""Changes files that are the person's own: ~/.ssh/config and config.toml.

A file is replaced whole or not at all, keeps its mode and owner, and a link to it stays a link.
A new file is readable by its owner alone.
"""

import os
import stat
import tempfile
from pathlib import Path

from kworkspace.cli.client.errors import KworkspaceError


class NotAFile(KworkspaceError):
    """There is a folder, a pipe or a device in the place of a file of settings."""

    code = "not-a-file"


def read(path: Path) -> bytes:
    """Return a file's content; nothing where there is none.

    Raises:
        NotAFile: reading it might never end.
        OSError: it cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return b""
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NotAFile(f"{path} is not a file: move it away")
        return file.read()


def replace(path: Path, content: bytes) -> None:
    """Write a file; its folder is made if it is not there.

    Raises:
        OSError: it cannot be written; it is as it was before.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            _take_after(target, handle)
            file.write(content)
            file.flush()
            os.fsync(handle)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _take_after(target: Path, handle: int) -> None:
    """Give the new file owner and mode of the one that it replaces; mkstemp made it 0600."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    new = os.fstat(handle)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))
